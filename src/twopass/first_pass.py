"""
The first pass: from the tape to a streaming recognizer, and its answers on the session clock.

A recognizer that finds the ends of utterances itself hears the whole tape in one stream. Any other gets one stream
per utterance of our segmenter, so it hears no silence. Either way the stream's origin on the tape is known, every
answer is rebased, and where a stream fails, the next one (of the same recognizer or of the next in the list) begins
at the end of the last final word.

A stream that nears its vendor's limit, or that only stands in for a better one which is well again, is replaced: its
successor is opened while it still speaks, and takes over when it has something to say.

Of people who speak now, only so much audio may wait: beyond that the oldest is skipped and the stream's clock (see
`stream_clock`) is put right. What is skipped, the second pass still hears.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential, wait_random

from twopass.backlog import Report, Skipping, Span, latest_start, waiting
from twopass.errors import RecognizerError, RecognizerTimeout, RecognizerUnavailable, StreamLimitReached
from twopass.first_pass_contract import FirstPassSettings, Listener
from twopass.lineup import Choice, Lineup
from twopass.open_stream import OpenStream
from twopass.places import Heard, Place, Whole
from twopass.recognizers import Capabilities, StreamOptions
from twopass.reconciler import FOREVER, Settled
from twopass.rotation import SEARCH_MS
from twopass.stream_meter import Coverage, StreamMeter
from twopass.succession import Succession
from twopass.tape import Tape
from twopass.types import SAMPLES_PER_MS, Hypothesis, Utterance, milliseconds, samples
from twopass.voice import Voice
from twopass.watchdog import Watchdog

log = structlog.get_logger()

_SPOKEN_MS = 500
"""Somebody who has spoken for so long should have been heard."""
_QUIET_MS = 2_000
"""If nobody has spoken for so long and nothing was said, nothing will be said of it."""
_BREATH_MS = 1_000
"""So much of an utterance's end may be no words."""
_NOISE_PATIENCE = 3
"""What was no answer for so many times the longest silence of a recognizer was no speech."""


class _Forbidden(StreamLimitReached):
    """The stream is ended because its recognizer is not to be used any more."""


class FirstPassRunner:
    """
    One channel's first pass. Runs until the tape ends and `finish` is called.

    Args:
        lineup: The recognizers, in the order of preference.
        first_stream: The number of its first stream.
        settled: Everything before (ms) has been said: a recognizer that hears the whole tape begins there.
    """

    def __init__(
        self,
        lineup: Lineup,
        tape: Tape,
        options: StreamOptions,
        listener: Listener,
        settings: FirstPassSettings,
        *,
        first_stream: int = 0,
        settled: int = 0,
    ) -> None:
        self._choice = Choice(lineup, settings.back_after_seconds, time.monotonic)
        self._tape = tape
        self._options = options
        self._listener = listener
        self._set = settings
        self._streams = first_stream
        self._done = settled  # ms; all before has been said
        self._answered = settled  # ... by somebody, not by a silence
        self._listened = 0  # ms; before it, every utterance was opened
        self._heards: deque[Heard] = deque()
        self._whole = Whole(tape, settled) if self._choice.hears_everything else None
        self._finishing = False
        self._news = asyncio.Event()
        self._stream: OpenStream | None = None
        self._voice: Voice | None = None  # of the stream that is open, or broke last
        self._next = Succession(tape, self._choice, settings.overlap_ms, self._open)
        self._troubled: RecognizerError | None = None
        self._skipping = Skipping(settings.most_waiting(self.capabilities.chunk_ms))
        self._catching_up = 0  # ms; so much more may wait, because it is heard again
        self._limited = False
        self._floor = 0  # ms; no stream will begin before
        self._forbidden_for = ""
        self._coverage = Coverage(samples(settled))

    @property
    def capabilities(self) -> Capabilities:
        """Of the recognizer in use."""
        return self._choice.lines[self._choice.current].capabilities

    def opened(self, utterance: Utterance) -> None:
        """The segmenter opened an utterance."""
        self._heards.append(Heard(utterance))
        self._forget_heards()
        self._news.set()

    def listened(self, until: int) -> None:
        """The segmenter has heard everything before (ms): whoever spoke there is known."""
        self._listened = until

    def closed(self, utterance: Utterance) -> None:
        """The segmenter closed the utterance that it opened last."""
        if self._heards:
            self._heards[-1].close(utterance)

    def forbid(self, indices: frozenset[int], reason: str) -> None:
        """These recognizers of the list are not to be used any more. Who is left goes on at the last final word."""
        self._choice.forbid(indices)
        self._forbidden_for = reason
        self._news.set()

    def finish(self) -> None:
        """No more utterances will be opened."""
        self._finishing = True
        self._news.set()

    @property
    def needs_from(self) -> int | None:
        """The first sample that it may still have to hear; None if it has heard everything."""
        places = [place for place in self._places() if not place.given_up]
        if not places:
            return None
        # The right neighbour of a forced cut hears again a little that its left one may be done with.
        start = min(self._origin(each, self._set.overlap_ms) for each in places)
        if self._limited and self._whole is not None and self._hears(self._whole):
            # A stream that takes over would have to skip what lies before.
            reach = self._skipping.limit + self._set.catch_up_ms
            start = max(start, min(self._unheard_from(self._whole), milliseconds(self._tape.end) - reach))
        needed = samples(start)
        return needed if self._next.stream is None else min(needed, self._next.stream.cursor.at)

    @property
    def hears_from(self) -> int | None:
        """Where it listens now (a sample): at the oldest utterance that is not over, or where its stream is."""
        return self.needs_from if self._whole is None else samples(self._unheard_from(self._whole))

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
        if depth > self._skipping.limit + self._catching_up:
            self._skip(spans[0][0], latest_start(spans, self._skipping.enough + self._catching_up))
        else:
            self._tell(self._skipping.relaxed(depth))
        self._catching_up = min(self._catching_up, depth)

    def _places(self) -> list[Place]:
        return list(self._heards) if self._whole is None else [self._whole]

    def _unheard(self) -> list[Span]:
        """What still has to be heard, ms. What is heard again after a forced cut does not count."""
        spans = []
        for place in self._places():
            start = self._unheard_from(place)
            end = milliseconds(self._tape.end) if place.end is None else place.end
            if start < end and not place.given_up:
                spans.append((start, end))
        return spans

    def _hears(self, place: Place) -> bool:
        return self._stream is not None and self._stream.place is place

    def _unheard_from(self, place: Place) -> int:
        if self._stream is not None and self._hears(place):
            return milliseconds(self._stream.cursor.at)
        return self._origin(place, 0)

    def _origin(self, place: Place, overlap_ms: int) -> int:
        """Where a stream would begin, ms."""
        return max(place.origin(overlap_ms), self._floor, -(-self._tape.start // SAMPLES_PER_MS))

    def _skip(self, start: int, to: int) -> None:
        self._floor = max(self._floor, to)
        place = self._places()[0]
        stream = self._stream if self._hears(place) else None
        if stream is not None and stream.jump(to if place.end is None else min(to, place.end)):
            place.starving = True
        unheard = start if place.given_up else max(start, place.reached)
        if unheard < to:  # what a broken stream has heard does not count
            self._tell(self._skipping.skip(unheard, to, self.waiting_ms))

    def _tell(self, report: Report | None) -> None:
        if report is not None:
            self._listener.skipped(report.start, report.end, report.depth, over=report.over)

    # -- places -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Recognize until the end. Never raises for a recognizer's failure: that is `trouble`."""
        try:
            while (place := await self._next_place()) is not None:
                await self._attempts(place)
                await self._leave(place)
        finally:
            await self._next.close()
            self._whole = None
            self._heards.clear()
            self._tell(self._skipping.over(0))
            self._listener.fact(Settled(FOREVER))

    async def _next_place(self) -> Place | None:
        """Where the next stream listens; None at the end."""
        while self._done < FOREVER:
            self._news.clear()
            self._forget_heards()
            self._next.check()
            self._next.look_for_better(self._done)
            self._whole = self._next_whole()
            if self._whole is not None:
                return self._whole
            if self._heards:
                self._heards[0].begin_at(self._done)
                return self._heards[0]
            if self._finishing:
                break
            await self._news.wait()
        return None

    def _next_whole(self) -> Whole | None:
        successor = self._next.stream
        if successor is not None and (self._whole is not None or self._next.convinces(owing=self._owes(None))):
            assert isinstance(successor.place, Whole)
            successor.place.begin_at(self._done)
            return successor.place
        if successor is not None or self._choice.hopeless or not self._choice.hears_everything:
            return None
        going_on = self._whole is not None and not self._whole.given_up
        return self._whole if going_on else Whole(self._tape, self._done)

    async def _leave(self, place: Place) -> None:
        """Nobody will hear more of it, or a recognizer of the other kind goes on behind its last final word."""
        until = place.done_until
        if isinstance(place, Heard) and place.given_up:
            self._listener.fact(Settled(await place.settled_until()))
            until = max(until, place.end or 0)
        elif place.finished:
            until = FOREVER if place.end is None else place.end
        elif place.given_up:
            until = max(until, place.reached)
            self._listener.fact(Settled(until))
        self._done = max(self._done, until)

    def _forget_heards(self) -> None:
        """Those that were heard."""
        while self._heards and (end := self._heards[0].end) is not None and end <= self._done:
            self._heards.popleft()

    # -- attempts ---------------------------------------------------------------------------------------------------

    async def _attempts(self, place: Place) -> None:
        """Stream a place, again from the last final word when the stream breaks and trying again can help."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, RecognizerError) and self._fits(place)),
            stop=lambda _: place.fruitless >= self._set.attempts * len(self._choice.lines),
            wait=self._pause,
            before_sleep=self._tell_retry,
            reraise=True,
        )
        if not isinstance(place, Whole) and self._choice.hopeless:
            place.given_up = True
            return
        try:
            await retrying(self._one_stream, place)
        except RecognizerError as error:
            if self._next.stream is None and (self._fits(place) or self._choice.hopeless):
                self._give_up(place)
                self._listener.trouble(error, retrying=False)

    def _give_up(self, place: Place) -> None:
        place.given_up = True
        self._keep_belief(place, FOREVER)
        if isinstance(place, Whole):
            self._choice.rest()

    def _fits(self, place: Place) -> bool:
        """Whether the place is to be tried again, and not handed on."""
        if isinstance(place, Whole) and place.end is None and self._next.stream is not None:
            return False
        return not self._choice.hopeless and self._choice.hears_everything == isinstance(place, Whole)

    def _pause(self, state: RetryCallState) -> float:
        """No wait for another recognizer; a growing one for the same again."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, StreamLimitReached) or self._choice.turns_away:
            return self._choice.wait
        backoff = wait_exponential(self._set.backoff_seconds, max=2.0) + wait_random(0, self._set.backoff_seconds)
        return max(backoff(state), self._choice.wait)

    def _tell_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        expected = isinstance(error, StreamLimitReached) or self._choice.turns_away
        if isinstance(error, RecognizerError) and not expected:
            self._listener.trouble(error, retrying=True)

    async def _one_stream(self, place: Place) -> None:
        stream = self._adopted(place) or self._opened(place)
        if stream is None:
            return
        self._stream, self._voice = stream, Voice(self._streams)
        self._streams += 1
        place.moved()
        before = place.done_until
        try:
            await self._listen(stream, place)
        except RecognizerError as error:
            self._pass_silence(stream, place)
            self._broken(error, stream, place, progress=place.done_until > before)
            raise
        finally:
            self._stream = None
            place.reached = max(place.reached, milliseconds(stream.cursor.at))
            await stream.close()

    def _adopted(self, place: Place) -> OpenStream | None:
        """The successor, if it is this place's."""
        stream = self._next.stream
        if stream is None or stream.place is not place:
            return None
        self._next.adopt()
        self._keep_belief(place, stream.origin)
        self._turn_to(stream.index)
        return stream

    def _opened(self, place: Place) -> OpenStream | None:
        """A new stream; None if there is nothing to hear, or the recognizer does not hear such places."""
        index = self._choice.pick()
        if index is None:
            raise RecognizerUnavailable("No recognizer can be tried now.", provider=self.capabilities.provider)
        if self._choice.lines[index].capabilities.endpoints != isinstance(place, Whole):
            return None
        origin = self._begin(place)
        if place.end is not None and origin >= place.end:
            place.finished = place.given_up = True
            return None
        self._turn_to(index)
        return self._open(index, place, origin)

    def _open(self, index: int, place: Place, origin: int) -> OpenStream:
        recognizer = self._choice.lines[index].recognizer
        meter = StreamMeter(recognizer.capabilities, self._options, self._coverage, self._listener.used)
        return OpenStream(recognizer, self._tape, place, origin, self._options, meter, self._news, index)

    def _turn_to(self, index: int) -> None:
        """Use this recognizer from now on, and tell if that is another one."""
        before, self._choice.current = self._choice.current, index
        if index != before:
            reason = "well again" if index < before or self._troubled is None else self._troubled.message
            reason = self._forbidden_for if self._choice.forbids(before) else reason
            old = self._choice.lines[before].capabilities.provider
            self._listener.switched(old, self.capabilities.provider, reason)

    def _broken(self, error: RecognizerError, stream: OpenStream, place: Place, *, progress: bool) -> None:
        limited = isinstance(error, StreamLimitReached) and stream.answered
        went_on = progress or isinstance(error, _Forbidden) or (limited and self._believe(place))
        place.fruitless += not (limited and went_on)
        if not isinstance(error, StreamLimitReached):
            self._troubled = error
            self._choice.failed(stream.index, error)

    def _believe(self, place: Place) -> bool:
        """
        Its limit came before any final: go on at the last word that it believed in. Returns whether there is one.

        The next stream would come no farther if it heard all of it again.
        """
        belief = None if self._voice is None else self._voice.belief
        if belief is None or not belief.words:
            return False
        until = belief.words[-1].start if len(belief.words) > 1 else belief.end
        self._keep_belief(place, until)
        place.done(until)
        return True

    def _begin(self, place: Place) -> int:
        """Where the next stream begins, ms. What it will not hear of what a broken one heard is settled."""
        overlap = self._set.overlap_ms
        again = place.reached - self._origin(place, overlap)
        self._catching_up = max(0, min(again, self._set.catch_up_ms))
        if self._limited:
            self.relieve()
            overlap = max(0, min(overlap, self._skipping.limit + self._catching_up - self.waiting_ms))
        origin = self._origin(place, overlap)
        self._keep_belief(place, origin)
        if isinstance(place, Whole) and origin > 0:
            self._listener.fact(Settled(min(origin, place.done_until)))
        return origin

    def _keep_belief(self, place: Place, until: int) -> None:
        """What a broken stream believed of audio that no other stream will hear is its last word."""
        if self._voice is not None and until > place.done_until:
            last_word = self._voice.last_word(until)
            if last_word is not None:
                self._listener.fact(last_word)

    # -- listening --------------------------------------------------------------------------------------------------

    async def _listen(self, stream: OpenStream, place: Place) -> None:
        """Pass on what the stream says, until it ends or another one takes over."""
        watchdog = Watchdog(self._set.silence_seconds, self.capabilities.answers_within_seconds)
        while True:
            self._news.clear()
            while (answer := stream.take()) is not None:
                watchdog.answered()
                self._say(answer, stream, place)
            if stream.over:
                if stream.error is not None:
                    raise stream.error
                place.finished = place.given_up = True
                return
            if self._choice.forbids(stream.index) and not self._ending(place):
                raise _Forbidden(self._forbidden_for, provider=self.capabilities.provider)
            self._pass_silence(stream, place)
            self._next.check()
            if not self._ending(place) and self._next.convinces(owing=self._owes(stream)):
                return
            self._next.replace_in_time(stream, place, start=self._done, pausing=self._at_a_final(stream))
            await self._round(stream, place, watchdog)

    def _ending(self, place: Place) -> bool:
        """Whether the stream says its last words up to where its successor begins."""
        return isinstance(place, Whole) and place.end is not None

    def _say(self, hypothesis: Hypothesis, stream: OpenStream, place: Place) -> None:
        assert self._voice is not None
        self._well(stream)
        heard = stream.clock.rebased(hypothesis)
        rebased = place.clipped(heard)
        self._voice.belief = None if rebased.final else rebased
        if rebased.final:
            place.done(rebased.words[-1].end if rebased.words else rebased.end)
            self._answered = max(self._answered, place.done_until)
            stream.clock.forget(hypothesis.end)
        for said in (rebased, place.beyond(heard)):
            if said is not None:
                self._listener.fact(self._voice.says(said))
        if rebased.final and isinstance(place, Whole):
            self._listener.fact(Settled(rebased.end))
            self._done = max(self._done, place.done_until)
            self._forget_heards()
            self._next.look_for_better(self._done)

    def _pass_silence(self, stream: OpenStream, place: Place) -> None:
        """No other stream need hear a silence again: everybody who spoke before its end was answered."""
        if isinstance(place, Whole) and place.end is None and self._pausing:
            quiet = min(milliseconds(stream.cursor.at), self._listened) - _QUIET_MS
            quiet = min([quiet, *(heard.start for heard in self._unanswered(stream))])
            if quiet > self._done:
                self._done = quiet
                place.done(quiet)
                self._forget_heards()

    def _unanswered(self, stream: OpenStream | None) -> list[Heard]:
        """Who spoke, as far as the segmenter knows, and nobody has said what. Noise is forgotten after a while."""
        noise = stream is not None and stream.silent_seconds > _NOISE_PATIENCE * self._set.silence_seconds
        return [
            heard
            for heard in self._heards
            if heard.end is None or not (noise or heard.start < self._answered >= heard.end - _BREATH_MS)
        ]

    def _at_a_final(self, stream: OpenStream) -> bool:
        """Whether little or nothing of what the stream has heard is not final yet."""
        behind = milliseconds(stream.cursor.at) - self._done
        return self._pausing and (behind <= SEARCH_MS or not self._owes(stream))

    def _owes(self, stream: OpenStream | None) -> bool:
        """Whether something that was said is not final yet, as far as that can be known."""
        unknown = stream is not None and milliseconds(stream.cursor.at) > self._listened + _BREATH_MS
        return not self._pausing or unknown or bool(self._unanswered(stream))

    @property
    def _pausing(self) -> bool:
        """Whether everything that was said is final."""
        return self._voice is None or self._voice.finished

    def _well(self, stream: OpenStream) -> None:
        self._choice.succeeded(stream.index)
        if self._troubled is not None and stream.index == 0:
            self._troubled = None
            self._listener.recovered(self.capabilities.provider)

    async def _round(self, stream: OpenStream, place: Place, watchdog: Watchdog) -> None:
        """Wait for news, as long as there is hope."""
        moves, before, waited = place.moves, stream.cursor.at, stream.cursor.lag > 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(watchdog.seconds):
                await self._news.wait()
            return
        waits = waited and stream.cursor.lag > 0  # it could take more
        stuck = moves == place.moves and (place.over or place.starving or waits)
        unanswered = self._spoke(milliseconds(before), milliseconds(stream.cursor.at))
        if watchdog.round(stuck=stuck, unanswered=unanswered):
            raise RecognizerTimeout("The recognizer does not answer any more.", provider=self.capabilities.provider)

    def _spoke(self, start: int, end: int) -> bool:
        """Whether the segmenter heard somebody in [start, end) ms, for long enough to be answered."""
        return start < end and any(
            heard.start + _SPOKEN_MS < end and (heard.end is None or heard.end > start) for heard in self._heards
        )
