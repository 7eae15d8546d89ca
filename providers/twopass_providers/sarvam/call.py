"""One stream: audio goes there, events come back, each in its own time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Any

import structlog

from twopass.errors import RecognizerError, RecognizerTimeout
from twopass.types import BYTES_PER_SAMPLE, SAMPLES_PER_MS
from twopass_providers.sarvam import messages, refusals
from twopass_providers.sarvam.connection import Client, Line
from twopass_providers.sarvam.messages import Event, Failure, SessionEnds
from twopass_providers.sarvam.settings import NAME, SarvamSettings

log = structlog.get_logger()

_PARTING_SECONDS = 1.0
"""So long the bill and the closing handshake may take after the last word was said."""


class Call:
    """
    Args:
        query: What the stream is opened with.

    Attributes:
        heard: How much audio was sent, ms.
    """

    def __init__(self, client: Client, settings: SarvamSettings, query: dict[str, str]) -> None:
        self._client = client
        self._set = settings
        self._query = query
        self._sent = 0  # bytes
        self._idle = True  # nothing was sent since the last look
        self._drained = False  # the audio has ended
        self._ended = False  # Sarvam has said everything
        self._failure: Failure | None = None
        self._broken: BaseException | None = None  # on our side
        self._waiting: asyncio.Timeout | None = None  # for the next event

    @property
    def heard(self) -> int:
        return self._sent // BYTES_PER_SAMPLE // SAMPLES_PER_MS

    async def events(self, audio: AsyncIterator[bytes]) -> AsyncIterator[Event]:
        """Send the audio, and give what comes back, until Sarvam ends. Raises RecognizerError."""
        async with self._client.line(self._query) as line:
            tasks = [asyncio.create_task(work) for work in (self._send(line, audio), self._keep_alive(line))]
            try:
                async with aclosing(line.messages()) as received:
                    while (message := await self._next(line, received)) is not None:
                        event = messages.read(message)
                        self._note(event)
                        if event is not None:
                            yield event
                self._check(line)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    def _note(self, event: Event | None) -> None:
        if isinstance(event, SessionEnds):
            self._ended = True
        elif isinstance(event, Failure) and event.fatal:
            self._failure = event
        elif isinstance(event, Failure):
            log.warning("sarvam goes on after an error", code=event.code)

    def _check(self, line: Line) -> None:
        """Whether that was the end, and not a break. Raises RecognizerError, or what broke on our side."""
        if self._broken is not None:
            raise self._broken
        if self._failure is not None:
            raise refusals.of_failure(self._failure)
        code, reason = line.end_code
        if not self._drained or not (self._ended or code == 1000):
            raise refusals.of_close(code, reason)

    # -- coming back ------------------------------------------------------------------------------------------------

    async def _next(self, line: Line, received: Any) -> Any:
        """The next message of the SDK, None at the end of the socket."""
        try:
            async with asyncio.timeout_at(self._deadline()) as self._waiting:
                return await anext(received, None)
        except TimeoutError:
            if self._ended or self._failure:
                return None
            raise RecognizerTimeout("Sarvam does not answer to the end of the audio.", provider=NAME) from None
        except line.closed:
            return None
        except Exception as error:
            known = refusals.of_exception(error)
            if known is None:
                raise
            raise known from None
        finally:
            self._waiting = None

    def _deadline(self) -> float | None:
        """While audio is sent, Sarvam may be quiet for as long as nobody speaks."""
        now = asyncio.get_running_loop().time()
        if self._ended or self._failure:
            return now + _PARTING_SECONDS
        return now + self._set.finish_seconds if self._drained else None

    # -- going there ------------------------------------------------------------------------------------------------

    async def _send(self, line: Line, audio: AsyncIterator[bytes]) -> None:
        try:
            async for chunk in audio:
                for piece in messages.pieces(chunk):
                    self._sent += len(piece)
                    if not await self._push(line, line.audio(piece)):
                        return
            self._drained = True
            await self._push(line, line.end())
            if self._waiting is not None:
                self._waiting.reschedule(self._deadline())
        except Exception as error:
            self._breaks(line, error)

    async def _keep_alive(self, line: Line) -> None:
        """Sarvam closes a socket on which nothing comes for a minute."""
        while not self._drained:
            self._idle = True
            await asyncio.sleep(self._set.ping_seconds)
            if self._idle and not self._drained:
                try:
                    await self._push(line, line.ping())
                except RecognizerError as error:
                    self._breaks(line, error)

    async def _push(self, line: Line, sending: Coroutine[Any, Any, None]) -> bool:
        """Whether it could be sent: if not, the socket is closed, and who reads from it learns why."""
        self._idle = False
        try:
            async with asyncio.timeout(self._set.finish_seconds):
                await sending
        except TimeoutError:
            raise RecognizerTimeout("Sarvam takes no audio any more.", provider=NAME) from None
        except line.closed:
            return False
        return True

    def _breaks(self, line: Line, error: BaseException) -> None:
        self._broken = error
        line.drop()
