"""Word and character errors against a second implementation that shares no code with the first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass.compare.measures.accuracy import (
    Edit,
    Errors,
    SeamErrors,
    Step,
    aligned,
    character_errors,
    errors_of,
    seam_errors,
    word_errors,
)
from twopass.types import Word, Words

LINES = [
    ("we meet at the old mill", "we meet at the old mill", 0),
    ("we meet at the old mill", "meat at the cold mill", 3),
    ("nobody knows what the harbour master said", "nobody know what harbour master said said", 3),
    ("please call the second number", "", 5),
    ("", "thank you for watching", 4),
    ("the the the", "the", 2),
    ("one", "five six seven one", 3),
    ("", "", 0),
]
LINE_WORDS = st.lists(st.sampled_from(["a", "an", "ant", "can't", "b c", " "]), max_size=12)


def spoken(texts: list[str] | str, start: int = 0) -> Words:
    """Each word 100 ms, one after the other."""
    texts = texts.split() if isinstance(texts, str) else texts
    return tuple(Word(text, start + 100 * i, start + 100 * i + 100) for i, text in enumerate(texts))


def distance(left: list[str] | str, right: list[str] | str) -> int:
    """Levenshtein distance by plain dynamic programming (Wagner and Fischer), of words or characters."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        above, row = row, [i]
        for j, b in enumerate(right, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b)))
    return row[-1]


def checked(errors: Errors, truth: list[str] | str, heard: list[str] | str) -> None:
    """What all counts must say, whichever of several equally good alignments was taken."""
    assert errors.total == distance(truth, heard)
    assert errors.reference == len(truth)
    assert errors.deletions - errors.insertions == len(truth) - len(heard)


@pytest.mark.parametrize(("truth", "heard", "wrong"), LINES)
def test_errors_of_lines_are_what_a_person_counts(truth: str, heard: str, wrong: int) -> None:
    """Substituted, lost and invented words are counted, also where one side is silent."""
    errors = errors_of(aligned(spoken(truth), spoken(heard)))
    assert wrong == errors.total
    checked(errors, truth.split(), heard.split())
    checked(character_errors(spoken(truth), spoken(heard)), truth, heard)


@given(LINE_WORDS, LINE_WORDS)
def test_word_errors_are_those_of_a_second_implementation(truth: list[str], heard: list[str]) -> None:
    """The alignment has the smallest possible number of errors."""
    checked(errors_of(aligned(spoken(truth), spoken(heard))), truth, heard)


@given(LINE_WORDS, LINE_WORDS)
def test_character_errors_are_those_of_a_second_implementation(truth: list[str], heard: list[str]) -> None:
    """Characters are counted with the spaces between words, as one would read them."""
    wanted, got = " ".join(truth).strip(), " ".join(heard).strip()
    checked(character_errors(spoken(truth), spoken(heard)), wanted, got)


@given(LINE_WORDS, LINE_WORDS)
def test_an_alignment_loses_no_word(truth: list[str], heard: list[str]) -> None:
    """Its steps, put together, are both sides; equal steps are equal, substituted ones differ in every word."""
    steps = aligned(spoken(truth), spoken(heard))
    assert spoken(truth) == tuple(word for step in steps for word in step.reference)
    assert spoken(heard) == tuple(word for step in steps for word in step.hypothesis)
    for step in steps:
        if step.edit in (Edit.EQUAL, Edit.SUBSTITUTE):
            pairs = zip(step.reference, step.hypothesis, strict=True)
            assert {step.edit is Edit.EQUAL} == {a.text == b.text for a, b in pairs}
        else:
            assert (step.edit is Edit.INSERT) == (not step.reference)
            assert (step.edit is Edit.DELETE) == (not step.hypothesis)


def test_an_alignment_keeps_the_words_with_their_times() -> None:
    """What was heard in place of a word is found with both times."""
    truth, heard = spoken("the old mill"), spoken("the cold mill", start=7)
    assert Step(Edit.SUBSTITUTE, truth[1:2], heard[1:2]) == aligned(truth, heard)[1]


def test_glued_words_have_no_space_between_them() -> None:
    """Four Chinese characters, one of them wrong, are one error in four."""
    truth = tuple(Word(character, 0, 0, glued=True) for character in "你好世界")
    heard = tuple(Word(character, 0, 0, glued=True) for character in "你好视界")
    assert Errors(substitutions=1, reference=4) == character_errors(truth, heard)


def test_recordings_are_pooled_by_their_words() -> None:
    """One error in one word and none in nine is one in ten, not the mean of the two rates."""
    assert 0.1 == (word_errors(["a"], ["b"]) + word_errors(["a"] * 9, ["a"] * 9)).rate
    assert word_errors([], ["b"]).rate is None


def test_written_words_are_compared_without_case_and_punctuation() -> None:
    """A lone dash is no word, on either side."""
    assert Errors(reference=2) == word_errors(["Well", "–", "done!"], ["well", "done", "…"])


def test_seams_are_judged_only_near_cuts() -> None:
    """A word lost far from every cut is no loss at a seam."""
    truth = spoken("one two three four five six")
    heard = (*truth[:1], *truth[2:], Word("six", 600, 700))
    assert SeamErrors(1, 1) == seam_errors(truth, heard, [300])
    assert SeamErrors() == seam_errors(truth, heard, [5_000])
    assert SeamErrors() == seam_errors(truth, heard, [])
