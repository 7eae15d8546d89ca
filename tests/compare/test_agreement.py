"""How much two systems heard alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass.compare.measures.agreement import agreement, pooled_agreement
from twopass.types import Word, Words

TRANSCRIPTS = st.lists(st.sampled_from("abcd"), max_size=8).map(lambda tokens: said(" ".join(tokens)))


def said(text: str) -> Words:
    """Words without times: they do not matter here."""
    return tuple(Word(token, 0, 0) for token in text.split())


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("we sailed to genoa", "we sailed to genoa", 1.0),
        ("we sailed to genoa", "we failed to genoa", 0.75),
        ("we sailed to genoa", "sailed to", 4 / 6),
        ("we sailed", "they left", 0.0),
        ("we sailed", "", 0.0),
        ("a b", "b a", 0.5),
    ],
)
def test_agreement_is_the_share_of_common_words(left: str, right: str, expected: float) -> None:
    """Worked out by hand: words that both have at the same place, over the words of both."""
    assert expected == pytest.approx(agreement(said(left), said(right)))


def test_of_nothing_there_is_no_agreement() -> None:
    """Two empty transcripts are not "wholly alike": there is nothing to share."""
    assert agreement((), ()) is None
    assert pooled_agreement([]) is None


@given(TRANSCRIPTS, TRANSCRIPTS)
def test_agreement_does_not_depend_on_who_is_named_first(left: Words, right: Words) -> None:
    """Though the alignments of one with the other, and of the other with the one, may differ."""
    assert agreement(left, right) == agreement(right, left)


def test_recordings_are_pooled_by_their_words() -> None:
    """A long recording weighs more than a short one: 8 of 8 words and 0 of 2 are 80 %, not 50 %."""
    pairs = [(said("a b c d"), said("a b c d")), (said("a"), said("b"))]
    assert pytest.approx(0.8) == pooled_agreement(pairs)
