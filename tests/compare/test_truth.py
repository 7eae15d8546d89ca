"""What systems are measured against, and where its times are from."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from twopass.compare.measures.truth import Truth, truth_of, witnesses
from twopass.types import Word, Words, text_of

TRANSCRIPTS = st.lists(st.sampled_from("abcd"), max_size=8).map(lambda tokens: said(" ".join(tokens)))


def said(text: str, start: int = 0) -> Words:
    """Words of 150 ms, 200 ms apart."""
    return tuple(Word(token, start + 200 * i, start + 200 * i + 150) for i, token in enumerate(text.split()))


def written(text: str) -> Words:
    """Words of a reference that says not when."""
    return tuple(Word(token, 0, 0, estimated=True) for token in text.split())


def test_a_timed_reference_stays_as_it_is() -> None:
    """Whatever was heard."""
    reference = said("a b", start=40)
    truth = truth_of(reference, True, {"one": said("a b"), "two": said("c"), "three": ()})
    assert Truth(reference, "a b", consensus=False, times="given") == truth


def test_an_untimed_reference_takes_the_systems_times() -> None:
    """Each word the median of those that heard it right; what nobody heard is a guess between its neighbours."""
    hearings = {"one": said("a x c"), "two": said("a c", start=20), "three": said("a", start=500)}
    truth = truth_of(written("a b c"), False, hearings)
    assert truth is not None
    assert ("a b c", False, "recognizers") == (truth.text, truth.consensus, truth.times)
    assert [(20, 170), (170, 310), (310, 460)] == [(word.start, word.end) for word in truth.words]
    assert [False, True, False] == [word.estimated for word in truth.words]


def test_one_system_is_enough_for_times() -> None:
    """A reference needs no majority."""
    truth = truth_of(written("a b"), False, {"one": said("a b")})
    assert Truth(said("a b"), "a b", consensus=False, times="recognizers") == truth


def test_without_any_true_time_the_words_are_guesses() -> None:
    """Neither systems that estimate, nor ones that heard something else, nor none at all say when."""
    estimating = tuple(replace(word, estimated=True) for word in said("a"))
    hearings: list[dict[str, Words]] = [{"one": estimating}, {"one": said("x")}, {}]
    for heard in hearings:
        truth = truth_of(written("a"), False, heard)
        assert truth is not None
        assert ("a", "none", True) == (truth.text, truth.times, truth.words[0].estimated)


def test_without_a_reference_the_consensus_stands_in_and_says_so() -> None:
    """Labelled, with the times of those that voted."""
    truth = truth_of(None, False, {"one": said("a b"), "two": said("a c"), "three": said("a b")})
    assert truth is not None
    assert ("a b", True, "recognizers") == (truth.text, truth.consensus, truth.times)
    assert text_of(truth.words) == truth.text


def test_without_a_reference_two_systems_are_not_enough() -> None:
    """There is no truth then: not an empty one."""
    assert truth_of(None, False, {"one": said("a"), "two": said("a")}) is None


def test_an_empty_reference_is_not_a_missing_one() -> None:
    """ "Nothing was said" is a truth, and so is it if three systems heard nothing."""
    assert Truth((), "", consensus=False, times="given") == truth_of((), True, {"one": said("a")})
    assert Truth((), "", consensus=False, times="none") == truth_of((), False, {"one": said("a")})
    assert Truth((), "", consensus=True, times="none") == truth_of(None, False, {"one": (), "two": (), "three": ()})


@given(TRANSCRIPTS, st.lists(TRANSCRIPTS, max_size=3))
def test_witnesses_heard_the_word_itself(reference: Words, hearings: list[Words]) -> None:
    """Each has the word's text, each hearing testifies at most once for a word, and with each of its words once."""
    found = witnesses(reference, hearings)
    assert len(reference) == len(found)
    assert all(word.text == witness.text for word, own in zip(reference, found, strict=True) for witness in own)
    assert all(len(own) <= len(hearings) for own in found)
    assert sum(len(own) for own in found) <= sum(len(heard) for heard in hearings)
