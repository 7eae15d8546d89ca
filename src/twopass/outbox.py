"""
What a session has to tell its client: numbered events, and of each utterance only the latest revision.

A slow reader costs no memory beyond that, and a reader that comes back asks for everything after the last number it
saw. Pure but for waking the reader.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal, TypeAlias

from twopass.cost.rates import CostSummary
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
    """The tape holds everything before this sample."""

    samples: int
    durable: bool = False


@dataclass(frozen=True, slots=True)
class ProviderTrouble:
    """A recognizer failed or is well again."""

    pass_: Pass
    provider: str
    state: Literal["retrying", "failed", "recovered"]
    reason: str
    channel: int = 0


@dataclass(frozen=True, slots=True)
class CostChanged:
    """The running cost."""

    audio_ms: int
    summary: CostSummary


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


Event: TypeAlias = Revision | SpeechChanged | Acknowledged | ProviderTrouble | CostChanged | Problem | SessionEnded


class Outbox:
    """Events in the order of their numbers, the superseded ones left out."""

    def __init__(self) -> None:
        self._last = 0
        self._newest = 0  # the last event that is kept
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

    async def wait_beyond(self, number: int) -> None:
        """Wait until there is an event after `number`. One reader at a time."""
        while self._newest <= number:
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
        case Acknowledged() | CostChanged():
            return type(event)
        case _:
            return number
