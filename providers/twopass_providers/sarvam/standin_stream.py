"""One socket at Sarvam's stand-in: takes audio, keeps Sarvam's limits, breaks as it is told to, says what it hears."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr
from websockets.asyncio.server import ServerConnection

from twopass.types import BYTES_PER_SAMPLE, SAMPLE_RATE, Hypothesis
from twopass_providers.sarvam import standin_wire as wire
from twopass_providers.sarvam.settings import MAX_STREAM_SECONDS
from twopass_providers.sarvam.standin_faults import refusal
from twopass_providers.sarvam.standin_wire import Asked
from twopass_providers.standins import Received
from twopass_providers.standins.ears import Ear
from twopass_providers.standins.faults import Fault

_CATCHING_UP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What Sarvam allows.

    Attributes:
        stream_seconds: The longest stream: of audio or of time, whichever is reached first.
        silent_seconds: So long it waits for a message.
        streams: At once.
    """

    stream_seconds: float = MAX_STREAM_SECONDS
    # Assumption: 60 s are documented for the older socket; that a ping counts as a sign of life, for neither.
    silent_seconds: float = 60.0
    streams: int = 20
    """Of the plan "Starter"; the others have 100."""


class Stream:
    """
    Args:
        entry: Where what happens is noted.
        stop_server: Takes the whole server away.

    Attributes:
        kind: The fault that has struck last; empty if none has.
    """

    def __init__(
        self,
        socket: ServerConnection,
        asked: Asked,
        limits: Limits,
        ear: Ear,
        faults: Sequence[Fault],
        latency_ms: int,
        entry: Received,
        stop_server: Callable[[], None],
    ) -> None:
        self._socket = socket
        self._asked = asked
        self._limits = limits
        self._ear = ear
        self._faults = list(faults)
        self._latency = latency_ms / 1000
        self._entry = entry
        self.kind = ""
        self._stop_server = stop_server
        self._request = f"stand-in-{entry.number}"
        self._audio: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._bytes = 0
        self._utterance = 0
        self._speaking = self._deaf = self._silent_at_end = self._no_bill = False
        self._began = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Until its end in order. Raises Refused if there is another one."""
        self._asked.check()
        await self.say(self._asked.session_begin(self._request))
        hearing = asyncio.create_task(self._hear())
        try:
            await self._listen()
            await hearing
            if not self._no_bill:
                await self.bill()
        except BaseException:
            await self._catch_up(hearing)
            raise
        finally:
            hearing.cancel()
            await asyncio.wait({hearing})

    async def bill(self) -> None:
        """Say what it costs."""
        elapsed = asyncio.get_running_loop().time() - self._began
        await self.say(wire.session_end(self._request, elapsed, self._utterance, self._entry.billed_ms or 0))

    # -- taking audio -----------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        self._entry.billed_ms = 0
        await self._strike()
        while (message := await self._next()).get("event") != "end":
            await self._take(message)
            await self._strike()
        if self._deaf or self._silent_at_end:
            await self._until_gone()
        self._audio.put_nowait(None)

    async def _next(self) -> dict[str, Any]:
        left = self._limits.stream_seconds - (asyncio.get_running_loop().time() - self._began)
        try:
            async with asyncio.timeout(min(self._limits.silent_seconds, max(0.0, left))):
                return wire.parsed(await self._socket.recv())
        except TimeoutError:
            self._refuse("stream_limit" if left < self._limits.silent_seconds else "inactive")
        return {}

    async def _take(self, message: dict[str, Any]) -> None:
        match message.get("event"):
            case "audio_input":
                await self._take_audio(wire.pcm(message))
            case "ping":
                await self.say({"event": "pong"})
            case "config.update":
                await self.say(wire.config_updated(message))
            case "speech_start" | "speech_end" | "flush":
                pass  # for endpointing=manual only
            case other:
                # Assumption: a mistake of the client is told, and the stream goes on.
                await self.say(wire.error("invalid_request_error", f"Unknown event: {other}", fatal=False))

    async def _take_audio(self, pcm: bytes | None) -> None:
        if pcm is None:
            await self.say(wire.error("invalid_request_error", "audio must be base64", fatal=False, status=400))
            return
        self._bytes += len(pcm)
        heard = self._bytes / BYTES_PER_SAMPLE / self._asked.rate
        self._entry.audio_ms = self._entry.billed_ms = int(heard * 1000)
        if not self._deaf:
            self._audio.put_nowait(pcm)
        if heard >= self._limits.stream_seconds:
            self._refuse("stream_limit")

    def _refuse(self, kind: str) -> None:
        refused = refusal(kind)
        assert refused is not None
        raise refused

    async def _strike(self) -> None:
        """Whatever is to go wrong now."""
        while self._faults and self._faults[0].at_ms <= self._entry.audio_ms:
            await self._misbehave(self._faults.pop(0).kind)

    async def _misbehave(self, kind: str) -> None:
        self.kind = kind
        if refusal(kind) is not None:
            self._refuse(kind)
        match kind:
            case "hang":
                self._deaf = True
            case "silent_at_end":
                self._silent_at_end = True
            case "no_bill":
                self._no_bill = True
            case "complaint":
                await self.say(wire.error("invalid_config", "This value cannot be changed.", fatal=False))
            case "unknown_event":
                await self.say({"event": "weather.report", "utterance_idx": self._utterance})
            case _:
                await self._break(kind)

    async def _break(self, kind: str) -> None:
        if kind == "not_reading":
            self._entry.ended = kind  # now: who does not read does not learn when the other one goes
        elif kind == "server_stopped":
            self._stop_server()
        elif kind == "abort":
            self._socket.transport.abort()
        await self._until_gone()

    async def _until_gone(self) -> None:
        """Nothing more is said, and nothing more is read but what is in the buffers."""
        await self._socket.wait_closed()
        raise ConnectionResetError

    # -- saying what is heard ---------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        async with aclosing(self._ear.listen(self._pieces())) as answers:  # type: ignore[type-var]
            async for hypothesis in answers:
                if hypothesis.words:
                    await self._say(hypothesis)

    async def _pieces(self) -> AsyncIterator[bytes]:
        convert = _Resampler(self._asked.rate)
        while (pcm := await self._audio.get()) is not None:
            yield convert(pcm)
            self._audio.task_done()

    async def _say(self, hypothesis: Hypothesis) -> None:
        if not self._speaking:
            self._speaking = True
            await self.say(wire.voice("vad.speech_start", self._utterance))
        if hypothesis.final:
            self._speaking = False
            await self.say(wire.voice("vad.speech_end", self._utterance))
            await self.say(self._asked.final(self._utterance, hypothesis))
            self._utterance += 1
        elif self._asked.partials:
            await self.say(self._asked.partial(self._utterance, hypothesis))

    async def say(self, event: dict[str, Any]) -> None:
        """Send an event, after a while, unless nothing is to be said any more."""
        if self._latency:
            await asyncio.sleep(self._latency)
        if not self._deaf:
            await self._socket.send(json.dumps(event, ensure_ascii=False))

    async def _catch_up(self, hearing: asyncio.Task[None]) -> None:
        """Say what is heard of the audio that was taken."""
        heard_all = asyncio.ensure_future(self._audio.join())
        waiting = (heard_all, hearing)
        await asyncio.wait(waiting, timeout=_CATCHING_UP_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        heard_all.cancel()


class _Resampler:
    """From the client's rate to ours. A sample may be cut in half by the border of a message."""

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
