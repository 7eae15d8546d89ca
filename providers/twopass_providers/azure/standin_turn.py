"""
One turn at Azure's stand-in: an id of the client's, under which it sends audio and gets answers.

Every phrase acknowledges the audio up to its end. What a turn leaves without, the client sends again in the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import numpy as np
import soxr

from twopass.types import BYTES_PER_SAMPLE, SAMPLE_RATE, Hypothesis
from twopass_providers.azure import standin_wire as wire
from twopass_providers.azure.standin_wire import Asked, Fields
from twopass_providers.standins.ears import Ear

_MARGIN_MS = 2_000
"""A word that has begun may not have been heard as one yet: of a silence, so much stays without acknowledgement."""


class Mood:
    """
    How the service answers; faults change it.

    Attributes:
        mute: It says nothing.
        finals: It says phrases.
        answers_end: It answers to the end of the audio.
        ends_turn: It ends the turn.
        status: Instead of the next phrase's words.
    """

    def __init__(self) -> None:
        self.mute = False
        self.finals = self.answers_end = self.ends_turn = True
        self.status = ""


class Turn:
    """
    Args:
        request: Its id, as the client wrote it.
        tag: The service's name for it.
        send: Says something to the client.

    Attributes:
        rate: Samples per second of the audio; 0 before its header came.
        speaking: A phrase has begun and is not settled.
    """

    def __init__(
        self,
        request: str,
        tag: str,
        asks: Asked,
        ear: Ear,
        mood: Mood,
        latency_ms: int,
        send: Callable[[str], Awaitable[None]],
    ) -> None:
        self.request = request
        self.rate = 0
        self._tag = tag
        self._asks = asks
        self._ear = ear
        self._mood = mood
        self._latency = latency_ms / 1000
        self._write = send
        self._audio: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._bytes = 0
        self._done = 0  # ms; acknowledged
        self.speaking = False
        self._task = asyncio.create_task(self._run())

    @property
    def heard_ms(self) -> int:
        """How much audio came, without the header."""
        return self._bytes * 1000 // BYTES_PER_SAMPLE // self.rate if self.rate else 0

    @property
    def over(self) -> bool:
        """Nothing will be said any more."""
        return self._task.done()

    def hear(self, pcm: bytes) -> None:
        """More audio; nothing is the end."""
        self._bytes += len(pcm)
        self._audio.put_nowait(pcm or None)

    async def caught_up(self, seconds: float) -> None:
        """Wait until what came was heard, but no longer than this."""
        heard_all = asyncio.ensure_future(self._audio.join())
        await asyncio.wait((heard_all, self._task), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        heard_all.cancel()

    async def finished(self) -> None:
        """Wait until everything is said."""
        await asyncio.wait({self._task})

    async def end_early(self) -> None:
        """End it here. What was not acknowledged comes again."""
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._say("turn.end")

    def close(self) -> None:
        """The connection is gone."""
        self._task.cancel()

    async def _run(self) -> None:
        # Assumption: when the first audio is there, not before.
        first = await self._audio.get()
        await self._say("turn.start", {"context": {"serviceTag": self._tag}})
        async with aclosing(self._ear.listen(self._pieces(first))) as answers:  # type: ignore[type-var]
            async for hypothesis in answers:
                await self._answer(hypothesis)
        if not self._mood.answers_end:
            await asyncio.get_running_loop().create_future()
        # Assumption: this is how everything that came is acknowledged.
        await self._say("speech.phrase", wire.nothing("EndOfDictation", self.heard_ms, self.heard_ms))
        await self._say("speech.endDetected", wire.offset(self.heard_ms))
        if self._mood.ends_turn:
            await self._say("turn.end")

    async def _pieces(self, first: bytes | None) -> AsyncIterator[bytes]:
        convert, pcm = _Resampler(self.rate), first
        while pcm is not None:
            yield convert(pcm)
            await self._pass_silence()
            self._audio.task_done()
            pcm = await self._audio.get()

    async def _pass_silence(self) -> None:
        until = self.heard_ms - _MARGIN_MS
        if not self.speaking and until - self._done >= self._asks.silence_ms:
            # Assumption: after every so long silence, and not only before the first word.
            await self._say("speech.phrase", wire.nothing("InitialSilenceTimeout", self._done, until))
            self._done = until

    async def _answer(self, hypothesis: Hypothesis) -> None:
        if hypothesis.words and not self.speaking:
            self.speaking = True
            await self._say("speech.startDetected", wire.offset(hypothesis.words[0].start))
        if not hypothesis.final:
            believed = wire.interim(hypothesis, self._asks)
            if believed is not None:
                await self._say("speech.hypothesis", believed)
        elif self._mood.status and hypothesis.words:
            await self._say("speech.phrase", wire.nothing(self._mood.status, self._done, hypothesis.end))
        elif self._mood.finals:
            await self._final(hypothesis)

    async def _final(self, said: Hypothesis) -> None:
        phrase = wire.final(said, self._asks) if said.words else wire.nothing("NoMatch", said.start, said.end)
        await self._say("speech.phrase", phrase)
        self._done, self.speaking = said.end, False

    async def _say(self, path: str, body: Fields | None = None) -> None:
        if self._latency:
            await asyncio.sleep(self._latency)
        if not self._mood.mute:
            await self._write(wire.message(path, self.request, body))


class _Resampler:
    """From the client's rate to ours. A sample may be cut in half by the border of a message."""

    def __init__(self, rate: int) -> None:
        self._stream = None if rate in (0, SAMPLE_RATE) else soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="int16")
        self._rest = b""

    def __call__(self, pcm: bytes) -> bytes:
        if self._stream is None:
            return pcm
        data = self._rest + pcm
        whole = len(data) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE
        self._rest = data[whole:]
        return bytes(self._stream.resample_chunk(np.frombuffer(data[:whole], "<i2")).tobytes())
