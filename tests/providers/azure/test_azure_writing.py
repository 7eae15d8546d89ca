"""How the written words get the times of the spoken ones."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass.types import Words, text_of
from twopass_providers.azure.writing import Spoken, estimated, unpunctuated, written


def said(text: str, *, length: int = 100) -> list[Spoken]:
    """These words, one after the other."""
    return [Spoken(word, i * length, (i + 1) * length, 0.5) for i, word in enumerate(text.split())]


def times(words: Words) -> list[tuple[str, int, int]]:
    """Text, start and end of each; a guessed one has a question mark, a glued one a plus."""
    return [(f"{'+' * w.glued}{w.text}{' ?' * w.estimated}", w.start, w.end) for w in words]


@pytest.mark.parametrize(
    ("text", "spoken", "words"),
    [
        ("Hello, world.", "hello world", [("Hello,", 0, 100), ("world.", 100, 200)]),
        ("It's Dr. Smith .", "it's doctor smith", [("It's", 0, 100), ("Dr.", 100, 200), ("Smith .", 200, 300)]),
        ("I paid $25.", "i paid twenty five dollars", [("I", 0, 100), ("paid", 100, 200), ("$25.", 200, 500)]),
        ("A twenty-five here", "a twenty five here", [("A", 0, 100), ("twenty-", 100, 200), ("+five", 200, 300)]),
        ("an email", "an e mail", [("an", 0, 100), ("e", 100, 200), ("+mail", 200, 300)]),
        ("the e mail", "the email", [("the", 0, 100), ("e ?", 100, 120), ("mail ?", 120, 200)]),
        ("I am going to", "i'm gonna", [("I ?", 0, 20), ("am ?", 20, 60), ("going ?", 60, 160), ("to ?", 160, 200)]),
        ("at 5:30 PM", "at five thirty p m", [("at", 0, 100), ("5:30 ?", 100, 366), ("PM ?", 366, 500)]),
        ("well so", "well um so", [("well", 0, 100), ("so", 200, 300)]),
        ("you **** you", "you darn you", [("you", 0, 100), ("****", 100, 200), ("you", 200, 300)]),
        ("你好,世界。", "你好 世界", [("你好,", 0, 100), ("+世界。", 100, 200)]),
        ("yes indeed, sir", "yes sir", [("yes", 0, 100), ("indeed, ?", 100, 100), ("sir", 100, 200)]),
    ],
)
def test_each_written_word_has_the_time_of_what_was_spoken(
    text: str, spoken: str, words: list[tuple[str, int, int]]
) -> None:
    """Punctuation and capitals belong to words; what is written otherwise than spoken has the time of all of it."""
    found = times(written(text, said(spoken)))
    assert words == found[: len(words)]
    assert text == text_of(written(text, said(spoken)))


def test_a_number_in_a_script_without_spaces_does_not_blur_the_rest() -> None:
    """Only the characters near to it are estimated from afar; all are marked as estimated."""
    words = written("会议在2026年开始。", said("会议 在 二零二六 年 开始"))
    assert [("会", 0, 50), ("议", 50, 100), ("在", 100, 200), ("2026", 200, 300)] == [
        (word.text, word.start, word.end) for word in words[:4]
    ]
    assert ("始。", 450, 500) == (words[-1].text, words[-1].start, words[-1].end)
    assert all(word.estimated for word in words)


def test_how_sure_azure_is_goes_with_the_word() -> None:
    """One written for several has the confidence of the least sure."""
    spoken = [Spoken("twenty", 0, 100, 0.9), Spoken("five", 100, 200, 0.4), Spoken("cats", 200, 300)]
    assert [0.4, None] == [word.confidence for word in written("25 cats", spoken)]


LETTERS = "abAB5'-.,$*?ß你好。が ก"
texts = st.lists(st.text(LETTERS, min_size=1, max_size=6), max_size=7).map(
    lambda parts: " ".join(" ".join(parts).split())
)
words_said = st.lists(st.text(LETTERS.replace(" ", ""), max_size=5), min_size=1, max_size=7)


@given(texts, words_said)
def test_whatever_is_written_stays_whole(text: str, parts: list[str]) -> None:
    """No character is lost or doubled; times grow and lie within what was spoken."""
    spoken = [Spoken(part, 1_000 + i * 100, 1_090 + i * 100) for i, part in enumerate(parts)]
    words = written(text, spoken)
    assert text == text_of(words)
    assert all(1_000 <= word.start <= word.end <= spoken[-1].end for word in words)
    assert all(one.start <= other.start for one, other in pairwise(words))


@given(texts)
def test_estimated_words_stay_whole_too(text: str) -> None:
    """They share out the span from its beginning to its end."""
    words = estimated(text, 500, 1_500)
    assert text == text_of(words)
    assert all(word.estimated for word in words)
    if words:
        assert (500, 1_500) == (words[0].start, words[-1].end)
    assert all(one.end == other.start for one, other in pairwise(words))


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("Hello, world. It's 3.5!", "Hello world It's 3.5"),
        ("¿Qué? — no …", "Qué — no"),
        ("你好，世界。", "你好世界"),
        ("", ""),
    ],
)
def test_punctuation_can_be_left_out(text: str, bare: str) -> None:
    """What stands inside of words and numbers stays."""
    assert bare == unpunctuated(text)
