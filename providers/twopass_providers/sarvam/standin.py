"""
A local server that speaks Sarvam's realtime protocol, for Sarvam's own SDK to connect to. See `twopass standin`.

It keeps Sarvam's limits, gives errors in Sarvam's codes, and reports what it would bill. What it hears with is given.
Nothing here was compared with the real service: message shapes come from what the SDK sends and accepts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit
from weakref import WeakKeyDictionary

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from twopass.errors import ConfigError
from twopass_providers.sarvam import standin_wire as wire
from twopass_providers.sarvam.standin_faults import FAULTS, Refused, refusal, upgrade_status
from twopass_providers.sarvam.standin_stream import Limits, Stream
from twopass_providers.standins import Received, StandInSettings
from twopass_providers.standins.faults import of_connection

__all__ = ["FAULTS", "LIMITS", "SETTINGS", "SarvamStandIn", "stand_in"]

SETTINGS = """\
provider: sarvam
endpoint: "{address}"
"""
LIMITS = Limits()
_KEY_HEADER = "api-subscription-key"
_RETURN_SECONDS = 0.3
_LONGEST_REASON = 123


class SarvamStandIn:
    """
    A running stand-in.

    Attributes:
        received: Every connection so far.
    """

    def __init__(self, settings: StandInSettings, limits: Limits) -> None:
        self.received: list[Received] = []
        self._set = settings
        self._limits = replace(
            limits,
            stream_seconds=settings.max_stream_seconds or limits.stream_seconds,
            streams=limits.streams if settings.max_streams is None else settings.max_streams,
        )
        self._port = settings.port
        self._server: Server | None = None
        self._greeted: WeakKeyDictionary[ServerConnection, Received] = WeakKeyDictionary()
        self._active: set[ServerConnection] = set()
        self._returning: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"ws://{self._set.host}:{self._port}"

    async def start(self) -> None:
        """Raises ConfigError if the port is taken."""
        try:
            self._server = await serve(
                self._serve,
                self._set.host,
                self._port,
                process_request=self._greet,
                compression=None,  # Assumption: Sarvam does not compress what is compressed audio anyway.
                ping_interval=None,  # Assumption: only the client looks whether the other one is still there.
            )
        except OSError as error:
            raise ConfigError(f"{self.address} cannot be used: {error}", fix="Choose another port.") from error
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """All streams break."""
        for task in self._returning:
            task.cancel()
        if self._returning:
            await asyncio.wait(self._returning)
        await self._leave()

    async def _leave(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.close(close_connections=False)
        for connection in list(self._active):
            connection.transport.abort()
        await server.wait_closed()

    async def _greet(self, connection: ServerConnection, request: Request) -> Response | None:
        """None lets it in."""
        entry = self._greeted[connection] = Received(len(self.received) + 1)
        self.received.append(entry)
        target = urlsplit(request.path)
        entry.options = dict(parse_qsl(target.query, keep_blank_values=True))
        kinds = [fault.kind for fault in of_connection(self._set.faults, entry.number)]
        kind = next((kind for kind in kinds if upgrade_status(kind)), None)
        status = upgrade_status(kind or "") or (None if target.path == wire.PATH else HTTPStatus.NOT_FOUND)
        if status is None:
            return None
        entry.ended = kind or "not_found"
        return connection.respond(HTTPStatus(status), f"{HTTPStatus(status).phrase}\n")

    async def _serve(self, connection: ServerConnection) -> None:
        entry = self._greeted[connection]
        self._active.add(connection)
        stream = self._stream(connection, entry)
        try:
            self._let_in(connection)
            await stream.run()
            entry.ended = stream.kind or "ok"
        except Refused as refused:
            entry.ended = refused.kind
            await self._refuse(connection, stream, refused)
        except (ConnectionClosed, ConnectionResetError):
            entry.ended = stream.kind or "cancelled"
        finally:
            self._active.discard(connection)

    def _let_in(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        if not connection.request.headers.get(_KEY_HEADER):
            raise _unbilled("bad_key", "bad_key")
        if len(self._active) > self._limits.streams:
            raise _unbilled(
                "too_many_streams", "rate_limit", f"Rate limit exceeded: {self._limits.streams} concurrent connections."
            )

    def _stream(self, connection: ServerConnection, entry: Received) -> Stream:
        return Stream(
            connection,
            wire.Asked({name: str(value) for name, value in entry.options.items()}),
            self._limits,
            self._set.ear,
            of_connection(self._set.faults, entry.number),
            self._set.latency_ms,
            entry,
            self._go_and_return,
        )

    async def _refuse(self, connection: ServerConnection, stream: Stream, refused: Refused) -> None:
        try:
            if refused.code:
                said = wire.error(refused.code, refused.message, fatal=True, status=refused.status)
                await stream.say(said)
            if refused.billed:
                await stream.bill()
        except ConnectionClosed:
            return  # nobody is there to hear it
        await connection.close(refused.close, refused.message[:_LONGEST_REASON])

    def _go_and_return(self) -> None:
        async def restart() -> None:
            await self._leave()
            await asyncio.sleep(_RETURN_SECONDS)
            await self.start()

        task = asyncio.create_task(restart())
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)


@asynccontextmanager
async def stand_in(settings: StandInSettings, limits: Limits = LIMITS) -> AsyncIterator[SarvamStandIn]:
    """Run one until the end of the block, with these limits. Raises ConfigError if the port is taken."""
    running = SarvamStandIn(settings, limits)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


def _unbilled(kind: str, like: str, text: str = "") -> Refused:
    refused = refusal(like, text)
    assert refused is not None
    # Assumption: such a refusal comes after the connection was let in, as its close code says, and costs nothing.
    return replace(refused, kind=kind, billed=False)
