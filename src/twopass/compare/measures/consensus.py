"""
What most systems heard: a truth of sorts where there is no reference. Pure.

It is a majority, not the truth: systems that err alike agree on their error, and a system that alone is right loses.
Figures against it are agreement, not accuracy, and must be labelled so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from twopass.compare.measures.accuracy import aligned, errors_of
from twopass.compare.measures.placing import placed
from twopass.compare.measures.transitions import Slot, network
from twopass.types import Word, Words

ENOUGH = 3
"""Transcripts: of two, neither is a majority."""


def consensus(hypotheses: Sequence[Words]) -> Words:
    """
    Vote word by word (ROVER: Fiscus, ASRU 1997; there "frequency of occurrence", with the confidences for ties).

    The transcripts are laid side by side (`twopass.compare.measures.transitions`), the most central one first, and at
    each place the word that most have is taken, or none if most have none. Of equally frequent ones the one with
    the highest mean confidence wins, if all have one ("nothing" has none), else that of the most central transcript.

    Args:
        hypotheses: Normalized words of one recording, one transcript per system; () is one that heard nothing.

    Returns:
        The words that won, as their most central supporter has them; confidence: the share of all that voted for
        it; times (ms): the median of its voters' true ones, see `twopass.compare.measures.placing`. Nothing, if
        there are fewer than three hypotheses.
    """
    if len(hypotheses) < ENOUGH:
        return ()
    votes = [_winners(slot) for slot in network(most_central_first(hypotheses))]
    won = [voters for voters in votes if voters]
    words = [replace(voters[0], confidence=len(voters) / len(hypotheses)) for voters in won]
    return placed(words, won)


def most_central_first(hypotheses: Sequence[Words]) -> list[Words]:
    """
    In the order of how few word errors each has against all others; equal ones as they come.

    The first is the frame in which all others find their place, so it must not be the one that heard nothing, or
    that repeats itself; and the median is expected to be the least wrong, so it may break ties.
    """
    apart = [[0] * len(hypotheses) for _ in hypotheses]
    for i, left in enumerate(hypotheses):
        for j, right in enumerate(hypotheses[:i]):
            apart[i][j] = apart[j][i] = errors_of(aligned(left, right)).total
    return [hypotheses[i] for i in sorted(range(len(hypotheses)), key=lambda i: sum(apart[i]))]


def _winners(slot: Slot) -> list[Word]:
    """The voters for the word that won; empty if that is none."""
    camps: dict[str | None, list[Word | None]] = {}
    for word in slot:
        camps.setdefault(word.text if word else None, []).append(word)
    most = max(len(camp) for camp in camps.values())
    leading = [[word for word in camp if word] for camp in camps.values() if len(camp) == most]
    stated = [[word.confidence for word in camp if word.confidence is not None] for camp in leading]
    best = max(range(len(leading)), key=lambda i: fmean(stated[i])) if all(stated) else 0
    return leading[best]
