"""
The native socket: one connection is one session.

Three tasks per connection: what comes in goes to the session, what the session tells goes out, and the session runs.
Whatever ends one of them ends the connection with a message that says why and a close code:

    1000 every utterance is final          4400 a message or audio that cannot be understood
    1009 a frame of more than 4 MB         4408 no `start` in time
    1011 our fault                         4429 too many sessions
    1012 the server stops                  4503 a recognizer that is needed cannot be used
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from twopass.audio import AudioDecoder, Encoding, open_decoder
from twopass.engine import Engine, Request
from twopass.errors import (
    AudioError,
    ConfigError,
    ProtocolError,
    RecognizerError,
    TapeError,
    TooManySessions,
    TwopassError,
)
from twopass.gateway import encoding, messages
from twopass.gateway.framing import IndexedFraming
from twopass.gateway.metrics import Metrics
from twopass.outbox import Problem, SessionEnded
from twopass.session import Session
from twopass.types import SAMPLE_RATE

log = structlog.get_logger()

_HANDSHAKE_SECONDS = 10.0
_MOST_PROBLEMS = 20
_RAW_PIECE = 16_000  # bytes decoded at once: two seconds of mulaw, a millisecond or two of work
_COMPRESSED_PIECE = 2_000


@dataclass(slots=True)
class SessionLimit:
    """How many sessions there may be at once, and how many there are."""

    most: int
    now: int = 0

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Take a place for as long as the context lasts. Raises TooManySessions."""
        if self.now >= self.most:
            raise TooManySessions(f"All {self.most} sessions are taken.", fix="Try again later.")
        self.now += 1
        try:
            yield
        finally:
            self.now -= 1


_CODES: tuple[tuple[type[TwopassError], int], ...] = (
    (TooManySessions, 4429),
    (ProtocolError, 4400),
    (AudioError, 4400),
    (TapeError, 4400),
    (ConfigError, 4400),
    (RecognizerError, 4503),
)


class Connection:
    """One socket."""

    def __init__(self, socket: WebSocket, engine: Engine, metrics: Metrics, limit: SessionLimit) -> None:
        self._socket = socket
        self._engine = engine
        self._metrics = metrics
        self._limit = limit
        self._session: Session | None = None
        self._sent = 0
        self._problems = 0
        self._broken: TwopassError | None = None

    async def serve(self) -> None:
        """Until either side has had enough."""
        await self._socket.accept()
        try:
            with self._limit.place():
                await self._serve_session(await self._start())
            await self._close(_close_code(self._broken) if self._broken else 1000)
        except WebSocketDisconnect:
            log.info("client left")
        except TwopassError as error:
            await self._fail(error)
        except Exception:
            log.exception("connection failed")
            await self._fail(TwopassError("Something went wrong here; it was logged.", fix="Try again."))

    async def _start(self) -> messages.Start:
        try:
            async with asyncio.timeout(_HANDSHAKE_SECONDS):
                first = await self._receive()
        except TimeoutError:
            raise ProtocolError("No start message came.", code="handshake_timeout", fix="Send it first.") from None
        message = messages.parse_client(first) if isinstance(first, str) else None
        if not isinstance(message, messages.Start):
            raise ProtocolError("The first message must be a start.", code="no_start", fix='Send {"type": "start"}.')
        return message

    async def _serve_session(self, start: messages.Start) -> None:
        with contextlib.closing(_Listener(start)) as listener:
            request = Request(start.profile, start.language, start.phrases, listener.channels, start.realtime)
            session = self._session = await self._engine.session(request)
            await self._introduce(session, start)
            await self._serve_audio(session, listener)

    async def _serve_audio(self, session: Session, listener: _Listener) -> None:
        self._metrics.sessions.inc()
        try:
            await self._run(session, listener)
        finally:
            self._metrics.sessions.dec()
            self._metrics.audio_seconds.inc(session.next_sample / SAMPLE_RATE)
            log.info("session over", session=session.id, seconds=round(session.next_sample / SAMPLE_RATE, 1))

    async def _introduce(self, session: Session, start: messages.Start) -> None:
        profile = start.profile or self._engine.default_profile
        first, second = await self._engine.speakers(profile)
        await self._send(
            messages.SessionStarted(
                event=session.outbox.reserve(),
                session=session.id,
                profile=profile,
                first_pass=encoding.described(first),
                second_pass=encoding.described(second),
            )
        )

    async def _run(self, session: Session, listener: _Listener) -> None:
        """The three tasks. The reader ends first in a good session, the writer last."""
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(session.run())
                reading = group.create_task(self._read(session, listener))
                await self._write(session)
                reading.cancel()
                await running
        except* TwopassError as group:
            raise first_error(group) from None
        except* WebSocketDisconnect:
            raise WebSocketDisconnect from None

    async def _read(self, session: Session, listener: _Listener) -> None:
        """What comes in, until `end`. After that only the close of the socket is listened for."""
        while True:
            received = await self._receive()
            try:
                await self._take(received, session, listener)
            except TwopassError as error:
                self._complain(error, session)
            await session.room()

    async def _take(self, received: str | bytes, session: Session, listener: _Listener) -> None:
        if isinstance(received, bytes):
            await listener.hear(session, received)
            return
        match messages.parse_client(received):
            case messages.Finalize():
                session.finalize()
            case messages.End():
                await self._end(session, listener)
            case messages.Start():
                raise ProtocolError("The session has started already.", code="second_start", fix="Open a new socket.")

    async def _end(self, session: Session, listener: _Listener) -> None:
        try:
            await listener.finish(session)
        except AudioError as error:
            self._complain(error, session)
        session.end()

    def _complain(self, error: TwopassError, session: Session) -> None:
        """Tell the client. After audio that cannot be decoded, or too many mistakes, finish what was accepted."""
        self._problems += 1
        if self._problems > _MOST_PROBLEMS or session.ended:
            return
        fatal = isinstance(error, AudioError) or self._problems == _MOST_PROBLEMS
        session.tell(Problem(error, fatal))
        if fatal:
            self._broken = error
            session.end()

    async def _write(self, session: Session) -> None:
        """What the session tells, until its end. A slow reader gets only the latest of everything."""
        while True:
            await session.outbox.wait_beyond(self._sent)
            for number, event in session.outbox.since(self._sent):
                self._metrics.count(event)
                await self._send(encoding.encoded(number, event))
                self._sent = number
                if isinstance(event, SessionEnded):
                    return

    async def _receive(self) -> str | bytes:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1005)
        text: str | None = message.get("text")
        data: bytes | None = message.get("bytes")
        return text if text is not None else (data or b"")

    async def _send(self, message: messages.ServerMessage) -> None:
        await self._socket.send_text(message.model_dump_json(by_alias=True))

    async def _fail(self, error: TwopassError) -> None:
        number = self._session.outbox.reserve() if self._session else 1
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self._send(encoding.error(number, error, fatal=True))
        await self._close(_close_code(error), error.code)

    async def _close(self, code: int, reason: str = "") -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self._socket.close(code, reason)


def _close_code(error: TwopassError) -> int:
    if error.code == "handshake_timeout":
        return 4408
    return next((code for kind, code in _CODES if isinstance(error, kind)), 1011)


class _Listener:
    """
    From binary frames to the tape.

    Attributes:
        channels: How many channels are transcribed each for itself.
    """

    def __init__(self, start: messages.Start) -> None:
        self._format = start.format
        contained = self._format.encoding in (Encoding.WEBM, Encoding.OGG, Encoding.CONTAINER)
        stereo = contained or self._format.channels == 2
        self._piece = _COMPRESSED_PIECE if contained else _RAW_PIECE
        self.channels = 2 if self._format.separate_channels and stereo else 1
        indexed = start.audio.framing is messages.Framing.INDEXED
        self._framing = IndexedFraming(self._format) if indexed else None
        self._decoder: AudioDecoder = open_decoder(self._format)

    async def hear(self, session: Session, frame: bytes) -> None:
        """A binary frame. Raises ProtocolError, AudioError, TapeError, SessionClosed."""
        if self._framing is None:
            await self._decode(session, frame)
            return
        placed = self._framing.place(frame)
        if placed.after_hole is not None:
            self._skip(session, placed.after_hole)
        await self._decode(session, placed.data)
        self._framing.count(placed)

    async def finish(self, session: Session) -> None:
        """What the decoder still holds. Raises AudioError if the audio was broken at its end."""
        # Beside the loop: a container's last bytes may take long to decode.
        self._write(session, await asyncio.to_thread(self._decoder.finish))
        if self._decoder.error is not None:
            raise self._decoder.error

    async def _decode(self, session: Session, data: bytes) -> None:
        """In pieces: the event loop must not feel a large frame, nor the tape a flood."""
        for at in range(0, len(data), self._piece):
            self._write(session, self._decoder.feed(data[at : at + self._piece]))
            await session.room()
            await asyncio.sleep(0)

    def close(self) -> None:
        """Let go of the decoder."""
        self._decoder.close()

    def _skip(self, session: Session, to: int) -> None:
        """A hole: the tape marks it at once, and the resampler begins anew behind it. Raises TapeError if too long."""
        self._write(session, self._decoder.finish())
        self._decoder = open_decoder(self._format)
        session.write((b"",) * self.channels, to)

    def _write(self, session: Session, channels: tuple[bytes, ...]) -> None:
        if any(channels):
            session.write(fitted(channels, self.channels))


def fitted(channels: tuple[bytes, ...], wanted: int) -> tuple[bytes, ...]:
    """As many channels as wanted: a recording with fewer is silent on the rest."""
    return (*channels, *(bytes(len(channels[0])) for _ in range(wanted - len(channels))))[:wanted]


def first_error(group: BaseExceptionGroup[TwopassError]) -> TwopassError:
    """One of the errors that a task group collected."""
    error = group.exceptions[0]
    return first_error(error) if isinstance(error, BaseExceptionGroup) else error
