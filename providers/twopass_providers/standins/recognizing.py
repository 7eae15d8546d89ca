"""An ear that really hears: a local recognizer behind a vendor's protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from twopass import recognizers
from twopass.recognizers import StreamingRecognizer, StreamOptions
from twopass.segmenter import Ended, Segmenter, SegmentEvent, Started
from twopass.types import BYTES_PER_SAMPLE, SAMPLES_PER_MS, Hypothesis
from twopass.vad import FRAME_BYTES, VoiceDetector

DEFAULT = "pocketsphinx"
_NO_WISHES = StreamOptions()
_MS_BYTES = SAMPLES_PER_MS * BYTES_PER_SAMPLE


class RecognizerEar:
    """
    Hears with the first pass of a provider on this machine: one that is given one stream per utterance.

    Args:
        provider: Its name. Raises ConfigError or RecognizerUnavailable as the provider does.
        settings: Its settings.
        options: What it is told of the speech.
    """

    def __init__(
        self,
        provider: str = DEFAULT,
        settings: Mapping[str, Any] | None = None,
        options: StreamOptions = _NO_WISHES,
    ) -> None:
        self._recognizer: StreamingRecognizer = recognizers.find(provider).streaming(settings or {})
        self._options = options
        self._voice = VoiceDetector()

    async def open(self) -> None:
        """Load the voice detector and the recognizer."""
        await self._voice.open()
        await self._recognizer.open()

    async def close(self) -> None:
        """End them."""
        await self._recognizer.close()
        await self._voice.close()

    async def listen(self, pcm: AsyncIterator[bytes]) -> AsyncIterator[Hypothesis]:
        """See `standins.Ear`."""
        waiting: asyncio.Queue[_Heard | None] = asyncio.Queue()
        cutting = asyncio.create_task(self._cut(pcm, waiting))
        said = 0
        try:
            while (utterance := await waiting.get()) is not None:
                async with aclosing(self._recognizer.stream(utterance.audio(), self._options)) as answers:  # type: ignore[type-var]
                    async for answer in answers:
                        if isinstance(answer, Hypothesis):
                            hypothesis = utterance.placed(answer, said)
                            said = hypothesis.end if hypothesis.final else said
                            yield hypothesis
            await cutting
        finally:
            cutting.cancel()
            await asyncio.wait({cutting})

    async def _cut(self, pcm: AsyncIterator[bytes], waiting: asyncio.Queue[_Heard | None]) -> None:
        """Put each utterance there as soon as it begins; None at the end, whatever it is."""
        cutter = _Cutter(waiting)
        listening = await self._voice.listen()
        try:
            async for piece in pcm:
                if frames := cutter.whole_frames(piece):
                    for i, judged in enumerate(await listening.frames(frames)):
                        frame = frames[i * FRAME_BYTES : (i + 1) * FRAME_BYTES]
                        cutter.takes(frame, judged.probability, judged.loudness)
            cutter.ends()
        finally:
            listening.close()
            cutter.gives_up()
            waiting.put_nowait(None)


@dataclass
class _Heard:
    """
    One utterance: begins at `start` (ms), ends at `end`, which is not known while it lasts.
    """

    start: int
    end: int | None = None
    _pieces: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    def hears(self, pcm: bytes) -> None:
        """More of it."""
        if pcm:
            self._pieces.put_nowait(pcm)

    def ends(self, at: int) -> None:
        self.end = at
        self._pieces.put_nowait(b"")

    async def audio(self) -> AsyncIterator[bytes]:
        """Until it ends."""
        while piece := await self._pieces.get():
            yield piece

    def placed(self, answer: Hypothesis, said: int) -> Hypothesis:
        """An answer of the recognizer on the clock of the whole stream, after everything that was said before."""
        shifted = answer.shifted(self.start)
        end = max(said, shifted.end if self.end is None else min(shifted.end, self.end))
        if answer.final:
            end = max(said, self.end or end)
        # It was sent more than the utterance: what lies behind a forced cut belongs to the next one.
        words = tuple(
            replace(word, start=min(max(word.start, said), end), end=min(max(word.end, said), end))
            for word in shifted.words
            if said <= word.middle <= end
        )
        return replace(shifted, start=said, end=end, words=words, stable=min(answer.stable, len(words)))


class _Cutter:
    """Cuts audio into utterances. An utterance begins before the voice detector is sure, so some audio is kept."""

    def __init__(self, waiting: asyncio.Queue[_Heard | None]) -> None:
        self._waiting = waiting
        self._segmenter = Segmenter()
        self._rest = b""
        self._kept = bytearray()
        self._kept_from = 0  # ms
        self._open: _Heard | None = None

    def whole_frames(self, pcm: bytes) -> bytes:
        """The voice detector takes whole frames; what is less waits for more."""
        data = self._rest + pcm
        whole = len(data) // FRAME_BYTES * FRAME_BYTES
        self._rest = data[whole:]
        return data[:whole]

    def takes(self, frame: bytes, probability: float, loudness: float) -> None:
        """The next frame, and what the voice detector says of it."""
        self._kept += frame
        if self._open is not None:
            self._open.hears(frame)
        for event in self._segmenter.push(probability, loudness):
            self._happens(event)
        self._forget(self._segmenter.settled)

    def ends(self) -> None:
        """There is no more audio."""
        for event in self._segmenter.finish():
            self._happens(event)

    def gives_up(self) -> None:
        """Whatever is open ends here."""
        if self._open is not None:
            self._open.ends(self._kept_from + len(self._kept) // _MS_BYTES)
            self._open = None

    def _happens(self, event: SegmentEvent) -> None:
        match event:
            case Started(start):
                self._open = _Heard(start)
                self._open.hears(bytes(self._kept[max(0, start - self._kept_from) * _MS_BYTES :]))
                self._waiting.put_nowait(self._open)
            case Ended(_, end) if self._open is not None:
                self._open.ends(end)
                self._open = None

    def _forget(self, before: int) -> None:
        """Audio that no coming utterance can need."""
        old = max(0, before - self._kept_from)
        del self._kept[: old * _MS_BYTES]
        self._kept_from += old
