"""
The first pass: from the tape to a streaming recognizer, and its answers on the session clock.

A recognizer that finds the ends of utterances itself hears the whole tape in one stream. Any other gets one stream
per utterance of our segmenter, so it hears no silence. Either way the stream's origin on the tape is known, every
answer is rebased, and a stream that fails is opened again with its cursor at the end of the last final word.

Of people who speak now, only so much audio may wait: beyond that the oldest is skipped and the stream's clock (see
`stream_clock`) is put right. What is skipped, the second pass still hears.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol, cast

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential, wait_random

from twopass.backlog import Report, Skipping, Span, latest_start, waiting
from twopass.errors import RecognizerCrashed, RecognizerError, RecognizerTimeout
from twopass.places import Heard, Place, Whole, words_between
from twopass.recognizers import Capabilities, StreamingRecognizer, StreamOptions
from twopass.reconciler import FOREVER, FirstPass, Settled
from twopass.stream_clock import StreamClock
from twopass.tape import Cursor, Tape
from twopass.types import BYTES_PER_SAMPLE, SAMPLES_PER_MS, Hypothesis, Usage, Utterance, milliseconds, samples

log = structlog.get_logger()

_QUIET_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class FirstPassSettings:
    """
    Attributes:
        attempts: How many streams in a row may break without a new final word, before the place is given up to the
            second pass.
        backoff_seconds: First wait between attempts; doubles, with jitter.
        silence_seconds: A recognizer that says nothing for so long after its audio ended, or after audio had to be
            skipped because it took none, is taken for dead.
        overlap_ms: After a forced cut the new stream hears this much of what came before.
        max_waiting_chunks: So many chunks of audio may wait for the recognizer; beyond, the oldest is skipped.
        max_waiting_ms: The same in time.
        max_waiting_bytes: The same in bytes. Whichever is least counts, but one chunk may always wait.
    """

    attempts: int = 3
    backoff_seconds: float = 0.1
    silence_seconds: float = 5.0
    overlap_ms: int = 500
    max_waiting_chunks: int = 50
    max_waiting_ms: int = 5_000
    max_waiting_bytes: int = 160_000

    def most_waiting(self, chunk_ms: int) -> int:
        """How much audio (ms) may wait for a recognizer that likes chunks of this size."""
        in_bytes = milliseconds(self.max_waiting_bytes // BYTES_PER_SAMPLE)
        return max(chunk_ms, min(self.max_waiting_chunks * chunk_ms, self.max_waiting_ms, in_bytes))


class Listener(Protocol):
    """Where the first pass's news go. All are plain functions called in the event loop."""

    def fact(self, fact: FirstPass | Settled) -> None: ...

    def used(self, usage: Usage) -> None: ...

    def trouble(self, error: RecognizerError, *, retrying: bool) -> None: ...

    def skipped(self, start: int, end: int, depth: int, *, over: bool) -> None:
        """See `backlog.Report`; ms."""


class _Stream:
    """
    One open stream: what it hears, and what it said last.

    Attributes:
        belief: Its last hypothesis, on the session clock, if that was no final one.
    """

    def __init__(self, number: int, tape: Tape, origin: int) -> None:
        self.number = number
        self.cursor = Cursor(tape, samples(origin))
        self.clock = StreamClock(self.cursor.at)
        self.belief: Hypothesis | None = None
        self._said = 0

    def says(self, hypothesis: Hypothesis) -> FirstPass:
        """The next thing that it says."""
        self._said += 1
        return FirstPass(hypothesis, (self.number, self._said))

    def jump(self, to: int) -> bool:
        """Go on at `to` (ms). Returns whether that is farther than it was."""
        hole = self.cursor.jump(samples(to))
        if hole is not None:
            self.clock.skip(hole.start, hole.end)
        return hole is not None


class FirstPassRunner:
    """
    One channel's first pass. Runs until the tape ends, or `utterance` is told and `finish` called.

    Args:
        first_stream: The number of its first stream.
        settled: Everything before (ms) has been said: a recognizer that hears the whole tape begins there.
    """

    def __init__(
        self,
        recognizer: StreamingRecognizer,
        tape: Tape,
        options: StreamOptions,
        listener: Listener,
        settings: FirstPassSettings,
        *,
        first_stream: int = 0,
        settled: int = 0,
    ) -> None:
        self._recognizer = recognizer
        self._tape = tape
        self._options = options
        self._listener = listener
        self._set = settings
        self._streams = first_stream
        self._utterances: asyncio.Queue[Heard | None] = asyncio.Queue()
        self._pending: deque[Heard | Whole] = deque([Whole(tape, settled)] if self.capabilities.endpoints else [])
        self._current: Heard | None = None
        self._stream: _Stream | None = None  # of the first place that is pending: open, or broken
        self._hearing = False  # ... whether it is open
        self._skipping = Skipping(settings.most_waiting(self.capabilities.chunk_ms))
        self._limited = False
        self._floor = 0  # ms; no stream will begin before

    @property
    def capabilities(self) -> Capabilities:
        return self._recognizer.capabilities

    def opened(self, utterance: Utterance) -> None:
        """The segmenter opened an utterance."""
        self._current = Heard(utterance)
        if not self.capabilities.endpoints:
            self._utterances.put_nowait(self._current)
            self._pending.append(self._current)

    def closed(self, utterance: Utterance) -> None:
        """The segmenter closed the utterance that it opened last."""
        if self._current is not None:
            self._current.close(utterance)

    @property
    def needs_from(self) -> int | None:
        """The first sample that it may still have to hear; None if it has heard everything."""
        places = [place for place in self._pending if not place.given_up]
        if not places:
            return None
        place = places[0]
        # The right neighbour of a forced cut hears again a little that its left one may be done with.
        start = min(self._origin(each, self._set.overlap_ms) for each in places)
        if self._limited and isinstance(place, Whole) and self._hears(place):
            # A stream that takes over would have to skip what lies before.
            start = max(start, min(self._unheard_from(place), milliseconds(self._tape.end) - self._skipping.limit))
        return samples(start)

    def finish(self) -> None:
        """No more utterances will be opened."""
        self._utterances.put_nowait(None)

    # -- how much waits ---------------------------------------------------------------------------------------------

    @property
    def waiting_ms(self) -> int:
        """How much audio waits for the recognizer."""
        return waiting(self._unheard())

    def relieve(self) -> None:
        """
        Skip the oldest audio if too much waits.

        To be called often, for sessions of people who speak now; others do not lose audio but wait.
        """
        self._limited = True
        spans = self._unheard()
        depth = waiting(spans)
        if depth > self._skipping.limit:
            self._skip(spans[0][0], latest_start(spans, self._skipping.enough))
        else:
            self._tell(self._skipping.relaxed(depth))

    def _unheard(self) -> list[Span]:
        """What still has to be heard, ms. What is heard again after a forced cut does not count."""
        spans = []
        for place in self._pending:
            start = self._unheard_from(place)
            end = milliseconds(self._tape.end) if place.end is None else place.end
            if start < end and not place.given_up:
                spans.append((start, end))
        return spans

    def _hears(self, place: Place) -> bool:
        return self._hearing and place is self._pending[0]

    def _unheard_from(self, place: Place) -> int:
        if self._stream is not None and self._hears(place):
            return milliseconds(self._stream.cursor.at)
        return self._origin(place, 0)

    def _origin(self, place: Place, overlap_ms: int) -> int:
        """Where a stream would begin, ms."""
        return max(place.origin(overlap_ms), self._floor, -(-self._tape.start // SAMPLES_PER_MS))

    def _skip(self, start: int, to: int) -> None:
        self._floor = max(self._floor, to)
        place = self._pending[0]
        if self._hearing and self._stream and self._stream.jump(to if place.end is None else min(to, place.end)):
            place.starving = True
        unheard = start if place.given_up else max(start, place.reached)
        if unheard < to:  # what a broken stream has heard does not count
            self._tell(self._skipping.skip(unheard, to, self.waiting_ms))

    def _tell(self, report: Report | None) -> None:
        if report is not None:
            self._listener.skipped(report.start, report.end, report.depth, over=report.over)

    # -- streams ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Recognize until the end. Never raises for a recognizer's failure: that is `trouble`."""
        try:
            if self.capabilities.endpoints:
                await self._attempts(self._pending[0])
            else:
                while (utterance := await self._utterances.get()) is not None:
                    await self._attempts(utterance)
                    until = await utterance.settled_until()
                    self._pending.popleft()
                    self._listener.fact(Settled(until))
        finally:
            self._pending.clear()
            self._tell(self._skipping.over(0))
            self._listener.fact(Settled(FOREVER))

    async def _attempts(self, place: Place) -> None:
        """Stream a place, again from the last final word when the stream breaks and trying again can help."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, RecognizerError) and error.retryable),
            stop=lambda _: place.fruitless >= self._set.attempts,
            wait=wait_exponential(self._set.backoff_seconds, max=2.0) + wait_random(0, self._set.backoff_seconds),
            before_sleep=self._tell_retry,
            reraise=True,
        )
        self._stream = None
        try:
            await retrying(self._one_stream, place)
        except RecognizerError as error:
            self._keep_belief(place, FOREVER)
            self._listener.trouble(error, retrying=False)
        finally:
            place.given_up = True

    def _tell_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._listener.trouble(cast("RecognizerError", error), retrying=True)

    async def _one_stream(self, place: Place) -> None:
        origin = self._begin(place)
        if place.end is not None and origin >= place.end:
            return
        stream = self._stream = _Stream(self._streams, self._tape, origin)
        self._streams += 1
        self._hearing = True
        place.moved()
        try:
            await self._listen(stream, place)
        except RecognizerError:
            place.fruitless += 1
            raise
        except Exception as error:  # a provider's bug must not end the session: the second pass goes on
            place.fruitless += 1
            log.exception("the first pass's provider has a bug")
            provider = self.capabilities.provider
            raise RecognizerCrashed(f"The provider failed: {error!r}.", provider=provider, code="bug") from error
        finally:
            self._hearing = False
            place.reached = max(place.reached, milliseconds(stream.cursor.at))

    def _begin(self, place: Place) -> int:
        """Where the next stream begins, ms. What it will not hear of what a broken one heard is settled."""
        overlap = self._set.overlap_ms
        if self._limited:
            self.relieve()
            overlap = min(overlap, self._skipping.limit - self.waiting_ms)
        origin = self._origin(place, overlap)
        self._keep_belief(place, origin)
        if self.capabilities.endpoints and origin > 0:
            self._listener.fact(Settled(origin))
        return origin

    def _keep_belief(self, place: Place, until: int) -> None:
        """What a broken stream believed of audio that no other stream will hear is its last word."""
        stream = self._stream
        if stream is None or stream.belief is None or until <= place.done_until:
            return
        belief, stream.belief = stream.belief, None
        words = words_between(belief.words, 0, until)
        end = max(belief.start, min(belief.end, until))
        self._listener.fact(stream.says(replace(belief, end=end, words=words, final=True, stable=len(words))))

    async def _listen(self, stream: _Stream, place: Place) -> None:
        answers = self._recognizer.stream(self._audio(stream.cursor, place), self._options)
        provider = self.capabilities.provider
        async with aclosing(_patient(answers, place, self._set.silence_seconds, provider)) as heard:
            async for answer in heard:
                if isinstance(answer, Usage):
                    self._listener.used(answer)
                else:
                    self._say(answer, stream, place)

    async def _audio(self, cursor: Cursor, place: Place) -> AsyncIterator[bytes]:
        most = samples(self.capabilities.chunk_ms)
        while chunk := await place.read(cursor, most):
            place.moved()
            yield chunk

    def _say(self, hypothesis: Hypothesis, stream: _Stream, place: Place) -> None:
        heard = stream.clock.rebased(hypothesis)
        rebased = place.clipped(heard)
        stream.belief = None if rebased.final else rebased
        if rebased.final:
            place.done(rebased.words[-1].end if rebased.words else rebased.end)
            stream.clock.forget(hypothesis.end)
        for said in (rebased, place.beyond(heard)):
            if said is not None:
                self._listener.fact(stream.says(said))
        if rebased.final and self.capabilities.endpoints:
            self._listener.fact(Settled(rebased.end))


async def _patient(
    answers: AsyncIterator[Hypothesis | Usage], place: Place, silence_seconds: float, provider: str
) -> AsyncGenerator[Hypothesis | Usage, None]:
    """The same answers; raises RecognizerTimeout when the recognizer has everything it can get and nothing moves."""
    async with aclosing(answers):  # type: ignore[type-var]
        while True:
            following = asyncio.ensure_future(anext(answers))
            try:
                await _moving(following, place, silence_seconds, provider)
                answer = following.result()
            except StopAsyncIteration:
                return
            finally:
                following.cancel()
                await asyncio.wait({following})  # a generator can only be closed when it is at rest
            place.moved()
            yield answer


async def _moving(following: asyncio.Future[Hypothesis | Usage], place: Place, seconds: float, provider: str) -> None:
    """Wait for the next answer as long as there is hope."""
    quiet = 0
    while not following.done():
        moves = place.moves
        await asyncio.wait({following}, timeout=seconds / _QUIET_ROUNDS)
        # Rounds, not a clock: if this process was stopped for a while, the recognizer has not been quiet.
        quiet = quiet + 1 if moves == place.moves and (place.over or place.starving) else 0
        if quiet >= _QUIET_ROUNDS and not following.done():
            raise RecognizerTimeout("The recognizer does not answer any more.", provider=provider)
