"""One stream: audio goes there, events come back, each in its own time."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable

from twopass.errors import RecognizerCrashed, RecognizerError, RecognizerTimeout
from twopass.pacing import Pace
from twopass.types import BYTES_PER_SAMPLE, SAMPLE_RATE
from twopass_providers.azure import messages, refusals
from twopass_providers.azure.messages import Cancelled, Connected, Disconnected, Event, Failed, Ready, Said, Stopped
from twopass_providers.azure.session import Session, Tell
from twopass_providers.azure.settings import NAME, AzureSettings

_BYTES_PER_MS = SAMPLE_RATE * BYTES_PER_SAMPLE // 1000
_CHUNK = 100 * _BYTES_PER_MS
_PACE = 2.0
_GIVING_UP_SECONDS = 1.0


class Call:
    """
    Args:
        open_session: Begins one that tells its events to what it is given.

    Attributes:
        heard: How much audio was written, ms.
    """

    def __init__(self, settings: AzureSettings, open_session: Callable[[Tell], Session]) -> None:
        self._set = settings
        self._open = open_session
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | Exception] = asyncio.Queue()
        self._sent = 0  # bytes
        self._began = self._loop.time()
        self._connecting: float | None = self._began  # since when it tries to reach Azure
        self._breaks = 0  # of the connection, since the last phrase
        self._drained = False  # the audio has ended
        self._last = self._began  # when something happened
        self._waiting: asyncio.Timeout | None = None  # for the next event
        self._sender: asyncio.Task[None] | None = None

    @property
    def heard(self) -> int:
        return self._sent // _BYTES_PER_MS

    async def said(self, audio: AsyncIterator[bytes]) -> AsyncIterator[Said | Disconnected]:
        """Send the audio, and give what Azure says of it until it has said everything. Raises RecognizerError."""
        session = self._open(self._tell)
        try:
            while not self._ends(event := await self._next()):
                if isinstance(event, Ready):
                    self._sender = asyncio.create_task(self._send(session, audio))
                elif isinstance(event, Said | Disconnected):
                    yield event
        finally:
            session.end()
            await self._end_sender()

    def _tell(self, event: Event) -> None:
        """Called in any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def _ends(self, event: Event) -> bool:
        """Whether that was the end. Raises RecognizerError if it was not in order."""
        if isinstance(event, Failed):
            raise refusals.raised(event.error) or event.error
        if isinstance(event, Cancelled) and not refusals.ENDS.get(event.reason, False):
            raise refusals.cancelled(event.code, event.details)
        over = isinstance(event, Cancelled | Stopped)
        if over and not self._drained:
            raise _ended_early()
        return over

    # -- waiting ----------------------------------------------------------------------------------------------------

    async def _next(self) -> Event:
        """The next event. Raises RecognizerTimeout, and what the audio's source raised."""
        try:
            async with asyncio.timeout_at(self._deadline()) as self._waiting:
                event = await self._events.get()
        except TimeoutError:
            raise self._too_late() from None
        finally:
            self._waiting = None
        if isinstance(event, Exception):
            raise event
        self._notice(event)
        return event

    def _notice(self, event: Event) -> None:
        self._last = self._loop.time()
        if isinstance(event, Connected):
            self._connecting = None
        elif isinstance(event, Disconnected):
            self._connecting = self._last
            self._breaks += 1
        elif isinstance(event, Said) and event.final:
            self._breaks = 0

    def _deadline(self) -> float | None:
        """When it is given up. While audio comes, the first pass says so: it knows whether somebody speaks."""
        ends = [end for end in (self._connect_deadline, self._finish_deadline) if end is not None]
        return min(ends, default=None)

    @property
    def _connect_deadline(self) -> float | None:
        if self._connecting is None:
            return None
        if self._given_up:
            return self._connecting + _GIVING_UP_SECONDS
        return self._connecting + self._set.connect_seconds + self._set.sdk_retries * messages.RETRY_MS / 1000

    @property
    def _given_up(self) -> bool:
        """The SDK has no retry left. It should say so, but says nothing if Azure closed the connection in order."""
        return self._breaks > self._set.sdk_retries

    @property
    def _finish_deadline(self) -> float | None:
        return max(self._last, self._all_sent) + self._set.finish_seconds if self._drained else None

    @property
    def _all_sent(self) -> float:
        """When the SDK, which does not send all at once, should have sent everything."""
        seconds = self._sent / SAMPLE_RATE / BYTES_PER_SAMPLE
        return self._began + Pace(self._set.burst_seconds, _PACE).wait(seconds, 0.0)

    def _too_late(self) -> RecognizerError:
        if self._connect_deadline is not None and self._connect_deadline <= self._loop.time():
            if self._given_up:
                return RecognizerCrashed("Azure closed the connection.", provider=NAME)
            text = f"Azure cannot be reached within {self._set.connect_seconds:g} s."
            return RecognizerTimeout(text, provider=NAME, code="connect_timeout", fix="Check network and endpoint.")
        text = f"Azure does not answer within {self._set.finish_seconds:g} s to the end of the audio."
        return RecognizerTimeout(text, provider=NAME)

    # -- sending ----------------------------------------------------------------------------------------------------

    async def _send(self, session: Session, audio: AsyncIterator[bytes]) -> None:
        try:
            async for chunk in audio:
                for at in range(0, len(chunk), _CHUNK):
                    piece = chunk[at : at + _CHUNK]
                    self._sent += len(piece)
                    session.write(piece)
            session.finish()
        except Exception as error:  # whoever waits for events is to know
            self._events.put_nowait(error)
            return
        self._drained = True
        self._last = self._loop.time()
        if self._waiting is not None and (deadline := self._deadline()) is not None:
            self._waiting.reschedule(min(deadline, self._waiting.when() or math.inf))

    async def _end_sender(self) -> None:
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait({self._sender})


def _ended_early() -> RecognizerCrashed:
    return RecognizerCrashed("Azure ended the stream before its audio.", provider=NAME, code="recognizer_ended_early")
