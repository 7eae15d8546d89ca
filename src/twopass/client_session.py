"""A session of the Python client: one conversation over as many connections as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator

from twopass.client_inbox import Inbox
from twopass.client_line import Connection, Line, LineBroken
from twopass.client_outgoing import Outgoing
from twopass.client_resume import Broken, Memory, first_line, refusal, regain
from twopass.errors import SessionClosed
from twopass.gateway.messages import Ack, AnyServerMessage, Ended, Finalize, Seen, SessionStarted, Start

_SEEN_SECONDS = 4.0
_PIECE = 1 << 16


class ClientSession:
    """
    A session. Iterate it for everything that the server says, until its `end`.

    When the connection breaks it goes on by itself, and nothing of that is seen here but a delay.

    Attributes:
        started: Which models speak.
        summary: The server's last message, once it came.
        connected: False while the connection is being mended.
    """

    started: SessionStarted

    def __init__(
        self,
        open_line: Callable[[], Awaitable[Line]],
        start: Start,
        on_connection: Callable[[Connection], None] | None = None,
    ) -> None:
        self._open = open_line
        self._start = start
        self._on_connection = on_connection or _nobody
        self._outgoing = Outgoing(start.audio)
        self._inbox = Inbox()
        self._work = asyncio.Event()  # there is something to send
        self._moved = asyncio.Event()  # there may be room for more audio
        self._line: Line | None = None
        self._runner: asyncio.Task[None] | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._over = False
        self._failure: Exception | None = None
        self.summary: Ended | None = None
        self.connected = False

    async def begin(self) -> None:
        """Connect, say what will be sent and wait for the answer. Called by `Client.session`."""
        line, self.started = await first_line(self._open, self._start)
        self._line = line
        self._memory = Memory(self.started, self._outgoing)
        self._runner = asyncio.create_task(self._run(line))

    async def send(self, audio: bytes) -> None:
        """
        Send audio in the format that was announced. Waits while a minute of it is not acknowledged.

        Raises ServerRefused, ConnectionLost or SessionClosed once the session is over.
        """
        for piece in _pieces(audio):
            while not (self._over or self._outgoing.room):
                self._moved.clear()
                await self._moved.wait()
            self._check()
            self._outgoing.append(piece)
            self._work.set()
        await asyncio.sleep(0)  # who sends without ever waiting must not keep the line from sending

    async def finalize(self) -> None:
        """End the running utterance after the audio so far."""
        self._check()
        self._outgoing.command(Finalize())
        self._work.set()

    async def end(self) -> None:
        """No more audio: the server finishes every utterance and says `end`."""
        self._check()
        self._outgoing.end()
        self._work.set()

    def feed(self, audio: AsyncIterator[bytes]) -> None:
        """Send everything from an iterator, then `end`, beside the reading. If it raises, so does the reading."""
        self._feeder = asyncio.create_task(self._feed(audio))

    async def __aiter__(self) -> AsyncIterator[AnyServerMessage]:
        """
        Every message until `end`. Errors that are not fatal are messages too.

        Raises ServerRefused after a fatal error once nothing more can come, ConnectionLost if the connection breaks and
        the session cannot go on, and whatever the iterator raises that is fed.
        """
        while (message := await self._inbox.get()) is not None:
            if isinstance(message, Ended):
                self.summary = message
            yield message

    async def stop(self) -> None:
        """Stop feeding and say `end`: what was sent still becomes final."""
        if self._feeder is not None and not self._feeder.done():
            self._feeder.cancel()
            await self.end()

    async def close(self) -> None:
        """Stop feeding and hang up: the server forgets the session."""
        tasks = [task for task in (self._feeder, self._runner) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._line is not None:
            await self._line.close()
        self._finish(None)

    # -- sending ----------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._over:
            raise SessionClosed("The session has ended.", fix="Start a new one.")

    async def _feed(self, audio: AsyncIterator[bytes]) -> None:
        try:
            async for chunk in audio:
                await self.send(chunk)
            await self.end()
        except Exception as error:
            self._finish(error)  # which changes nothing if it says only that the session is over
        finally:
            if isinstance(audio, AsyncGenerator):
                await audio.aclose()

    async def _pump(self, line: Line) -> None:
        """Send whatever there is to send, as long as the line holds. Its reader tells when it breaks."""
        with contextlib.suppress(LineBroken):
            while True:
                self._work.clear()
                while (frame := self._outgoing.next()) is not None:
                    await line.send(frame)
                    await asyncio.sleep(0)  # the reader's turn: acknowledgements make room
                await self._work.wait()

    # -- receiving --------------------------------------------------------------------------------------------------

    async def _run(self, line: Line) -> None:
        """Talk until the end, over one line after another."""
        try:
            while (broken := await self._converse(line)) is not None:
                line.abort()
                self._line = None
                self._on_connection(Connection.LOST)
                line = self._line = await regain(self._open, self._memory, broken)
                self._moved.set()
                self._on_connection(Connection.RESUMED)
            fatal = self._memory.fatal
            self._finish(refusal(fatal) if fatal else None)
        except Exception as error:
            self._finish(error)

    async def _converse(self, line: Line) -> Broken | None:
        """Until the last message, or until the line breaks."""
        self.connected = True
        tasks = asyncio.create_task(self._pump(line)), asyncio.create_task(self._say_seen(line))
        try:
            while not self._take(await line.hear()):
                pass
            await line.say(Seen(event=self._memory.last_event))
        except LineBroken as error:
            return None if self._memory.ended else self._memory.broke(error)
        finally:
            self.connected = False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return None

    def _take(self, message: AnyServerMessage) -> bool:
        """Returns whether it was the last one."""
        if self._memory.take(message):
            if isinstance(message, Ack):
                self._outgoing.acknowledge(message)
                self._moved.set()
            self._inbox.put(message)
        return self._memory.ended

    async def _say_seen(self, line: Line) -> None:
        """Let the server forget what has arrived. From the first moment: it then waits for the last one, too."""
        with contextlib.suppress(LineBroken):
            said = 0
            while True:
                if self._memory.last_event > said:
                    said = self._memory.last_event
                    await line.say(Seen(event=said))
                await asyncio.sleep(_SEEN_SECONDS * random.uniform(0.5, 1.0))

    def _finish(self, error: Exception | None) -> None:
        if not self._over:
            self._over, self._failure = True, error
            self._inbox.close(error)
        self._moved.set()


def _nobody(state: Connection) -> None:
    """Wants to know."""


def _pieces(audio: bytes) -> Iterator[memoryview]:
    view = memoryview(audio)
    return (view[at : at + _PIECE] for at in range(0, len(view), _PIECE))
