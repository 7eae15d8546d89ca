"""Voting: the majority wins, whoever is in it; ties go to the more certain, then to the more central."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twopass.compare.measures.accuracy import aligned, errors_of
from twopass.compare.measures.consensus import consensus, most_central_first
from twopass.compare.measures.transitions import network
from twopass.types import Word, Words, text_of

TOKENS = st.lists(st.sampled_from("a b c d".split()), max_size=8)


def said(text: str, confidence: float | None = None) -> Words:
    """Words of 150 ms, 200 ms apart."""
    return tuple(Word(token, 200 * i, 200 * i + 150, confidence) for i, token in enumerate(text.split()))


def heard(*transcripts: str) -> str:
    """The consensus as a line."""
    return text_of(consensus([said(transcript) for transcript in transcripts]))


@given(TOKENS, st.integers(3, 5))
def test_of_identical_transcripts_it_is_that_transcript(tokens: list[str], count: int) -> None:
    """Same words, same times, everybody's vote."""
    words = said(" ".join(tokens))
    assert tuple(replace(word, confidence=1.0) for word in words) == consensus([words] * count)


def test_the_majority_wins() -> None:
    """A substitution, an omission and an insertion of one system each are outvoted."""
    assert heard("we sailed to genoa", "we sailed genoa", "we failed to genoa today") == "we sailed to genoa"


def test_a_word_that_most_do_not_have_is_dropped() -> None:
    """Nothing is a vote as well."""
    assert heard("so we sailed", "we sailed", "we sailed uh") == "we sailed"
    assert heard("hello", "", "") == ""
    assert heard("", "", "") == ""


@pytest.mark.parametrize("count", [0, 1, 2])
def test_two_are_no_majority(count: int) -> None:
    """Below three transcripts there is no consensus, even if they agree."""
    assert () == consensus([said("a b")] * count)


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.sampled_from([3, 4, 5]), st.integers(1, 12))
def test_a_clear_majority_wins_in_any_order(seed: int, count: int, length: int) -> None:
    """Every other word is misheard by a minority: what was said comes out, in whatever order the systems are named."""
    chance = random.Random(seed)
    spoken = [f"w{i}" for i in range(length)]
    transcripts = [list(spoken) for _ in range(count)]
    for place in range(0, length, 2):
        for victim in chance.sample(range(count), (count - 1) // 2):
            transcripts[victim][place] = chance.choice(["", "wrong", "other", f"w{place} uh"])
    chance.shuffle(transcripts)
    assert " ".join(spoken) == heard(*(" ".join(words) for words in transcripts))


@settings(max_examples=60)
@given(st.lists(TOKENS, min_size=3, max_size=5))
def test_the_vote_by_plain_counting(transcripts: list[list[str]]) -> None:
    """Counting each column by hand, and of equal counts the first in it, gives the same words."""
    hypotheses = [said(" ".join(tokens)) for tokens in transcripts]
    columns = [[word.text if word else "" for word in slot] for slot in network(most_central_first(hypotheses))]
    counted = [max(column, key=column.count) for column in columns]
    assert [text for text in counted if text] == [word.text for word in consensus(hypotheses)]


@given(st.lists(TOKENS, min_size=1, max_size=5))
def test_the_most_central_transcript_comes_first(transcripts: list[list[str]]) -> None:
    """None has fewer errors against all others than the first."""
    hypotheses = [said(" ".join(tokens)) for tokens in transcripts]
    distances = [
        sum(errors_of(aligned(one, other)).total for other in hypotheses) for one in most_central_first(hypotheses)
    ]
    assert sorted(distances) == distances


def test_ties_go_to_the_more_certain() -> None:
    """One vote each: the word with the highest confidence, wherever its system stands."""
    transcripts = [said("see a", 0.4), said("see b", 0.9), said("see c", 0.6)]
    for first in range(3):
        assert text_of(consensus(transcripts[first:] + transcripts[:first])) == "see b"


def test_ties_go_by_mean_confidence() -> None:
    """Two quite sure ones beat a very sure and an unsure one."""
    transcripts = [said("a", 0.7), said("b", 0.95), said("b", 0.1), said("a", 0.8)]
    assert text_of(consensus(transcripts)) == "a"


@pytest.mark.parametrize(("confidence", "expected"), [(None, "a b c d"), (0.1, "x b c d"), (0.95, "a b c d")])
def test_ties_without_confidence_go_to_the_more_central(confidence: float | None, expected: str) -> None:
    """The transcript with the fewest errors against the others decides, unless all that are tied state confidence."""
    central = said("a b c d", confidence)
    assert text_of(consensus([said("x b c e", 0.9), central, said("y b f d", 0.8)])) == expected


def test_times_are_the_voters_own() -> None:
    """The median of those that won, not of those that heard something else, and not of estimated ones."""
    hypotheses = [
        (Word("a", 100, 200),),
        (Word("a", 120, 240),),
        (Word("a", 160, 260),),
        (Word("b", 900, 990),),
        (Word("a", 700, 800, estimated=True),),
    ]
    assert (Word("a", 120, 240, confidence=0.8),) == consensus(hypotheses)


def test_without_true_times_they_are_marked() -> None:
    """Systems that only estimate give a consensus that is estimated."""
    guesses = [(Word("a", at, at + 100, estimated=True),) for at in (0, 50, 80)]
    assert (Word("a", 50, 150, confidence=1.0, estimated=True),) == consensus(guesses)


def test_it_is_better_than_the_systems_it_is_made_of() -> None:
    """Five systems that err independently in a fifth of 400 words: the consensus has less than half their errors."""
    chance = random.Random(6)
    spoken = [chance.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(400)]
    systems = [said(" ".join(misheard(chance, word) for word in spoken)) for _ in range(5)]
    wrong = [errors_of(aligned(said(" ".join(spoken)), words)).total for words in [*systems, consensus(systems)]]
    assert wrong[-1] < min(wrong[:-1]) / 2


def misheard(chance: random.Random, word: str) -> str:
    """In a fifth of all cases another word, none, or one too many."""
    if chance.random() > 0.2:
        return word
    return chance.choice([chance.choice("abcdefghijklmnopqrstuvwxyz"), "", f"{word} uh"])
