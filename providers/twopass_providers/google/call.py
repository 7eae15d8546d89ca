"""One stream: audio goes there, replies come back, each in its own time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from twopass.errors import RecognizerCrashed, RecognizerError, RecognizerTimeout
from twopass.types import BYTES_PER_SAMPLE, SAMPLES_PER_MS
from twopass_providers.google import messages, refusals
from twopass_providers.google.connection import Connection, Status
from twopass_providers.google.messages import Reply
from twopass_providers.google.settings import NAME, GoogleSettings

_HIDDEN = "Internal error from Core"
_LOOKS = 250
_LOOK_SECONDS = 0.004


class Call:
    """
    Args:
        opening: The first request.

    Attributes:
        heard: How much audio was sent, ms.
    """

    def __init__(self, connection: Connection, settings: GoogleSettings, opening: dict[str, Any]) -> None:
        self._connection = connection
        self._set = settings
        self._opening = opening
        self._sent = 0  # bytes
        self._drained = False  # the audio has ended
        self._waiting: asyncio.Timeout | None = None  # for the next reply
        self._sender: asyncio.Task[None] | None = None
        self._rpc: Any = None
        self._status: Status | None = None
        self._responses: AsyncIterator[Any] | None = None

    @property
    def heard(self) -> int:
        return self._sent // BYTES_PER_SAMPLE // SAMPLES_PER_MS

    async def replies(self, audio: AsyncIterator[bytes]) -> AsyncIterator[Reply]:
        """Send the audio, and give what comes back, until Google ends. Raises RecognizerError."""
        try:
            self._rpc = await self._connection.call()
            self._rpc.add_done_callback(self._note)
            self._responses = aiter(self._rpc)
            self._sender = asyncio.create_task(self._send(audio))
            while (response := await self._next(self._responses)) is not None:
                yield self._read(response)
            if not self._drained:
                raise _ended_early()
        except RecognizerError:
            raise
        except Exception as error:
            reason = await self._reason(error)
            known = reason if isinstance(reason, RecognizerError) else refusals.error_of(reason)
            if known is None:
                raise
            raise known from error
        finally:
            await self._end()

    def _note(self, call: Any) -> None:
        """The call has ended: remember why."""
        status = Status(*(_at_once(asked) for asked in (call.code(), call.details(), call.trailing_metadata())))
        if status.details != _HIDDEN:
            self._status = status

    async def _reason(self, error: Exception) -> Exception:
        """
        Why the stream broke.

        If audio is being written at the very moment at which Google ends the stream, gRPC makes an error of its own
        of that, and forgets Google's reason; it was noted before, or follows a moment later.
        """
        if _HIDDEN not in str(error):
            return error
        for _ in range(_LOOKS):
            if self._status is not None:
                return self._connection.error_of(self._status) or _ended_early()
            await asyncio.sleep(_LOOK_SECONDS)
        return error

    def _read(self, response: Any) -> Reply:
        reply = self._connection.read(response)
        if reply.error is not None:
            raise refusals.status_error(reply.error.code, reply.error.message)
        return reply

    async def _next(self, responses: AsyncIterator[Any]) -> Any:
        try:
            async with asyncio.timeout_at(self._deadline()) as self._waiting:
                return await anext(responses, None)
        except TimeoutError:
            raise RecognizerTimeout("Google does not answer to the end of the audio.", provider=NAME) from None
        except asyncio.CancelledError:
            self._raise_senders_error()
            raise
        finally:
            self._waiting = None

    def _deadline(self) -> float | None:
        """While audio is sent, Google may be quiet for as long as nobody speaks."""
        return asyncio.get_running_loop().time() + self._set.finish_seconds if self._drained else None

    def _raise_senders_error(self) -> None:
        """If the audio broke, the sender cancelled the call."""
        if self._sender is not None and self._sender.done() and not self._sender.cancelled():
            error = self._sender.exception()
            if error is not None:
                raise error

    async def _send(self, audio: AsyncIterator[bytes]) -> None:
        try:
            if not await self._write(self._opening):
                return
            async for chunk in audio:
                for piece in messages.pieces(chunk):
                    self._sent += len(piece)
                    if not await self._write(messages.audio(self._set.api, piece)):
                        return
            self._drained = True
            with contextlib.suppress(Exception):
                await self._rpc.done_writing()
            if self._waiting is not None:
                self._waiting.reschedule(self._deadline())
        except BaseException:
            self._rpc.cancel()
            raise

    async def _write(self, fields: dict[str, Any]) -> bool:
        """Whether it could be sent: if not, the replies end and say why."""
        request = self._connection.request(fields)
        try:
            await self._rpc.write(request)
        except Exception:
            if not self._rpc.done():
                raise
            return False
        return True

    async def _end(self) -> None:
        """Leave nothing behind, in whatever state it is."""
        if self._rpc is None:
            return
        self._rpc.cancel()
        tasks = {asyncio.ensure_future(self._exhaust())}
        if self._sender is not None:
            self._sender.cancel()
            tasks.add(self._sender)
        await asyncio.wait(tasks)
        for task in tasks:
            _ = task.cancelled() or task.exception()  # asyncio would complain of an error that nobody looked at

    async def _exhaust(self) -> None:
        """The SDK's iterators end only if somebody takes what is left."""
        if self._responses is not None:
            async for _ in self._responses:
                pass


def _ended_early() -> RecognizerCrashed:
    """gRPC calls this a clean end; but nobody who is still being sent audio ends in order."""
    message = "Google ended the stream before its audio."
    return RecognizerCrashed(message, provider=NAME, code="recognizer_ended_early")


def _at_once(answer: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that has nothing to wait for: gRPC tells of ended calls only through such."""
    try:
        answer.send(None)
    except StopIteration as done:
        return done.value
    finally:
        answer.close()
    raise AssertionError("It waits.")
