"""Several recognizers for one session: who fails is replaced, who is well comes back, every word is heard once."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.scripted import ScriptedStreaming, crash, numbered, spoken
from tests.test_first_pass import Notes

from twopass.circuit import Breaker, BreakerSettings
from twopass.errors import (
    RecognizerBusy,
    RecognizerError,
    RecognizerRejected,
    RecognizerUnauthorized,
    StreamLimitReached,
)
from twopass.first_pass import FirstPassRunner
from twopass.first_pass_contract import FirstPassSettings
from twopass.lineup import Choice, Line, alone
from twopass.recognizers import Capabilities, StreamOptions
from twopass.tape import Tape
from twopass.types import Clock, Hypothesis, Usage, Utterance, Words

SETTINGS = FirstPassSettings(attempts=3, backoff_seconds=0.001, silence_seconds=20, back_after_seconds=0.05)
LENGTH = 20_000
WORDS = numbered(72)
PIECE_MS = 100


@dataclass
class Vendor(ScriptedStreaming):
    """
    A recognizer elsewhere.

    Attributes:
        name: Its own, for those who switch.
        wall_ms: It ends every stream after so much audio.
        mute_after_ms: From then on it takes audio and says nothing.
        extra: More capabilities.
    """

    endpoints: bool = True
    name: str = "vendor"
    wall_ms: int | None = None
    mute_after_ms: float = math.inf
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def capabilities(self) -> Capabilities:
        limit = self.wall_ms / 1000 if self.wall_ms else None
        own = replace(super().capabilities, provider=self.name, local=False, sku="stream", max_stream_seconds=limit)
        return replace(own, **self.extra)

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        async for answer in super().stream(audio, options):
            if isinstance(answer, Usage) or answer.end < self.mute_after_ms:
                yield answer

    async def _break(self, stream: int, ms: int) -> None:
        await asyncio.sleep(0)
        if self.wall_ms is not None and ms > self.wall_ms:
            raise StreamLimitReached("It has become too long.", provider=self.name)
        await super()._break(stream, ms)


def lineup(*recognizers: ScriptedStreaming) -> Sequence[Line]:
    """A list with breakers that rest shortly."""
    rests = BreakerSettings(rest_seconds=0.05)
    return [Line(recognizer, Breaker(rests)) for recognizer in recognizers]


async def run(
    lines: Sequence[Line], words: Words = WORDS, ms: int = LENGTH, most: FirstPassSettings = SETTINGS
) -> Notes:
    """Somebody says these words; an utterance is found every 4 s or so, as the voice detector would."""
    tape, notes = Tape(), Notes()
    runner = FirstPassRunner(lines, tape, StreamOptions(), notes, most)
    task = asyncio.create_task(runner.run())
    pcm = spoken(words, ms)
    utterances = [Utterance(str(at), at, at + 3_990) for at in range(0, ms, 4_000)]
    for at in range(0, ms, PIECE_MS):
        tape.write(pcm[at * 32 : (at + PIECE_MS) * 32])
        runner.listened(at)
        for utterance in utterances:
            if at == utterance.start:
                runner.opened(replace(utterance, end=None))
            if utterance.end is not None and at <= utterance.end < at + PIECE_MS:
                runner.closed(utterance)
        if runner.needs_from is not None:
            tape.release(min(runner.needs_from, tape.end - 16_000))
        await asyncio.sleep(0.002)
    tape.finish()
    runner.finish()
    async with asyncio.timeout(60):
        await task
    return notes


def everything(words: Words = WORDS) -> list[tuple[str, int, int]]:
    """What has to be heard."""
    return [(word.text, word.start, word.end) for word in words]


def dies(*, stream: int = 0, ms: int = 3_333, error: Callable[[], RecognizerError] = crash) -> Any:
    """In this stream, when it has heard so much; and every later stream at once."""
    return lambda number, now: error() if number > stream or (number == stream and now >= ms) else None


@pytest.mark.parametrize("ms", [100, 1_000, 1_777, 6_050, 19_000])
@pytest.mark.parametrize("second", [True, False])
async def test_the_next_in_the_list_goes_on_where_the_first_one_died(ms: int, second: bool) -> None:
    """It dies in mid-word and stays dead: the other one, of either kind, hears what was not final yet."""
    first, other = Vendor(fault=dies(ms=ms)), Vendor(endpoints=second, name="other")
    notes = await run(lineup(first, other))
    assert everything() == notes.words()
    assert ("vendor", "other") == notes.switches[0]
    assert [] == [trouble for trouble in notes.troubles if not trouble[1]]


async def test_it_comes_back_when_the_first_is_well() -> None:
    """Dead for a while: the stand-in speaks meanwhile, then the first one again; no word is lost on either way."""
    first = Vendor(fault=lambda number, now: crash() if number < 3 and now >= 2_000 else None)
    notes = await run(lineup(first, Vendor(name="other")))
    assert everything() == notes.words()
    assert ("vendor", "other") == notes.switches[0]
    assert ("other", "vendor") in notes.switches
    assert ("vendor", "recovered") == notes.switches[-1]


async def test_it_comes_back_from_one_that_hears_utterances() -> None:
    """The same when the stand-in is a small local model that is given one utterance after the other."""
    first = Vendor(fault=lambda number, now: crash() if number == 0 and now >= 2_000 else None)
    local = ScriptedStreaming()
    notes = await run(lineup(first, local))
    assert everything() == notes.words()
    assert [("vendor", "scripted"), ("scripted", "vendor"), ("vendor", "recovered")] == notes.switches


@pytest.mark.parametrize("kind", [RecognizerBusy, RecognizerUnauthorized, RecognizerRejected])
async def test_a_refusal_goes_to_the_next_at_once(kind: type[RecognizerError]) -> None:
    """No room, a bad key, a refused request: not tried again at once, and the other one hears everything."""
    first = Vendor(fault=lambda number, now: kind("No.", provider="vendor"))
    most = replace(SETTINGS, back_after_seconds=30)
    notes = await run(lineup(first, Vendor(name="other")), most=most)
    assert (everything(), 1) == (notes.words(), first.streams)


async def test_a_refused_request_is_never_repeated() -> None:
    """What was refused for its content is refused again: nobody goes back there in this session."""
    first = Vendor(fault=lambda number, now: RecognizerRejected("No.", provider="vendor"))
    notes = await run(lineup(first, Vendor(name="other")))
    assert (everything(), 1) == (notes.words(), first.streams)


async def test_if_all_are_dead_the_session_goes_on_without_and_tries_again_later() -> None:
    """An outage of everybody: it is said, everything is settled, and when one is back it hears the next utterance."""
    well = asyncio.Event()
    first = Vendor(fault=lambda number, now: None if well.is_set() else crash())
    most = replace(SETTINGS, back_after_seconds=0.02)
    running = asyncio.create_task(run(lineup(first, ScriptedStreaming(fault=first.fault)), most=most))
    await asyncio.sleep(0.15)
    well.set()
    notes = await running
    shown = {text for text, _, _ in notes.words()}
    assert ("recognizer_crashed", False) in notes.troubles
    assert {word.text for word in WORDS[-10:]} <= shown
    assert everything()[-10:] == notes.words()[-10:]


async def test_one_that_says_nothing_to_what_is_said_is_taken_for_dead() -> None:
    """It takes the audio and is mute, while somebody says short things with pauses: the other one hears all of them."""
    words = tuple(word for word in WORDS if word.start % 2_000 < 900)
    mute = Vendor(mute_after_ms=700, extra={"answers_within_seconds": 0.05})
    notes = await run(lineup(mute, Vendor(name="other")), words)
    assert everything(words) == notes.words()
    assert ("vendor", "other") == notes.switches[0]


# -- rotation ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("final_every_ms", [700, 1_000, 1_900])
async def test_a_stream_is_replaced_at_a_final_before_its_limit(final_every_ms: int) -> None:
    """Streams of 4 s over 20 s: the vendor's wall is never hit, and words and times are those of one long stream."""
    vendor = Vendor(wall_ms=4_000, final_every_ms=final_every_ms)
    notes = await run(alone(vendor))
    assert (everything(), []) == (notes.words(), notes.troubles)
    assert vendor.streams >= 5
    assert all(heard <= 4_000 for heard in vendor.heard_ms)


@pytest.mark.parametrize("gap", [0, 50])
async def test_without_any_pause_it_is_replaced_at_the_quietest_point(gap: int) -> None:
    """No final near the wall: both streams hear what lies around the cut, and no word is lost, doubled or torn."""
    words = numbered(LENGTH // (200 + gap), gap=gap)
    vendor = Vendor(wall_ms=4_000, final_every_ms=60_000)
    notes = await run(alone(vendor), words)
    assert (everything(words), []) == (notes.words(), notes.troubles)
    assert vendor.streams >= 5
    assert all(heard <= 4_000 for heard in vendor.heard_ms)


async def test_a_wall_that_comes_sooner_than_the_vendor_says_loses_nothing() -> None:
    """The limit is lower than known: the stream breaks, the next one goes on at the last final, nobody is alarmed."""
    vendor = Vendor(wall_ms=3_000, extra={"max_stream_seconds": 300})
    notes = await run(alone(vendor))
    assert (everything(), []) == (notes.words(), notes.troubles)


@pytest.mark.parametrize("gap", [0, 50])
async def test_a_wall_nobody_knew_of_without_any_final_loses_nothing(gap: int) -> None:
    """No pause and a limit that is lower than known: each next stream goes on where the last one's belief ended."""
    words = numbered(LENGTH // (200 + gap), gap=gap)
    vendor = Vendor(wall_ms=3_000, final_every_ms=60_000, extra={"max_stream_seconds": 300})
    notes = await run(alone(vendor), words)
    assert ([word.text for word in words], []) == ([text for text, _, _ in notes.words()], notes.troubles)
    assert vendor.streams < 12


async def test_what_was_recorded_before_is_heard_through_walls_too() -> None:
    """All audio is there and the tape is finished at once, as with a file: the limit is kept all the same."""
    words, tape, notes = numbered(100, gap=0), Tape(), Notes()
    vendor = Vendor(wall_ms=4_000, final_every_ms=60_000)
    runner = FirstPassRunner(alone(vendor), tape, StreamOptions(), notes, SETTINGS)
    tape.write(spoken(words, LENGTH))
    tape.finish()
    runner.opened(Utterance("a", 0))
    runner.closed(Utterance("a", 0, LENGTH))
    runner.finish()
    async with asyncio.timeout(60):
        await runner.run()
    assert everything(words) == notes.words()
    assert all(heard <= 4_000 for heard in vendor.heard_ms)


@dataclass
class Sentences(Vendor):
    """Interims while somebody speaks, and at the end of its audio one final after the other."""

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        last = None
        async for answer in super().stream(audio, options):
            if isinstance(answer, Hypothesis):
                last = answer
                yield replace(answer, final=False)
        assert last is not None
        for start in range(0, last.end, 1_000):
            end = min(start + 1_000, last.end)
            mine = tuple(word for word in last.words if start <= word.middle < end)
            yield Hypothesis(start, end, mine, final=True, stable=len(mine))


async def test_the_last_words_before_a_cut_may_be_several_finals() -> None:
    """The old stream says finals that lie behind the cut, too: those are the new stream's matter, and not settled."""
    words = numbered(80)
    notes = await run(alone(Sentences(wall_ms=8_000, final_every_ms=60_000)), words)
    assert (everything(words), []) == (notes.words(), notes.troubles)


@dataclass
class Late(Vendor):
    """It takes all audio that there is, and answers later."""

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        answers: asyncio.Queue[Hypothesis | Usage | RecognizerError | None] = asyncio.Queue()
        hear = super().stream

        async def listen() -> None:
            try:
                async for answer in hear(audio, options):
                    answers.put_nowait(answer)
                answers.put_nowait(None)
            except RecognizerError as error:
                answers.put_nowait(error)

        listening = asyncio.create_task(listen())
        try:
            while (answer := await answers.get()) is not None:
                if isinstance(answer, RecognizerError):
                    raise answer
                await asyncio.sleep(0.003)
                yield answer
        finally:
            listening.cancel()


@pytest.mark.parametrize("known", [True, False])
async def test_a_recording_that_is_answered_late_comes_to_its_end(known: bool) -> None:
    """All audio is there, answers come after it and the limit is short: everything is heard, and not for ever."""
    words = tuple(word for word in numbered(160) if word.start % 6_000 < 2_500)
    tape, notes, vendor = Tape(), Notes(), Late(final_every_ms=2_500, wall_ms=12_000)
    runner = FirstPassRunner(alone(vendor), tape, StreamOptions(), notes, SETTINGS)
    tape.write(spoken(words, 2 * LENGTH))
    tape.finish()
    for at in range(0, 2 * LENGTH, 6_000) if known else ():
        runner.opened(Utterance(str(at), at))
        runner.closed(Utterance(str(at), at, at + 2_800))
    runner.listened(2 * LENGTH if known else 0)
    runner.finish()
    async with asyncio.timeout(60):
        await runner.run()
    assert everything(words) == notes.words()
    assert sum(vendor.heard_ms) < 4 * LENGTH


async def test_a_recognizer_that_lets_its_cancellation_out_has_broken() -> None:
    """Some library cancels the stream from inside: that is no orderly end, and another one goes on."""

    class Cancelled(Vendor):
        async def _break(self, stream: int, ms: int) -> None:
            if stream == 0 and ms >= 3_000:
                raise asyncio.CancelledError
            await super()._break(stream, ms)

    notes = await run(lineup(Cancelled(), Vendor(name="other")))
    assert everything() == notes.words()
    assert ("vendor", "other") == notes.switches[0]


async def test_breaks_in_a_long_silence_do_not_use_up_the_attempts() -> None:
    """Nobody speaks while stream after stream reaches a limit: who speaks then is heard."""
    words = numbered(12, start=16_000)
    vendor = Vendor(wall_ms=1_500, extra={"max_stream_seconds": 300})
    tape, notes = Tape(), Notes()
    runner = FirstPassRunner(alone(vendor), tape, StreamOptions(), notes, SETTINGS)
    task = asyncio.create_task(runner.run())
    pcm = spoken(words, LENGTH)
    for at in range(0, LENGTH, PIECE_MS):
        if at == 16_000:
            runner.opened(Utterance("a", 16_000))
        tape.write(pcm[at * 32 : (at + PIECE_MS) * 32])
        runner.listened(at)
        await asyncio.sleep(0.002)
    runner.closed(Utterance("a", 16_000, 19_500))
    tape.finish()
    runner.finish()
    async with asyncio.timeout(60):
        await task
    assert (everything(words), []) == (notes.words(), notes.troubles)


async def test_a_silence_is_not_replayed() -> None:
    """Nobody spoke for long when the stream is replaced: the new one hears the last seconds only, not all of it."""
    words = numbered(8)
    vendor = Vendor(wall_ms=8_000, final_every_ms=60_000)
    tape, notes = Tape(), Notes()
    runner = FirstPassRunner(alone(vendor), tape, StreamOptions(), notes, SETTINGS)
    task = asyncio.create_task(runner.run())
    runner.opened(Utterance("a", 0))
    pcm = spoken(words, LENGTH)
    vendor.final_every_ms = 2_500
    for at in range(0, LENGTH, PIECE_MS):
        tape.write(pcm[at * 32 : (at + PIECE_MS) * 32])
        runner.listened(at)
        if at == 2_200:
            runner.closed(Utterance("a", 0, 2_200))
        await asyncio.sleep(0.002)
    tape.finish()
    runner.finish()
    await task
    assert everything(words) == notes.words()
    assert sum(vendor.heard_ms) < LENGTH + 3 * 3_500


# -- what was metered -------------------------------------------------------------------------------------------------


async def test_every_stream_is_metered_by_the_audio_it_took() -> None:
    """Broken, replaced and abandoned streams too: what a vendor was sent is what is on the meter, to the sample."""
    first = Vendor(fault=lambda number, now: crash() if number < 2 and now >= 2_000 else None, wall_ms=5_000)
    other = Vendor(name="other", wall_ms=5_000)
    notes = await run(lineup(first, other))
    for vendor in (first, other):
        mine = [u.seconds for u in notes.usages if (u.provider, u.clock) == (vendor.name, Clock.AUDIO_SENT)]
        assert sum(vendor.heard_ms) / 1000 == pytest.approx(sum(mine), abs=1e-6)


# -- the breaker ------------------------------------------------------------------------------------------------------


def test_a_breaker_opens_after_several_failures_and_lets_one_try_through_per_rest() -> None:
    """Closed, open, one try, longer rest, closed again by a success."""
    breaker = Breaker(BreakerSettings(failures=2, rest_seconds=5, longest_rest_seconds=8))
    breaker.failed(crash(), 0.0)
    assert breaker.allow(0.0)
    breaker.failed(crash(), 1.0)
    assert [False, True, False] == [breaker.allow(now) for now in (5.9, 6.0, 6.1)]
    breaker.failed(crash(), 6.5)
    assert [False, True] == [breaker.allow(now) for now in (14.4, 14.5)]
    breaker.succeeded()
    assert [True, True] == [breaker.allow(now) for now in (14.6, 14.6)]


def test_sessions_share_what_they_know_of_a_vendor() -> None:
    """Three sessions saw it fail: the fourth does not even try, and takes the next in the list."""
    lines = lineup(Vendor(), Vendor(name="other"))
    choices = [Choice(lines, 10.0, lambda: 0.0) for _ in range(4)]
    for choice in choices[:3]:
        assert 0 == choice.pick()
        choice.failed(0, crash())
    assert 1 == choices[3].pick()


# A seed is as small as it gets: one that fails is not tried again and again to make it smaller.
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_whatever_breaks_no_word_is_lost_or_doubled(seed: int) -> None:
    """Random deaths of both vendors at random moments, walls, finals, kinds: every word is there, once, in place."""
    rng = random.Random(seed)

    def weather(share: float) -> Any:
        deaths = [rng.randrange(200, 9_000) if rng.random() < share else None for _ in range(40)]
        return lambda number, now: crash() if (at := deaths[min(number, 39)]) is not None and now >= at else None

    wall = rng.choice([None, 5_000, 9_000])
    first = Vendor(fault=weather(0.7), wall_ms=wall, final_every_ms=rng.choice([600, 1_300, 2_700]))
    other = Vendor(fault=weather(0.3), name="other", endpoints=rng.random() < 0.7, wall_ms=wall)
    notes = asyncio.run(run(lineup(first, other, ScriptedStreaming())))
    assert everything() == notes.words()
