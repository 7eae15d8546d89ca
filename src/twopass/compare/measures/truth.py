"""What systems are measured against: the reference, or what stands in its place. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from twopass.compare.measures.accuracy import Edit, aligned
from twopass.compare.measures.consensus import ENOUGH, consensus
from twopass.compare.measures.placing import placed
from twopass.types import Word, Words, text_of

Times: TypeAlias = Literal["given", "recognizers", "none"]


@dataclass(frozen=True, slots=True)
class Truth:
    """
    What was said in a recording, as far as it is known.

    Attributes:
        words: Normalized; those marked estimated have no time that anything may be measured by.
        text: The same as one line.
        consensus: It is no reference but what most systems heard: figures against it are agreement, not accuracy.
        times: Where the words' times are from: given with the reference; from the recognizers that are compared (the
            median of those that heard the word: a system that alone heard it is then measured against itself); or
            nowhere.
    """

    words: Words
    text: str
    consensus: bool = False
    times: Times = "none"


def truth_of(reference: Words | None, timed: bool, hearings: Mapping[str, Words]) -> Truth | None:
    """
    The reference if there is one, else the systems' consensus, else None.

    Args:
        reference: Its normalized words; () says that nothing was said, None that it is not known.
        timed: Whether these have true times. If not, each takes the median time of the systems that heard it, and
            what nobody heard is put between its neighbours and marked estimated.
        hearings: What each system heard, by its name, normalized: only those that heard the whole recording. With
            fewer than three there is no consensus.
    """
    if reference is not None and timed:
        return Truth(reference, text_of(reference), times="given")
    if reference is not None:
        return _dated(placed(reference, witnesses(reference, hearings.values())), consensus=False)
    if len(hearings) < ENOUGH:
        return None
    return _dated(consensus(list(hearings.values())), consensus=True)


def witnesses(words: Words, hearings: Iterable[Words]) -> list[list[Word]]:
    """For each word those of the hearings that are aligned with it as equal."""
    found: list[list[Word]] = [[] for _ in words]
    for heard in hearings:
        at = 0
        for step in aligned(words, heard):
            if step.edit is Edit.EQUAL:
                for i, word in enumerate(step.hypothesis, start=at):
                    found[i].append(word)
            at += len(step.reference)
    return found


def _dated(words: Words, *, consensus: bool) -> Truth:
    known = any(not word.estimated for word in words)
    return Truth(words, text_of(words), consensus, "recognizers" if known else "none")
