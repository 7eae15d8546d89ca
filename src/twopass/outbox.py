"""
What a session has to tell its client: numbered events, and of each utterance only the latest revision.

A slow reader costs no memory beyond that, and a reader that comes back asks for everything after the last number it
saw. Pure but for waking the reader.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal, TypeAlias

from twopass.cost.prices.running import CostSummary
from twopass.cost.usage.budgets import BudgetState
from twopass.errors import TwopassError
from twopass.types import Pass, Revision


@dataclass(frozen=True, slots=True)
class SpeechChanged:
    """Somebody began or ceased to speak."""

    state: Literal["started", "ended"]
    at: int
    channel: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Everything before this sample, and this byte of what the client sent, is on the tape; `durable`: also on disk."""

    samples: int
    received: int = 0
    durable: bool = False


@dataclass(frozen=True, slots=True)
class GapMarked:
    """Audio [start, end) ms never came."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class AudioSkipped:
    """
    The first pass could not keep up and skipped [start, end) ms.

    Attributes:
        depth: How much audio (ms) waits for it.
        over: It has caught up; start and end are the whole stretch.
    """

    start: int
    end: int
    depth: int
    over: bool = False
    channel: int = 0


@dataclass(frozen=True, slots=True)
class Expiring:
    """The session will be ended because it has become too long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ProviderTrouble:
    """
    A recognizer failed, or is well again.

    Attributes:
        to: The recognizer that goes on for it, when "switched".
    """

    pass_: Pass
    provider: str
    state: Literal["retrying", "failed", "switched", "recovered"]
    reason: str
    channel: int = 0
    to: str | None = None


@dataclass(frozen=True, slots=True)
class CostChanged:
    """The running cost."""

    audio_ms: int
    summary: CostSummary


@dataclass(frozen=True, slots=True)
class BudgetTold:
    """A budget that this session spends from is nearly spent, or spent."""

    state: BudgetState


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The last event: every utterance is final."""

    audio_ms: int
    utterances: int
    words: int
    degraded: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something the client sent was wrong. `fatal`: no more is accepted; what was accepted is finished."""

    error: TwopassError
    fatal: bool


Event: TypeAlias = (
    Revision
    | SpeechChanged
    | Acknowledged
    | GapMarked
    | AudioSkipped
    | ProviderTrouble
    | CostChanged
    | BudgetTold
    | Expiring
    | Problem
    | SessionEnded
)


class Outbox:
    """Events in the order of their numbers, the superseded ones left out."""

    def __init__(self) -> None:
        self._last = 0
        self._newest = 0  # the last event that is kept
        self._forgotten = 0
        self._events: dict[object, tuple[int, Event]] = {}
        self._arrived = asyncio.Event()

    def put(self, event: Event) -> int:
        """Number an event and keep it; returns its number."""
        self._last += 1
        key = _key(event, self._last)
        self._events.pop(key, None)  # the new one goes to the end
        self._events[key] = (self._last, event)
        self._newest = self._last
        self._arrived.set()
        return self._last

    def since(self, number: int) -> list[tuple[int, Event]]:
        """Everything after event `number` that is not superseded. Costs as much as it returns."""
        fresh = []
        for numbered in reversed(self._events.values()):
            if numbered[0] <= number:
                break
            fresh.append(numbered)
        return fresh[::-1]

    @property
    def last(self) -> int:
        """The last number that was given."""
        return self._last

    @property
    def newest(self) -> int:
        """The number of the last event that is kept."""
        return self._newest

    def skip_to(self, number: int) -> None:
        """Give no number up to this one any more."""
        self._last = max(self._last, number)

    def forget(self, number: int) -> None:
        """Nobody will ask for events up to this number again."""
        self._forgotten = max(self._forgotten, number)
        gone = []
        for key, (known, _) in self._events.items():
            if known > number:
                break
            gone.append(key)
        for key in gone:
            del self._events[key]

    async def wait_beyond(self, number: int) -> None:
        """Wait until there is an event after `number` that was not forgotten. One reader at a time."""
        while self._newest <= max(number, self._forgotten):
            self._arrived.clear()
            await self._arrived.wait()

    def reserve(self) -> int:
        """A number for a message that is sent at once and not kept."""
        self._last += 1
        return self._last


def _key(event: Event, number: int) -> object:
    """Events with one key supersede each other."""
    match event:
        case Revision():
            return ("revision", event.utterance)
        case Acknowledged() | CostChanged() | Expiring():
            return type(event)
        case AudioSkipped():
            return AudioSkipped, event.channel
        case _:
            return number
