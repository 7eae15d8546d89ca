"""
How right a transcript is: word errors, and what happened at forced cuts. Pure.

Word error rate is (substitutions + deletions + insertions) / reference words (Levenshtein alignment by jiwer), pooled
over recordings; words are compared without case and punctuation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import jiwer

from twopass.alignment import folded
from twopass.types import Word, Words

SEAM_REACH_MS = 1_000


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


def word_errors(reference: Iterable[str], hypothesis: Iterable[str]) -> Errors:
    """Count errors of a hypothesis."""
    wanted, got = _line(reference), _line(hypothesis)
    if not wanted:
        return Errors(insertions=len(got.split()))
    aligned = jiwer.process_words(wanted, got)
    return Errors(aligned.substitutions, aligned.deletions, aligned.insertions, len(wanted.split()))


@dataclass(frozen=True, slots=True)
class SeamErrors:
    """Words of the reference missing, and words too many, within a second of a forced cut."""

    lost: int = 0
    doubled: int = 0


def seam_errors(reference: Sequence[Word], hypothesis: Sequence[Word], cuts: Sequence[int]) -> SeamErrors:
    """Look for lost and doubled words around forced cuts (ms)."""
    wanted = [word for word in reference if folded(word.text)]
    got = [word for word in hypothesis if folded(word.text)]
    if not wanted or not cuts:
        return SeamErrors()
    aligned = jiwer.process_words(_line(w.text for w in wanted), _line(w.text for w in got)).alignments[0]
    lost = [w for a in aligned if a.type == "delete" for w in wanted[a.ref_start_idx : a.ref_end_idx]]
    doubled = [w for a in aligned if a.type == "insert" for w in got[a.hyp_start_idx : a.hyp_end_idx]]
    return SeamErrors(sum(_near(word, cuts) for word in lost), sum(_near(word, cuts) for word in doubled))


def _near(word: Word, cuts: Sequence[int]) -> bool:
    return any(abs(word.middle - cut) <= SEAM_REACH_MS for cut in cuts)


def _line(words: Iterable[str]) -> str:
    return " ".join(token for word in words if (token := folded(word)))
