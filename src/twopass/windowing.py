"""
Any utterance recognizer as a streaming one: overlapping windows and local agreement.

The growing utterance is decoded again every step; what two decodes in a row agree on from the left is stable
(LocalAgreement-2: Liu, Niehues, Cross-lingual ASR, Interspeech 2020; used for Whisper by Macháček et al. 2023). Speech
longer than the window is decoded from the last stable words on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from twopass.alignment import common_prefix
from twopass.recognizers import Capabilities, StreamOptions, UtteranceAudio, UtteranceRecognizer
from twopass.types import BYTES_PER_SAMPLE, SAMPLES_PER_MS, Hypothesis, Pass, Usage, Words

_BYTES_PER_MS = SAMPLES_PER_MS * BYTES_PER_SAMPLE
_KEEP_MS = 1_000
"""Stable audio kept before the window's new start, so that its first words have context."""


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """Milliseconds: at most the last `window_ms` are decoded, every `step_ms` of new audio."""

    window_ms: int = 20_000
    step_ms: int = 1_500


@dataclass(slots=True)
class Agreement:
    """
    What several decodes of a growing utterance agree on. Pure.

    Attributes:
        committed: Words that lie before the window and will not be decoded again.
        offset: Start of the window, ms on the stream clock.
    """

    committed: Words = ()
    offset: int = 0
    _previous: Words = field(default=())

    def update(self, hypothesis: Hypothesis, *, final: bool = False) -> Hypothesis:
        """Take a decode of the window (times from the window's start); returns the whole belief on the stream clock."""
        heard = hypothesis.shifted(self.offset)
        words = tuple(word for word in heard.words if not self.committed or word.middle > self.committed[-1].end)
        stable = len(words) if final else common_prefix(self._previous, words)
        self._previous = words
        everything = self.committed + words
        return replace(heard, start=0, words=everything, stable=len(self.committed) + stable, final=final)

    def slide(self, stable: Words, heard_until: int, window_ms: int) -> None:
        """Move the window forward when it is full: to the end of the stable words, or by half if there are none."""
        if heard_until - self.offset < window_ms:
            return
        limit = heard_until - window_ms // 2
        done = tuple(word for word in stable if word.end <= max(limit, self.offset + _KEEP_MS))
        self.committed = done or self.committed
        end = self.committed[-1].end if self.committed else limit
        self.offset = max(self.offset, min(end, heard_until) - _KEEP_MS, heard_until - window_ms + _KEEP_MS)
        self._previous = tuple(word for word in self._previous if word not in self.committed)


class Windowed:
    """A `StreamingRecognizer` made of an `UtteranceRecognizer`. One stream is one utterance."""

    def __init__(self, recognizer: UtteranceRecognizer, settings: WindowSettings | None = None) -> None:
        self._recognizer = recognizer
        self._set = settings or WindowSettings()
        self._window_ms = min(self._set.window_ms, int(recognizer.capabilities.max_utterance_seconds * 1000))

    @property
    def capabilities(self) -> Capabilities:
        inner = self._recognizer.capabilities
        model = f"{inner.model}, every {self._set.step_ms / 1000:g} s"
        return replace(inner, model=model, endpoints=False, max_batch=1)

    async def open(self) -> None:
        await self._recognizer.open()

    async def close(self) -> None:
        await self._recognizer.close()

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        agreement = Agreement()
        async with aclosing(_growing(audio, self._set.step_ms)) as steps:
            async for pcm, over in steps:
                window, until = pcm[agreement.offset * _BYTES_PER_MS :], len(pcm) // _BYTES_PER_MS
                (answer,) = await self._recognizer.recognize([UtteranceAudio(bytes(window), options)])
                for usage in answer.usage:
                    yield replace(usage, pass_=Pass.FIRST)
                belief = agreement.update(answer.hypothesis, final=over)
                yield replace(belief, end=until)
                agreement.slide(belief.words[: belief.stable], until, self._window_ms)


async def _growing(audio: AsyncIterator[bytes], step_ms: int) -> AsyncGenerator[tuple[bytearray, bool], None]:
    """
    The audio so far, each time at least `step_ms` have come since the last time, and once more when it is over.

    Audio goes on coming in while the consumer decodes: it then finds all of it at once.
    """
    pcm, grown = bytearray(), asyncio.Event()

    async def collect() -> None:
        try:
            async for chunk in audio:
                pcm.extend(chunk)
                grown.set()
        finally:
            grown.set()

    collector = asyncio.create_task(collect())
    done = 0
    try:
        while not collector.done():
            await grown.wait()
            grown.clear()
            if len(pcm) - done >= step_ms * _BYTES_PER_MS and not collector.done():
                done = len(pcm)
                yield bytearray(pcm), False
        await collector
        yield pcm, True
    finally:
        collector.cancel()
