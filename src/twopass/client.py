"""
The Python client: stream audio to a twopass server and iterate what it says.

    async with Client("ws://127.0.0.1:8765") as client:
        async with client.session(profile="demo") as session:
            session.feed(chunks)                       # an async iterator of PCM; runs beside the reading
            async for message in session:
                if message.type == "segment":
                    print(message.status, message.text)

`Transcript` keeps the highest revision of every utterance.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from twopass.errors import TwopassError
from twopass.gateway.messages import (
    AnyServerMessage,
    ClientAudio,
    End,
    Ended,
    ErrorMessage,
    Finalize,
    Message,
    Segment,
    SessionStarted,
    Start,
    parse_server,
)
from twopass.types import Pass, Revision, Status, Word

_BUFFERED_BYTES = 1 << 20
_CLOSE_SECONDS = 1.0  # who leaves early does not wait until the server has heard all that is on its way
_LOOPBACK = re.compile(r"wss?://(localhost|127\.0\.0\.1|\[::1\])[:/]")


class ServerRefused(TwopassError):
    """The server ended the session with an error."""

    code = "refused"


class ConnectionLost(TwopassError):
    """The connection broke before the last final. What was received stays valid."""

    code = "connection_lost"
    retryable = True


class Client:
    """
    A server's address. Costs nothing until a session begins.

    Args:
        url: Where the server listens: ws://host:port, wss://host, or the same with http.
    """

    def __init__(self, url: str) -> None:
        self._url = re.sub(r"^http", "ws", url.rstrip("/")) + "/v1/stream"
        # What listens on this machine is reached directly, whatever proxy the environment names.
        self._proxy: Literal[True] | None = None if _LOOPBACK.match(self._url) else True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    @asynccontextmanager
    async def session(
        self,
        *,
        audio: ClientAudio | None = None,
        profile: str | None = None,
        language: str | None = None,
        separate_channels: bool = False,
        phrases: tuple[str, ...] = (),
        realtime: bool = True,
    ) -> AsyncIterator[ClientSession]:
        """
        Begin a session; leaving the context hangs up.

        Raises ServerRefused if the server does not want it, ConnectionLost if it cannot be reached.
        """
        start = Start(
            audio=audio or ClientAudio(),
            profile=profile,
            language=language,
            separate_channels=separate_channels,
            phrases=phrases,
            realtime=realtime,
        )
        try:
            # Sound hardly compresses, and what does (silence) would fill no buffer: nobody would wait for the server.
            socket = await connect(
                self._url,
                compression=None,
                max_size=None,
                write_limit=_BUFFERED_BYTES,
                proxy=self._proxy,
                close_timeout=_CLOSE_SECONDS,
            )
        except (InvalidURI, ValueError) as error:  # a port that is no number is a ValueError
            fix = "Write it as ws://host:port or http://host:port."
            raise ConnectionLost(f"{self._url} is no address of a server.", fix=fix) from error
        except (OSError, InvalidHandshake, TimeoutError) as error:
            raise ConnectionLost(f"{self._url} cannot be reached: {error}.", fix="Is the server running?") from error
        async with socket:
            session = ClientSession(socket)
            await session.begin(start)
            try:
                yield session
            finally:
                await session.close()


class ClientSession:
    """
    A session. Iterate it for everything that the server says, until its `end`.

    Attributes:
        started: Which models speak.
        summary: The server's last message, once it came.
    """

    started: SessionStarted

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._feeder: asyncio.Task[None] | None = None
        self._failure: Exception | None = None  # of the iterator that is fed
        self.summary: Ended | None = None

    async def begin(self, start: Start) -> None:
        """Say what will be sent and wait for the answer. Called by `Client.session`."""
        await self._say(start)
        message = await self._hear()
        assert isinstance(message, SessionStarted)
        self.started = message

    async def send(self, audio: bytes) -> None:
        """Send audio in the format that was announced. Waits while the server is behind."""
        try:
            await self._socket.send(audio)
        except ConnectionClosed as error:
            raise self._lost(error) from error

    async def finalize(self) -> None:
        """End the running utterance now."""
        await self._say(Finalize())

    async def end(self) -> None:
        """No more audio: the server finishes every utterance and says `end`."""
        await self._say(End())

    def feed(self, audio: AsyncIterator[bytes]) -> None:
        """Send everything from an iterator, then `end`, beside the reading. If it raises, so does the reading."""
        self._feeder = asyncio.create_task(self._feed(audio))

    async def __aiter__(self) -> AsyncIterator[AnyServerMessage]:
        """
        Every message until `end`. Errors that are not fatal are messages too.

        Raises ServerRefused after a fatal error once nothing more can come, ConnectionLost if the socket breaks, and
        whatever the iterator raises that is fed.
        """
        fatal: ErrorMessage | None = None
        while self.summary is None:
            try:
                message = await self._hear()
            except ConnectionLost:
                if fatal is None:
                    raise
                break
            if isinstance(message, ErrorMessage) and message.fatal:
                fatal = message
                continue
            if isinstance(message, Ended):
                self.summary = message
            yield message
        if fatal is not None:
            raise _refusal(fatal)

    async def stop(self) -> None:
        """Stop feeding and say `end`: what was sent still becomes final."""
        if self._feeder is not None and not self._feeder.done():
            self._feeder.cancel()
            await self.end()

    async def close(self) -> None:
        """Stop feeding and hang up."""
        if self._feeder is not None:
            self._feeder.cancel()
            await asyncio.gather(self._feeder, return_exceptions=True)
        await self._socket.close()

    async def _say(self, message: Message) -> None:
        try:
            await self._socket.send(message.model_dump_json())
        except ConnectionClosed as error:
            raise self._lost(error) from error

    async def _feed(self, audio: AsyncIterator[bytes]) -> None:
        try:
            async for chunk in audio:
                await self.send(chunk)
                await asyncio.sleep(0)  # an iterator that never waits must not keep the reader from reading
            await self.end()
        except ConnectionLost:
            pass  # told by the reading side, which may still have messages to hear
        except Exception as error:
            self._failure = error
            await self._socket.close()  # wakes the reading side
        finally:
            if isinstance(audio, AsyncGenerator):
                await audio.aclose()

    async def _hear(self) -> AnyServerMessage:
        try:
            message = parse_server(await self._socket.recv())
        except ConnectionClosed as error:
            raise self._failure or self._lost(error) from error
        if isinstance(message, ErrorMessage) and message.fatal and not hasattr(self, "started"):
            raise _refusal(message)
        return message

    def _lost(self, error: ConnectionClosed) -> ConnectionLost:
        why = error.rcvd.reason or f"code {error.rcvd.code}" if error.rcvd else "no close frame"
        return ConnectionLost(f"The connection closed before the transcript was complete ({why}).")


def _refusal(message: ErrorMessage) -> ServerRefused:
    return ServerRefused(message.message, code=message.code, fix=message.fix)


def revision_of(segment: Segment) -> Revision:
    """A `segment` message as the type that `transcript.write` takes."""
    return Revision(
        utterance=segment.id,
        revision=segment.revision,
        status=Status(segment.status),
        start=segment.start,
        end=segment.end,
        words=tuple(Word(**word.model_dump()) for word in segment.words),
        source=Pass(segment.source),
        stable=segment.stable,
        degraded=segment.degraded,
        rewritten=segment.rewritten,
        channel=segment.channel,
        language=segment.language,
    )


class Transcript:
    """The latest revision of every utterance."""

    def __init__(self) -> None:
        self._latest: dict[str, Revision] = {}

    def take(self, segment: Segment) -> Revision:
        """Take a message; returns it as a revision."""
        revision = revision_of(segment)
        known = self._latest.get(revision.utterance)
        if known is None or known.revision < revision.revision:
            self._latest[revision.utterance] = revision
        return revision

    @property
    def revisions(self) -> list[Revision]:
        """In the order of time."""
        return sorted(self._latest.values(), key=lambda r: (r.start, r.channel))
