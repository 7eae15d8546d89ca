"""Usage entries for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from twopass.cost.usage.entries import Account, Entry, entry
from twopass.types import Clock, Usage

BEGIN = datetime(2026, 11, 21, 12, tzinfo=UTC)
WHO = Account("news", "k1")


def made(session: str, number: int) -> Entry:
    """The entry of that number: the same whoever makes it, and different from all others."""
    usage = Usage("google", "v2-standard", Clock.AUDIO_SENT, 1 + number / 1000, stream=f"{number // 10}")
    return entry(session, number, BEGIN + timedelta(seconds=number), WHO, usage)
