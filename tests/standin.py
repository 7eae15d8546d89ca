"""Servers for clients whose connections break: a small one that breaks them when a test says so, and a patient one."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import running_server
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from twopass.gateway.messages import (
    Ack,
    End,
    Ended,
    ErrorMessage,
    Finalize,
    Framing,
    PassDescription,
    Resumed,
    Seen,
    Segment,
    ServerMessage,
    SessionResume,
    SessionStarted,
    Start,
    WordMessage,
    parse_client,
)

PASS = PassDescription(provider="p", model="m", understands="nothing")
SEGMENT_BYTES = 16_000


@dataclass(frozen=True)
class Cut:
    """
    How a connection ends.

    Attributes:
        after: How many frames of audio are taken before.
        code: The close code; None breaks the connection without one.
        error: What is said before.
        answered: Whether the first message is answered at all.
    """

    after: int = 0
    code: int | None = None
    error: ErrorMessage | None = None
    answered: bool = True


def error(code: str, *, retryable: bool = False, fatal: bool = True) -> ErrorMessage:
    """An error about the connection, with its fix."""
    return ErrorMessage(event=1, code=code, message=f"It is {code}.", fix="Mend it.", retryable=retryable, fatal=fatal)


@dataclass
class StandIn:
    """
    One session, over as many connections as its cuts make of it.

    Attributes:
        cuts: How the connections end, one after another; the ones after them last.
        acknowledges: Whether it says what it has got.
        repeats: How many events before the missed ones it says again, which no good server does.
        audio: What it got, without indexes.
        finalized: After how many bytes it was told to end an utterance.
        seen: What its clients said to have seen.
        keys: What they showed as `Authorization`.
    """

    cuts: Iterable[Cut] = ()
    resume_seconds: float = 240.0
    acknowledges: bool = True
    durable: bool = True
    repeats: int = 0
    url: str = ""
    audio: bytes = b""
    started: Start | None = None
    connections: int = 0
    finalized: list[int] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    close: Callable[[], None] = lambda: None
    _events: list[ServerMessage] = field(default_factory=list)
    _plan: Iterator[Cut] = field(init=False)

    def __post_init__(self) -> None:
        self._plan = iter(self.cuts)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Listen; gives the address."""
        async with serve(self._accept, "127.0.0.1", 0, max_size=None, close_timeout=1) as server:
            self.close = lambda: server.close(close_connections=False)
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    @property
    def segments(self) -> int:
        """How many it has told."""
        return sum(isinstance(event, Segment) for event in self._events)

    async def acknowledge(self, socket: ServerConnection) -> None:
        """Say what has come."""
        size = len(self.audio)
        await self._tell(socket, Ack(event=self._number, samples=size // 2, bytes=size, durable=self.durable))

    async def _accept(self, socket: ServerConnection) -> None:
        self.connections += 1
        assert socket.request is not None
        self.keys.append(socket.request.headers.get("Authorization"))
        cut = next(self._plan, None)
        with contextlib.suppress(ConnectionClosed):
            try:
                if not (cut and not cut.answered):
                    await self._converse(socket, None if cut is None else cut.after)
            finally:
                await self._part(socket, cut)

    async def _part(self, socket: ServerConnection, cut: Cut | None) -> None:
        if cut is None:
            await socket.close()
            return
        if cut.error is not None:
            await _send(socket, cut.error)
        if cut.code is None:
            socket.transport.abort()
        else:
            await socket.close(cut.code)

    async def _converse(self, socket: ServerConnection, frames: int | None) -> None:
        await self._greet(socket, parse_client(str(await socket.recv())))
        while frames is None or frames > 0:
            received = await socket.recv()
            if isinstance(received, bytes):
                frames = None if frames is None else frames - 1
                await self._hear(socket, received)
            elif await self._obey(socket, received):
                return

    async def _greet(self, socket: ServerConnection, first: object) -> None:
        if isinstance(first, Start):
            self.started = first
            names = {"session": "s", "token": "secret", "profile": "demo"}
            passes = {"first_pass": PASS, "second_pass": PASS}
            await self._tell(
                socket,
                SessionStarted(event=1, resume_seconds=self.resume_seconds, **names, **passes),  # type: ignore[arg-type]
            )
            return
        assert isinstance(first, SessionResume)
        assert ("s", "secret") == (first.session, first.token)
        size = len(self.audio)
        await _send(socket, Resumed(event=first.last_event, session="s", next_sample=size // 2, next_byte=size))
        for event in self._events[max(0, first.last_event - self.repeats) :]:
            await _send(socket, event)

    async def _hear(self, socket: ServerConnection, frame: bytes) -> None:
        assert self.started is not None
        if self.started.audio.framing is Framing.INDEXED:
            at = 2 * int.from_bytes(frame[:8])
            assert at <= len(self.audio), "a hole"
            frame = frame[8 + len(self.audio) - at :]
        self.audio += frame
        while self.segments < len(self.audio) // SEGMENT_BYTES:
            await self._tell(socket, self._segment())
        if self.acknowledges:
            await self.acknowledge(socket)

    async def _obey(self, socket: ServerConnection, text: str) -> bool:
        """Returns whether that was all."""
        match parse_client(text):
            case Seen(event=event):
                self.seen.append(event)
                return isinstance(self._events[event - 1], Ended)
            case Finalize():
                self.finalized.append(len(self.audio))
                await self.acknowledge(socket)
            case End() if not isinstance(self._events[-1], Ended):
                await self._tell(
                    socket,
                    Ended(event=self._number, audio_ms=0, utterances=self.segments, words=self.segments, degraded=0),
                )
        return False

    @property
    def _number(self) -> int:
        return len(self._events) + 1

    def _segment(self) -> Segment:
        start, text = 1_000 * self.segments, f"w{self.segments}"
        word = WordMessage(text=text, start=start, end=start + 500)
        return Segment(
            event=self._number,
            id=f"u{start}",
            revision=1,
            status="final",
            start=start,
            end=start + 500,
            text=text,
            words=(word,),
            source="second",
        )

    async def _tell(self, socket: ServerConnection, message: ServerMessage) -> None:
        self._events.append(message)
        await _send(socket, message)


@contextlib.contextmanager
def patient_server(directory: Path, config: Path, environment: dict[str, str]) -> Iterator[str]:
    """A real server of that configuration, but one that waits long for clients that have gone; gives its address."""
    patience = "sessions: {resume_seconds: 240, quiet_seconds: 240}"
    path = directory / "config.yaml"
    path.write_text(re.sub(r"(?m)^sessions: .*$", patience, config.read_text()))
    with running_server(directory, path, environment) as running:
        yield running.url


async def _send(socket: ServerConnection, message: ServerMessage) -> None:
    await socket.send(message.model_dump_json(by_alias=True))
