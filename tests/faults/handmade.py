"""
A client of the native socket made by hand: it resumes as the protocol says, and may send its frames in disorder.

It keeps every message as it came, on whatever connection, so what the server repeats is seen here.
"""

from __future__ import annotations

import asyncio
import random

from tests.faults.disorder import disordered, indexed
from tests.faults.talking import Manner, Talk, paced
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from twopass.gateway.messages import (
    ClientAudio,
    End,
    Ended,
    Framing,
    Message,
    Resumed,
    SessionResume,
    SessionStarted,
    Start,
    parse_server,
)

FRAME_MS = 40
REACH = 5
"""So many frames late at most: the server waits for 300 ms of audio."""
_DISORDERLY = 0.2
"""This share of the frames comes late, and as many come twice."""
_FRAME_SAMPLES = 16 * FRAME_MS
_RETRY_SECONDS = 0.25
_THEIR_FAULT, _MOST_FAILURES = 1011, 5
_COME_BACK = (None, 1001, 1006, 1011, 1012)
"""Close codes after which the session can be resumed."""


class Handmade:
    """One session."""

    def __init__(self, pcm: bytes, manner: Manner, seed: object, *, disorder: bool) -> None:
        self.talk = Talk()
        self._frames = indexed(pcm, _FRAME_SAMPLES)
        self._manner = manner
        self._share = _DISORDERLY if disorder else 0.0
        self._rng = random.Random(f"handmade {seed}")
        self._started: SessionStarted | None = None
        self._failures = 0

    async def session(self, url: str) -> Talk:
        """All of it, whatever the network does. Never raises for what the server or the network did."""
        try:
            async with asyncio.timeout(self._manner.patience):
                over = False
                while not over:
                    over = await self._connected(url.replace("http", "ws", 1) + "/v1/stream")
                    await asyncio.sleep(0 if over else self._rng.uniform(0, _RETRY_SECONDS))
        except TimeoutError:
            self.talk.trouble.append(f"not over after {self._manner.patience:.0f} s")
        return self.talk

    async def _connected(self, url: str) -> bool:
        """One connection; returns whether the session is over."""
        try:
            async with connect(
                url, max_size=None, compression=None, ping_interval=1, ping_timeout=3, open_timeout=5, close_timeout=1
            ) as socket:
                await self._converse(socket)
                return self._judge(socket.close_code, socket.close_reason)
        except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed):
            return False

    async def _converse(self, socket: ClientConnection) -> None:
        await socket.send(self._first().model_dump_json())
        saying: asyncio.Task[None] | None = None
        try:
            async for text in socket:
                message = parse_server(text)
                self.talk.messages.append(message)
                if isinstance(message, SessionStarted | Resumed):
                    saying = asyncio.create_task(self._say(socket, self._wanted(message)))
        except ConnectionClosed:
            pass  # the code says it
        finally:
            if saying is not None:
                saying.cancel()
                await asyncio.gather(saying, return_exceptions=True)

    def _first(self) -> Message:
        if self._started is None:
            audio = ClientAudio(framing=Framing.INDEXED)
            manner = self._manner
            return Start(audio=audio, profile=manner.profile, phrases=manner.phrases, realtime=manner.realtime)
        last = max(message.event for message in self.talk.messages)
        return SessionResume(session=self._started.session, token=self._started.token, last_event=last)

    def _wanted(self, message: SessionStarted | Resumed) -> int:
        if isinstance(message, SessionStarted):
            self._started = message
            return 0
        return message.next_sample

    async def _say(self, socket: ClientConnection, sample: int) -> None:
        frames = disordered(self._frames[sample // _FRAME_SAMPLES :], self._rng, reach=REACH, share=self._share)
        async for frame in paced(frames, self._manner.speed, FRAME_MS):
            await socket.send(frame)
        await socket.send(End().model_dump_json())

    def _judge(self, code: int | None, reason: str | None) -> bool:
        ended = any(isinstance(message, Ended) for message in self.talk.messages)
        self._failures += code == _THEIR_FAULT
        refused = not ended and (code not in _COME_BACK or self._failures > _MOST_FAILURES)
        if refused:
            self.talk.trouble.append(f"closed with {code} {reason}")
        return ended or refused
