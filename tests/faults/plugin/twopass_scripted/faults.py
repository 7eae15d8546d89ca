"""
How a session orders the failures of its own recognizers: as phrases of its `start` message. Pure.

    first:crash@2       the first pass's stream 2 (counted from 0) crashes in its middle
    second:hang@0       the second pass's call 0 never answers
    first:slow@1        stream 1 is slow: every chunk takes longer than it lasts

So one server serves many sessions, each with its own failures, and what fails depends on no clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Kind: TypeAlias = Literal["crash", "bug", "hang", "slow"]
Passing: TypeAlias = Literal["first", "second"]
_SESSIONS = 1_000


@dataclass(frozen=True, slots=True)
class Fault:
    """Stream or call number `at` of a pass breaks in this way."""

    passing: Passing
    kind: Kind
    at: int

    @property
    def phrase(self) -> str:
        """As it stands in `start`."""
        return f"{self.passing}:{self.kind}@{self.at}"


def parsed(phrases: Iterable[str]) -> list[Fault]:
    """The faults among the phrases."""
    faults = []
    for phrase in phrases:
        passing, _, rest = phrase.partition(":")
        kind, _, at = rest.partition("@")
        if passing in get_args(Passing) and kind in get_args(Kind) and at.isdigit():
            faults.append(Fault(passing, kind, int(at)))  # type: ignore[arg-type]  # both were looked up
    return faults


class Counted:
    """Counts the streams or calls of every session, the latest of them."""

    def __init__(self, passing: Passing) -> None:
        self._passing = passing
        self._numbers: OrderedDict[str, int] = OrderedDict()

    def next(self, session: str, phrases: Iterable[str]) -> Kind | None:
        """One more of this session; returns how it breaks."""
        faults = [fault for fault in parsed(phrases) if fault.passing == self._passing]
        if not faults:
            return None
        number = self._numbers.pop(session, -1) + 1
        self._numbers[session] = number
        while len(self._numbers) > _SESSIONS:
            self._numbers.popitem(last=False)
        return next((fault.kind for fault in faults if fault.at == number), None)
