"""What sessions used, through the ledger to the report that compares it with what their vendors said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from twopass.cost.ledger.book import Ledger
from twopass.cost.prices.cards import load_cards
from twopass.cost.reports.report import Asked, Month, Report, run
from twopass.cost.usage.entries import HOUSE, entry
from twopass.types import Usage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def reported(sessions: Iterable[Sequence[Usage]], directory: Path) -> Report:
    """The report over these sessions' usage."""
    ledger = Ledger.open(f"sqlite:///{directory / 'ledger.sqlite'}")
    try:
        for number, usages in enumerate(sessions):
            ledger.write(entry(f"s{number}", at, NOON, HOUSE, usage) for at, usage in enumerate(usages))
        ledger.charge(load_cards(None, None, {}), "USD")
        return run("reported", ledger, Asked(Month.of(NOON.date()), NOON.date()))
    finally:
        ledger.close()


def reasons(report: Report) -> dict[str, int]:
    """How many streams differ for which reason."""
    counts: dict[str, int] = {}
    for row in report.table("provider").rows:
        counts[str(row["reason"])] = counts.get(str(row["reason"]), 0) + int(str(row["request_count"]))
    return counts
