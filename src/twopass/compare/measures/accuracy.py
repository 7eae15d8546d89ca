"""
How right a transcript is: word and character errors, and what happened at forced cuts. Pure.

Word error rate is (substitutions + deletions + insertions) / reference words (Levenshtein alignment by jiwer), pooled
over recordings: errors and reference words are added up before they are divided, so that a long recording counts as
much as all its words. Character error rate is the same of characters. What counts as the same word is decided before:
`twopass.compare.measures.normalizing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import jiwer

from twopass.alignment import folded
from twopass.types import Word, Words, text_of

SEAM_REACH_MS = 1_000


class _AsTheyAre(jiwer.AbstractTransform):
    """In place of jiwer's own preparation, which would split, strip and drop: what comes in are words already."""

    def process_list(self, inp: list[str]) -> list[list[str]]:
        return [inp]


_AS_THEY_ARE = _AsTheyAre()


@dataclass(frozen=True, slots=True)
class Errors:
    """Counts, so that recordings can be added up. `reference`: how many units (words, characters) the truth has."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    reference: int = 0

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.reference + other.reference,
        )

    @property
    def total(self) -> int:
        """All errors."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Errors per unit of the reference, None without any."""
        return self.total / self.reference if self.reference else None


class Edit(StrEnum):
    """How a piece of the hypothesis relates to the truth."""

    EQUAL = "equal"
    SUBSTITUTE = "substitute"
    DELETE = "delete"
    INSERT = "insert"


@dataclass(frozen=True, slots=True)
class Step:
    """
    A piece of an alignment.

    Attributes:
        reference, hypothesis: The words; as many on both sides, or none on one (deleted, inserted).
    """

    edit: Edit
    reference: Words = ()
    hypothesis: Words = ()


def aligned(truth: Words, heard: Words) -> tuple[Step, ...]:
    """
    Which word of the hypothesis stands for which of the truth: the alignment with the fewest errors (Levenshtein, by
    jiwer; of several equally good ones the one that jiwer takes).

    Words are equal if their texts are: give normalized words. A step is as long as its edit goes on. Either side may
    be empty. Times are not looked at.
    """
    chunks = jiwer.process_words(_texts(truth), _texts(heard), _AS_THEY_ARE, _AS_THEY_ARE).alignments[0]
    return tuple(
        Step(
            Edit(chunk.type),
            truth[chunk.ref_start_idx : chunk.ref_end_idx],
            heard[chunk.hyp_start_idx : chunk.hyp_end_idx],
        )
        for chunk in chunks
    )


def errors_of(steps: Iterable[Step]) -> Errors:
    """Count the words that an alignment calls wrong."""
    counts = dict.fromkeys(Edit, 0)
    for step in steps:
        counts[step.edit] += max(len(step.reference), len(step.hypothesis))
    substitutions, deletions = counts[Edit.SUBSTITUTE], counts[Edit.DELETE]
    return Errors(substitutions, deletions, counts[Edit.INSERT], counts[Edit.EQUAL] + substitutions + deletions)


def character_errors(truth: Words, heard: Words) -> Errors:
    """
    Count wrong characters of normalized words: what character error rate is made of. As jiwer counts: a space between
    two words is a character too (glued words have none). Either side may be empty.
    """
    wanted = text_of(truth)
    counted = jiwer.process_characters(wanted, text_of(heard))
    return Errors(counted.substitutions, counted.deletions, counted.insertions, len(wanted))


def word_errors(reference: Iterable[str], hypothesis: Iterable[str]) -> Errors:
    """Count errors of written words; case and punctuation do not count, numbers and spellings are as written."""
    return errors_of(
        aligned(_folded(Word(text, 0, 0) for text in reference), _folded(Word(text, 0, 0) for text in hypothesis))
    )


@dataclass(frozen=True, slots=True)
class SeamErrors:
    """Words of the reference missing, and words too many, within a second of a forced cut."""

    lost: int = 0
    doubled: int = 0


def seam_errors(reference: Sequence[Word], hypothesis: Sequence[Word], cuts: Sequence[int]) -> SeamErrors:
    """Look for lost and doubled words around forced cuts (ms), in written or normalized words."""
    wanted = _folded(reference)
    if not wanted or not cuts:
        return SeamErrors()
    steps = aligned(wanted, _folded(hypothesis))
    lost = [word for step in steps if step.edit is Edit.DELETE for word in step.reference]
    doubled = [word for step in steps if step.edit is Edit.INSERT for word in step.hypothesis]
    return SeamErrors(sum(_near(word, cuts) for word in lost), sum(_near(word, cuts) for word in doubled))


def _near(word: Word, cuts: Sequence[int]) -> bool:
    return any(abs(word.middle - cut) <= SEAM_REACH_MS for cut in cuts)


def _folded(words: Iterable[Word]) -> Words:
    """The words as they are compared; what is only punctuation is no word."""
    return tuple(replace(word, text=text) for word in words if (text := folded(word.text)))


def _texts(words: Words) -> list[str]:
    return [word.text for word in words]
