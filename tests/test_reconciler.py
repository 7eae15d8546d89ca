"""The merge: the five invariants as properties, and the cases that people ask about."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import Script, scripts

from twopass.reconciler import (
    FOREVER,
    Closed,
    Fact,
    FirstPass,
    Heard,
    Opened,
    Reconciler,
    SecondPass,
    SecondPassFailed,
    Settled,
)
from twopass.types import Cut, Evidence, Hypothesis, Pass, Revision, Status, Utterance, Word, Words

seeds = st.integers(0, 2**32)


def shown(facts: Iterable[Fact], *, diarized: bool = False) -> list[Revision]:
    """All revisions that the facts cause."""
    reconciler = Reconciler(diarized=diarized)
    return [revision for fact in facts for revision in reconciler.apply(fact)]


def transcript(revisions: Iterable[Revision]) -> list[Revision]:
    """The highest revision per utterance, in the order of time."""
    latest = {revision.utterance: revision for revision in revisions}
    return sorted(latest.values(), key=lambda revision: revision.start)


def meaning(revisions: Iterable[Revision]) -> list[tuple[Word, Pass, str | None]]:
    """What a reader gets in the end: the words with their times, source and degradation."""
    return [(word, r.source, r.degraded) for r in transcript(revisions) for word in r.words]


def texts(words: Iterable[Word]) -> list[str]:
    """Only what is written."""
    return [word.text for word in words]


# -- the five invariants --------------------------------------------------------------------------------------------


@given(scripts(), seeds)
def test_any_order_of_arrival_gives_the_same_transcript(script: Script, seed: int) -> None:
    """Invariant 1: any order that keeps the promises, with duplicates, ends in the transcript of the orderly run."""
    assert meaning(shown(script.in_order())) == meaning(shown(script.shuffled(random.Random(seed))))


@given(scripts(), seeds)
def test_speakers_do_not_depend_on_the_order_of_arrival(script: Script, seed: int) -> None:
    """With a first pass that tells speakers apart the second pass's words get the same labels in any order."""
    in_order = [_with_speakers(fact) for fact in script.in_order()]
    shuffled = [_with_speakers(fact) for fact in script.shuffled(random.Random(seed))]
    labelled = meaning(shown(in_order, diarized=True))
    assert labelled == meaning(shown(shuffled, diarized=True))
    assert texts(word for word, *_ in labelled) == texts(word for word, *_ in meaning(shown(in_order)))


def _with_speakers(fact: Fact) -> Fact:
    if not isinstance(fact, FirstPass):
        return fact
    words = tuple(replace(word, speaker=str(word.start // 700 % 2)) for word in fact.hypothesis.words)
    return replace(fact, hypothesis=replace(fact.hypothesis, words=words))


@given(scripts(failures=False), seeds)
def test_no_word_is_lost_and_none_is_shown_twice(script: Script, seed: int) -> None:
    """Invariant 2: where both sides of every cut hear what was said, the transcript is exactly what was said."""
    revisions = transcript(shown(script.shuffled(random.Random(seed))))
    said = [word.text for words in script.spoken for word in words]
    assert said == [word.text for revision in revisions for word in revision.words]


@given(scripts(), seeds)
def test_without_a_second_pass_every_word_of_the_first_is_shown_once(script: Script, seed: int) -> None:
    """Invariant 2 for the first pass: when the second fails everywhere, its final words all stand, each once."""
    facts = [
        SecondPassFailed(fact.utterance, "timeout") if isinstance(fact, SecondPass) else fact
        for fact in script.shuffled(random.Random(seed), duplicates=False)
    ]
    finals = {f.sequence: f.hypothesis for f in facts if isinstance(f, FirstPass) and f.hypothesis.final}
    said = sorted((w for h in finals.values() for w in h.words), key=lambda word: word.start)
    revisions = transcript(shown(facts))
    assert texts(said) == [word.text for revision in revisions for word in revision.words]


@given(scripts(), seeds)
def test_a_final_never_changes_and_revisions_grow_by_one(script: Script, seed: int) -> None:
    """Invariant 3: status only moves forward, nothing follows a final, revision numbers are 1, 2, 3 …"""
    seen: dict[str, Revision] = {}
    for revision in shown(script.shuffled(random.Random(seed))):
        before = seen.get(revision.utterance)
        assert revision.revision == (before.revision + 1 if before else 1)
        assert before is None or before.status is not Status.FINAL
        assert before is None or before.status.rank <= revision.status.rank
        seen[revision.utterance] = revision


@given(scripts(), seeds)
def test_times_are_monotonic_and_utterances_do_not_overlap(script: Script, seed: int) -> None:
    """Invariants 2 and 3: words grow in time within their utterance, and utterances within the session."""
    revisions = shown(script.shuffled(random.Random(seed)))
    for revision in revisions:
        starts = [word.start for word in revision.words]
        assert starts == sorted(starts)
        assert all(revision.start <= w.start <= w.end <= revision.end for w in revision.words)
    finals = transcript(revisions)
    assert all(left.end <= right.start for left, right in pairwise(finals))


@given(scripts(), seeds)
def test_every_utterance_ends_final_and_says_why_it_is_degraded(script: Script, seed: int) -> None:
    """Invariant 4: whatever failed, every utterance is final; the first pass's text carries the reason."""
    revisions = {r.utterance: r for r in transcript(shown(script.shuffled(random.Random(seed))))}
    assert {u.id for u in script.utterances} <= set(revisions)
    for revision in revisions.values():
        assert revision.status is Status.FINAL
        assert (revision.source is Pass.FIRST) == (revision.degraded is not None)


def test_what_is_held_does_not_grow_with_the_session() -> None:
    """Invariant 5: after three hours the reconciler holds no more than after the first minute."""
    reconciler = Reconciler()
    held = []
    for i in range(3_000):
        for fact in _one_utterance(i, start=i * 3_600):
            reconciler.apply(fact)
        held.append(reconciler.held)
    assert max(held[20:]) <= max(held[:20])


# -- single cases ---------------------------------------------------------------------------------------------------


def test_interim_provisional_final() -> None:
    """An utterance is interim while open, provisional when closed, final with the second pass, rewrites marked."""
    revisions = shown(_one_utterance(0, start=1_000))
    assert [Status.INTERIM, Status.PROVISIONAL, Status.PROVISIONAL, Status.FINAL] == [r.status for r in revisions]
    assert ["hello word", "hello word", "hello word", "Hello, world."] == [r.text for r in revisions]
    assert (1,) == revisions[-1].rewritten


def test_a_word_across_a_forced_cut_is_shown_once_wherever_each_side_puts_it() -> None:
    """Both sides heard the word at the cut, each on its own side of it: it is shown by the left side only."""
    left, right = (
        Utterance("l", 0, 2_000, 2_000, cut_right=Cut.PAUSE),
        Utterance("r", 2_000, 4_000, 2_000, cut_left=Cut.PAUSE),
    )
    heard_left = (Word("one", 1_500, 1_800), Word("two", 1_850, 2_100), Word("three", 2_200, 2_600))
    heard_right = (Word("one", 1_500, 1_800), Word("two", 1_980, 2_150), Word("three", 2_220, 2_600))
    finals = transcript(shown(_cut(left, heard_left, right, heard_right)))
    assert [["one", "two"], ["three"]] == [texts(r.words) for r in finals]


def test_a_word_across_a_forced_cut_is_not_lost_when_each_side_gives_it_to_the_other() -> None:
    """The left side puts the word after the cut, the right side before it: it is shown all the same."""
    left, right = (
        Utterance("l", 0, 2_000, 2_000, cut_right=Cut.PAUSE),
        Utterance("r", 2_000, 4_000, 2_000, cut_left=Cut.PAUSE),
    )
    heard_left = (Word("one", 1_500, 1_800), Word("two", 1_950, 2_150), Word("three", 2_200, 2_600))
    heard_right = (Word("one", 1_500, 1_800), Word("two", 1_800, 2_010), Word("three", 2_150, 2_600))
    finals = transcript(shown(_cut(left, heard_left, right, heard_right)))
    assert [["one"], ["two", "three"]] == [texts(r.words) for r in finals]


def test_a_repetition_loop_is_rejected() -> None:
    """The second pass loops on a phrase: the first pass's words stay, with the reason on record."""
    looping = tuple(Word("yes", 1_300 + 50 * i, 1_340 + 50 * i) for i in range(12))
    final = _with_answer(Hypothesis(1_000, 3_000, looping, final=True))
    assert ("hello word", "rejected: repetition loop") == (final.text, final.degraded)


def test_improbable_words_in_probable_silence_are_rejected() -> None:
    """Low probability together with high no-speech is a hallucination."""
    words = (Word("Thanks", 1_300, 1_500), Word("for", 1_500, 1_600), Word("watching.", 1_600, 2_000))
    final = _with_answer(Hypothesis(1_000, 3_000, words, final=True, evidence=Evidence(-1.4, 0.9, 1.0)))
    assert "rejected: improbable words in probable silence" == final.degraded


def test_words_where_nobody_was_heard_are_rejected() -> None:
    """The voice detector heard next to nothing and the first pass nothing: the second pass's words do not stand."""
    utterance = Utterance("u", 1_000, 3_000, speech_ms=128)
    answer = SecondPass(utterance, Hypothesis(1_000, 3_000, (Word("you", 1_300, 1_500),), final=True))
    (final,) = transcript(shown([*_voice(utterance), answer, Settled(FOREVER), Heard(FOREVER)]))
    assert ("", "rejected: words where nobody was heard") == (final.text, final.degraded)


def test_an_empty_answer_to_clear_speech_keeps_the_first_pass() -> None:
    """The second pass says nothing where both others heard speech: the first pass's words stay."""
    final = _with_answer(Hypothesis(1_000, 3_000, (), final=True, evidence=Evidence(-0.1, 0.1, 0.0)))
    assert ("hello word", Pass.FIRST) == (final.text, final.source)


def test_a_vendors_words_in_silence_get_an_utterance_of_their_own() -> None:
    """Final words of the first pass where the voice detector heard nobody are neither lost nor moved."""
    words = (Word("psst", 5_000, 5_300),)
    facts = [
        *_one_utterance(0, start=1_000)[:-2],
        FirstPass(Hypothesis(4_000, 6_000, words, final=True), (9, 1)),
        Settled(6_000),
        Heard(6_000),
    ]
    finals = transcript(shown(facts))
    assert ["Hello, world.", "psst"] == [r.text for r in finals]
    assert "only the first pass heard this" == finals[-1].degraded


def test_a_broken_streams_last_interim_does_not_haunt_the_transcript() -> None:
    """A new stream says finally what the broken one had begun to say: nothing is shown twice."""
    facts = _one_utterance(0, start=1_000)
    opened, closed = facts[0], facts[2]
    assert isinstance(closed, Closed)
    ghost = (Word("hello", 1_300, 1_700), Word("word", 1_760, 2_200))
    parts = ((Word("hello", 1_320, 1_690),), (Word("word", 1_700, 1_755),))
    finals = transcript(
        shown(
            [
                opened,
                FirstPass(Hypothesis(1_000, 2_200, ghost), (0, 1)),
                FirstPass(Hypothesis(1_000, 1_690, parts[0], final=True), (1, 1)),
                FirstPass(Hypothesis(1_690, 1_755, parts[1], final=True), (1, 2)),
                closed,
                SecondPassFailed(closed.utterance, "timeout"),
                Settled(FOREVER),
                Heard(FOREVER),
            ]
        )
    )
    assert ["hello word"] == [revision.text for revision in finals]


def test_an_answer_before_its_utterance_is_kept() -> None:
    """An answer may overtake the voice detector's facts (they cross a broker)."""
    opened, closed, answer = (
        fact for fact in _one_utterance(0, start=1_000) if isinstance(fact, Opened | Closed | SecondPass)
    )
    (final,) = transcript(shown([answer, opened, closed]))
    assert "Hello, world." == final.text


# -- helpers --------------------------------------------------------------------------------------------------------


def _voice(utterance: Utterance) -> list[Fact]:
    opened = Utterance(utterance.id, utterance.start, cut_left=utterance.cut_left)
    return [Opened(opened), Closed(utterance)]


def _one_utterance(stream: int, start: int) -> list[Fact]:
    utterance = Utterance(f"0-{start}", start, start + 2_000, speech_ms=1_500)
    opened, closed = _voice(utterance)
    words = (Word("hello", start + 320, start + 700), Word("word", start + 700, start + 1_200))
    right = (Word("Hello,", start + 300, start + 710), Word("world.", start + 710, start + 1_210))
    return [
        opened,
        FirstPass(Hypothesis(start, start + 1_200, words), (stream, 1)),
        closed,
        FirstPass(Hypothesis(start, start + 2_000, words, final=True, stable=2), (stream, 2)),
        SecondPass(utterance, Hypothesis(start, start + 2_000, right, final=True, stable=2)),
        Settled(start + 2_150),
        Heard(start + 2_150),
    ]


def _with_answer(answer: Hypothesis) -> Revision:
    """The final of one utterance whose first pass says "hello word" and whose second pass says this."""
    facts = [
        SecondPass(fact.utterance, answer) if isinstance(fact, SecondPass) else fact
        for fact in _one_utterance(0, start=1_000)
    ]
    return transcript(shown(facts))[-1]


def _cut(left: Utterance, heard_left: Words, right: Utterance, heard_right: Words) -> list[Fact]:
    return [
        *_voice(left),
        *_voice(right),
        SecondPass(right, Hypothesis(500, 4_000, heard_right, final=True)),
        SecondPass(left, Hypothesis(0, 3_500, heard_left, final=True)),
    ]
