"""
A recognizer whose answers can be known beforehand: the audio itself says what is "spoken".

A word is a stretch of samples with one value; the value is the word's number, 0 is silence. So the recognizer needs no
script and no clock, hears the same in any window of the tape, and a test knows every word and its time. It can be told
to break.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

import numpy as np

from twopass.cost.prices.running import Pricer
from twopass.errors import RecognizerCrashed, RecognizerError
from twopass.first_pass_contract import FirstPassSettings
from twopass.guard import GuardSettings
from twopass.lane import SessionParts
from twopass.lineup import alone
from twopass.recognizers import Capabilities, Recognition, StreamOptions, UtteranceAudio
from twopass.second_pass import SecondPass, SecondPassSettings
from twopass.segmenter import SegmenterSettings
from twopass.types import BYTES_PER_SAMPLE, SAMPLES_PER_MS, Clock, Hypothesis, Pass, Usage, Word, Words
from twopass.vad import FRAME_BYTES, Frame, VoiceDetector

_MS_BYTES = SAMPLES_PER_MS * BYTES_PER_SAMPLE

Fault = Callable[[int, int], RecognizerError | float | None]
"""Asked with the stream's number and the ms heard so far: an error to raise, seconds to hang, or None."""


def spoken(words: Sequence[Word], ms: int) -> bytes:
    """Audio of this length in which these words are spoken, each named by its number."""
    audio = bytearray(ms * SAMPLES_PER_MS * BYTES_PER_SAMPLE)
    for word in words:
        value = int(word.text).to_bytes(2, "little")
        start, end = word.start * SAMPLES_PER_MS * 2, word.end * SAMPLES_PER_MS * 2
        audio[start:end] = value * ((end - start) // 2)
    return bytes(audio)


def heard(audio: bytes) -> Words:
    """The words in a piece of audio, on its own clock. A word cut in half is heard as half."""
    each_ms = np.frombuffer(audio[: len(audio) // _MS_BYTES * _MS_BYTES], "<u2")[::SAMPLES_PER_MS]
    borders = [0, *(np.flatnonzero(np.diff(each_ms)) + 1).tolist(), len(each_ms)]
    return tuple(Word(str(each_ms[start]), start, end) for start, end in pairwise(borders) if end and each_ms[start])


def numbered(count: int, *, start: int = 0, length: int = 200, gap: int = 50) -> Words:
    """So many words in a row, numbered from 1."""
    return tuple(
        Word(str(i + 1), start + i * (length + gap), start + i * (length + gap) + length) for i in range(count)
    )


@dataclass
class ScriptedStreaming:
    """
    A streaming recognizer: an interim after every chunk, a final at the end of the stream.

    Attributes:
        final_every_ms: With `endpoints`, a final so often.
        fault: When to break.
    """

    endpoints: bool = False
    final_every_ms: int = 1_000
    fault: Fault = lambda stream, ms: None
    streams: int = 0
    heard_ms: list[int] = field(default_factory=list)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("scripted", "scripted", "Only numbers.", endpoints=self.endpoints)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        number, said, pcm = self.streams, 0, b""
        self.streams += 1
        self.heard_ms.append(0)
        async for chunk in audio:
            pcm += chunk
            now = len(pcm) // BYTES_PER_SAMPLE // SAMPLES_PER_MS
            self.heard_ms[number] = now
            await self._break(number, now)
            words = tuple(word for word in heard(pcm) if word.start >= said)
            if self.endpoints and now - said >= self.final_every_ms:
                done = tuple(word for word in words if word.end < now)
                end = done[-1].end if done else words[0].start if words else now
                yield Hypothesis(said, end, done, final=True, stable=len(done))
                said = end
            else:
                yield Hypothesis(said, now, words, stable=max(0, len(words) - 2))
        await self._break(number, -1)
        rest = tuple(word for word in heard(pcm) if word.start >= said)
        end = len(pcm) // BYTES_PER_SAMPLE // SAMPLES_PER_MS
        yield Usage("scripted", "cpu", Clock.AUDIO_SENT, end / 1000)
        yield Hypothesis(said, end, rest, final=True, stable=len(rest))

    async def _break(self, stream: int, ms: int) -> None:
        fault = self.fault(stream, ms)
        if isinstance(fault, RecognizerError):
            raise fault
        if fault is not None:
            await asyncio.sleep(fault)


@dataclass
class ScriptedUtterances:
    """An utterance recognizer. `fault` is asked with the number of the call and the ms of its first utterance."""

    max_batch: int = 1
    fault: Fault = lambda call, ms: None
    calls: list[int] = field(default_factory=list)
    gate: asyncio.Event | None = None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("scripted", "scripted", "Only numbers.", max_batch=self.max_batch)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def recognize(self, batch: Sequence[UtteranceAudio]) -> Sequence[Recognition]:
        self.calls.append(len(batch))
        if self.gate is not None:
            await self.gate.wait()
        fault = self.fault(len(self.calls) - 1, len(batch[0].pcm) // 32)
        if isinstance(fault, RecognizerError):
            raise fault
        if fault is not None:
            await asyncio.sleep(fault)
        return [_recognized(utterance.pcm) for utterance in batch]


def crash() -> RecognizerCrashed:
    """What a dead process looks like."""
    return RecognizerCrashed("The model's process ended.", provider="scripted")


def _recognized(pcm: bytes) -> Recognition:
    words = heard(pcm)
    hypothesis = Hypothesis(0, len(pcm) // 32, words, final=True, stable=len(words))
    return Recognition(hypothesis, (Usage("scripted", "cpu", Clock.CPU_BUSY, 0.1, Pass.SECOND),))


class ScriptedVoice:
    """A voice detector for such audio: whatever is not silence is speech."""

    async def listen(self) -> ScriptedVoice:
        """A new channel; it has no memory."""
        return self

    async def frames(self, pcm: bytes) -> list[Frame]:
        """One per 512 samples."""
        pieces = [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)]
        return [Frame(float(any(piece)), sum(map(bool, piece)) / FRAME_BYTES) for piece in pieces]

    def close(self) -> None: ...


def scripted_parts(
    second: SecondPass, *, endpoints: bool = False, realtime: bool = False, channels: int = 1
) -> SessionParts:
    """What a session of scripted recognizers is made of. Whoever gives the second pass also runs it."""
    return SessionParts(
        first_pass=alone(ScriptedStreaming(endpoints=endpoints)),
        second_pass=second,
        voice=cast("VoiceDetector", ScriptedVoice()),
        pricer=Pricer({}, {}),
        options=StreamOptions(),
        segmenter=SegmenterSettings(max_utterance=4_500, cut_search=1_500, cut_margin=500, min_cut=500),
        first_settings=FirstPassSettings(backoff_seconds=0.001),
        second_settings=SecondPassSettings(),
        guard=GuardSettings(),
        channels=channels,
        realtime=realtime,
    )
