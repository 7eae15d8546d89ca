"""One connection of a client to the server: opening it, noticing that it has gone silent, and what its end means."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from twopass.errors import TwopassError
from twopass.gateway.messages import AnyServerMessage, Message, parse_server

_BUFFERED_BYTES = 1 << 16  # what waits in a buffer when the line breaks was sent in vain
_CLOSE_SECONDS = 1.0  # who leaves early does not wait until the server has heard all that is on its way
_OPEN_SECONDS = 10.0
_LATER = (408, 425, 429)
_FINAL = frozenset({1009, 4400, 4401, 4403, 4404, 4408, 4409, 4503})


class Connection(StrEnum):
    """What `on_connection` is told."""

    LOST = "lost"
    RESUMED = "resumed"


class ServerRefused(TwopassError):
    """The server ended the session with an error."""

    code = "refused"


class ConnectionLost(TwopassError):
    """The connection broke before the last final and could not be had again. What was received stays valid."""

    code = "connection_lost"
    retryable = True


class Unreachable(ConnectionLost):
    """No connection, for now: trying again may help."""


class LineBroken(Exception):
    """
    A connection has ended.

    Attributes:
        code: The server's close code; None if it said none.
        reason: What it said with it.
        why: For people.
    """

    def __init__(self, closed: ConnectionClosed) -> None:
        frame = closed.rcvd
        self.code = frame.code if frame else None
        self.reason = frame.reason if frame else ""
        self.why = self.reason or (f"code {frame.code}" if frame else "no close frame")
        super().__init__(self.why)

    @property
    def final(self) -> bool:
        """Whether the server would say the same again."""
        return self.code in _FINAL


@dataclass(frozen=True)
class Address:
    """
    Where the server is, and how to get in.

    Attributes:
        proxy: True to use the proxy that the environment names.
        key: The API key; shown to the server only.
        silence_seconds: A connection on which nothing has come for so long, not even the answer to a ping, is given up.
    """

    url: str
    proxy: Literal[True] | None
    key: str | None = field(repr=False)
    silence_seconds: float

    async def open(self) -> Line:
        """Connect. Raises ConnectionLost if it is no use to try, Unreachable if it may be later."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else None
        try:
            # Sound hardly compresses, and what does (silence) would fill no buffer: nobody would wait for the server.
            socket = await connect(
                self.url,
                additional_headers=headers,
                compression=None,
                max_size=None,
                write_limit=_BUFFERED_BYTES,
                proxy=self.proxy,
                open_timeout=_OPEN_SECONDS,
                close_timeout=_CLOSE_SECONDS,
                ping_interval=None,  # `Line` does it: anything that comes shows that the line is alive
            )
        except (InvalidURI, ValueError) as error:  # a port that is no number is a ValueError
            fix = "Write it as ws://host:port or http://host:port."
            raise ConnectionLost(f"{self.url} is no address of a server.", fix=fix) from error
        except (OSError, EOFError, InvalidHandshake, ConnectionClosed, TimeoutError) as error:
            kind = ConnectionLost if _forbidden(error) else Unreachable
            raise kind(f"{self.url} cannot be reached: {error}.", fix="Is the server running?") from error
        return Line(socket, self.silence_seconds)


def _forbidden(error: Exception) -> bool:
    """Whether an HTTP server answered, and not because it is in trouble."""
    return (
        isinstance(error, InvalidStatus)
        and error.response.status_code < 500
        and (error.response.status_code not in _LATER)
    )


class Line:
    """One open connection. Leave it with `close`, which tells the server that no more is wanted, or `abort`."""

    def __init__(self, socket: ClientConnection, silence_seconds: float) -> None:
        self._socket = socket
        self._silence = silence_seconds
        self._heard = 0
        self._watch = asyncio.create_task(self._watch_silence())

    async def send(self, frame: str | bytes) -> None:
        """Send a frame; waits while the network is behind. Raises LineBroken."""
        try:
            await self._socket.send(frame)
        except ConnectionClosed as error:
            raise LineBroken(error) from error

    async def say(self, message: Message) -> None:
        """Send a message. Raises LineBroken."""
        await self.send(message.model_dump_json())

    async def ask(self, message: Message) -> AnyServerMessage:
        """Send a message and hear the answer, which may be there already: a server may refuse before it was asked."""
        with contextlib.suppress(LineBroken):
            await self.say(message)
        return await self.hear()

    async def hear(self) -> AnyServerMessage:
        """The next message. Raises LineBroken."""
        try:
            text = await self._socket.recv()
        except ConnectionClosed as error:
            raise LineBroken(error) from error
        self._heard += 1
        return parse_server(text)

    async def close(self) -> None:
        """Hang up on purpose: the server forgets the session."""
        self._watch.cancel()
        await self._socket.close()
        await asyncio.gather(self._watch, return_exceptions=True)

    def abort(self) -> None:
        """Let go of a line on which nothing more is expected. The session can go on on another one."""
        self._watch.cancel()
        self._socket.transport.abort()

    async def _watch_silence(self) -> None:
        """TCP does not notice for minutes that the other end is gone."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                before = self._heard
                await asyncio.sleep(self._silence / 2)
                if before == self._heard and not await self._answers(before):
                    self._socket.transport.abort()
                    return

    async def _answers(self, before: int) -> bool:
        try:
            async with asyncio.timeout(self._silence / 2):
                await (await self._socket.ping())
        except TimeoutError:
            return before != self._heard
        return True
