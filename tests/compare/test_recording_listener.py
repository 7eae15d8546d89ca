"""What a first pass says on its own, as a reader would see it."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from tests.scripted import ScriptedStreaming, crash, numbered
from tests.test_first_pass import CUT, EVERYTHING, SETTINGS, Notes, run_utterances, run_whole

from twopass.compare.recording_listener import INTERRUPTED, Recorder
from twopass.errors import RecognizerCrashed
from twopass.reconciler import FOREVER, FirstPass, Settled
from twopass.types import Clock, Hypothesis, Status, Usage, Words, text_of

WORDS = numbered(9)


def says(number: int, words: Words, *, final: bool = False, stream: int = 0) -> FirstPass:
    """A hypothesis about just these words."""
    start, end = (words[0].start, words[-1].end) if words else (0, 0)
    return FirstPass(Hypothesis(start, end, words, final=final, stable=len(words) * final), (stream, number))


def played(*facts: FirstPass | Settled) -> Recorder:
    """What becomes of these facts, one every 100 ms."""
    clock = count(100, 100)
    recorder = Recorder(lambda: next(clock))
    for fact in facts:
        recorder.fact(fact)
    return recorder


def lines(recorder: Recorder) -> list[tuple[float, str, str, str]]:
    """What was seen: when, of what, how sure, which words."""
    return [(s.at, s.revision.utterance, s.revision.status.value, s.revision.text) for s in recorder.seen]


def of_notes(notes: Notes) -> Recorder:
    """What a reader would have seen of a run of the first pass."""
    return played(*notes.facts)


def final_words(recorder: Recorder) -> list[tuple[str, int, int]]:
    """The transcript, which must be final."""
    last = {seen.revision.utterance: seen.revision for seen in recorder.seen}
    assert {revision.status for revision in last.values()} == {Status.FINAL}
    return [(word.text, word.start, word.end) for revision in last.values() for word in revision.words]


def test_a_final_closes_a_segment_and_the_next_interim_opens_one() -> None:
    """Interims replace each other within a segment, and each revision has the time at which it came."""
    recorder = played(
        says(1, WORDS[:1]), says(2, WORDS[:3]), says(3, WORDS[:2], final=True), says(4, WORDS[2:4]), Settled(0)
    )
    assert lines(recorder) == [
        (100, "s0", "interim", "1"),
        (200, "s0", "interim", "1 2 3"),
        (300, "s0", "final", "1 2"),
        (400, "s1", "interim", "3 4"),
    ]
    assert [seen.revision.revision for seen in recorder.seen] == [1, 2, 3, 1]


def test_what_was_never_said_finally_ends_interrupted() -> None:
    """The last belief of a stream that was given up is final, and says why."""
    recorder = played(says(1, WORDS[:3]), Settled(FOREVER), says(2, WORDS[:4]))
    last = recorder.seen[-2].revision, recorder.seen[-1].revision
    assert (last[0].text, last[0].status, last[0].degraded) == ("1 2 3", Status.FINAL, INTERRUPTED)
    assert last[1].text == "4"


def test_only_the_settled_part_is_interrupted() -> None:
    """What lies behind the settled time stays open, as a segment of its own."""
    recorder = played(says(1, WORDS[:4]), Settled(WORDS[1].end + 10), says(1, WORDS[2:5], final=True, stream=1))
    assert lines(recorder)[1:] == [
        (200, "s0", "final", "1 2"),
        (300, "s1", "interim", "3 4"),
        (400, "s1", "final", "3 4 5"),
    ]


def test_words_taken_back_leave_an_empty_segment() -> None:
    """A final without words is seen if there was something to take back, and not otherwise."""
    silence = FirstPass(Hypothesis(0, 500, final=True), (0, 2))
    assert lines(played(says(1, WORDS[:1]), silence))[1:] == [(200, "s0", "final", "")]
    assert lines(played(silence)) == []


def test_streams_that_overlap_say_nothing_twice() -> None:
    """What an earlier stream said finally is not said again by its successor, and its beliefs make room."""
    recorder = played(
        says(1, WORDS[:3], final=True),
        says(2, WORDS[3:5]),
        says(1, WORDS[2:6], stream=1),
        says(2, WORDS[2:6], final=True, stream=1),
    )
    assert text_of(recorder.transcript) == "1 2 3 4 5 6"


def test_the_same_fact_twice_changes_nothing() -> None:
    """Facts that are known already are not shown."""
    facts = [says(1, WORDS[:1]), says(2, WORDS[:2], final=True)]
    assert lines(played(*facts, *facts)) == lines(played(*facts))


async def test_a_real_first_pass_is_recorded_whole() -> None:
    """A recognizer that hears the whole tape: every word once, final, with its time; also if it breaks on the way."""
    recorder = of_notes(await run_whole(ScriptedStreaming(endpoints=True)))
    assert final_words(recorder) == EVERYTHING
    broken = ScriptedStreaming(endpoints=True, fault=lambda stream, ms: crash() if stream == 0 and ms > 2_300 else None)
    assert final_words(of_notes(await run_whole(broken))) == EVERYTHING


async def test_a_stream_per_utterance_is_recorded_whole() -> None:
    """Across a forced cut nothing is lost or doubled, also if the first stream breaks."""
    broken = ScriptedStreaming(fault=lambda stream, ms: crash() if stream == 0 and ms > 1_000 else None)
    for recognizer in (ScriptedStreaming(), broken):
        assert final_words(of_notes(await run_utterances(recognizer, CUT))) == EVERYTHING


async def test_a_first_pass_that_never_comes_back_keeps_its_beliefs() -> None:
    """After the last attempt what was believed is final."""
    hopeless = ScriptedStreaming(endpoints=True, fault=lambda stream, ms: crash() if ms > 1_200 else None)
    recorder = of_notes(await run_whole(hopeless))
    assert [word for word, *_ in final_words(recorder)][:4] == ["1", "2", "3", "4"]
    assert SETTINGS.attempts == 3


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8), st.integers(0, 8), st.booleans()), max_size=12))
def test_whatever_is_said_each_segment_lives_once(sayings: list[tuple[int, int, int, bool]]) -> None:
    """Numbers count up, nothing follows a final, segments come in order, and at the end no word is doubled."""
    facts: list[FirstPass | Settled] = []
    for number, (stream, low, length, final) in enumerate(sorted(sayings, key=lambda saying: saying[0])):
        facts.append(says(number + 1, WORDS[low : low + length + 1], final=final, stream=stream))
    recorder = played(*facts, Settled(FOREVER))
    by_segment: dict[str, list[Status]] = {}
    for seen in recorder.seen:
        history = by_segment.setdefault(seen.revision.utterance, [])
        history.append(seen.revision.status)
        assert seen.revision.revision == len(history)
    assert list(by_segment) == [f"s{i}" for i in range(len(by_segment))]
    assert all(history.count(Status.FINAL) == 1 and history[-1] is Status.FINAL for history in by_segment.values())
    assert len(set(recorder.transcript)) == len(recorder.transcript)


def test_usage_that_is_alike_is_added_up_and_troubles_are_sentences() -> None:
    """What a stream tells second by second is one entry; troubles name the provider and what happened."""
    recorder = Recorder(lambda: 0.0)
    for stream in ("a", "a", "b"):
        recorder.used(Usage("v", "s", Clock.AUDIO_SENT, 1.5, stream=stream))
    recorder.trouble(RecognizerCrashed("It died.", provider="v"), retrying=True)
    recorder.switched("v", "w", "it died.")
    recorder.recovered("v")
    recorder.skipped(1_000, 2_500, 300, over=False)
    recorder.skipped(1_000, 2_500, 0, over=True)
    assert [(usage.stream, usage.seconds) for usage in recorder.usage] == [("a", 3.0), ("b", 1.5)]
    assert recorder.troubles == [
        "v failed and is tried again: It died.",
        "w goes on for v: it died.",
        "v is well again.",
        "1.5 s of audio were skipped at 1.0 s.",
    ]


def test_channels_do_not_share_segments() -> None:
    """The second channel's segments have names of their own, and say whose they are."""
    recorder = Recorder(lambda: 0.0, channel=1)
    recorder.fact(says(1, WORDS[:1]))
    assert [(seen.revision.utterance, seen.revision.channel) for seen in recorder.seen] == [("1-s0", 1)]
