"""
A local server that speaks Azure's speech protocol, for Azure's own SDK to connect to. See `twopass standin`.

It keeps Azure's quota, gives Azure's texts of errors where they are known, and breaks as it is told to. Azure reports
no billed duration, so it reports none. What the SDK sends again after a break is counted again, for each connection;
whether Azure bills that twice is not known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from twopass.errors import ConfigError
from twopass_providers.azure.standin_connection import Connection, Limits, options_of
from twopass_providers.azure.standin_faults import FAULTS, QUOTA_CODE, QUOTA_TEXT, UPGRADES, at_the_door, inside
from twopass_providers.standins import Received, StandInSettings
from twopass_providers.standins.faults import of_connection

__all__ = ["FAULTS", "LIMITS", "SETTINGS", "AzureStandIn", "Limits", "stand_in"]

SETTINGS = """\
provider: azure
endpoint: "{address}"
"""
PATH = "/stt/speech/universal/v2"
LIMITS = Limits()
_LOG = logging.getLogger("twopass.standins.azure")
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False  # that connections break is what it is for


class AzureStandIn:
    """
    A running stand-in.

    Attributes:
        received: Every connection so far, also those that were refused.
    """

    def __init__(self, settings: StandInSettings, limits: Limits) -> None:
        self.received: list[Received] = []
        self._set = settings
        self._limits = replace(
            limits,
            streams=limits.streams if settings.max_streams is None else settings.max_streams,
            connection_seconds=settings.max_stream_seconds or limits.connection_seconds,
        )
        self._port = settings.port
        self._server: Server | None = None
        self._active = 0
        self._stopping = asyncio.Event()
        self._entries: dict[ServerConnection, Received] = {}  # of those that are at the door
        self._watches: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"ws://{self._set.host}:{self._port}"

    async def start(self) -> None:
        """Raises ConfigError if the port is taken."""
        try:
            self._server = await serve(
                self._connected,
                self._set.host,
                self._set.port,
                process_request=self._at_the_door,
                subprotocols=None,
                compression=None,
                ping_interval=None,
                open_timeout=None,
                close_timeout=1,
                max_queue=None,
                logger=_LOG,
            )
        except OSError as error:
            raise ConfigError(f"{self.address} cannot be used: {error}", fix="Choose another port.") from error
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """All connections break."""
        self._stopping.set()
        if self._server is not None:
            for socket in list(self._server.connections):
                socket.transport.abort()
            self._server.close()
            await self._server.wait_closed()

    async def _at_the_door(self, socket: ServerConnection, request: Request) -> Response | None:
        """Whether the request is let in; None: it is."""
        entry = Received(len(self.received) + 1, options=options_of(request))
        self.received.append(entry)
        self._entries[socket] = entry
        watch = asyncio.create_task(self._watch(socket))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        kind = at_the_door(of_connection(self._set.faults, entry.number))
        if kind is None:
            return None if request.path.split("?")[0] == PATH else self._refused(socket, entry, "not_found", 404, PATH)
        entry.ended = kind
        if kind == "no_upgrade":
            await self._stopping.wait()
            return self._refused(socket, entry, kind, *UPGRADES["upgrade_503"])
        if kind == "upgrade_307":
            self._entries.pop(socket, None)
            response = socket.respond(HTTPStatus.TEMPORARY_REDIRECT, "")
            response.headers["Location"] = f"{self.address}{PATH}"
            return response
        return self._refused(socket, entry, kind, *UPGRADES[kind])

    async def _watch(self, socket: ServerConnection) -> None:
        """Note a client that goes away before it is let in."""
        await socket.wait_closed()
        left = self._entries.pop(socket, None)
        if left is not None:
            left.ended = left.ended or "cancelled"

    def _refused(self, socket: ServerConnection, entry: Received, how: str, code: int, text: str) -> Response:
        entry.ended = how
        self._entries.pop(socket, None)
        response = socket.respond(HTTPStatus(code), text)
        if code in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            response.headers["Retry-After"] = "7"  # the SDK ignores it
        return response

    async def _connected(self, socket: ServerConnection) -> None:
        entry = self._entries.pop(socket)
        if self._active >= self._limits.streams:
            entry.ended = "too_many_streams"
            await socket.close(QUOTA_CODE, QUOTA_TEXT)
            return
        self._active += 1
        faults = inside(of_connection(self._set.faults, entry.number))
        connection = Connection(socket, self._limits, self._set.ear, faults, self._set.latency_ms, entry)
        try:
            await connection.run()
        finally:
            self._active -= 1


@asynccontextmanager
async def stand_in(settings: StandInSettings, limits: Limits = LIMITS) -> AsyncIterator[AzureStandIn]:
    """Run one until the end of the block. Raises ConfigError if the port is taken."""
    running = AzureStandIn(settings, limits)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()
