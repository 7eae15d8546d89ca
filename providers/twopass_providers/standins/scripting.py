"""An ear that hears nothing and knows what is said: for rehearsing without a recognizer."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator

import numpy as np

from twopass.types import BYTES_PER_SAMPLE, SAMPLES_PER_MS, Hypothesis, Word, Words

_FRAME_MS = 20
_FRAME_BYTES = _FRAME_MS * SAMPLES_PER_MS * BYTES_PER_SAMPLE
_FRAMES_PER_WORD = 20
"""400 ms: two and a half words a second."""
_SHORTEST_FRAMES = 11
"""Less than half a word is none."""
_LOUD = 0.01
"""Root mean square of a frame (0..1) from which it is sound: about -40 dB."""


class ScriptedEar:
    """
    Says the next words of a text while there is sound, 2.5 a second, and begins again when the text is over.

    It goes on where it was over all connections. What was not said finally is not over: if a connection breaks and
    its audio is sent again over the next one, the same words are said.

    Args:
        text: At least one word. Raises ValueError if there is none.
        interim_ms: So much new audio between interims.
        endpoint_ms: So much silence after words makes a final.
    """

    def __init__(self, text: str, *, interim_ms: int = 200, endpoint_ms: int = 500) -> None:
        self._text = text.split()
        if not self._text:
            raise ValueError("the text has no words")
        self._next = 0
        self._interim_ms = interim_ms
        self._endpoint_ms = endpoint_ms

    async def open(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def listen(self, pcm: AsyncIterator[bytes]) -> AsyncIterator[Hypothesis]:
        """See `standins.Ear`."""
        sound, said, told = _Sound(), 0, 0
        async for piece in pcm:
            for now in sound.hears(piece):
                if sound.silent_ms >= self._endpoint_ms:
                    if words := self._words(sound):
                        yield self._final(words, said, words[-1].end)
                        said = told = words[-1].end
                    sound.forgets()
                elif now - told >= self._interim_ms and (words := self._words(sound)):
                    told = now
                    yield Hypothesis(said, now, words, stable=len(words) - 1)
        words = self._words(sound)
        if words:
            yield self._final(words, said, sound.ms)

    def _words(self, sound: _Sound) -> Words:
        script = itertools.islice(itertools.cycle(self._text), self._next % len(self._text), None)
        return tuple(Word(text, start, end) for text, (start, end) in zip(script, sound.spans, strict=False))

    def _final(self, words: Words, start: int, end: int) -> Hypothesis:
        self._next += len(words)
        return Hypothesis(start, end, words, final=True, stable=len(words))


class _Sound:
    """
    When there was sound, in spans of a word.

    Attributes:
        ms: How much was heard.
        silent_ms: How long there has been no sound.
    """

    def __init__(self) -> None:
        self.ms = 0
        self.silent_ms = 0
        self._rest = b""
        self._loud: list[int] = []  # where each loud frame ends, ms

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Beginning and end of each word since `forgets`."""
        words = [self._loud[at : at + _FRAMES_PER_WORD] for at in range(0, len(self._loud), _FRAMES_PER_WORD)]
        return [(word[0] - _FRAME_MS, word[-1]) for word in words if len(word) >= _SHORTEST_FRAMES]

    def hears(self, pcm: bytes) -> Iterator[int]:
        """More s16 audio, 16 kHz; gives the time after each frame of it."""
        data = self._rest + pcm
        whole = len(data) // _FRAME_BYTES * _FRAME_BYTES
        self._rest = data[whole:]
        frames = np.frombuffer(data[:whole], "<i2").reshape(-1, _FRAME_MS * SAMPLES_PER_MS).astype(np.float32)
        for loudness in np.sqrt(np.mean((frames / 32_768) ** 2, axis=1)):
            self.ms += _FRAME_MS
            self.silent_ms = 0 if loudness >= _LOUD else self.silent_ms + _FRAME_MS
            if loudness >= _LOUD:
                self._loud.append(self.ms)
            yield self.ms

    def forgets(self) -> None:
        """The words so far are said finally."""
        self._loud.clear()
