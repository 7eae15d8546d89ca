"""
The first pass: from the tape to a streaming recognizer, and its answers on the session clock.

A recognizer that finds the ends of utterances itself hears the whole tape in one stream. Any other gets one stream
per utterance of our segmenter, so it hears no silence. Either way the stream's origin on the tape is known, every
answer is rebased, and a stream that fails is opened again with its cursor at the end of the last final word.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol, cast

import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from twopass.errors import RecognizerCrashed, RecognizerError, RecognizerTimeout
from twopass.recognizers import Capabilities, StreamingRecognizer, StreamOptions
from twopass.reconciler import FOREVER, SNAP_MS, FirstPass, Settled
from twopass.tape import Cursor, Tape
from twopass.types import Hypothesis, Usage, Utterance, Words, milliseconds, samples

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FirstPassSettings:
    """
    Attributes:
        attempts: How often a stream is opened before the place is given up to the second pass.
        backoff_seconds: First wait between attempts; doubles, with jitter.
        silence_seconds: A recognizer that says nothing for so long after its audio ended is taken for dead.
        overlap_ms: After a forced cut the new stream hears this much of what came before.
    """

    attempts: int = 3
    backoff_seconds: float = 0.1
    silence_seconds: float = 5.0
    overlap_ms: int = 500


class Listener(Protocol):
    """Where the first pass's news go. All are plain functions called in the event loop."""

    def fact(self, fact: FirstPass | Settled) -> None: ...

    def used(self, usage: Usage) -> None: ...

    def trouble(self, error: RecognizerError, *, retrying: bool) -> None: ...


@dataclass(slots=True)
class _Stream:
    """One open stream: where it began on the tape, and what it said last."""

    number: int
    origin: int
    cursor: Cursor
    said: int = 0


class FirstPassRunner:
    """One channel's first pass. Runs until the tape ends, or `utterance` is told and `finish` called."""

    def __init__(
        self,
        recognizer: StreamingRecognizer,
        tape: Tape,
        options: StreamOptions,
        listener: Listener,
        settings: FirstPassSettings,
    ) -> None:
        self._recognizer = recognizer
        self._tape = tape
        self._options = options
        self._listener = listener
        self._set = settings
        self._streams = 0
        self._utterances: asyncio.Queue[_Heard | None] = asyncio.Queue()
        self._pending: deque[_Heard | _Whole] = deque()
        self._current: _Heard | None = None

    @property
    def capabilities(self) -> Capabilities:
        return self._recognizer.capabilities

    def opened(self, utterance: Utterance) -> None:
        """The segmenter opened an utterance."""
        self._current = _Heard(utterance)
        if not self.capabilities.endpoints:
            self._utterances.put_nowait(self._current)
            self._pending.append(self._current)

    def closed(self, utterance: Utterance) -> None:
        """The segmenter closed the utterance that it opened last."""
        if self._current is not None:
            self._current.close(utterance)

    @property
    def needs_from(self) -> int | None:
        """The first sample that it still has to hear; None if it has heard everything."""
        return samples(self._pending[0].origin(self._set.overlap_ms)) if self._pending else None

    def finish(self) -> None:
        """No more utterances will be opened."""
        self._utterances.put_nowait(None)

    async def run(self) -> None:
        """Recognize until the end. Never raises for a recognizer's failure: that is `trouble`."""
        try:
            if self.capabilities.endpoints:
                self._pending.append(_Whole(self._tape))
                await self._attempts(self._pending[0])
            else:
                while (utterance := await self._utterances.get()) is not None:
                    await self._attempts(utterance)
                    self._pending.popleft()
                    self._listener.fact(Settled(await utterance.settled_until()))
        finally:
            self._pending.clear()
            self._listener.fact(Settled(FOREVER))

    async def _attempts(self, place: _Place) -> None:
        """Stream a place, again from the last final word when the stream breaks and trying again can help."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, RecognizerError) and error.retryable),
            stop=stop_after_attempt(self._set.attempts),
            wait=wait_exponential(self._set.backoff_seconds, max=2.0) + wait_random(0, self._set.backoff_seconds),
            before_sleep=self._tell_retry,
            reraise=True,
        )
        try:
            await retrying(self._one_stream, place)
        except RecognizerError as error:
            self._listener.trouble(error, retrying=False)

    def _tell_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._listener.trouble(cast("RecognizerError", error), retrying=True)

    async def _one_stream(self, place: _Place) -> None:
        place.moved()
        origin = place.origin(self._set.overlap_ms)
        stream = _Stream(self._streams, origin, Cursor(self._tape, samples(origin)))
        self._streams += 1
        answers = self._recognizer.stream(self._audio(stream.cursor, place), self._options)
        provider = self.capabilities.provider
        try:
            async with aclosing(_patient(answers, place, self._set.silence_seconds, provider)) as heard:
                async for answer in heard:
                    if isinstance(answer, Usage):
                        self._listener.used(answer)
                    else:
                        self._say(answer, stream, place)
        except RecognizerError:
            raise
        except Exception as error:  # a provider's bug must not end the session: the second pass goes on
            log.exception("the first pass's provider has a bug")
            raise RecognizerCrashed(f"The provider failed: {error!r}.", provider=provider, code="bug") from error

    async def _audio(self, cursor: Cursor, place: _Place) -> AsyncIterator[bytes]:
        most = samples(self.capabilities.chunk_ms)
        while chunk := await place.read(cursor, most):
            place.moved()
            yield chunk

    def _say(self, hypothesis: Hypothesis, stream: _Stream, place: _Place) -> None:
        heard = hypothesis.shifted(stream.origin)
        rebased = place.clipped(heard)
        if rebased.final:
            place.done_until = rebased.words[-1].end if rebased.words else rebased.end
        for said in (rebased, place.beyond(heard)):
            if said is not None:
                stream.said += 1
                self._listener.fact(FirstPass(said, (stream.number, stream.said)))
        if rebased.final and self.capabilities.endpoints:
            self._listener.fact(Settled(rebased.end))


class _Place(ABC):
    """
    A stretch of tape that one stream hears.

    Attributes:
        done_until: End of the last final word, ms: where the next stream begins.
    """

    def __init__(self, start: int) -> None:
        self.done_until = start
        self._moved = 0.0

    def moved(self) -> None:
        """The recognizer took audio or gave an answer."""
        self._moved = asyncio.get_running_loop().time()

    def silent_for(self, seconds: float) -> bool:
        """Whether the place has ended and nothing has moved for so long."""
        return self.over and asyncio.get_running_loop().time() - self._moved >= seconds

    @property
    @abstractmethod
    def over(self) -> bool:
        """Whether no more audio will come."""

    @abstractmethod
    def origin(self, overlap_ms: int) -> int:
        """Where the stream begins, ms."""

    @abstractmethod
    async def read(self, cursor: Cursor, most: int) -> bytes:
        """The next audio, b"" at the end."""

    @abstractmethod
    def clipped(self, hypothesis: Hypothesis) -> Hypothesis:
        """Only what belongs to this place."""

    def beyond(self, hypothesis: Hypothesis) -> Hypothesis | None:  # noqa: ARG002 - for those who override it
        """What was heard after the end of the place, to be shown until the next stream has heard it too."""
        return None


class _Whole(_Place):
    """The whole tape."""

    def __init__(self, tape: Tape) -> None:
        super().__init__(0)
        self._tape = tape

    @property
    def over(self) -> bool:
        return self._tape.finished

    def origin(self, overlap_ms: int) -> int:  # noqa: ARG002 - the contract's
        return max(self.done_until, milliseconds(self._tape.start))

    async def read(self, cursor: Cursor, most: int) -> bytes:
        return await cursor.next(most)

    def clipped(self, hypothesis: Hypothesis) -> Hypothesis:
        return hypothesis


class _Heard(_Place):
    """One utterance of the segmenter, whose end comes later."""

    def __init__(self, utterance: Utterance) -> None:
        super().__init__(utterance.start)
        self._utterance = utterance
        self._closed = asyncio.Event()

    @property
    def over(self) -> bool:
        return self._closed.is_set()

    def close(self, utterance: Utterance) -> None:
        self._utterance = utterance
        self._closed.set()

    async def settled_until(self) -> int:
        """The end of the place, once it is known. (A stream may fail before its utterance ends.)"""
        await self._closed.wait()
        utterance = self._utterance
        assert utterance.end is not None
        return utterance.end + (0 if utterance.cut_right else SNAP_MS)

    def origin(self, overlap_ms: int) -> int:
        return max(0, self.done_until - (overlap_ms if self._utterance.cut_left else 0))

    async def read(self, cursor: Cursor, most: int) -> bytes:
        chunk = b""
        while not chunk:
            end = self._utterance.end
            if end is not None and cursor.at >= samples(end):
                break
            if end is None and cursor.lag == 0:
                await self._more(cursor)
                if cursor.lag == 0 and cursor.tape.finished and not self._closed.is_set():
                    await self._closed.wait()
                continue
            chunk = await cursor.next(most, until=None if end is None else samples(end))
            if not chunk:
                break
        return chunk

    async def _more(self, cursor: Cursor) -> None:
        """Wait for more tape or for the end of the utterance, whichever comes first."""
        waits = {asyncio.ensure_future(cursor.tape.wait_beyond(cursor.at)), asyncio.ensure_future(self._closed.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def clipped(self, hypothesis: Hypothesis) -> Hypothesis:
        start, end = self._utterance.start, self._utterance.end
        words = _between(hypothesis.words, start, end)
        lost = len(_between(hypothesis.words, 0, start))
        high = max(start, hypothesis.end if end is None else end if hypothesis.final else min(end, hypothesis.end))
        return replace(hypothesis, start=start, end=high, words=words, stable=max(0, hypothesis.stable - lost))

    def beyond(self, hypothesis: Hypothesis) -> Hypothesis | None:
        end = self._utterance.end
        words = () if end is None else _between(hypothesis.words, end, None)
        if end is None or not words or not hypothesis.final or not self._utterance.cut_right:
            return None
        return replace(hypothesis, start=end, end=max(end, hypothesis.end), words=words, stable=0, final=False)


def _between(words: Words, start: int, end: int | None) -> Words:
    return tuple(word for word in words if word.middle >= start and (end is None or word.middle < end))


async def _patient(
    answers: AsyncIterator[Hypothesis | Usage], place: _Place, silence_seconds: float, provider: str
) -> AsyncGenerator[Hypothesis | Usage, None]:
    """The same answers; raises RecognizerTimeout when the audio has ended and nothing moves any more."""
    async with aclosing(answers):  # type: ignore[type-var]
        while True:
            following = asyncio.ensure_future(anext(answers))
            try:
                while not following.done():
                    await asyncio.wait({following}, timeout=silence_seconds / 4)
                    if not following.done() and place.silent_for(silence_seconds):
                        raise RecognizerTimeout("No answer after the end of the audio.", provider=provider)
                answer = following.result()
            except StopAsyncIteration:
                return
            finally:
                following.cancel()
                await asyncio.wait({following})  # a generator can only be closed when it is at rest
            place.moved()
            yield answer
