"""
How well punctuation and capitals are written, apart from the words. Pure.

Judged only at words that the reference and the transcript have both: what stands at a wrong word cannot be right. Each
word has at most one mark; a mark other than the reference's is one too many and one missing. The score is F1, the
harmonic mean of precision and recall over all marks (van Rijsbergen, Information Retrieval, 1979, chapter 7).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from twopass.alignment import folded
from twopass.compare.measures.accuracy import Edit, aligned
from twopass.types import Word, Words

_Mark: TypeAlias = str | tuple[int, ...]
_STOPS = {
    variant: mark
    for mark, variants in {
        ".": ".…。．।॥۔",
        ",": ",，、،",
        "?": "?？؟",
        "!": "!！",
        ":": ":：",
        ";": ";；؛",
    }.items()
    for variant in variants
}
_WITHOUT_SPACES = "\u3040-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_PIECE = re.compile(f"[{_WITHOUT_SPACES}]|[^\\s{_WITHOUT_SPACES}]+")
"""A character of Chinese or Japanese; of other writing, what stands between spaces."""


@dataclass(frozen=True, slots=True)
class Marks:
    """
    Marks (punctuation, or capitals) that stand where the reference has them, that it does not have, and that are
    missing: counts, so that recordings can be added up.
    """

    right: int = 0
    wrong: int = 0
    missing: int = 0

    def __add__(self, other: Marks) -> Marks:
        return Marks(self.right + other.right, self.wrong + other.wrong, self.missing + other.missing)


def f1(marks: Marks) -> float | None:
    """0..1; None if there are no marks on either side."""
    marked = 2 * marks.right + marks.wrong + marks.missing
    return 2 * marks.right / marked if marked else None


def punctuation(reference: str, text: str) -> Marks | None:
    """
    Compare full stops, commas, question marks, exclamation marks, colons and semicolons after words.

    Of several in a row the first counts ("…" and the marks of other scripts as their Latin ones); inside of a word
    ("3.5", "10:30") there are none. None if the reference has none at all: it cannot say what is right.
    """
    wanted = _written_words(reference)
    return _compared(wanted, _written_words(text), _stop) if any(map(_stop, wanted)) else None


def capitals(reference: str, text: str) -> Marks | None:
    """
    Compare which letters of words are capitals: "Nasa" is not "NASA".

    None if the reference has no capitals, or nothing else: it cannot say what is right.
    """
    if reference in (reference.lower(), reference.upper()):
        return None
    return _compared(_written_words(reference), _written_words(text), _capital_letters)


def _compared(wanted: Sequence[str], got: Sequence[str], mark: Callable[[str], _Mark]) -> Marks:
    left, right, marks = iter(wanted), iter(got), Marks()
    for step in aligned(_words(wanted), _words(got)):
        pairs = zip(list(islice(left, len(step.reference))), list(islice(right, len(step.hypothesis))), strict=False)
        if step.edit is Edit.EQUAL:
            marks = sum((_judged(mark(a), mark(b)) for a, b in pairs), marks)
    return marks


def _judged(wanted: _Mark, got: _Mark) -> Marks:
    same = wanted == got
    return Marks(bool(wanted and same), bool(got and not same), bool(wanted and not same))


def _words(texts: Iterable[str]) -> Words:
    return tuple(Word(folded(text), 0, 0) for text in texts)


def _written_words(text: str) -> list[str]:
    """Each with all that is written until the next: also a mark with a space before it, as in French."""
    written: list[str] = []
    for piece in _PIECE.findall(text):
        if folded(piece):
            written.append(piece)
        elif written:
            written[-1] += piece
    return written


def _stop(word: str) -> str:
    """The mark after a word, or nothing."""
    after = re.search(r"[\W_]*\Z", word)
    marks = (_STOPS.get(character, "") for character in (after[0] if after else ""))
    return next(filter(None, marks), "")


def _capital_letters(word: str) -> tuple[int, ...]:
    """Which of the letters and digits of a word are capitals."""
    return tuple(i for i, letter in enumerate(filter(str.isalnum, word)) if letter != letter.lower())
