"""One connection at Azure's stand-in: turns follow each other in it, and it breaks as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from twopass_providers.azure import standin_wire as wire
from twopass_providers.azure.standin_faults import CLOSES, STATUSES
from twopass_providers.azure.standin_turn import Mood, Turn
from twopass_providers.azure.standin_wire import Asked, Frame, Malformed
from twopass_providers.standins import Received
from twopass_providers.standins.ears import Ear
from twopass_providers.standins.faults import Fault

_CATCHING_UP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What Azure allows.

    Attributes:
        streams: Connections at once.
        turn_seconds: It ends a turn after so much audio, between two phrases; None: only at the end of the audio.
        connection_seconds: The longest connection, dropped without a word; None: there is no limit.
        idle_seconds: A connection on which nothing comes for so long is dropped too.
    """

    streams: int = 100  # documented for a paid resource (S0); one for a free one
    turn_seconds: float | None = None
    # Documented in 2017: 10 minutes; whether that still holds is not known.
    connection_seconds: float | None = None
    idle_seconds: float = 180.0  # documented in 2017


class _Over(Exception):
    """
    The connection ends here.

    Attributes:
        how: For `Received.ended`.
    """

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Connection:
    """
    Args:
        entry: Where what happens is noted.
    """

    def __init__(
        self,
        socket: ServerConnection,
        limits: Limits,
        ear: Ear,
        faults: Sequence[Fault],
        latency_ms: int,
        entry: Received,
    ) -> None:
        self._socket = socket
        self._limits = limits
        self._ear = ear
        self._faults = list(faults)
        self._latency = latency_ms
        self._entry = entry
        self._mood = Mood()
        self._turn: Turn | None = None
        self._turns = 0
        self._asks = Asked()
        self._earlier_ms = 0  # audio of earlier turns

    async def run(self) -> None:
        """Until it ends."""
        try:
            async with asyncio.timeout(self._limits.connection_seconds):
                await self._strike()
                while True:
                    await self._take(wire.frame(await self._next()))
        except ConnectionClosed:
            self._ended(self._left())
        except TimeoutError:
            self._ended("connection_limit")
            self._socket.transport.abort()
        except Malformed as wrong:
            self._ended("malformed")
            await self._socket.close(wrong.code, wrong.text)
        except _Over as over:
            self._ended(over.how)
        finally:
            self._ended("stopped")
            if self._turn is not None:
                self._turn.close()

    def _left(self) -> str:
        """The client has closed the connection: in order, or in the middle of a turn."""
        return "ok" if self._turn is None or self._turn.over else "cancelled"

    def _ended(self, how: str) -> None:
        self._entry.ended = self._entry.ended or how

    # -- what the client says ---------------------------------------------------------------------------------------

    async def _next(self) -> str | bytes:
        try:
            async with asyncio.timeout(self._limits.idle_seconds):
                return await self._socket.recv()
        except TimeoutError:
            self._socket.transport.abort()
            raise _Over("idle") from None

    async def _take(self, frame: Frame) -> None:
        if frame.path == "speech.context":
            self._begin(frame.request, wire.asked(wire.content(frame)))
        elif frame.path == "audio":
            await self._hear(frame)
        elif frame.path == "speech.config":
            self._entry.options["system"] = wire.content(frame).get("context", {}).get("system", {})
        # The client's telemetry needs no answer.

    def _begin(self, request: str, asks: Asked) -> None:
        if self._turn is not None:
            self._earlier_ms += self._turn.heard_ms
            self._turn.close()
        self._turns += 1
        self._asks = asks
        self._entry.options |= {**asks.options, "turns": self._turns}
        tag = f"{self._entry.number:016X}{self._turns:016X}"
        self._turn = Turn(request, tag, asks, self._ear, self._mood, self._latency, self._socket.send)

    async def _hear(self, frame: Frame) -> None:
        turn = self._turn
        if turn is None or frame.request != turn.request or turn.over:
            return  # of a turn that has ended: it comes again in the next one
        if "content-type" in frame.headers:
            turn.rate = wire.sample_rate(frame.body)
            return
        if not turn.rate and frame.body:
            raise Malformed(1007, "The audio does not begin with a RIFF header.")  # Assumption: the text.
        turn.hear(frame.body)
        self._entry.audio_ms = self._earlier_ms + turn.heard_ms
        await self._strike()
        limit = self._limits.turn_seconds
        if frame.body and limit is not None and turn.heard_ms >= limit * 1000:
            await turn.caught_up(_CATCHING_UP_SECONDS)
            # Assumption: between two phrases. In the middle of one, nothing would ever be acknowledged of a long one.
            if not turn.speaking:
                await turn.end_early()

    # -- what goes wrong --------------------------------------------------------------------------------------------

    async def _strike(self) -> None:
        while self._faults and self._faults[0].at_ms <= self._entry.audio_ms:
            kind = self._faults.pop(0).kind
            if kind == "turn_end":
                if self._turn is not None:
                    await self._turn.caught_up(_CATCHING_UP_SECONDS)
                    await self._turn.end_early()
                continue
            self._ended(kind)
            if self._turn is not None:
                await self._turn.caught_up(_CATCHING_UP_SECONDS)
            await self._misbehave(kind)

    async def _misbehave(self, kind: str) -> None:
        mood = self._mood
        if kind in STATUSES:
            mood.status = STATUSES[kind]
        elif kind == "silent":
            mood.mute = True
        elif kind == "no_finals":
            mood.finals = False
        elif kind == "silent_at_end":
            mood.answers_end = False
        elif kind == "no_turn_end":
            mood.ends_turn = False
        else:
            await self._break(kind)

    async def _break(self, kind: str) -> None:
        if kind in CLOSES:
            code, reason = CLOSES[kind]
            await self._socket.close(code, reason)
        elif kind == "abort":
            self._socket.transport.abort()
        else:  # not_reading
            self._mood.mute = True
            self._socket.transport.pause_reading()
            await self._socket.wait_closed()
        raise _Over(kind)


def options_of(settings: Any) -> dict[str, object]:
    """What the request of the connection says of the client, without any key."""
    headers = settings.headers
    key = "Ocp-Apim-Subscription-Key" in headers or "Authorization" in headers
    return {"path": settings.path, "connection": headers.get("X-ConnectionId", ""), "key": key}
