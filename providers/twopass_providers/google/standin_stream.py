"""One stream at Google's stand-in: takes audio, keeps Google's limits, breaks as it is told to, says what it hears."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import soxr

from twopass.types import BYTES_PER_SAMPLE, SAMPLE_RATE, Hypothesis, Word
from twopass_providers.google import standin_faults
from twopass_providers.google.standin_wire import Asked, Fields, Refused, Wire, invalid, too_fast, too_large
from twopass_providers.standins import Received
from twopass_providers.standins.ears import Ear
from twopass_providers.standins.faults import Fault

_CATCHING_UP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What Google allows.

    Attributes:
        stream_seconds: The longest stream: of audio or of time, whichever is reached first.
        silent_seconds: So long it waits for audio.
        chunk_bytes: Audio in one request.
        burst_seconds, pace: So much audio at once, and beyond it so many times faster than in real time.
        streams: At once.
    """

    stream_seconds: float
    silent_seconds: float
    chunk_bytes: int = 25_600
    # Assumption: Google says "a rate that approximates real time", and refuses a backlog that is sent too fast.
    burst_seconds: float = 15.0
    pace: float = 2.5
    streams: int = 300


class _Over(Exception):
    """The stream ends here, with the status OK."""


class Stream:
    """
    Args:
        context: gRPC's, of this call.
        read: The next request; None at the end of the audio.
        write: Sends a response.
        entry: Where what happens is noted.
        stop_server: Takes the whole server away.
    """

    def __init__(
        self,
        wire: Wire,
        limits: Limits,
        ear: Ear,
        faults: Sequence[Fault],
        latency_ms: int,
        entry: Received,
        read: Callable[[], Awaitable[Any]],
        write: Callable[[Fields], Awaitable[None]],
        stop_server: Callable[[], None],
    ) -> None:
        self._wire = wire
        self._limits = limits
        self._ear = ear
        self._faults = list(faults)
        self._latency = latency_ms / 1000
        self._entry = entry
        self._read_request = read
        self._write = write
        self._stop_server = stop_server
        self._audio: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._bytes = 0
        self._deaf = self._silent_at_end = False
        self._speaking = False
        self._told: list[Word] = []
        self._began = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Until its end. Raises Refused if that is an error."""
        first = await self._read_request()
        if first is None:
            raise invalid("The stream ended before its first request.")  # Assumption: the text.
        asked = self._wire.asked(first)
        self._entry.options = {"api": self._wire.version, **asked.options}
        hearing = asyncio.create_task(self._hear(asked))
        try:
            await self._listen(asked)
            await hearing
        except (Refused, _Over) as end:
            await self._catch_up(hearing)
            if isinstance(end, Refused):
                raise
        finally:
            hearing.cancel()
            await asyncio.wait({hearing})

    # -- taking audio -----------------------------------------------------------------------------------------------

    async def _listen(self, asked: Asked) -> None:
        await self._strike()
        while (request := await self._next()) is not None:
            pcm = self._wire.audio(request)
            self._bytes += len(pcm)
            heard = self._bytes / BYTES_PER_SAMPLE / asked.rate
            self._entry.audio_ms = int(heard * 1000)
            self._entry.billed_ms = math.ceil(heard) * 1000
            self._check(len(pcm), heard)
            if not self._deaf:
                self._audio.put_nowait(pcm)
            await self._strike()
        if self._deaf or self._silent_at_end:
            await _for_ever()
        self._audio.put_nowait(None)

    async def _next(self) -> Any:
        try:
            async with asyncio.timeout(self._limits.silent_seconds):
                return await self._read_request()
        except TimeoutError:
            raise self._wire.starved() from None

    def _check(self, size: int, heard: float) -> None:
        """Raises Refused where a limit is reached."""
        elapsed = asyncio.get_running_loop().time() - self._began
        if size > self._limits.chunk_bytes:
            raise too_large(size, self._limits.chunk_bytes)
        if heard > self._limits.burst_seconds + self._limits.pace * elapsed:
            raise too_fast()
        if max(heard, elapsed) >= self._limits.stream_seconds:
            raise self._wire.limit(self._limits.stream_seconds)

    async def _strike(self) -> None:
        """Whatever is to go wrong now."""
        while self._faults and self._faults[0].at_ms <= self._entry.audio_ms:
            kind = self._faults.pop(0).kind
            refused = standin_faults.refusal(kind, self._wire, self._limits.stream_seconds, self._limits.chunk_bytes)
            self._entry.ended = kind
            if refused is not None:
                raise refused
            await self._misbehave(kind)

    async def _misbehave(self, kind: str) -> None:
        if kind == "hang":
            self._deaf = True
        elif kind == "silent_at_end":
            self._silent_at_end = True
        elif kind == "ended":
            raise _Over
        else:
            if kind == "server_stopped":
                self._stop_server()
            await _for_ever()

    # -- saying what is heard ---------------------------------------------------------------------------------------

    async def _hear(self, asked: Asked) -> None:
        async with aclosing(self._ear.listen(self._pieces(asked.rate))) as answers:  # type: ignore[type-var]
            async for hypothesis in answers:
                await self._say(hypothesis, asked)
        await self._send(self._wire.bill(self._billed))

    async def _pieces(self, rate: int) -> AsyncIterator[bytes]:
        convert = _Resampler(rate)
        while True:
            pcm = await self._audio.get()
            if pcm is None:
                return
            yield convert(pcm)
            self._audio.task_done()

    async def _say(self, hypothesis: Hypothesis, asked: Asked) -> None:
        if hypothesis.words and not self._speaking:
            self._speaking = True
            await self._event("SPEECH_ACTIVITY_BEGIN", hypothesis.words[0].start, asked)
        if hypothesis.final:
            if self._speaking:
                self._speaking = False
                await self._event("SPEECH_ACTIVITY_END", hypothesis.end, asked)
            await self._send(self._final(hypothesis, asked))
        elif asked.interims and hypothesis.words:
            await self._send(self._wire.interim(hypothesis, asked))

    def _final(self, hypothesis: Hypothesis, asked: Asked) -> Fields:
        words = hypothesis.words
        if asked.diarization:
            words = tuple(replace(word, speaker=word.speaker or "1") for word in words)  # who speaks is not heard here
        self._told += words
        if asked.diarization and self._wire.version == "v1":
            words = tuple(self._told)  # documented: all words since the beginning, so that labels can still change
        bill = self._wire.bill(self._billed) if self._wire.bills_on_the_way else {}
        return self._wire.final(hypothesis, words, asked) | bill

    async def _event(self, name: str, at: int, asked: Asked) -> None:
        if asked.events:
            await self._send(self._wire.event(name, at))

    async def _send(self, response: Fields) -> None:
        if self._latency:
            await asyncio.sleep(self._latency)
        if not self._deaf:
            await self._write(response)

    @property
    def _billed(self) -> float:
        return (self._entry.billed_ms or 0) / 1000

    async def _catch_up(self, hearing: asyncio.Task[None]) -> None:
        """Say what is heard of the audio that was taken."""
        heard_all = asyncio.ensure_future(self._audio.join())
        waiting = (heard_all, hearing)
        await asyncio.wait(waiting, timeout=_CATCHING_UP_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        heard_all.cancel()


class _Resampler:
    """From the client's rate to ours. A sample may be cut in half by the border of a request."""

    def __init__(self, rate: int) -> None:
        self._stream = None if rate == SAMPLE_RATE else soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="int16")
        self._rest = b""

    def __call__(self, pcm: bytes) -> bytes:
        if self._stream is None:
            return pcm
        data = self._rest + pcm
        whole = len(data) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE
        self._rest = data[whole:]
        return bytes(self._stream.resample_chunk(np.frombuffer(data[:whole], "<i2")).tobytes())


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()
