"""Unstable and erased words, against scripts that one can count by hand and against brute force."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compare.shows import Dictation, dictations, final, say, shown, timeline

from twopass.compare.measures.stability import TOGETHER_MS, erased_words, unstable_words
from twopass.compare.measures.timeline import Timeline
from twopass.types import Pass


def both(seen: Timeline) -> tuple[int, int]:
    """Unstable words, erased words."""
    return unstable_words(seen), erased_words(seen)


def test_a_corrected_word_is_unstable_and_takes_what_follows_with_it() -> None:
    """One of three words changes: one is unstable, but a reader saw it and the two after it taken back."""
    seen = timeline(shown(100, say("one to three four")), shown(200, say("one two three four")))
    assert (1, 3) == both(seen)


def test_a_word_that_comes_in_between_makes_none_unstable() -> None:
    """The words after it go and come again: erased, yet none of them was wrong."""
    assert (0, 1) == both(timeline(shown(100, say("one three")), shown(200, say("one two three"))))


def test_every_change_counts() -> None:
    """The same place changed twice, and a word that disappears and comes again."""
    texts = ["to", "too", "two", "", "two"]
    assert (3, 3) == both(timeline(*(shown(100.0 * i, say(text)) for i, text in enumerate(texts))))


def test_case_and_punctuation_are_no_change() -> None:
    """What a final adds to a partial is not flicker; a sign that stands alone is no word."""
    seen = timeline(shown(100, say("one two – three")), final(200, say("One, two three.")))
    assert (0, 0) == both(seen)


def test_the_second_pass_erases_but_does_not_destabilize() -> None:
    """Unstable is the first pass's own doing, its final included; a reader sees the second pass's changes too."""
    seen = timeline(
        shown(100, say("won two")),
        shown(300, say("one to")),
        final(900, say("one two"), source=Pass.SECOND),
    )
    assert (2, 3) == both(seen)
    assert (3, 3) == both(timeline(*seen.seen[:2], final(900, say("one two"))))


def test_utterances_stand_on_their_own() -> None:
    """An earlier utterance that changes takes nothing back of a later one."""
    seen = timeline(
        shown(100, say("won")),
        shown(300, say("two three", 3_000), "v"),
        final(900, say("one"), source=Pass.SECOND),
        final(950, say("two three", 3_000), "v"),
    )
    assert (0, 1) == both(seen)


@pytest.mark.parametrize("first", ["goes", "comes"])
def test_a_word_that_moves_to_another_utterance_is_not_taken_back(first: str) -> None:
    """At a cut "three" goes to the next utterance, out of one before it comes into the other or the other way round."""
    goes, comes = (2_000, 2_005) if first == "goes" else (2_005, 2_000)
    whole = say("one two three")
    seen = timeline(shown(1_900, whole), shown(goes, whole[:2]), shown(comes, whole[2:], "v"))
    assert (0, 0) == both(seen)


def test_a_word_that_moves_back_takes_nothing_with_it() -> None:
    """The right utterance's first word goes to the left one: the words behind it stand still."""
    words = say("one two three")
    seen = timeline(
        shown(1_500, words[:1]), shown(1_900, words[1:], "v"), shown(2_000, words[:2]), shown(2_001, words[2:], "v")
    )
    assert (0, 0) == both(seen)


def test_a_word_that_comes_in_front_takes_nothing_with_it() -> None:
    """The left utterance's last word goes to the right one: what stood there stands still behind it."""
    words = say("one two three")
    seen = timeline(
        shown(1_500, words[:2]), shown(1_900, words[2:], "v"), shown(2_000, words[:1]), shown(2_001, words[1:], "v")
    )
    assert (0, 0) == both(seen)


@pytest.mark.parametrize(
    ("at", "place", "channel"),
    [(2_001 + TOGETHER_MS, 1_600, 0), (2_000, 2_400, 0), (2_000, 1_600, 1)],
    ids=["later", "elsewhere", "another channel"],
)
def test_an_equal_word_elsewhere_is_another_word(at: float, place: int, channel: int) -> None:
    """It must come at once, at the same place and on the same channel to be the one that went."""
    whole = say("one two three")
    seen = timeline(shown(1_900, whole), shown(2_000, whole[:2]), shown(at, say("three", place), "v", channel=channel))
    assert (1, 1) == both(seen)


def test_one_word_stands_for_one() -> None:
    """Two words go and one of them comes elsewhere: the other one is taken back."""
    whole = say("no no")
    assert (1, 1) == both(timeline(shown(1_900, whole), shown(2_000, ()), shown(2_001, whole[1:], "v")))


@settings(max_examples=40)
@given(dictations())
def test_what_is_only_appended_is_steady(dictation: Dictation) -> None:
    """A recognizer that never takes a word back has nothing unstable and nothing erased."""
    assert (0, 0) == both(dictation.timeline)


def taken_off(outputs: Sequence[Sequence[str]]) -> int:
    """Erasure as on paper: rub out from the end until what stands begins the next output."""
    rubbed, paper = 0, list[str]()
    for output in outputs:
        while paper != list(output[: len(paper)]):
            paper.pop()
            rubbed += 1
        paper = list(output)
    return rubbed


def kept(before: Sequence[str], after: Sequence[str]) -> int:
    """How many words can stay, in their order: try all ways to leave words out, the fewest first."""
    for count in range(min(len(before), len(after)), 0, -1):
        if set(combinations(before, count)) & set(combinations(after, count)):
            return count
    return 0


@settings(max_examples=60)
@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), max_size=6), st.integers(0, 1 << 32))
def test_counts_are_those_of_brute_force(outputs: list[list[str]], seed: int) -> None:
    """Any outputs, of two utterances in turns that are too far from each other to exchange words."""
    chance = random.Random(seed)
    places = [chance.randrange(2) for _ in outputs]
    seen = [
        shown(100.0 * i, say(" ".join(output), 1_000 + 60_000 * place), f"u{place}", start=1_000 + 60_000 * place)
        for i, (place, output) in enumerate(zip(places, outputs, strict=True))
    ]
    by_place = [[[], *(o for p, o in zip(places, outputs, strict=True) if p == place)] for place in (0, 1)]
    unstable = sum(len(a) - kept(a, b) for history in by_place for a, b in pairwise(history))
    assert (unstable, sum(map(taken_off, by_place))) == both(Timeline(seen))
