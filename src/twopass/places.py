"""
Where on the tape a stream of the first pass listens: the whole tape, or one utterance of the segmenter.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import replace

from twopass.reconciler import SNAP_MS
from twopass.tape import Cursor, Tape
from twopass.types import SAMPLES_PER_MS, Hypothesis, Utterance, Words, samples


class Place(ABC):
    """
    A stretch of tape that one stream hears, and another one if that breaks.

    Attributes:
        start: Where it begins, ms.
        done_until: End of the last final word, ms: where the next stream begins.
        reached: How far (ms) a stream had come when it ended.
        finished: Its stream has ended in order.
        given_up: No stream will hear more of it.
        fruitless: How many streams broke since there was a new final word.
        moves: How often the recognizer took audio or gave an answer.
        starving: Audio was skipped because the recognizer took none, and it has not moved since.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self.done_until = start
        self.reached = start
        self.finished = False
        self.given_up = False
        self.fruitless = 0
        self.moves = 0
        self.starving = False

    def moved(self) -> None:
        """The recognizer took audio or gave an answer."""
        self.moves += 1
        self.starving = False

    def done(self, until: int) -> None:
        """There is a final word that ends here, or a final silence."""
        if until > self.done_until:
            self.fruitless = 0
        self.done_until = until

    def begin_at(self, start: int) -> None:
        """What lies before (ms) has been said by others."""
        self.done_until = max(self.done_until, start)

    @property
    @abstractmethod
    def over(self) -> bool:
        """Whether no more audio will come."""

    @property
    @abstractmethod
    def end(self) -> int | None:
        """Where it ends, ms; None if that is not known yet."""

    @abstractmethod
    def origin(self, overlap_ms: int) -> int:
        """Where the stream begins, ms."""

    @abstractmethod
    async def read(self, cursor: Cursor, most: int) -> bytes:
        """The next audio, b"" at the end."""

    @abstractmethod
    def clipped(self, hypothesis: Hypothesis) -> Hypothesis:
        """Only what belongs to this place."""

    def beyond(self, hypothesis: Hypothesis) -> Hypothesis | None:
        """What was heard after the end of the place, to be shown until the next stream has heard it too."""
        end = self.end if self.cut_in_speech else None
        words = () if end is None else words_between(hypothesis.words, end, None)
        if end is None or not words or not hypothesis.final:
            return None
        return replace(hypothesis, start=end, end=max(end, hypothesis.end), words=words, stable=0, final=False)

    @property
    @abstractmethod
    def cut_in_speech(self) -> bool:
        """Whether it ends where somebody may speak."""


class Whole(Place):
    """
    The tape from `start` (ms) on: to its end, or to where the stream is replaced.

    Args:
        overlap_ms: So much before `start` is heard too, because there was no pause.
    """

    def __init__(self, tape: Tape, start: int = 0, overlap_ms: int = 0) -> None:
        super().__init__(start)
        self._tape = tape
        self._overlap = overlap_ms
        self._end: int | None = None
        self._heard_until = 0

    @property
    def over(self) -> bool:
        return self._tape.finished or self._end is not None

    @property
    def end(self) -> int | None:
        return self._end

    def cut(self, end: int, overlap_ms: int) -> None:
        """It ends there (ms); its stream hears a little more, for the last word's sake."""
        self._end, self._heard_until = end, samples(end + overlap_ms)

    def begin_at(self, start: int) -> None:
        super().begin_at(start)
        self.start = max(self.start, start)

    @property
    def cut_in_speech(self) -> bool:
        return self._end is not None

    def origin(self, overlap_ms: int) -> int:  # noqa: ARG002 - the contract's
        before = self._overlap if self.done_until == self.start else 0
        return max(self.done_until - before, -(-self._tape.start // SAMPLES_PER_MS))

    async def read(self, cursor: Cursor, most: int) -> bytes:
        if self._end is None:
            return await cursor.next(most)
        return await cursor.next(most, until=self._heard_until)

    def clipped(self, hypothesis: Hypothesis) -> Hypothesis:
        if self._end is None and hypothesis.start >= self.start:
            return hypothesis
        start = max(self.start, hypothesis.start)
        return _between(hypothesis, start if self._end is None else min(start, self._end), self._end)


class Heard(Place):
    """One utterance of the segmenter, whose end comes later."""

    def __init__(self, utterance: Utterance) -> None:
        super().__init__(utterance.start)
        self._utterance = utterance
        self._closed = asyncio.Event()

    @property
    def over(self) -> bool:
        return self._closed.is_set()

    @property
    def end(self) -> int | None:
        return self._utterance.end

    def close(self, utterance: Utterance) -> None:
        """The segmenter has found its end."""
        self._utterance = utterance
        self._closed.set()

    async def settled_until(self) -> int:
        """The end of the place, once it is known. (A stream may fail before its utterance ends.)"""
        await self._closed.wait()
        utterance = self._utterance
        assert utterance.end is not None
        return utterance.end + (0 if utterance.cut_right else SNAP_MS)

    def origin(self, overlap_ms: int) -> int:
        return max(0, self.done_until - (overlap_ms if self._utterance.cut_left else 0))

    async def read(self, cursor: Cursor, most: int) -> bytes:
        chunk = b""
        while not chunk:
            end = self._utterance.end
            if end is not None and cursor.at >= samples(end):
                break
            if end is None and cursor.lag == 0:
                await self._more(cursor)
                if cursor.lag == 0 and cursor.tape.finished and not self._closed.is_set():
                    await self._closed.wait()
                continue
            chunk = await cursor.next(most, until=None if end is None else samples(end))
            if not chunk:
                break
        return chunk

    async def _more(self, cursor: Cursor) -> None:
        """Wait for more tape or for the end of the utterance, whichever comes first."""
        waits = {asyncio.ensure_future(cursor.tape.wait_beyond(cursor.at)), asyncio.ensure_future(self._closed.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def clipped(self, hypothesis: Hypothesis) -> Hypothesis:
        start, end = self._utterance.start, self._utterance.end
        words = words_between(hypothesis.words, start, end)
        lost = len(words_between(hypothesis.words, 0, start))
        high = max(start, hypothesis.end if end is None else end if hypothesis.final else min(end, hypothesis.end))
        return replace(hypothesis, start=start, end=high, words=words, stable=max(0, hypothesis.stable - lost))

    @property
    def cut_in_speech(self) -> bool:
        return bool(self._utterance.cut_right)


def _between(hypothesis: Hypothesis, start: int, end: int | None) -> Hypothesis:
    """The part of it whose words lie in [start, end)."""
    lost = len(words_between(hypothesis.words, 0, start))
    high = hypothesis.end if end is None else min(end, hypothesis.end)
    words = words_between(hypothesis.words, start, end)
    stable = min(len(words), max(0, hypothesis.stable - lost))
    return replace(hypothesis, start=start, end=max(start, high), words=words, stable=stable)


def words_between(words: Words, start: int, end: int | None) -> Words:
    """Those whose midpoint lies in [start, end)."""
    return tuple(word for word in words if word.middle >= start and (end is None or word.middle < end))
