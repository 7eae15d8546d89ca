"""What one session has used: numbered, so that writing it down twice changes nothing, and added up for its client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Protocol

from twopass.cost.prices.running import CostSummary, Pricer
from twopass.cost.usage.entries import Account, Entry, entry
from twopass.types import Clock, Usage


class Sink(Protocol):
    """Where entries go on their way to the ledger."""

    def take(self, entries: Sequence[Entry]) -> None:
        """Keep them. Never raises and never loses one: what cannot be written now waits."""


class NoSink:
    """There is no ledger."""

    def take(self, entries: Sequence[Entry]) -> None:
        """Forget them."""


NOWHERE = NoSink()


class SessionMeter:
    """
    One session's meter.

    Attributes:
        account: Who pays.
    """

    def __init__(self, session: str, account: Account, pricer: Pricer, sink: Sink) -> None:
        self.account = account
        self._session = session
        self._pricer = pricer
        self._sink = sink
        self._count = 0
        self._waiting: list[Entry] = []
        self._seconds: dict[Usage, float] = {}

    def count(self, usage: Usage, at: datetime) -> None:
        """Something was used at that time (UTC)."""
        self._count += 1
        self._waiting.append(entry(self._session, self._count, at, self.account, usage))
        alike = replace(usage, seconds=0.0, stream="")
        self._seconds[alike] = self._seconds.get(alike, 0.0) + usage.seconds

    def handing_over(self) -> Callable[[], None]:
        """
        What brings everything counted so far to the ledger. Call it when the session's journal has that safely; not
        sooner, or its numbers might be given again.
        """
        waiting, self._waiting = self._waiting, []
        return partial(self._hand_over, waiting)

    def _hand_over(self, entries: Sequence[Entry]) -> None:
        if entries:
            self._sink.take(entries)

    def seconds(self, clock: Clock) -> float:
        """How much of a clock was used."""
        return sum(seconds for usage, seconds in self._seconds.items() if usage.clock is clock)

    def summary(self) -> CostSummary:
        """What it costs so far."""
        return self._pricer.summarize(replace(usage, seconds=seconds) for usage, seconds in self._seconds.items())
