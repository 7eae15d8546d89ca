"""A recognizer with known delays, for measures of latency: what it hears is coded audio (see `tests.scripted`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import cast

from tests.scripted import ScriptedVoice, heard

from twopass.compare.results import System
from twopass.compare.running.alone import Alone
from twopass.compare.running.hearer import Piece
from twopass.cost.usage.session_meter import NOWHERE
from twopass.recognizers import Capabilities, StreamOptions
from twopass.types import BYTES_PER_SAMPLE, SAMPLES_PER_MS, Clock, Hypothesis, Usage, Word
from twopass.vad import VoiceDetector

VOICE = cast("VoiceDetector", ScriptedVoice())


@dataclass
class Delayed:
    """
    Shows each word so long after its end; a final so long after the last word of a phrase.

    Attributes:
        word_ms: From a word's end to the interim that shows it first. More than a chunk of audio (40 ms).
        final_ms: From the end of a phrase's last word to its final. More than `word_ms`, and than `silence_ms` and a
            chunk.
        silence_ms: So much silence ends a phrase.
        wrong: Texts that it gets wrong: what it hears instead.
        name: As a provider.
    """

    word_ms: int = 100
    final_ms: int = 700
    silence_ms: int = 400
    wrong: Sequence[tuple[str, str]] = ()
    name: str = "delayed"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(self.name, self.name, "Only numbers.", endpoints=True)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        loop, answers = asyncio.get_running_loop(), asyncio.Queue[Hypothesis | Usage | None]()

        async def listen() -> None:
            pcm, began, shown, said, last = b"", None, 0, 0, 0.0
            async for chunk in audio:
                pcm += chunk
                now = len(pcm) // BYTES_PER_SAMPLE // SAMPLES_PER_MS
                began = loop.time() - now / 1000 if began is None else began
                words = [word for word in heard(pcm) if word.end < now]
                for i in range(shown, len(words)):
                    at = began + (words[i].end + self.word_ms) / 1000
                    loop.call_at(at, answers.put_nowait, self._answer(words[said : i + 1], final=False))
                shown = len(words)
                if shown > said and now - words[-1].end >= self.silence_ms:
                    at = began + (words[-1].end + self.final_ms) / 1000
                    loop.call_at(at, answers.put_nowait, self._answer(words[said:], final=True))
                    said, last = shown, at
            end = len(pcm) // BYTES_PER_SAMPLE // SAMPLES_PER_MS
            answers.put_nowait(Usage(self.name, "audio", Clock.AUDIO_SENT, end / 1000))
            loop.call_at(max(last, loop.time()), answers.put_nowait, None)

        listening = asyncio.create_task(listen())
        try:
            while (answer := await answers.get()) is not None:
                yield answer
        finally:
            listening.cancel()

    def _answer(self, words: Sequence[Word], *, final: bool) -> Hypothesis:
        wrong = dict(self.wrong)
        said = tuple(Word(wrong.get(word.text, word.text), word.start, word.end) for word in words)
        return Hypothesis(said[0].start, said[-1].end, said, final=final, stable=len(said) if final else 0)


def alone(recognizer: Delayed) -> Alone:
    """The recognizer as a system."""
    return Alone(System(recognizer.name, recognizer.name), recognizer, VOICE, NOWHERE)


def piece(pcm: bytes, *, realtime: bool = True, recording: str = "coded") -> Piece:
    """Audio as a piece."""
    return Piece(recording, pcm, StreamOptions(), realtime, f"session of {recording}")
