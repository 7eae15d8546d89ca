"""Which words are the same, and when they were said."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.providers.interpreter import fresh

from twopass.compare.measures.accuracy import character_errors
from twopass.compare.measures.normalizing import NORMALIZER, normalized, normalized_text
from twopass.types import Word, Words, text_of

SAME = [
    ("I don't know, he's gone!", "i do not know he has gone", None),
    ("It cost twenty-five dollars", "it cost $25", "en-US"),
    ("um the colour is, uh, grey [coughs] (laughs)", "The color is gray.", "en"),
    ("Mr. Smith won two million", "mister smith won 2,000,000", "en_GB"),
    ("Straßenbahn, bitte!", "straßenbahn bitte", "de-DE"),
    ("Ça va ? – Oui…", "ça va oui", "fr"),
    ("क्या हिन्दी में?", "क्या हिन्दी में", "hi-IN"),
    ("你好，世界。", "你好 世界", "zh-CN"),
]
WRITTEN = st.one_of(
    st.sampled_from(
        "um can't twenty five hundred dollars and a half colour [noise] ( said ) two point 3.5 $5 % ...".split()
    ),
    st.text(max_size=5),
)


def spoken(texts: list[str] | str) -> Words:
    """Each word 90 ms long, one every 100 ms."""
    texts = texts.split() if isinstance(texts, str) else texts
    return tuple(Word(text, 100 * i, 100 * i + 90) for i, text in enumerate(texts))


def times(words: Words) -> list[tuple[str, int, int, bool]]:
    """What matters of words."""
    return [(word.text, word.start, word.end, word.estimated) for word in words]


@pytest.mark.parametrize(("one", "other", "language"), SAME)
def test_spellings_of_the_same_words_are_equal(one: str, other: str, language: str | None) -> None:
    """Case, punctuation, numbers, contractions, fillers and British spelling make no word wrong."""
    assert normalized_text(one, language) == normalized_text(other, language) != []


def test_other_words_stay_different() -> None:
    """Normalizing does not hide errors."""
    assert normalized_text("I can pay twenty", None) != normalized_text("I can't pay thirty", None)
    assert ["क्या", "हिन्दी"] == normalized_text("क्या हिन्दी", "hi")


def test_words_keep_their_times() -> None:
    """Fillers vanish, spellings change in place, contractions share a time, numbers take that of all their words."""
    words = normalized(spoken("Um, I can't pay twenty five dollars in colour ..."), "en-US")
    shared = [("can", 200, 245, True), ("not", 245, 290, True)]
    rest = [("pay", 300, 390, False), ("$25", 400, 690, False), ("in", 700, 790, False), ("color", 800, 890, False)]
    assert [("i", 100, 190, False), *shared, *rest] == times(words)


def test_a_word_that_repeats_takes_its_own_time() -> None:
    """Of several equal words each has the time of its own."""
    words = normalized(spoken("it's it and it is it"), None)
    assert [0, 45, 100, 200, 300, 400, 500] == [word.start for word in words]


def test_what_is_known_of_a_word_stays_known() -> None:
    """Of words that become one the least confidence counts; an estimated time stays one; the speaker is kept."""
    twenty, five = Word("twenty", 0, 10, 0.9, speaker="1"), Word("five", 10, 20, 0.5, estimated=True, speaker="1")
    assert (Word("25", 0, 20, 0.5, estimated=True, speaker="1"),) == normalized((twenty, five), None)
    assert normalized((twenty, Word("five", 10, 20)), None)[0].confidence is None


def test_languages_without_spaces_are_compared_by_character() -> None:
    """Each character is a word with its share of the time, and no space is made up between them."""
    words = normalized((Word("你好，", 0, 100), Word("世", 100, 200, glued=True)), "zh-TW")
    assert [("你", 0, 50, True), ("好", 50, 100, True), ("世", 100, 200, False)] == times(words)
    assert 3 == character_errors(words, words).reference


def test_words_that_only_exist_together_have_a_time() -> None:
    """What is nothing by itself but something with its neighbour takes a neighbour's time, which is only estimated."""
    uh = Word("uh", 100, 190)
    together = normalized((uh, Word("uh", 200, 290, glued=True)), None)
    assert [("uhuh", 100, 190, True)] == times(together)
    beside = normalized((uh, Word("5", 200, 290, glued=True)), None)
    assert [("uh", 200, 290, True), ("5", 200, 290, False)] == times(beside)


@given(st.lists(st.tuples(WRITTEN, st.booleans()), max_size=8), st.sampled_from([None, "en-GB", "de", "ta", "ja"]))
def test_every_word_that_is_compared_has_a_time(texts: list[tuple[str, bool]], language: str | None) -> None:
    """Whatever is written: the same words as of the whole text, in time order, within what was said."""
    written = tuple(Word(text, 100 * i, 100 * i + 90, glued=glued) for i, (text, glued) in enumerate(texts))
    words = normalized(written, language)
    assert normalized_text(text_of(written), language) == [word.text for word in words]
    assert all(word.start <= word.end for word in words)
    starts = [word.start for word in words]
    assert sorted(starts) == starts
    assert all(0 <= word.start and word.end <= written[-1].end for word in words)


def test_the_report_can_name_the_normalizer() -> None:
    """Name and version are those of the installed package."""
    assert f"whisper-normalizer {version('whisper-normalizer')}" == NORMALIZER


def test_nothing_is_loaded_before_it_is_needed() -> None:
    """Commands that compare nothing do not wait for the normalizer's tables."""
    loaded = "print(any(name.startswith('whisper_normalizer') for name in sys.modules))"
    use = "normalizing.normalized_text('a', 'de')"
    said = fresh(f"import sys; from twopass.compare.measures import normalizing; {loaded}; {use}; {loaded}")
    assert ["False", "True"] == said.stdout.split()
