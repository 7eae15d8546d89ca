"""How much two systems heard alike, whoever is right. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from twopass.compare.measures.accuracy import Edit, aligned
from twopass.types import Words


def agreement(left: Words, right: Words) -> float | None:
    """
    The share of their words that two transcripts have in common at the same place, 0..1; None if both are empty.

    Equal words over words, of both (the Dice coefficient: Dice, Ecology 26, 1945), in the alignment with the fewest
    word errors. Unlike the word error rate of one against the other it is symmetric: as equally good alignments can
    have more or fewer equal words, it is counted both ways.

    Args:
        left, right: Normalized words of one recording.
    """
    return pooled_agreement([(left, right)])


def pooled_agreement(pairs: Iterable[tuple[Words, Words]]) -> float | None:
    """The same of several recordings: all words in common over all words, so that long recordings weigh more."""
    alike = words = 0
    for left, right in pairs:
        alike += _equal(left, right) + _equal(right, left)
        words += len(left) + len(right)
    return alike / words if words else None


def _equal(left: Words, right: Words) -> int:
    return sum(len(step.reference) for step in aligned(left, right) if step.edit is Edit.EQUAL)
