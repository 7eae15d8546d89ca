"""Words in audio that says them itself: a stretch of samples with one value is the word of that number. Pure."""

from __future__ import annotations

import numpy as np

from twopass.types import SAMPLES_PER_MS, Word, Words


class Ear:
    """
    Hears audio piece by piece; what a piece costs does not depend on how much came before.

    Attributes:
        ms: How much was heard.
        words: Every word so far, on the clock of what was heard; the last one may still go on.
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

    def _run(self, value: int, start: int, end: int) -> None:
        last = self.words[-1] if self.words else None
        if value and last is not None and last.end == start and last.text == str(value):
            self.words[-1] = Word(last.text, last.start, end)
        elif value:
            self.words.append(Word(str(value), start, end))


def heard(pcm: bytes) -> Words:
    """All words in a piece of audio. A word cut in half is heard as half."""
    ear = Ear()
    ear.hear(pcm)
    return tuple(ear.words)
