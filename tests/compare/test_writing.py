"""Punctuation and capitals as their own scores."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass.compare.measures.writing import Marks, capitals, f1, punctuation

STOPS = [
    ("Hello, world.", "Hello, world.", Marks(right=2)),
    ("Hello, world.", "hello world", Marks(missing=2)),
    ("Hello world.", "Hello, world.", Marks(right=1, wrong=1)),
    ("Really?", "Really!", Marks(wrong=1, missing=1)),
    ("He said: “Go!”; she went…", "He said: Go! She; went.", Marks(right=3, wrong=1)),
    ("Tu viens ? Oui.", "Tu viens? Oui.", Marks(right=2)),
    ("At 10:30, not 3.5.", "At 1030 not 35.", Marks(right=1, missing=1)),
    ("One, two, three.", "One, too, three.", Marks(right=2)),
    ("One, two.", "", Marks()),
    ("你好，世界。", "你好世界。", Marks(right=1, missing=1)),
    ("मैं हूँ। ठीक है?", "मैं हूँ. ठीक है।", Marks(right=1, wrong=1, missing=1)),
]
LETTERS = [
    ("Anna met Bob", "Anna met Bob", Marks(right=2)),
    ("Anna met Bob", "anna met Bob", Marks(right=1, missing=1)),
    ("Anna met Bob", "Anna Met bob", Marks(right=1, wrong=1, missing=1)),
    ("the NASA iPhone", "The Nasa iPhone", Marks(right=1, wrong=2, missing=1)),
    ("Straße", "Strasse", Marks(right=1)),
    ("Anna met Bob", "Hanna met", Marks()),
]
WRITINGS = st.sampled_from([("ja", "Ja", "ja,", "JA!", "Ja ?"), ("no", "No", "no.", "nO…", "No, –")])
PAIRS = st.lists(WRITINGS.flatmap(lambda w: st.tuples(st.sampled_from(w), st.sampled_from(w))), min_size=1, max_size=8)
"""The same words, each written in two ways."""


@pytest.mark.parametrize(("reference", "text", "marks"), STOPS)
def test_punctuation_is_judged_at_words_that_are_right(reference: str, text: str, marks: Marks) -> None:
    """Each mark after a word that both have is right, wrong or missing; what stands at wrong words is left out."""
    assert marks == punctuation(reference, text)


@pytest.mark.parametrize(("reference", "text", "marks"), LETTERS)
def test_capitals_are_judged_at_words_that_are_right(reference: str, text: str, marks: Marks) -> None:
    """A word's capitals are right only if they are the same letters."""
    assert marks == capitals(reference, text)


@pytest.mark.parametrize("reference", ["", "no marks, but this one", "ALL BUT NOBODY KNOWS", "你好"])
def test_a_reference_without_capitals_cannot_judge_them(reference: str) -> None:
    """Lower case alone, upper case alone and scripts without case say nothing."""
    assert capitals(reference, "No Marks") is None


@pytest.mark.parametrize("reference", ["", "it's well-known", "3.5 at 10:30", "– …"])
def test_a_reference_without_punctuation_cannot_judge_it(reference: str) -> None:
    """What stands inside of words, or at no word at all, is no punctuation."""
    assert punctuation(reference, "It's, well-known.") is None


def test_the_score_is_the_harmonic_mean_of_precision_and_recall() -> None:
    """Recordings are added up first; without any marks there is no score."""
    marks = Marks(right=2, wrong=1) + Marks(right=1, missing=3)
    precision, recall = 3 / 4, 3 / 6
    assert 2 * precision * recall / (precision + recall) == pytest.approx(f1(marks))
    assert f1(Marks()) is None
    assert 0 == f1(Marks(missing=2))


@given(PAIRS)
def test_a_text_is_right_about_itself(pairs: list[tuple[str, str]]) -> None:
    """Nothing is wrong or missing, and whatever can be judged has something that is right."""
    text = " ".join(one for one, _ in pairs)
    for judged in (punctuation(text, text), capitals(text, text)):
        assert judged is None or (judged.right > 0 and Marks(judged.right) == judged)


@given(PAIRS)
def test_wrong_one_way_is_missing_the_other_way(pairs: list[tuple[str, str]]) -> None:
    """Of two writings of the same words each has too many what the other lacks."""
    one, other = (" ".join(writing) for writing in zip(*pairs, strict=True))
    for judge in (punctuation, capitals):
        there, back = judge(one, other), judge(other, one)
        if there and back:
            assert Marks(there.right, there.missing, there.wrong) == back
