"""
What counts as the same word: the normalization before words are compared. Pure.

Pinned is Whisper's normalizer (Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022,
appendix C) as the package whisper-normalizer has it: "twenty five dollars" and "$25", "don't" and "do not", "colour"
and "color" are the same, "um" is nothing. Error rates by another normalizer, or another version of it, cannot be
compared with these: the lock file holds the version, and `NORMALIZER` tells it to the report.

Its known weakness stays: digits that are spelled one by one become one word ("one two three" is "123", of which one
wrong digit makes the whole word wrong) but digits written one by one ("1, 2, 3") do not.

English, and what has no known language, is normalized as English; other languages lose only case, punctuation and
what stands in brackets. Their combining marks are kept, other than in Whisper's paper: without its vowel signs a Hindi
or Tamil word falls apart into letters. Languages that are written without spaces are compared by character, as in
the paper: their word error rate is a character error rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from itertools import accumulate, groupby
from types import ModuleType
from warnings import catch_warnings, simplefilter

from twopass.alignment import folded
from twopass.compare.measures.accuracy import Edit, Step, aligned
from twopass.types import Word, Words, text_of

_PACKAGE = "whisper-normalizer"
NORMALIZER = f"{_PACKAGE} {version(_PACKAGE)}"
"""Name and version, for the report."""

_ENGLISH = "en"
_WITHOUT_SPACES = frozenset({"zh", "cmn", "yue", "wuu", "ja", "th", "lo", "my", "km"})


def normalized_text(text: str, language: str | None) -> list[str]:
    """
    The words of a text that are compared: what has no letter or digit is none.

    Language: a tag ("en-US", "hi"); None is taken for English.
    """
    return [word for word in _normalizer(_primary(language))(text).split() if folded(word)]


def normalized(words: Words, language: str | None) -> Words:
    """
    The words that are compared, each with the time (ms) of the written words that it came from.

    A written word that becomes several shares its time among them by length, and so do written words that only
    together become something else ("twenty five dollars" is "$25", with the time of all three); shared times are
    estimated. A word that seems to come from nowhere has a neighbour's time, estimated too.
    """
    pieces = tuple(piece for word in words for piece in _shared(_alone(word.text, _primary(language)), (word,)))
    texts = normalized_text(text_of(words), language)
    steps = aligned(pieces, tuple(Word(text, 0, 0) for text in texts))
    timed = (word for sources, said in _blocks(steps, pieces or words) for word in _shared(said, sources))
    return tuple(replace(word, glued=True) for word in timed) if _characterwise(language) else tuple(timed)


def _blocks(steps: tuple[Step, ...], pieces: Words) -> Iterator[tuple[Words, tuple[str, ...]]]:
    """What each piece, or pieces that changed together, became."""
    heard = 0
    for same, group in groupby(steps, key=lambda step: step.edit is Edit.EQUAL):
        block = list(group)
        sources = tuple(word for step in block for word in step.reference)
        texts = tuple(word.text for step in block for word in step.hypothesis)
        if same:
            yield from (((word,), (word.text,)) for word in sources)
        else:
            yield sources or (replace(pieces[max(0, heard - 1)], estimated=True),), texts
        heard += len(sources)


def _shared(texts: tuple[str, ...], sources: Words) -> Words:
    """Words instead of others, in their time, which they share by length."""
    if not texts:
        return ()
    start, end, length = sources[0].start, sources[-1].end, sum(map(len, texts))
    known = [word.confidence for word in sources if word.confidence is not None]
    confidence = min(known) if len(known) == len(sources) else None
    estimated = len(texts) > 1 or any(word.estimated for word in sources)
    ends = [start + (end - start) * done // length for done in accumulate(map(len, texts))]
    return tuple(
        Word(text, begin, until, confidence, estimated, speaker=sources[0].speaker)
        for text, begin, until in zip(texts, [start, *ends], ends, strict=False)
    )


@lru_cache(maxsize=65_536)
def _alone(text: str, language: str) -> tuple[str, ...]:
    """A written word, normalized without its neighbours."""
    return tuple(normalized_text(text, language))


@lru_cache
def _normalizer(language: str) -> Callable[[str], str]:
    """Loaded when it is needed: it reads a dictionary of spellings."""
    normalizer: Callable[[str], str]
    if language == _ENGLISH:
        normalizer = _module("english").EnglishTextNormalizer()
    else:
        split = language in _WITHOUT_SPACES
        normalizer = _module("basic").BasicTextNormalizer(split_letters=split, preserve_marks=True)
    return normalizer


def _module(name: str) -> ModuleType:
    """Of the package. Python warns of an escape in one of its docstrings when it first compiles it."""
    with catch_warnings():
        simplefilter("ignore")
        return import_module(f"whisper_normalizer.{name}")


def _primary(language: str | None) -> str:
    """The language of a tag: "en" of "en-US"."""
    return (language or _ENGLISH).lower().replace("_", "-").split("-")[0]


def _characterwise(language: str | None) -> bool:
    return _primary(language) in _WITHOUT_SPACES
