"""A short form of the fault suite, and proof that its parts do what they say, failing included."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import scripted
from tests.faults import comparison, report, runner, script
from tests.faults.comparison import Verdict
from tests.faults.disorder import disordered, indexed
from tests.faults.plugin.twopass_scripted import hosted
from tests.faults.plugin.twopass_scripted.faults import Counted, Fault, parsed
from tests.faults.plugin.twopass_scripted.hearing import Ear, heard
from tests.faults.scenarios import SCENARIOS, shared_out

from twopass.gateway.messages import AnyServerMessage, Ended, ErrorMessage, Resumed, Segment, WordMessage

_RUNS = {
    "cut": [0, 1, 2],
    "disorder": [0, 1],
    "server_kill": [0, 1],
    "model_kill": [0],
    "first_crashed": [0, 1],
    "disk_full": [0],
}


@pytest.mark.parametrize("name", _RUNS)
async def test_nothing_is_lost(name: str) -> None:
    """Sessions that meet this fault end with the words of the run where nothing failed, each once and final."""
    outcomes, log = await runner.run(name, _RUNS[name], lambda outcome: None)
    assert {o.seed: str(o.verdict) for o in outcomes} == dict.fromkeys(_RUNS[name], "good"), "\n".join(log)


# -- the comparison ---------------------------------------------------------------------------------------------------


def _segment(event: int, start: int, words: str, status: str = "final", revision: int = 1) -> Segment:
    """An utterance of one second."""
    said = tuple(WordMessage(text=text, start=start, end=start + 100) for text in words.split())
    return Segment.model_validate(
        {"event": event, "id": f"0-{start}", "revision": revision, "status": status, "start": start}
        | {"end": start + 1_000, "text": words, "words": said, "source": "second"}
    )


def _ended(event: int, utterances: int, words: int) -> Ended:
    return Ended(event=event, audio_ms=9_000, utterances=utterances, words=words, degraded=0)


GOOD: list[AnyServerMessage] = [
    _segment(1, 0, "1", "interim"),
    _segment(2, 0, "1 2", "final", 2),
    _segment(3, 2_000, "3", "provisional"),
    _segment(5, 2_000, "3 4", "final", 2),
    _ended(6, 2, 4),
]


def test_what_is_right_is_good() -> None:
    """The same words, every utterance final: nothing is wrong."""
    assert comparison.compared("1 2 3 4".split(), GOOD) == Verdict()


@pytest.mark.parametrize(
    ("messages", "wrong"),
    [
        ([_segment(1, 0, "1 2"), _segment(2, 2_000, "4"), _ended(3, 2, 3)], {"lost": ("3",)}),
        ([_segment(1, 0, "1 2 2"), _segment(2, 2_000, "3 4"), _ended(3, 2, 5)], {"doubled": ("2",)}),
        ([_segment(1, 0, "1 2"), _segment(2, 2_000, "3 9 4"), _ended(3, 2, 5)], {"doubled": ("9",)}),
        ([*GOOD[:3], _segment(4, 2_000, "3 4", "provisional", 2), _ended(5, 2, 4)], {"not_final": ("0-2000",)}),
        ([*GOOD[:2], _segment(3, 0, "1 2", "final", 3), *GOOD[3:]], {"changed_after_final": ("0-0",)}),
        ([*GOOD[:2], *GOOD[1:2], *GOOD[2:]], {"changed_after_final": ("0-0",), "repeated_events": (2,)}),
        ([*GOOD[:2], _segment(1, 2_000, "3 4"), _ended(2, 2, 4)], {"repeated_events": (1,)}),
        ([_segment(1, 0, "1 3"), _segment(2, 2_000, "2 4"), _ended(3, 2, 4)], {"problems": ("order",)}),
        ([_segment(1, 0, "1 2"), _segment(2, 500, "3 4"), _ended(3, 2, 4)], {"problems": ("overlap",)}),
        (GOOD[:-1], {"problems": ("0 end messages",)}),
        ([*GOOD[:-1], _ended(6, 3, 4)], {"problems": ("counts",)}),
        ([], {"lost": tuple("1234"), "problems": ("0 end messages",)}),
    ],
)
def test_whatever_is_wrong_is_found(messages: list[AnyServerMessage], wrong: dict[str, tuple[object, ...]]) -> None:
    """A lost word, a doubled one, an utterance that is not final, and each other mistake is named, and only it."""
    verdict = comparison.compared("1 2 3 4".split(), messages)
    assert not verdict.good
    for name in ("lost", "doubled", "not_final", "changed_after_final", "repeated_events"):
        assert getattr(verdict, name) == wrong.get(name, ())
    expected = wrong.get("problems", ())
    assert len(verdict.problems) == len(expected)
    assert all(str(part) in problem for part, problem in zip(expected, verdict.problems, strict=True))


def test_a_resumed_message_repeats_no_event() -> None:
    """`resumed`, and an error that ends a socket, carry the number of the last event: that is no repetition."""
    stopping = ErrorMessage(event=2, code="server_stopping", message="It stops.", fatal=True)
    resumed = Resumed(event=2, session="x", next_sample=0, next_byte=0)
    assert comparison.compared("1 2 3 4".split(), [*GOOD[:2], stopping, resumed, *GOOD[2:]]) == Verdict()


def test_the_last_line_counts_everything_wrong(tmp_path: Path) -> None:
    """Lost and doubled words and unfinished utterances of all runs are added up, and failures say how to rerun them."""
    bad = runner.Outcome("cut", 7, Verdict(lost=("1", "2"), doubled=("3",), not_final=("0-0",)), 1, 9, 1.0)
    good = runner.Outcome("cut", 8, Verdict(), 1, 9, 1.0)
    assert report.last_line([bad, good]) == "runs 2, words lost 2, words doubled 1, utterances not final 1"
    assert "again --scenario cut --seed 7" in "".join(report.failures([bad, good], "again"))
    report.write([bad, good], {"cut": "socket cut"}, tmp_path / "a" / "faults.json")
    assert '"runs_wrong": 1' in (tmp_path / "a" / "faults.json").read_text()


# -- scripts and clients ----------------------------------------------------------------------------------------------


def test_a_seed_writes_one_script() -> None:
    """The same seed gives the same words at the same times, each word once; another seed gives others."""
    first, again, other = script.written(3, 20_000), script.written(3, 20_000), script.written(4, 20_000)
    assert first == again
    assert first.words != other.words
    assert len(set(first.texts)) == len(first.texts)
    assert all(word.end <= first.ms for word in first.words)


@given(st.integers(0, 200), st.lists(st.integers(1, 5_000), min_size=1))
def test_the_ear_hears_the_same_in_any_pieces(seed: int, sizes: list[int]) -> None:
    """Cut in any way, the audio says the words that were put into it, as the tests' slow ear hears them."""
    said = script.written(seed, 3_000)
    ear, at, i = Ear(), 0, 0
    while at < len(said.pcm):
        ear.hear(said.pcm[at : at + sizes[i % len(sizes)]])
        at, i = at + sizes[i % len(sizes)], i + 1
    assert tuple(ear.words) == heard(said.pcm) == scripted.heard(said.pcm) == said.words


def test_the_voice_detector_hears_who_speaks() -> None:
    """A frame with any sound is speech, a frame of zeros is silence."""
    silence, sound = bytes(1_024), b"\x07\x00" * 512
    assert [frame.probability for frame in hosted.frames(silence + sound + silence)] == [0.0, 1.0, 0.0]


@given(st.integers(0, 1_000), st.integers(1, 8))
def test_disorder_loses_nothing(seed: int, reach: int) -> None:
    """Every frame of a disorderly client comes, none more than `reach` frames late, and some do not come in order."""
    frames = indexed(bytes(range(250)) * 64, 40)
    sent = list(disordered(frames, random.Random(seed), reach=reach, share=0.2))
    assert set(sent) == set(frames)
    newest = 0
    for frame in sent:
        newest = max(newest, frames.index(frame))
        assert newest - frames.index(frame) <= reach
    assert sent != frames


def test_recognizers_break_as_they_are_told() -> None:
    """An order survives as a phrase, and strikes the session's stream of that number, once, and no other session."""
    orders = [Fault("first", "crash", 1), Fault("second", "hang", 0)]
    phrases = ["twopass", *(order.phrase for order in orders)]
    counted = Counted("first")
    assert parsed(phrases) == orders
    assert [counted.next("a", phrases) for _ in range(3)] == [None, "crash", None]
    assert counted.next("b", phrases) is None
    assert counted.next("b", phrases) == "crash"


# -- runs -------------------------------------------------------------------------------------------------------------


def test_a_single_run_shares_its_batchs_troubles() -> None:
    """Seeds are put together by their number alone, so a run that is had again meets the same troubles."""
    assert runner.batches([3, 14, 15, 16]) == [[3, 14], [15, 16]]
    assert runner.batches([16]) == [[16]]
    assert runner.batches([0, 1, 2], most=2) == [[0, 1], [2]]


def test_a_run_in_which_nothing_failed_is_wrong() -> None:
    """A fault that never struck shows nothing, and memory without bounds is a failure of the whole batch."""
    outcome = runner.Outcome("cut", 0, Verdict(), 0, 9, 1.0)
    assert not runner.judged(outcome, 0, 0.0).verdict.good
    assert runner.judged(outcome, 1, 0.0).verdict.good
    assert not runner.judged(outcome, 1, runner.MOST_GROWN_MB + 1.0).verdict.good


def test_every_scenario_gets_its_share() -> None:
    """Runs are shared out over all scenarios, and no scenario is left out, however few the runs."""
    assert sum(shared_out(330, SCENARIOS).values()) >= 300
    assert min(shared_out(1, SCENARIOS).values()) == 1
