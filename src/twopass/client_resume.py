"""What a client must remember of a session to go on with it, and how it gets its connection back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from twopass.client_line import ConnectionLost, Line, LineBroken, ServerRefused, Unreachable
from twopass.client_outgoing import AudioMissing, Outgoing
from twopass.gateway.messages import (
    AnyServerMessage,
    Ended,
    ErrorMessage,
    Resumed,
    SessionResume,
    SessionStarted,
    Start,
)

_FIRST_WAIT = 0.25
_LONGEST_WAIT = 5.0
_ANSWER_SECONDS = 15.0  # whom we take the session over from is given some seconds to leave
_INTERNAL = 1011
_MOST_INTERNAL = 5
_BEGINNINGS = 5
_ELSEWHERE = (1001, 1012)


@dataclass(frozen=True)
class Broken:
    """
    A break that the session can survive.

    Attributes:
        why: For people.
        fruitless: How many connections in a row have now brought nothing new.
    """

    why: str
    fruitless: int


class Memory:
    """
    One session over all its connections.

    Attributes:
        last_event: The number of the last event taken.
        fatal: What the server said has ended the session early.
        ended: The last message was taken.
    """

    def __init__(self, started: SessionStarted, outgoing: Outgoing) -> None:
        self._started = started
        self._outgoing = outgoing
        self._parting: ErrorMessage | None = None  # why the server closes this connection
        self._fruitless = self._internal = 0
        self.last_event = started.event
        self.fatal: ErrorMessage | None = None
        self.ended = False

    @property
    def resume_seconds(self) -> float:
        """How long the session waits."""
        return self._started.resume_seconds

    @property
    def request(self) -> SessionResume:
        """How to ask for the session."""
        return SessionResume(session=self._started.session, token=self._started.token, last_event=self.last_event)

    def take(self, message: AnyServerMessage) -> bool:
        """Returns whether the message is new, and meant for who reads the session."""
        fresh = message.event > self.last_event and not isinstance(message, Resumed)
        if fresh:
            self.last_event = message.event
            self._fruitless = self._internal = 0
        if isinstance(message, ErrorMessage) and message.fatal:
            # What ends only this connection has no number of its own.
            if fresh and not message.retryable:
                self.fatal = message
            else:
                self._parting = message
            return False
        self.ended = self.ended or (fresh and isinstance(message, Ended))
        return fresh

    def broke(self, line: LineBroken) -> Broken:
        """A line has broken. Raises ServerRefused if the server meant it."""
        parting, self._parting = self._parting, None
        self._fruitless += 1
        self._internal += line.code == _INTERNAL
        reason = self.fatal if self.fatal and line.code not in (None, *_ELSEWHERE) else parting
        if line.final or reason is self.fatal is not None or self._internal > _MOST_INTERNAL:
            if reason is None:
                message = f"The server closed the connection before the transcript was complete ({line.why})."
                raise ServerRefused(message, code=line.reason or ServerRefused.code)
            raise refusal(reason)
        return Broken(line.why, self._fruitless)

    def go_on(self, resumed: Resumed) -> None:
        """The session goes on. Raises ConnectionLost if audio that it needs is not kept any more."""
        try:
            self._outgoing.go_on(resumed)
        except AudioMissing:
            message = "The server has lost audio that this client does not keep any more."
            raise ConnectionLost(message, fix="Start a new session.") from None


async def first_line(open_line: Callable[[], Awaitable[Line]], start: Start) -> tuple[Line, SessionStarted]:
    """
    Begin a session. A line that breaks before the answer is tried again a few times: nothing was sent on it yet.

    Raises ServerRefused, ConnectionLost.
    """
    attempts = AsyncRetrying(
        retry=retry_if_exception(_broke_off),
        wait=wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT),
        stop=stop_after_attempt(_BEGINNINGS),
        reraise=True,
    )
    return await attempts(_begin, open_line, start)


def _broke_off(error: BaseException) -> bool:
    """Whether somebody had answered. Where nobody listens, who asked is to know at once."""
    cause = error.__cause__
    return isinstance(error, Unreachable) and (
        not isinstance(cause, OSError) or isinstance(cause, ConnectionResetError)
    )


async def _begin(open_line: Callable[[], Awaitable[Line]], start: Start) -> tuple[Line, SessionStarted]:
    line = await open_line()
    try:
        message = await line.ask(start)
    except LineBroken as error:
        line.abort()
        kind = ConnectionLost if error.final else Unreachable
        raise kind(f"The connection closed before the session began ({error.why}).") from error
    except BaseException:
        line.abort()
        raise
    if isinstance(message, SessionStarted):
        return line, message
    line.abort()
    if isinstance(message, ErrorMessage):
        raise refusal(message)
    raise ConnectionLost(f"The server answered the start with {message.type!r}.")


async def regain(open_line: Callable[[], Awaitable[Line]], memory: Memory, broken: Broken) -> Line:
    """
    Ask for the session again and again, until it is there or the server has given it up.

    Raises ConnectionLost.
    """
    # All clients of a server lose it at the same time; they must not all come back at the same time.
    await asyncio.sleep(random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(broken.fruitless - 1, 10))))
    attempts = AsyncRetrying(
        retry=retry_if_exception_type(Unreachable),
        wait=wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT),
        stop=stop_after_delay(memory.resume_seconds),
        reraise=True,
    )
    try:
        return await attempts(_resume, open_line, memory)
    except ConnectionLost as error:
        if memory.fatal is not None:
            raise refusal(memory.fatal) from error
        message = (
            f"The connection closed before the transcript was complete ({broken.why}), and the session cannot go on."
        )
        raise ConnectionLost(f"{message} {error.message}", fix=error.fix) from error


async def _resume(open_line: Callable[[], Awaitable[Line]], memory: Memory) -> Line:
    line = await open_line()
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            memory.go_on(await _answer(line, memory))
    except TimeoutError:
        line.abort()
        raise Unreachable("The server does not answer.", fix="Is it overloaded?") from None
    except BaseException:
        line.abort()
        raise
    return line


async def _answer(line: Line, memory: Memory) -> Resumed:
    refused: ErrorMessage | None = None
    try:
        message = await line.ask(memory.request)
        while isinstance(message, ErrorMessage):
            refused = message  # the code that follows says what it means
            message = await line.hear()
    except LineBroken as error:
        kind = ConnectionLost if error.final else Unreachable
        if refused is not None:
            raise kind(refused.message, fix=refused.fix) from error
        raise kind(f"The server closed the connection ({error.why}).") from error
    if not isinstance(message, Resumed):
        raise ConnectionLost(f"The server answered the resume with {message.type!r}.")
    return message


def refusal(message: ErrorMessage) -> ServerRefused:
    """What the server said, as an error."""
    return ServerRefused(message.message, code=message.code, fix=message.fix)
