"""
One open stream of a recognizer: hears the tape from its cursor on, in the background, and keeps what it said until
somebody takes it. So a stream can be opened before the one that it replaces is closed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import cast

import structlog

from twopass.errors import RecognizerCrashed, RecognizerError
from twopass.pacing import Pace
from twopass.places import Place
from twopass.recognizers import StreamingRecognizer, StreamOptions
from twopass.stream_clock import StreamClock
from twopass.stream_meter import StreamMeter
from twopass.tape import Cursor, Tape
from twopass.types import BYTES_PER_SAMPLE, SAMPLE_RATE, Hypothesis, Usage, samples

log = structlog.get_logger()


class OpenStream:
    """
    Args:
        place: What it hears of the tape.
        origin: Where it begins, ms.
        meter: Told what it used, as it uses it, however it ends.
        news: Set whenever it has said something or has ended.

    Attributes:
        index: Which recognizer of the list it belongs to.
        cursor: Where on the tape it is.
        clock: From its time to the session's.
        opened_at: When it was opened, seconds of the event loop's clock.
        answered: Whether it ever said anything.
    """

    def __init__(
        self,
        recognizer: StreamingRecognizer,
        tape: Tape,
        place: Place,
        origin: int,
        options: StreamOptions,
        meter: StreamMeter,
        news: asyncio.Event,
        index: int = 0,
    ) -> None:
        self.index = index
        self.place = place
        self.origin = origin
        self.cursor = Cursor(tape, samples(origin))
        self.clock = StreamClock(self.cursor.at)
        self.answered = False
        self.opened_at = self._answered_at = asyncio.get_running_loop().time()
        self._recognizer = recognizer
        self._options = replace(options, used=meter.take)
        self._meter = meter
        self._news = news
        self._answers: deque[Hypothesis] = deque()
        self._sent = 0  # samples
        self._drained = self._closing = False
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: news.set())

    @property
    def sent_seconds(self) -> float:
        """How much audio it has taken."""
        return self._sent / SAMPLE_RATE

    @property
    def silent_seconds(self) -> float:
        """For how long it has said nothing."""
        return asyncio.get_running_loop().time() - self._answered_at

    @property
    def over(self) -> bool:
        """Whether it has ended and everything that it said was taken."""
        return self._task.done() and not self._answers

    @property
    def error(self) -> RecognizerError | None:
        """Why it broke; None as long as it has not."""
        if not self._task.done() or self._closing:
            return None
        if self._task.cancelled():
            message = "The provider cancelled its own stream."
            return RecognizerCrashed(message, provider=self._provider, code="bug")
        return cast("RecognizerError | None", self._task.exception())

    def take(self) -> Hypothesis | None:
        """The next thing that it said, on its own clock; None if nothing waits."""
        return self._answers.popleft() if self._answers else None

    def jump(self, to: int) -> bool:
        """Go on at `to` (ms). Returns whether that is farther than it was."""
        hole = self.cursor.jump(samples(to))
        if hole is not None:
            self.clock.skip(hole.start, hole.end)
        return hole is not None

    async def close(self) -> None:
        """End it, in whatever state it is."""
        self._closing = True
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.exception()  # asyncio would complain of an error that nobody looked at
        self._meter.tell()

    async def _run(self) -> None:
        try:
            await self._listen()
        except RecognizerError:
            raise
        except Exception as error:  # a provider's bug must not end the session: the second pass goes on
            log.exception("the first pass's provider has a bug")
            message = f"The provider failed: {error!r}."
            raise RecognizerCrashed(message, provider=self._provider, code="bug") from error
        finally:
            self._meter.tell()
        if not self._drained:
            raise RecognizerCrashed(
                "The stream ended before its audio.", provider=self._provider, code="recognizer_ended_early"
            )

    async def _listen(self) -> None:
        answers = self._recognizer.stream(self._audio(), self._options)
        async with aclosing(answers):  # type: ignore[type-var]
            async for answer in answers:
                self.place.moved()
                if isinstance(answer, Usage):
                    self._meter.take(answer)
                else:
                    self.answered = True
                    self._answered_at = asyncio.get_running_loop().time()
                    self._answers.append(answer)
                self._news.set()

    async def _audio(self) -> AsyncIterator[bytes]:
        capabilities = self._recognizer.capabilities
        most, pace = samples(capabilities.chunk_ms), Pace(capabilities.burst_seconds, capabilities.pace)
        while chunk := await self.place.read(self.cursor, most):
            self.place.moved()
            taken = len(chunk) // BYTES_PER_SAMPLE
            self._sent += taken
            self._meter.sent(self.cursor.at - taken, self.cursor.at)
            yield chunk
            if early := pace.wait(self.sent_seconds, asyncio.get_running_loop().time() - self.opened_at):
                await asyncio.sleep(early)
        self._drained = True

    @property
    def _provider(self) -> str:
        return self._recognizer.capabilities.provider
