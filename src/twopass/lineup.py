"""
Which of several recognizers a session's first pass uses: the first in the list that is well. No I/O; the time is given.

A session that saw one fail avoids it for a while and takes the next; the breakers (see `circuit`) tell it what other
sessions saw. When a better one is well again it is offered, and taken at a place where nothing is torn apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twopass.circuit import Breaker
from twopass.errors import RecognizerError, RecognizerRejected, StreamLimitReached
from twopass.recognizers import Capabilities, StreamingRecognizer

_LONGEST_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Line:
    """A recognizer, and what is known of its health."""

    recognizer: StreamingRecognizer
    breaker: Breaker

    @property
    def capabilities(self) -> Capabilities:
        """The recognizer's."""
        return self.recognizer.capabilities


Lineup = Sequence[Line]
"""In the order of preference; one at least."""


def alone(recognizer: StreamingRecognizer) -> Lineup:
    """A list of one."""
    return (Line(recognizer, Breaker()),)


@dataclass(slots=True)
class _Avoided:
    """Until when (s) and how long each time; `hopeless`: trying before cannot help."""

    until: float = 0.0
    rest: float = 0.0
    hopeless: bool = False


class Choice:
    """
    One session's way through the list.

    Attributes:
        lines: The list.
        current: Index of the one in use.
        on_trial: Index of a better one that is being tried beside it, and not to be picked meanwhile.
    """

    def __init__(self, lineup: Lineup, back_after_seconds: float, clock: Callable[[], float]) -> None:
        self.lines = lineup
        self.current = 0
        self.on_trial: int | None = None
        self._clock = clock
        self._back_after = back_after_seconds
        self._avoided = [_Avoided() for _ in lineup]
        self._forbidden: frozenset[int] = frozenset()

    @property
    def hears_everything(self) -> bool:
        """Whether the next one hears the whole tape, not utterance by utterance."""
        return self.lines[self._soonest()].capabilities.endpoints

    @property
    def turns_away(self) -> bool:
        """Whether the next one is another than the one in use."""
        return self._soonest() != self.current

    @property
    def wait(self) -> float:
        """How long (s) nobody may be tried."""
        return max(0.0, self._barred_until(self._soonest()) - self._clock())

    @property
    def hopeless(self) -> bool:
        """Whether that is so long that the place is better left to the second pass."""
        return self.wait > _LONGEST_WAIT_SECONDS

    def forbid(self, indices: frozenset[int]) -> None:
        """These are not to be used any more, for whatever reason. One at least must be left."""
        assert len(indices) < len(self.lines)
        self._forbidden = indices

    def forbids(self, index: int) -> bool:
        """Whether it is not to be used any more."""
        return index in self._forbidden

    def pick(self) -> int | None:
        """
        Index of the one to open the next stream with; None as long as nobody may be tried.

        If this session avoids all of them, it is the one that it may turn to soonest.
        """
        index = self._soonest()
        return index if self._allowed(index) else None

    def better(self) -> int | None:
        """Index of one that is preferred to the one in use and may be tried again."""
        now = self._clock()
        well = (i for i in range(self.current) if now >= self._avoided[i].until and self._allowed(i))
        return next(well, None)

    def succeeded(self, index: int) -> None:
        """It gave an answer."""
        self._avoided[index] = _Avoided()
        self.lines[index].breaker.succeeded()

    def failed(self, index: int, error: RecognizerError) -> None:
        """Its stream failed."""
        if isinstance(error, StreamLimitReached):
            return
        now, avoided = self._clock(), self._avoided[index]
        self.lines[index].breaker.failed(error, now)
        avoided.rest = 2 * avoided.rest or self._back_after
        avoided.hopeless = not error.retryable
        if isinstance(error, RecognizerRejected):
            avoided.until = math.inf  # this session's wishes do not change
        elif avoided.hopeless or len(self.lines) > 1:
            avoided.until = now + avoided.rest

    def rest(self) -> None:
        """All were tried and none brought anything: there is no use in trying at once again."""
        now = self._clock()
        for avoided in self._avoided:
            avoided.rest = avoided.rest or self._back_after
            avoided.hopeless = True
            avoided.until = max(avoided.until, now + avoided.rest)

    def _soonest(self) -> int:
        now = self._clock()

        def order(index: int) -> tuple[float, float, int]:
            return max(now, self._barred_until(index)), max(now, self._avoided[index].until), index

        return min((i for i in range(len(self.lines)) if i != self.on_trial), key=order)

    def _barred_until(self, index: int) -> float:
        line, avoided = self.lines[index], self._avoided[index]
        if index in self._forbidden:
            return math.inf
        own = avoided.until if avoided.hopeless else 0.0
        # That a process of ours died says nothing about the next one.
        return own if line.capabilities.local else max(own, line.breaker.barred_until)

    def _allowed(self, index: int) -> bool:
        line, now = self.lines[index], self._clock()
        if now < self._barred_until(index):
            return False
        return line.capabilities.local or line.breaker.allow(now)
