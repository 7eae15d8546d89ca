"""One channel's use of the second pass: guesses, windows, and what goes first when there is too much to do."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from tests.scripted import numbered
from tests.waiting import until

from twopass.errors import RecognizerError, RecognizerTimeout
from twopass.guard import GuardSettings
from twopass.recognizers import UtteranceAudio
from twopass.reconciler import SecondPass, SecondPassFailed
from twopass.rewriting import Rewriter
from twopass.second_pass import Job, SecondPassSettings
from twopass.types import Cut, Evidence, Hypothesis, Pass, Utterance

SPEECH = Utterance("0-5000", 5_000, 9_000, 3_000, Cut.SPEECH, Cut.SPEECH)
PAUSED = replace(SPEECH, cut_right=Cut.NONE)
BUSY, OVERLOADED = 0.4, 0.8
PATIENT = SecondPassSettings(deadline_ms=600_000)
GUARD = GuardSettings()


@dataclass
class Submitted:
    """What was asked of the second pass."""

    window: tuple[int, int]
    job: Job

    def answer(self, *, looping: bool = False) -> None:
        """The second pass answers."""
        words = numbered(4, start=2_000)
        evidence = Evidence(-0.2, 0.05, 9.0 if looping else 1.1)
        length = self.window[1] - self.window[0]
        self.job.answer.set_result(Hypothesis(0, length, words, final=True, stable=4, evidence=evidence))


@dataclass
class Host:
    """A lane without audio."""

    load: float = 0.0
    realtime: bool = True
    rewriting: SecondPassSettings = PATIENT
    guard: GuardSettings = GUARD
    rewriter: str = "scripted"
    submitted: list[Submitted] = field(default_factory=list)
    facts: list[SecondPass | SecondPassFailed] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def submit(self, window: tuple[int, int], *, deadline: float, speculative: bool = False) -> Job:
        job = Job(UtteranceAudio(b""), deadline, speculative, lambda usage: None)
        self.submitted.append(Submitted(window, job))
        return job

    def fact(self, fact: SecondPass | SecondPassFailed) -> None:
        self.facts.append(fact)

    def failed(self, pass_: Pass, error: RecognizerError, *, retrying: bool = False) -> None:
        self.failures.append(error.code)


async def test_speculation_is_shed_first() -> None:
    """Under load a pause begins nothing; the utterance's end still does, with all its context."""
    host = Host(load=BUSY)
    rewriter = Rewriter(host)
    rewriter.paused(PAUSED)
    assert [] == host.submitted
    rewriter.ended(SPEECH)
    assert [(3_500, 10_500)] == [asked.window for asked in host.submitted]
    host.submitted[0].answer()
    await rewriter.finish()
    assert [SecondPass] == [type(fact) for fact in host.facts]


async def test_context_is_shed_next() -> None:
    """Under more load a cut in running speech gets as little context as one in a pause."""
    host = Host(load=OVERLOADED)
    rewriter = Rewriter(host)
    rewriter.ended(SPEECH)
    rewriter.ended(replace(SPEECH, id="other", cut_left=Cut.PAUSE, cut_right=Cut.NONE))
    assert [(4_750, 9_250), (4_750, 9_000)] == [asked.window for asked in host.submitted]
    rewriter.close()
    await rewriter.finish()


async def test_when_the_load_is_gone_all_is_as_before() -> None:
    """Nothing is remembered of an overload."""
    host = Host(load=OVERLOADED)
    rewriter = Rewriter(host)
    rewriter.paused(PAUSED)
    host.load = 0.0
    rewriter.paused(PAUSED)
    assert [((3_500, 9_000), True)] == [(asked.window, asked.job.speculative) for asked in host.submitted]
    rewriter.close()


@pytest.mark.parametrize(("before", "after"), [(0.0, OVERLOADED), (OVERLOADED, 0.0), (0.0, 0.0)])
async def test_a_guess_that_was_right_is_taken_whatever_the_load_has_become(before: float, after: float) -> None:
    """A window with more or less context than one would choose now is better than decoding once more."""
    always = replace(PATIENT, speculation_load=2.0)
    host = Host(load=before, rewriting=always)
    rewriter = Rewriter(host)
    rewriter.paused(PAUSED)
    host.load = after
    rewriter.ended(PAUSED)
    (asked,) = host.submitted
    asked.answer()
    await rewriter.finish()
    (fact,) = host.facts
    assert isinstance(fact, SecondPass)
    assert asked.window[0] + 2_000 == fact.hypothesis.words[0].start
    assert not asked.job.speculative


@pytest.mark.parametrize(("load", "asked"), [(0.0, 2), (OVERLOADED, 1)])
async def test_a_rejected_answer_is_asked_for_again_only_if_there_is_time(load: float, asked: int) -> None:
    """Without context once more; under overload the first pass's words are kept instead."""
    host = Host(load=load)
    rewriter = Rewriter(host)
    rewriter.ended(SPEECH)
    host.submitted[0].answer(looping=True)
    if asked == 2:
        await until(lambda: len(host.submitted) == 2)
        assert (5_000, 9_000) == host.submitted[1].window
        host.submitted[1].answer()
    await rewriter.finish()
    assert (asked, 1) == (len(host.submitted), len(host.facts))


async def test_recordings_do_not_feel_the_load() -> None:
    """Without deadlines there is time for everything."""
    host = Host(load=9.0, realtime=False)
    rewriter = Rewriter(host)
    rewriter.ended(SPEECH)
    assert [(3_500, 10_500)] == [asked.window for asked in host.submitted]
    rewriter.close()
    await rewriter.finish()


@pytest.mark.parametrize("told", [True, False])
async def test_what_comes_too_late_is_a_timeout(told: bool) -> None:
    """Whether the queue gives it up or the deadline passes: the first pass's words stay, for the same reason."""
    host = Host(rewriting=replace(PATIENT, deadline_ms=600_000 if told else 1))
    rewriter = Rewriter(host)
    rewriter.ended(SPEECH)
    if told:
        host.submitted[0].job.answer.set_exception(RecognizerTimeout("Overloaded.", provider="scripted"))
    await rewriter.finish()
    assert [SecondPassFailed(SPEECH, "timeout")] == host.facts
    assert ["recognizer_timeout"] == host.failures
