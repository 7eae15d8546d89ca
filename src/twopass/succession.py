"""
The stream that is to take over from the one that is heard: opened beside it, so that nobody notices.

There are two reasons. The stream nears its vendor's limit: then the next one is opened after a final, or, if none
comes, both hear what lies around the quietest point. Or the recognizer only stands in for a better one that may be
well again: then the better one has to show that it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from twopass.lineup import Choice
from twopass.open_stream import OpenStream
from twopass.places import Place, Whole
from twopass.rotation import SEARCH_MS, Limits, quietest
from twopass.tape import Tape
from twopass.types import SAMPLES_PER_MS, milliseconds, samples

_CONVINCING_SECONDS = 1.0
"""A stream that has taken so much audio without a word, while nobody spoke, is believed to be well."""
_AGAIN_SECONDS = 1.0


class Succession:
    """
    Args:
        open_stream: Opens a stream of the recognizer of this index at a place, from so many ms on.

    Attributes:
        stream: The successor, None most of the time.
    """

    def __init__(
        self, tape: Tape, choice: Choice, overlap_ms: int, open_stream: Callable[[int, Place, int], OpenStream]
    ) -> None:
        self.stream: OpenStream | None = None
        self._tape = tape
        self._choice = choice
        self._overlap = overlap_ms
        self._open = open_stream
        self._again_at = 0.0  # seconds of the event loop's clock

    def look_for_better(self, start: int) -> None:
        """If a better recognizer may be well again, open a stream of it at `start` (ms)."""
        if self.stream is None and self._choice.current > 0:
            index = self._choice.better()
            if index is not None and self._choice.lines[index].capabilities.endpoints:
                self._begin(index, start)

    def replace_in_time(self, stream: OpenStream, place: Place, *, start: int, pausing: bool) -> None:
        """
        If the stream becomes as old as its vendor allows, open the next one.

        Args:
            start: Where it begins (ms), if `pausing`: if everything that was said is final.
        """
        limits = Limits.of(self._choice.lines[stream.index].capabilities.max_stream_seconds)
        heard = place.over and stream.cursor.lag == 0
        if limits is None or self.stream is not None or heard or place.end is not None:
            return
        now = asyncio.get_running_loop().time()
        age = max(stream.sent_seconds, now - stream.opened_at)
        if age < limits.due or now < self._again_at or (not pausing and age < limits.forced):
            return
        index = self._choice.pick()
        if index is None or not self._choice.lines[index].capabilities.endpoints:
            self._again_at = now + _AGAIN_SECONDS
        elif pausing:
            self._begin(index, start)
        elif isinstance(place, Whole):
            self._cut(stream, place, index)

    def check(self) -> None:
        """One that breaks before it has said anything is none."""
        successor = self.stream
        if successor is not None and successor.error is not None and not successor.answered:
            self.adopt()
            self._again_at = asyncio.get_running_loop().time() + _AGAIN_SECONDS
            self._choice.failed(successor.index, successor.error)

    def convinces(self, *, owing: bool) -> bool:
        """
        Whether there is one and it can take over: it speaks, or takes audio while there is nothing to be said.

        Args:
            owing: Whether there is something to be said.
        """
        if self.stream is None or self.stream.answered:
            return self.stream is not None
        return not owing and self.stream.sent_seconds >= _CONVINCING_SECONDS

    def adopt(self) -> None:
        """It is no successor any more."""
        self.stream = self._choice.on_trial = None

    async def close(self) -> None:
        """Nobody will need it."""
        if self.stream is not None:
            await self.stream.close()
        self.adopt()

    def _cut(self, stream: OpenStream, place: Whole, index: int) -> None:
        """Nobody pauses: end the stream at the quietest point of the latest audio."""
        end = milliseconds(stream.cursor.at)
        start = max(place.done_until, end - SEARCH_MS, -(-self._tape.start // SAMPLES_PER_MS))
        cut = start + quietest(self._tape.read(samples(start), samples(end)))
        place.cut(cut, self._overlap)
        self._begin(index, cut, self._overlap)

    def _begin(self, index: int, start: int, overlap_ms: int = 0) -> None:
        place = Whole(self._tape, start, overlap_ms)
        self._choice.on_trial = index if index != self._choice.current else None
        self.stream = self._open(index, place, place.origin(overlap_ms))
