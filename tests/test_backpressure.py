"""A first pass that is too slow: the oldest audio is skipped, that is told, and nothing hangs or is misplaced."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.scripted import ScriptedStreaming, crash, numbered, spoken
from tests.test_first_pass import Notes
from tests.waiting import until

from twopass.backlog import Report, Span
from twopass.first_pass import FirstPassRunner
from twopass.first_pass_contract import FirstPassSettings
from twopass.first_words import FirstWords
from twopass.lineup import alone
from twopass.recognizers import Capabilities, StreamOptions
from twopass.reconciler import FOREVER, FirstPass, Settled
from twopass.tape import Tape
from twopass.types import Cut, Utterance

SETTINGS = FirstPassSettings(attempts=3, backoff_seconds=0.001, silence_seconds=60, catch_up_ms=0)
STEP_MS = 100
LATE_MS = 300
"""The voice detector knows so much later."""
WORDS = numbered(120)
LENGTH = 30_000


@dataclass
class Paced(ScriptedStreaming):
    """
    Takes one chunk for every credit.

    Attributes:
        crashes: How many more chunks break their stream.
    """

    credit: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    crashes: int = 0

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, chunk_ms=STEP_MS)

    async def _break(self, stream: int, ms: int) -> None:
        await self.credit.acquire()
        if self.crashes:
            self.crashes -= 1
            raise crash()

    def give(self, chunks: int) -> None:
        """Let it take so many chunks."""
        for _ in range(chunks):
            self.credit.release()


class Stage:
    """Somebody speaks; a recognizer hears it at its own pace. Everything that must always hold is checked."""

    def __init__(self, recognizer: Paced, utterances: list[Utterance], most: FirstPassSettings = SETTINGS) -> None:
        self.recognizer, self.utterances = recognizer, utterances
        self.tape, self.notes = Tape(), Notes()
        self.runner = FirstPassRunner(alone(recognizer), self.tape, StreamOptions(), self.notes, most)
        self.limit = most.most_waiting(STEP_MS)
        self._pcm = spoken(WORDS, LENGTH)
        self._task = asyncio.create_task(self.runner.run())

    @property
    def now(self) -> int:
        """How much was spoken, ms."""
        return self.tape.end // 16

    async def speak(self, ms: int, pace: float = 1.0) -> None:
        """So much is spoken, while the recognizer can take so large a share of it."""
        for _ in range(ms // STEP_MS):
            before = self.now
            self.tape.write(self._pcm[before * 32 : (before + STEP_MS) * 32])
            self._segment(before - LATE_MS)
            self.recognizer.give(int((before + STEP_MS) / STEP_MS * pace) - int(before / STEP_MS * pace))
            await self._settle()
            self.runner.relieve()
            assert self.runner.waiting_ms <= self.limit
            self._release()

    async def end(self) -> None:
        """Nobody speaks any more, and the recognizer gets all the time that it wants."""
        for late in range(LENGTH - LATE_MS, LENGTH + 1, STEP_MS):
            self._segment(late)
        self.tape.finish()
        self.runner.finish()
        self.recognizer.give(10_000)
        async with asyncio.timeout(60):
            await self._task
        assert [Settled(FOREVER)] == self.notes.facts[-1:]
        assert (0, None) == (self.runner.waiting_ms, self.runner.needs_from)

    async def _settle(self) -> None:
        """Wait until the recognizer has used its credits or has nothing to hear."""
        await asyncio.sleep(0)
        while self.runner.waiting_ms and not self.recognizer.credit.locked():  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)

    def _segment(self, since: int) -> None:
        """Tell what the voice detector has found out about the next 100 ms."""
        for utterance in self.utterances:
            if since <= utterance.start < since + STEP_MS:
                self.runner.opened(replace(utterance, end=None, cut_right=Cut.NONE))
            if utterance.end is not None and since <= utterance.end < since + STEP_MS:
                self.runner.closed(utterance)

    def _release(self) -> None:
        if self.runner.needs_from is not None:
            self.tape.release(self.runner.needs_from)

    # -- what came of it --------------------------------------------------------------------------------------------

    @property
    def skipped(self) -> list[Span]:
        """What was told, piece by piece."""
        return [(skip.start, skip.end) for skip in self.notes.skips if not skip.over]

    def shown_at_wrong_times(self) -> list[tuple[str, int, int]]:
        """Words that lie where they were not spoken. (Half a word is shown as half.)"""
        true = {word.text: word for word in WORDS}
        said = self.notes.words()
        return [(t, start, end) for t, start, end in said if start < true[t].start or end > true[t].end]

    def check_what_was_told(self) -> None:
        """Words outside of what was told are shown, words inside are not; the last report tells everything."""
        shown = {text for text, start, end in self.notes.words() if end - start == 200}
        for word in WORDS:
            inside = any(start <= word.start and word.end <= end for start, end in self.skipped)
            outside = all(word.end <= start or end <= word.start for start, end in self.skipped)
            due = any(u.start <= word.start and word.end <= min(u.end or 0, self.now) for u in self.utterances)
            if due and (inside or outside):
                assert outside == (word.text in shown), (word, self.skipped)
        self._check_reports()

    def _check_reports(self) -> None:
        """Reports grow, and every stretch is told to be over."""
        begun: list[Report] = []
        for skip in self.notes.skips:
            if skip.over:
                assert (begun[0].start, begun[-1].end) == (skip.start, skip.end)
                assert skip.depth < self.limit / 4
                begun = []
            else:
                assert not begun or begun[-1].end <= skip.start < skip.end
                begun.append(skip)
        assert not begun


def whole() -> list[Utterance]:
    """Somebody who does not stop."""
    return [Utterance("all", 0, LENGTH)]


def talk(chance: random.Random) -> list[Utterance]:
    """Utterances whose borders lie between words, some of them forced cuts, to the end."""
    borders = sorted({0, LENGTH, *(250 * chance.randrange(1, 120) - 25 for _ in range(chance.randrange(1, 8)))})
    made: list[Utterance] = []
    for start, end in pairwise(borders):
        cut_left = made[-1].cut_right if made else Cut.NONE
        cut_right = chance.choice([Cut.NONE, Cut.PAUSE]) if end < LENGTH else Cut.NONE
        made.append(Utterance(f"0-{start}", start, end, cut_left=cut_left, cut_right=cut_right))
    return [u for u in made if u.cut_left or u.cut_right or chance.random() < 0.7] or made


@st.composite
def paces(draw: st.DrawFn) -> list[tuple[int, float]]:
    """Phases of (ms, share of the audio that the recognizer could take meanwhile), 30 s in all."""
    phases: list[tuple[int, float]] = []
    left = LENGTH
    while left:
        ms = min(left, draw(st.integers(5, 120)) * STEP_MS)
        phases.append((ms, draw(st.sampled_from([0.0, 0.3, 0.8, 1.0, 3.0]))))
        left -= ms
    return phases


@pytest.mark.parametrize("endpoints", [True, False])
@settings(max_examples=25, deadline=None)
@given(phases=paces(), seed=st.integers(0, 2**32), chunks=st.integers(20, 60))
def test_at_any_pace_little_waits_and_what_is_skipped_is_told(
    endpoints: bool, phases: list[tuple[int, float]], seed: int, chunks: int
) -> None:
    """Slower than speech, hung, well again: never too much waits, words lie where they belong, reports are true."""

    async def play() -> None:
        utterances = whole() if endpoints else talk(random.Random(seed))
        stage = Stage(Paced(endpoints=endpoints), utterances, replace(SETTINGS, max_waiting_chunks=chunks))
        for ms, pace in phases:
            await stage.speak(ms, pace)
        await stage.end()
        assert [] == stage.shown_at_wrong_times()
        stage.check_what_was_told()

    asyncio.run(play())


@pytest.mark.parametrize("endpoints", [True, False])
@settings(max_examples=25, deadline=None)
@given(phases=paces(), seed=st.integers(0, 2**32), most=st.integers(0, 20))
def test_crashes_on_top_of_it_misplace_nothing(
    endpoints: bool, phases: list[tuple[int, float]], seed: int, most: int
) -> None:
    """Streams that break while audio is being skipped, also with room for hardly any: no hang, no wrong times."""

    async def play() -> None:
        chance = random.Random(seed)
        utterances = whole() if endpoints else talk(chance)
        stage = Stage(Paced(endpoints=endpoints), utterances, replace(SETTINGS, max_waiting_ms=most * STEP_MS))
        for ms, pace in phases:
            await stage.speak(ms, pace)
            stage.recognizer.crashes = chance.choice([0, 0, 1, 2, 5])
        await stage.end()
        assert [] == stage.shown_at_wrong_times()

    asyncio.run(play())


@pytest.mark.parametrize("endpoints", [True, False])
async def test_a_recognizer_that_keeps_up_loses_nothing(endpoints: bool) -> None:
    """Relief that is not needed changes nothing and tells nothing."""
    stage = Stage(Paced(endpoints=endpoints), whole())
    await stage.speak(LENGTH, 1.2)
    await stage.end()
    assert ([], [(w.text, w.start, w.end) for w in WORDS]) == (stage.notes.skips, stage.notes.words())


@pytest.mark.parametrize("endpoints", [True, False])
async def test_a_hung_recognizer_is_told_at_once_and_then_every_half_second(endpoints: bool) -> None:
    """It takes nothing: from 5 s on the oldest audio goes, in pieces of 500 ms, and the tape need not keep it."""
    stage = Stage(Paced(endpoints=endpoints), whole())
    await stage.speak(8_000, 0)
    first = stage.skipped[0][0]
    assert STEP_MS >= first
    assert all(before[1] == after[0] for before, after in pairwise(stage.skipped))
    assert {True} == {500 <= end - start <= 500 + STEP_MS for start, end in stage.skipped}
    assert stage.limit - 500 <= stage.runner.waiting_ms <= stage.limit
    assert {False} == {skip.over for skip in stage.notes.skips}
    await stage.speak(4_000, 3)
    last = stage.notes.skips[-1]
    assert (first, stage.skipped[-1][1], True) == (last.start, last.end, last.over)
    await stage.end()
    stage.check_what_was_told()


async def test_a_recognizer_that_never_wakes_up_is_given_up() -> None:
    """It takes no audio for good: tried again, then left to the second pass; everything is settled, nothing waits."""
    patience = replace(SETTINGS, silence_seconds=0.4, max_waiting_ms=1_000)
    stage = Stage(Paced(endpoints=True), whole(), patience)
    await stage.speak(LENGTH - 1_000, 0)
    for number in range(3):
        await until(lambda n=number: len(stage.notes.troubles) > n)  # type: ignore[misc]
        if number < 2:
            await until(lambda n=number: stage.recognizer.streams > n + 1)  # type: ignore[misc]
            stage.tape.write(bytes(1_500 * 32))
            stage.runner.relieve()
    await until(lambda: stage.notes.troubles[-1] == ("recognizer_timeout", False))
    stage.runner.closed(whole()[0])
    stage.runner.finish()
    await until(lambda: Settled(FOREVER) in stage.notes.facts)
    assert [("recognizer_timeout", True)] * 2 + [("recognizer_timeout", False)] == stage.notes.troubles
    assert not stage.tape.finished
    assert stage.notes.skips[-1].over
    await stage.end()


async def test_an_utterance_that_is_skipped_wholly_gets_no_stream_and_is_settled() -> None:
    """While one hangs, three short ones pass by: each is settled in its turn, only the last is still heard."""
    short = [Utterance(str(i), 2_000 + 2_000 * i, 3_975 + 2_000 * i) for i in range(6)]
    stage = Stage(Paced(), [Utterance("hung", 0, 1_975), *short])
    await stage.speak(14_500, 0)
    assert stage.skipped[-1][1] * 16 == stage.runner.needs_from
    await stage.end()
    settled = [fact.until for fact in stage.notes.facts if isinstance(fact, Settled)]
    assert [2_125, *(u.end + 150 for u in short if u.end), FOREVER] == settled
    assert 7 > stage.recognizer.streams
    stage.check_what_was_told()


async def test_what_a_broken_stream_believed_stays_if_nobody_hears_it_again() -> None:
    """It breaks after 6 s of speech of which only 1 s may wait: its words stay, so nothing counts as skipped."""
    stage = Stage(Paced(), whole(), replace(SETTINGS, max_waiting_ms=1_000))
    await stage.speak(6_000)
    stage.recognizer.crashes = 1
    await stage.speak(LENGTH - 6_000)
    await stage.end()
    store = FirstWords()
    for fact in stage.notes.facts:
        if isinstance(fact, FirstPass):
            store.add(fact.hypothesis, fact.sequence)
    texts = [word.text for word in store.final_words(0, FOREVER)]
    assert [str(n + 1) for n in range(20)] == texts[:20]
    assert [str(n + 1) for n in range(26, 120)] == texts[-94:]
    assert ([("recognizer_crashed", True)], []) == (stage.notes.troubles, stage.notes.skips)


async def test_a_recognizer_that_never_says_anything_final_does_not_keep_the_tape() -> None:
    """It hears an hour of silence, say: only so much of it is kept as another stream might still hear."""
    recognizer = Paced(endpoints=True, final_every_ms=1 << 60)
    stage = Stage(recognizer, whole())
    await stage.speak(20_000)
    assert stage.tape.start == stage.runner.needs_from == (20_000 - stage.limit) * 16
    recognizer.crashes = 1
    await stage.speak(LENGTH - 20_000, 1.5)
    await stage.end()
    assert 2 == recognizer.streams
    assert [] == stage.shown_at_wrong_times()
    stage.check_what_was_told()


async def test_after_a_recovery_streams_and_times_go_on() -> None:
    """A runner that takes over numbers its streams on, and begins where everything before is settled."""
    tape, notes, recognizer = Tape(), Notes(), ScriptedStreaming(endpoints=True)
    tape.write(spoken(WORDS, LENGTH))
    tape.release(8_000 * 16)
    tape.finish()
    runner = FirstPassRunner(alone(recognizer), tape, StreamOptions(), notes, SETTINGS, first_stream=7, settled=10_000)
    assert 160_000 == runner.needs_from
    await runner.run()
    assert {7} == {fact.sequence[0] for fact in notes.facts if isinstance(fact, FirstPass)}
    assert [(w.text, w.start, w.end) for w in WORDS if w.start >= 10_000] == notes.words()


@pytest.mark.parametrize(
    ("chunks", "ms", "size", "limit"),
    [(50, 5_000, 160_000, 5_000), (10, 5_000, 160_000, 1_000), (50, 700, 160_000, 700), (50, 5_000, 6_400, 200)],
)
def test_the_least_of_the_limits_counts(chunks: int, ms: int, size: int, limit: int) -> None:
    """Chunks, time and bytes each limit what may wait."""
    settings = FirstPassSettings(max_waiting_chunks=chunks, max_waiting_ms=ms, max_waiting_bytes=size)
    assert limit == settings.most_waiting(100)


def test_one_chunk_may_always_wait() -> None:
    """A limit of nothing would mean that nothing is ever heard."""
    assert 100 == FirstPassSettings(max_waiting_ms=0).most_waiting(100)
