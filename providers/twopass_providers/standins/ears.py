"""
What a stand-in hears with: the recognizer behind the vendor's protocol.

An ear hears one stream after its first sample, like a vendor does: it finds the ends of utterances itself, says what
it believes so far (interims) and what it will not change any more (finals). Finals follow each other without a gap.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from twopass.types import SAMPLES_PER_MS, Hypothesis, Word


class Ear(Protocol):
    """The recognizer behind a stand-in."""

    async def open(self) -> None:
        """Load what is needed."""

    async def close(self) -> None:
        """Let go of it."""

    def listen(self, pcm: AsyncIterator[bytes]) -> AsyncIterator[Hypothesis]:
        """
        Hear one stream: 16 kHz mono s16 little endian, in pieces of any size.

        Hypotheses are on the stream's clock. An interim covers everything since the last final; the last answer,
        soon after `pcm` ends, is the final of the rest if there is any word in it.
        """


class CodedHearing:
    """
    Hears audio that says itself what is spoken: a stretch of samples with one value is the word of that number.

    Attributes:
        ms: How much was heard.
        words: Every word since `forget`, on the clock of what was heard; the last one may still go on.
    """

    def __init__(self) -> None:
        self.ms = 0
        self.words: list[Word] = []
        self._rest = b""

    def hear(self, pcm: bytes) -> bool:
        """More s16 audio, 16 kHz. Returns whether a word began or ended."""
        data = self._rest + pcm
        whole = len(data) // (2 * SAMPLES_PER_MS) * 2 * SAMPLES_PER_MS
        self._rest = data[whole:]
        values = np.frombuffer(data[:whole], "<u2")[::SAMPLES_PER_MS]
        if not len(values):
            return False
        borders = np.flatnonzero(np.diff(values)) + 1
        before = len(self.words)
        for low, high in zip([0, *borders.tolist()], [*borders.tolist(), len(values)], strict=True):
            self._run(int(values[low]), self.ms + low, self.ms + high)
        self.ms += len(values)
        return len(borders) > 0 or len(self.words) > before

    def forget(self) -> None:
        """The words so far are said finally."""
        self.words.clear()

    def _run(self, value: int, start: int, end: int) -> None:
        last = self.words[-1] if self.words else None
        if value and last is not None and last.end == start and last.text == str(value):
            self.words[-1] = Word(last.text, last.start, end)
        elif value:
            self.words.append(Word(str(value), start, end))


@dataclass(frozen=True)
class CodedEar:
    """
    An ear for coded audio, so that every word and time of a rehearsal can be checked.

    Attributes:
        interim_ms: So much new audio between interims.
        endpoint_ms: So much silence after words makes a final.
        longest_ms: So does so much speech without a pause, but for its last word; None: it may be endless.
    """

    interim_ms: int = 200
    endpoint_ms: int = 500
    longest_ms: int | None = None

    async def open(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def listen(self, pcm: AsyncIterator[bytes]) -> AsyncIterator[Hypothesis]:
        """See `Ear`."""
        hearing, said, told = CodedHearing(), 0, 0
        async for piece in pcm:
            hearing.hear(piece)
            words = tuple(hearing.words)
            if words and hearing.ms - words[-1].end >= self.endpoint_ms:
                yield Hypothesis(said, words[-1].end, words, final=True, stable=len(words))
                said = told = words[-1].end
                hearing.forget()
            elif self.longest_ms is not None and len(words) > 1 and hearing.ms - said >= self.longest_ms:
                yield Hypothesis(said, words[-2].end, words[:-1], final=True, stable=len(words) - 1)
                said = told = words[-2].end
                hearing.words[:] = words[-1:]
            elif words and hearing.ms - told >= self.interim_ms:
                told = hearing.ms
                yield Hypothesis(said, hearing.ms, words, stable=max(0, len(words) - 2))
        if hearing.words:
            words = tuple(hearing.words)
            yield Hypothesis(said, hearing.ms, words, final=True, stable=len(words))
