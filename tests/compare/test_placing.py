"""When words were said: medians of those that heard them, in order, and an honest mark on guesses."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass.compare.measures.placing import placed
from twopass.types import Word, Words

UNTIMED = Word("word", 0, 0, estimated=True)
HEARD = st.builds(
    lambda at, length, estimated: Word("word", at, at + length, estimated=estimated),
    st.integers(0, 1_000),
    st.integers(0, 400),
    st.booleans(),
)


def untimed(text: str) -> Words:
    """Words of which nobody knows when."""
    return tuple(replace(UNTIMED, text=token) for token in text.split())


def spans(words: Words) -> list[tuple[int, int, bool]]:
    """Begin, end, estimated."""
    return [(word.start, word.end, word.estimated) for word in words]


def test_a_word_stands_at_the_median_of_its_witnesses() -> None:
    """One that is far off moves nothing."""
    witnesses = [Word("a", 100, 200), Word("a", 120, 210), Word("a", 900, 1_000)]
    assert [(120, 210, False)] == spans(placed(untimed("a"), [witnesses]))


def test_estimated_times_do_not_count_beside_true_ones() -> None:
    """A word that only an estimating system heard is a guess; one that another heard too is not."""
    guess = Word("a", 5_000, 5_100, estimated=True)
    heard = [[Word("a", 100, 200), guess], [guess], [Word("c", 400, 500)]]
    assert [(100, 200, False), (200, 400, True), (400, 500, False)] == spans(placed(untimed("a b c"), heard))


def test_estimated_times_are_better_than_none() -> None:
    """Where no system gives times, the medians of the estimated ones are taken, and marked."""
    heard = [[Word("a", 0, 100, estimated=True), Word("a", 20, 140, estimated=True)], []]
    assert [(10, 120, True), (120, 120, True)] == spans(placed(untimed("a b"), heard))


def test_unheard_words_share_the_gap_by_their_length() -> None:
    """Three letters get three times as much as one; before the first and after the last there is no gap to share."""
    heard: list[list[Word]] = [[], [Word("b", 100, 200)], [], [], [Word("e", 600, 700)], []]
    expected = [(100, 100, True), (100, 200, False), (200, 500, True), (500, 600, True), (600, 700, False)]
    assert [*expected, (700, 700, True)] == spans(placed(untimed("a b ccc d e f"), heard))


def test_a_time_that_contradicts_the_order_is_dropped() -> None:
    """A system that says "b" was at nine seconds does not push what follows there."""
    heard = [[Word("a", 0, 100)], [Word("b", 9_000, 9_100)], [Word("c", 300, 400)], [Word("d", 500, 600)]]
    expected = [(0, 100, False), (100, 300, True), (300, 400, False), (500, 600, False)]
    assert expected == spans(placed(untimed("a b c d"), heard))


@pytest.mark.parametrize(
    ("first", "second", "border"),
    [((0, 140), (100, 300), 120), ((300, 400), (0, 800), 350), ((0, 800), (420, 460), 440), ((10, 20), (10, 20), 15)],
)
def test_words_that_overlap_are_parted(first: tuple[int, int], second: tuple[int, int], border: int) -> None:
    """In the middle of the overlap, but neither loses its own middle: medians may overlap, words do not."""
    heard = [[Word("a", *first)], [Word("b", *second)]]
    assert [(first[0], border, False), (border, second[1], False)] == spans(placed(untimed("a b"), heard))


def test_words_that_nobody_heard_keep_their_times() -> None:
    """Without any witness nothing is known but that they are guesses."""
    assert [(7, 9, True)] == spans(placed((Word("a", 7, 9),), [[]]))
    assert () == placed((), [])


def test_each_word_needs_a_list_of_witnesses() -> None:
    """Lists that do not belong together are refused."""
    with pytest.raises(ValueError, match="argument 2"):
        placed(untimed("a b"), [[Word("a", 0, 100)]])


@given(st.lists(st.lists(HEARD, max_size=3), max_size=8).filter(any))
def test_placed_words_are_in_order(witnesses: list[list[Word]]) -> None:
    """Whatever was heard: no word ends before it begins, or begins before the one before it has ended."""
    words = placed([UNTIMED] * len(witnesses), witnesses)
    borders = [border for word in words for border in (word.start, word.end)]
    assert all(before <= after for before, after in pairwise(borders))


@given(st.lists(st.integers(0, 20), min_size=1, max_size=9, unique=True))
def test_as_many_times_as_can_be_are_kept(places: list[int]) -> None:
    """Of words in disorder the longest orderly chain stays: as long as the longest found by trying all."""
    words = placed([UNTIMED] * len(places), [[Word("word", 100 * at, 100 * at + 50)] for at in places])
    assert longest(places) == sum(not word.estimated for word in words)


def longest(places: list[int], above: int = -1) -> int:
    """The longest rising chain, by taking and leaving each."""
    if not places:
        return 0
    first, *rest = places
    taken = 1 + longest(rest, first) if first > above else 0
    return max(taken, longest(rest, above))
