"""
The native socket: a connection begins a session, or goes on with one.

What comes in goes to the session, what the session tells goes out. When the socket breaks the session waits for the
next one. Whatever else ends a connection ends it with a message that says why and a close code:

    1000 every utterance is final          4401 a key or token that is not known
    1009 a frame of more than 4 MB         4403 a page of another site
    1011 our fault                         4404 no such session to resume
    1012 the server stops: resume later    4408 no first message in time
    1013 nobody knows now: resume later    4409 another socket took the session over
    4400 a message or audio that cannot    4429 too many sessions or connections
         be understood                     4503 a recognizer that is needed cannot be used
    4402 a budget is spent
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from twopass.engine import Engine
from twopass.errors import (
    AudioError,
    BudgetSpent,
    ConfigError,
    ForeignOrigin,
    ProtocolError,
    RecognizerError,
    ServerStopping,
    StateUnavailable,
    TakenOver,
    TapeError,
    TooManySessions,
    TwopassError,
    Unauthorized,
    UnknownSession,
)
from twopass.gateway import encoding, messages
from twopass.gateway.doors import Doors, Visitor, subprotocol
from twopass.gateway.held import HeldSession, first_error
from twopass.gateway.metrics import Metrics
from twopass.gateway.sessions import Sessions
from twopass.outbox import Acknowledged, Problem, SessionEnded

log = structlog.get_logger()

_LAST_WORDS_SECONDS = 2.0
_FAREWELL_SECONDS = 5.0
_GLANCE_SECONDS = 0.2
_ON_PURPOSE = 1000
"""The close code of a client that wants no more. A line that broke counts as 1005 or 1006."""

_CODES: tuple[tuple[type[TwopassError], int], ...] = (
    (TooManySessions, 4429),
    (BudgetSpent, 4402),
    (Unauthorized, 4401),
    (ForeignOrigin, 4403),
    (UnknownSession, 4404),
    (TakenOver, 4409),
    (ServerStopping, 1012),
    (StateUnavailable, 1013),
    (ProtocolError, 4400),
    (AudioError, 4400),
    (TapeError, 4400),
    (ConfigError, 4400),
    (RecognizerError, 4503),
)


class Connection:
    """One socket."""

    _visitor: Visitor

    def __init__(self, socket: WebSocket, engine: Engine, metrics: Metrics, sessions: Sessions, doors: Doors) -> None:
        self._socket = socket
        self._doors = doors
        self._engine = engine
        self._metrics = metrics
        self._sessions = sessions
        self._sent = self._seen = 0
        self._attentive = self._returned = False
        self._dismissal: asyncio.Future[TwopassError] = asyncio.get_running_loop().create_future()
        self.released = asyncio.Event()

    def dismiss(self, error: TwopassError) -> None:
        """Tell the client, close, and let go of the session."""
        if not self._dismissal.done():
            self._dismissal.set_result(error)

    async def serve(self) -> None:
        """Until either side has had enough."""
        await self._socket.accept(subprotocol(self._socket))
        try:
            with self._doors.admit(self._socket, going_on=True) as self._visitor:
                await self._serve(await self._first())
        except WebSocketDisconnect as left:
            log.info("client left", code=left.code)
        except TwopassError as error:
            await self._fail(error)
        except Exception:
            log.exception("connection failed")
            await self._fail(TwopassError("Something went wrong here; it was logged.", fix="Try again."))

    async def _first(self) -> messages.Start | messages.SessionResume:
        try:
            async with asyncio.timeout(self._doors.settings.handshake_seconds):
                first = await self._receive()
        except TimeoutError:
            raise ProtocolError("No start message came.", code="handshake_timeout", fix="Send it first.") from None
        message = messages.parse_client(first) if isinstance(first, str) else None
        if not isinstance(message, messages.Start | messages.SessionResume):
            raise ProtocolError("The first message must be a start.", code="no_start", fix='Send {"type": "start"}.')
        return message

    async def _serve(self, first: messages.Start | messages.SessionResume) -> None:
        if isinstance(first, messages.Start):
            self._doors.check_credential(self._socket)
            held, token = await self._sessions.begin(first, self._visitor.place(), self._visitor.account)
            await held.attach(self)
            introduction = self._introduce(held, first, token)
        else:
            held = await self._sessions.resume(first)
            await held.attach(self)
            introduction = self._resume(held, first)
        try:
            await introduction
            await self._converse(held)
        except WebSocketDisconnect as left:
            # Who was not told the token cannot come back, either.
            if left.code == _ON_PURPOSE or (isinstance(first, messages.Start) and not self._sent):
                await self._sessions.drop(held)
            raise
        finally:
            held.detach(self)
            self.released.set()
        await self._part(held)

    async def _introduce(self, held: HeldSession, start: messages.Start, token: str) -> None:
        profile = start.profile or self._engine.default_profile
        first, second = await self._engine.speakers(profile)
        await self._send(
            messages.SessionStarted(
                event=1,
                session=held.session.id,
                token=token,
                resume_seconds=self._sessions.settings.resume_seconds,
                profile=profile,
                first_pass=encoding.described(first),
                second_pass=encoding.described(second),
                shadow=held.session.also_heard_by,
            )
        )
        self._sent = 1

    async def _resume(self, held: HeldSession, request: messages.SessionResume) -> None:
        if not self._sessions.holds(held):  # it was given up while we waited for the one before us to leave
            raise StateUnavailable("The session has just gone elsewhere.", fix="Ask for it again.")
        self._returned = True
        self._sent = self._seen = request.last_event
        await self._send(
            messages.Resumed(
                event=max(1, request.last_event),
                session=held.session.id,
                next_sample=held.intake.next_sample(held.session.next_sample),
                next_byte=held.intake.received,
            )
        )

    async def _converse(self, held: HeldSession) -> None:
        """Reading and writing, until the writer has told the end or somebody is sent away."""
        try:
            async with asyncio.TaskGroup() as group:
                others = group.create_task(self._read(held)), group.create_task(self._dismissed())
                await self._write(held)
                for task in others:
                    task.cancel()
        except BaseExceptionGroup as group:
            raise first_error(group) from None

    async def _dismissed(self) -> None:
        raise await self._dismissal

    async def _read(self, held: HeldSession) -> None:
        """What comes in. After `end` only the close of the socket is listened for."""
        await held.catch_up()
        while True:
            received = await self._next(held)
            try:
                await self._take(received, held)
            except TwopassError as error:
                if not held.ending:
                    held.complain(error)

    async def _next(self, held: HeldSession) -> str | bytes:
        """The next message. Tells the client, once, when none has come for a while."""
        quiet = self._sessions.settings.quiet_seconds
        while True:
            try:
                async with asyncio.timeout_at(None if held.quiet or held.ending else held.audio_at + quiet):
                    return await self._receive()
            except TimeoutError:
                await held.fall_quiet(quiet)

    async def _take(self, received: str | bytes, held: HeldSession) -> None:
        if hurry := await self._visitor.pace(received):
            held.complain(hurry)
        if isinstance(received, bytes):
            await held.hear(received)
            return
        match messages.parse_client(received):
            case messages.Finalize() if not held.ending:
                held.session.finalize()
            case messages.Seen(event=event):
                self._attentive = True
                self._seen = min(event, self._sent)
                held.session.outbox.forget(self._seen)
            case messages.End():
                held.end()
            case messages.Start() | messages.SessionResume():
                raise ProtocolError("The session has started already.", code="second_start", fix="Open a new socket.")

    async def _write(self, held: HeldSession) -> None:
        """What the session tells, until its end. A slow reader gets only the latest of everything."""
        outbox = held.session.outbox
        while held.over_at is None or self._sent < outbox.newest:
            await outbox.wait_beyond(self._sent)
            held.session.flush()
            events = outbox.since(self._sent)
            safe = await held.settled()
            if self._dismissal.done():  # perhaps these numbers are another server's by now
                raise self._dismissal.result()
            for number, event in events:
                self._metrics.count(event)
                if isinstance(event, Acknowledged) and event.durable and not safe:
                    held.session.doubt()
                    event = replace(event, durable=False)
                await self._tell(encoding.encoded(number, event))
                self._sent = number
                if isinstance(event, SessionEnded) or (held.failure and isinstance(event, Problem) and event.fatal):
                    return

    async def _tell(self, message: messages.ServerMessage) -> None:
        """Send. When the socket is closed the reader is given the time to say with which code."""
        try:
            await self._send(message)
        except WebSocketDisconnect:
            await asyncio.sleep(_LAST_WORDS_SECONDS)
            raise

    async def _part(self, held: HeldSession) -> None:
        """
        The client has been told everything. One that says `seen` needs no second chance to hear it: its session goes
        at once, with its files. (The closing handshake proves nothing: uvicorn does not tell who began it.)
        """
        # Who came back to a session that was over may not have been heard at all yet.
        patience = _FAREWELL_SECONDS if self._attentive else _GLANCE_SECONDS if self._returned else 0.0
        with contextlib.suppress(TimeoutError, TwopassError, WebSocketDisconnect):
            async with asyncio.timeout(patience) as limit:
                while patience and self._seen < self._sent:
                    await self._take(await self._receive(), held)
                    if self._attentive:
                        limit.reschedule(asyncio.get_running_loop().time() + _FAREWELL_SECONDS)
        if self._seen >= self._sent:
            await self._sessions.drop(held)
        error = held.failure or held.broken
        await self._close(_close_code(error) if error else 1000, error.code if error else "")

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
        """Tell why, if somebody still listens, and close."""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._send(encoding.error(max(1, self._sent), error, fatal=True))
        await self._close(_close_code(error), error.code)

    async def _close(self, code: int, reason: str = "") -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._socket.close(code, reason)


def _close_code(error: TwopassError) -> int:
    if error.code == "handshake_timeout":
        return 4408
    return next((code for kind, code in _CODES if isinstance(error, kind)), 1011)
