"""A client whose connections break when a test says so, and that goes on with its session."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from tests.gateway.stream_driver import END, Heard, begun, encoded, in_order, opened, start
from tests.speech import load
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from twopass.gateway.messages import Ack, Ended, Resumed, Segment, SessionStarted, parse_server

TALK = begun(load("meeting_120s"), 8)
WEBM = encoded(TALK, "webm", "libopus", 48_000)


@dataclass
class Caller:
    """
    One session over several sockets.

    Attributes:
        heard: What was said on all of them, without the answers to `session_resume`.
        resumed: Those.
        patience: Seconds that one connection may last.
    """

    url: str
    heard: Heard = field(default_factory=Heard)
    resumed: list[Resumed] = field(default_factory=list)
    session: str = ""
    token: str = ""
    patience: float = 120.0

    @property
    def last_event(self) -> int:
        """The number of the last event seen."""
        return max((message.event for message in self.heard.messages), default=0)

    @property
    def resume(self) -> str:
        """How to go on."""
        return json.dumps(
            {"type": "session_resume", "session": self.session, "token": self.token, "last_event": self.last_event}
        )

    @property
    def _seen(self) -> str:
        return json.dumps({"type": "seen", "event": self.last_event})

    async def begin(
        self, frames: Iterable[str | bytes], *, until: Callable[[Heard], bool] = lambda heard: False, **fields: object
    ) -> None:
        """Start a session, say all this, listen until it is enough or the server closes; then the line breaks."""
        async with self._socket(start(**fields)) as (socket, message):
            assert isinstance(message, SessionStarted)
            self.heard.messages.append(message)
            self.session, self.token = message.session, message.token
            await self._talk(socket, frames, until)

    async def go_on(
        self,
        frames: Callable[[Resumed], Iterable[str | bytes]],
        *,
        until: Callable[[Heard], bool] = lambda heard: False,
    ) -> None:
        """Resume, say what is asked for, listen as above."""
        async with self._socket(self.resume) as (socket, message):
            assert isinstance(message, Resumed), message
            assert message.event == self.last_event
            self.resumed.append(message)
            await self._talk(socket, frames(message), until)

    @asynccontextmanager
    async def _socket(self, first: str) -> AsyncIterator[tuple[ClientConnection, object]]:
        async with asyncio.timeout(self.patience), opened(self.url) as socket:
            await socket.send(first)
            yield socket, parse_server(await socket.recv())
            socket.transport.abort()

    async def _talk(
        self, socket: ClientConnection, frames: Iterable[str | bytes], until: Callable[[Heard], bool]
    ) -> None:
        await socket.send(self._seen)
        saying = asyncio.create_task(_say(socket, frames))
        try:
            while not until(self.heard):
                self.heard.take(await socket.recv())
                if self.heard.of(Ended):
                    await socket.send(self._seen)
        except ConnectionClosed:
            pass  # the code says it
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)
        self.heard.code, self.heard.reason = socket.close_code or 0, socket.close_reason or ""


async def _say(socket: ClientConnection, frames: Iterable[str | bytes]) -> None:
    try:
        for frame in frames:
            await socket.send(frame)
            await asyncio.sleep(0)
    except ConnectionClosed:
        pass


def raw(sound: bytes, size: int = 6_400) -> Callable[[Resumed], Iterable[str | bytes]]:
    """The rest of the bytes, and the end."""
    return lambda resumed: [*(sound[at : at + size] for at in range(resumed.next_byte, len(sound), size)), END]


def indexed(pcm: bytes, first: int = 0, samples: int = 3_200) -> list[bytes]:
    """16 kHz mono PCM from a sample on, with indexes."""
    size = samples * 2
    return [struct.pack(">Q", at // 2) + pcm[at : at + size] for at in range(first * 2, len(pcm), size)]


def words(segments: list[Segment]) -> list[str]:
    """Every final word in the order of time."""
    return [word.text for segment in segments for word in segment.words]


def starts(segments: list[Segment]) -> list[int]:
    """When each of them begins, ms."""
    return [word.start for segment in segments for word in segment.words]


def finals(count: int) -> Callable[[Heard], bool]:
    """Enough once so many utterances are final."""
    return lambda heard: sum(segment.status == "final" for segment in heard.of(Segment)) >= count


def acknowledged(samples: int) -> Callable[[Heard], bool]:
    """Enough once so much is on the tape."""
    return lambda heard: any(ack.samples >= samples for ack in heard.of(Ack))


def as_if_unbroken(caller: Caller, unbroken: list[Segment]) -> None:
    """The transcript is the same, no event came twice or in the wrong order, every utterance is final."""
    in_order(caller.heard)
    assert (1000, []) == (caller.heard.code, caller.heard.codes)
    assert words(unbroken) == words(caller.heard.finals())
    # A voice detector that begins anew in mid-session may move a border by a frame, and a decoder its word by a little.
    assert starts(unbroken) == pytest.approx(starts(caller.heard.finals()), abs=100)
