"""One session as the gateway holds it: with its audio intake, its files, and a socket or, for a while, none."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import structlog

from twopass.errors import AudioError, SessionClosed, TakenOver, TwopassError
from twopass.gateway.intake import Intake, forget
from twopass.keeping import Kept
from twopass.outbox import Problem
from twopass.session import Session

log = structlog.get_logger()
E = TypeVar("E", bound=BaseException)

_MOST_PROBLEMS = 20


class Socket(Protocol):
    """Who is connected."""

    released: asyncio.Event
    """Set when it has let go of the session."""

    def dismiss(self, error: TwopassError) -> None:
        """Tell the client, close, and let go of the session."""


@dataclass(eq=False)
class HeldSession:
    """
    A session that outlives its sockets.

    Attributes:
        token_hash: SHA-256 of the secret that a resume must bring, hex.
        began: Loop time at which its first sample could have come.
        absent_since: Loop time since which nobody is connected; None while somebody is.
        audio_at: Loop time of the last audio.
        left: Set while nobody is connected.
        over_at: Loop time at which nothing more could come out; None before.
        failure: Why it ended without its summary.
        broken: The client's mistake that ended it.
    """

    session: Session
    intake: Intake
    kept: Kept | None
    token_hash: str
    began: float
    absent_since: float | None
    audio_at: float
    left: asyncio.Event = field(default_factory=asyncio.Event)
    over_at: float | None = None
    failure: TwopassError | None = None
    broken: TwopassError | None = None
    warned: bool = False
    quiet: bool = False
    _problems: int = 0
    _socket: Socket | None = None
    _running: asyncio.Task[None] | None = None
    _ending: asyncio.Task[None] | None = None
    _place: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def start(self, place: contextlib.ExitStack) -> None:
        """Recognize from now on. The place is given back when nothing more can come out."""
        self._place = place
        if self.session.complete:  # by an earlier process: whoever is connected need not wait for more
            self.over_at = asyncio.get_running_loop().time()
        self._running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            if not self.session.complete:
                await self.session.run()
        except* TwopassError as group:
            self.failure = first_error(group)
        except* Exception:
            log.exception("session failed", session=self.session.id)
            self.failure = TwopassError("Something went wrong here; it was logged.", fix="Start a new session.")
        finally:
            self._place.close()
            if self.failure is not None:
                self.session.tell(Problem(self.failure, fatal=True))
            self.over_at = asyncio.get_running_loop().time()

    # -- sockets ----------------------------------------------------------------------------------------------------

    @property
    def lasting(self) -> bool:
        """Whether another process could go on with it."""
        return self.kept is not None and self.kept.failure is None

    async def settled(self) -> bool:
        """Wait, but not for long, until what was flushed could not be lost any more; whether that is so."""
        return self.kept is not None and await self.kept.settled()

    async def attach(self, socket: Socket) -> None:
        """A client is there. Whoever was there before is dismissed first."""
        while self._socket is not None:
            old = self._socket
            old.dismiss(TakenOver("Another connection has taken this session over.", fix="Go on there."))
            await old.released.wait()
        self._socket = socket
        self.left.clear()
        self.absent_since = None
        self.audio_at = asyncio.get_running_loop().time()

    def detach(self, socket: Socket) -> None:
        """It is gone."""
        if self._socket is socket:
            self._socket = None
            self.left.set()
            self.absent_since = asyncio.get_running_loop().time()

    def dismiss(self, error: TwopassError) -> None:
        """Send away who is connected."""
        if self._socket is not None:
            self._socket.dismiss(error)

    # -- what the client says ---------------------------------------------------------------------------------------

    @property
    def ending(self) -> bool:
        """Whether no more audio is taken."""
        return self.session.ended or self._ending is not None

    async def hear(self, frame: bytes) -> None:
        """A binary frame. Raises ProtocolError, TapeError, AudioError, SessionClosed."""
        if self.ending:
            raise SessionClosed("The session has ended.", fix="Start a new one.")
        self.audio_at = asyncio.get_running_loop().time()
        self.quiet = False
        self.intake.accept(frame)
        self.session.received = self.intake.received
        await self.intake.drain(self.session)

    async def catch_up(self) -> None:
        """Decode what the socket before had brought."""
        try:
            await self.intake.drain(self.session)
        except TwopassError as error:
            self.complain(error)

    async def fall_quiet(self, seconds: float) -> None:
        """No audio came for so long: tell it, once, and wait no longer for what is missing before other audio."""
        self.quiet = True
        if self.ending:
            return
        fix = "Send audio, or say end. The session waits."
        error = TwopassError(f"No audio has come for {seconds:g} s.", code="no_audio", fix=fix)
        self.session.tell(Problem(error, fatal=False))
        self.intake.settle()
        await self.catch_up()

    def end(self) -> None:
        """No more audio. Goes on whatever becomes of the socket that said so."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())

    async def _end(self) -> None:
        try:
            await self.intake.finish(self.session)
        except SessionClosed:
            pass
        except TwopassError as error:
            self.complain(error)
        finally:
            self.session.end()

    def complain(self, error: TwopassError) -> None:
        """Tell the client. After audio that cannot be decoded, or too many mistakes, finish what was accepted."""
        self._problems += 1
        if self._problems > _MOST_PROBLEMS or self.session.ended:
            return
        fatal = isinstance(error, AudioError) or self._problems == _MOST_PROBLEMS
        self.session.tell(Problem(error, fatal))
        if fatal:
            self.broken = error
            self.session.end()

    # -- its end ----------------------------------------------------------------------------------------------------

    async def abandon(self) -> None:
        """Nobody wants it any more."""
        try:
            await self._stop()
        finally:
            if self.kept is not None:
                self.kept.complete()

    async def suspend(self) -> None:
        """Leave it to the next process."""
        try:
            await self._stop()
        finally:  # the last that was used is in the journal now
            if self.kept is not None:
                self.kept.close()

    async def _stop(self) -> None:
        self.session.suspend()
        self.intake.keep_in(forget)
        tasks = [task for task in (self._running, self._ending) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.intake.close()
        self._place.close()


def first_error(group: BaseExceptionGroup[E]) -> E:
    """One of the errors that a task group collected."""
    error = group.exceptions[0]
    return first_error(error) if isinstance(error, BaseExceptionGroup) else error
