"""Aligning two hearings of the same speech."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from twopass.alignment import changed_words, common_prefix, first_unshown, folded, labelled, matches
from twopass.types import Word, Words


def words(text: str, start: int = 0) -> Words:
    """200 ms a word."""
    return tuple(Word(token, start + 200 * i, start + 200 * i + 180) for i, token in enumerate(text.split()))


@given(st.lists(st.sampled_from("a b c d e f g h".split()), max_size=12), st.integers(-300, 300))
def test_a_hearing_matches_itself_wholly(tokens: list[str], shift: int) -> None:
    """The same words a little later are all matched, in order, each once."""
    left = words(" ".join(tokens))
    right = tuple(word.shifted(shift) for word in left)
    pairs = matches(left, right)
    assert len(left) == len(pairs)
    assert sorted(pairs) == pairs


@given(st.lists(st.sampled_from("a b c".split()), max_size=10), st.lists(st.sampled_from("a b c".split()), max_size=10))
def test_matches_are_equal_words_in_order(left: list[str], right: list[str]) -> None:
    """Whatever is matched is equal, near, and crosses nothing."""
    pairs = matches(words(" ".join(left)), words(" ".join(right)))
    assert all(left[i] == right[j] for i, j in pairs)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(pairs))


def test_equal_words_at_different_places_are_not_one_word() -> None:
    """ "the" twice in two seconds is two words."""
    assert [] == matches(words("the"), words("the", start=2_000))


@given(st.integers(1, 8), st.integers(1, 8), st.integers(-150, 150))
def test_a_seam_neither_loses_nor_doubles_when_both_sides_hear_the_same(before: int, after: int, jitter: int) -> None:
    """Whatever the cut and the jitter, the right side begins with the first word that the left did not show."""
    spoken = words(" ".join(f"w{i}" for i in range(before + after)))
    shown, beyond = spoken[:before], spoken[before:]
    right = tuple(word.shifted(jitter) for word in spoken)
    assert before == first_unshown(shown, beyond, right, cut=200 * before - 10)


def test_words_that_only_one_side_heard_go_by_their_midpoint() -> None:
    """With nothing in common the place of the cut decides."""
    right = words("x y z", start=0)
    assert 1 == first_unshown(words("a"), (), right, cut=200)
    assert 3 == first_unshown(words("a"), (), right, cut=5_000)


def test_comparison_ignores_case_and_punctuation() -> None:
    """ "Don't," equals "dont"."""
    assert folded("Don't,") == folded("dont")
    assert 2 == common_prefix(words("Hello, world. Bye"), words("hello world by"))
    assert (1,) == changed_words(words("hello word"), words("Hello, world."))


def test_speakers_go_over_to_the_words_that_replace_theirs() -> None:
    """The second pass does not know who spoke: its words get the speaker of the nearest word of the first pass."""
    told = [("helo", 0, 300, "1"), ("their", 320, 600, "1"), ("yes", 900, 1_200, "2")]
    heard = tuple(Word(text, start, end, speaker=speaker) for text, start, end, speaker in told)
    words = (Word("Hello", 10, 310), Word("there.", 330, 640), Word("Yes,", 880, 1_000), Word("yes.", 1_000, 1_190))
    assert ["1", "1", "2", "2"] == [word.speaker for word in labelled(words, heard)]
    assert words == labelled(words, tuple(replace(word, speaker=None) for word in heard))
