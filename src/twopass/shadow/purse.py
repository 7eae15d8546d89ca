"""
What shadows have cost, by UTC day: in memory, and in a small file of each process beside the records, so that the limit
holds over restarts and for several processes with one directory.

The files, not the records, are what is counted: whoever removes old records gives nobody new money.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

from twopass.cost.usage.budgets import Period
from twopass.shadow.settings import ShadowSettings
from twopass.whole_files import write_whole

FOLDER = "spent"
_KEPT = timedelta(days=63)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ShadowPurse:
    """The limit, and what is spent of it. `sync` blocks; all else is for the event loop."""

    def __init__(self, settings: ShadowSettings, now: Callable[[], datetime] = _utc_now) -> None:
        self._set = settings
        self._now = now
        self._folder = settings.directory / FOLDER
        self._name = secrets.token_hex(6)
        self._own: dict[str, Decimal] = defaultdict(Decimal)  # by day
        self._others: Mapping[str, Decimal] = {}

    @property
    def period(self) -> str:
        """The current one's name: 2026-11-21 or 2026-11."""
        return self._set.period.name_of(self._now())

    @property
    def spent(self) -> Decimal:
        """In the current period, as far as is known here."""
        period, days = self.period, (*self._own.items(), *self._others.items())
        return sum((amount for day, amount in days if day.startswith(period)), Decimal(0))

    @property
    def empty(self) -> bool:
        """Whether the limit is reached."""
        return self.spent >= self._set.limit

    def add(self, amount: Decimal) -> None:
        """Something was spent, in the limit's currency."""
        self._own[Period.DAY.name_of(self._now())] += amount

    def sync(self) -> None:
        """Tell other processes what was spent here, and learn what they spent. Raises OSError."""
        for folder in (self._set.directory, self._folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for day, amount in dict(self._own).items():
            write_whole(self._folder / f"{day}-{self._set.currency}-{self._name}", str(amount).encode())
        self._others = self._read()

    def _read(self) -> dict[str, Decimal]:
        amounts: dict[str, Decimal] = defaultdict(Decimal)
        oldest = Period.DAY.name_of(self._now() - _KEPT)
        for path in self._folder.glob(f"????-??-??-{self._set.currency}-*"):
            day = path.name[:10]
            if day < oldest:
                path.unlink(missing_ok=True)
            elif not path.name.endswith(self._name):
                amounts[day] += _amount(path)
        return dict(amounts)


def _amount(path: Path) -> Decimal:
    """What stands in the file; nothing if it has just gone, or is none of ours."""
    with suppress(FileNotFoundError, InvalidOperation, ValueError):
        amount = Decimal(path.read_text())
        return amount if amount.is_finite() else Decimal(0)
    return Decimal(0)
