"""What pocketsphinx says, as our types. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from twopass.types import Hypothesis, Word, Words

FRAME_MS = 10
HELD_BACK = 2
"""The last two words change in one update out of five; the ones before them hardly ever do (measured)."""

Segment: TypeAlias = tuple[str, int, int, float]
"""Word as in the dictionary, first frame, last frame, posterior probability."""

_ALTERNATE = re.compile(r"\(\d+\)$")
_NOT_SPOKEN = re.compile(r"^[<\[+]")  # <s> </s> <sil> [NOISE] ++SMACK++


@dataclass(frozen=True, slots=True)
class StreamStart:
    """Parent to child: a new utterance begins. `cepstral_mean`: where the last one of this speaker left it."""

    cepstral_mean: str | None


@dataclass(frozen=True, slots=True)
class StreamResult:
    """Child to parent: what is heard so far, or in all. The last one carries the rest."""

    segments: tuple[Segment, ...]
    frames: int
    final: bool = False
    cepstral_mean: str | None = None
    busy_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class UtteranceResult:
    """Child to parent: one utterance decoded with the full search."""

    segments: tuple[Segment, ...]
    frames: int
    busy_seconds: float


def words(segments: Iterable[Segment], *, probabilities: bool) -> Words:
    """The words that were spoken, without silences, noises and the numbers of pronunciation variants."""
    return tuple(
        Word(
            _ALTERNATE.sub("", name),
            first * FRAME_MS,
            (last + 1) * FRAME_MS,
            confidence=min(1.0, probability) if probabilities else None,
        )
        for name, first, last, probability in segments
        if not _NOT_SPOKEN.match(name)
    )


def hypothesis(result: StreamResult) -> Hypothesis:
    """A streamed result, on the stream clock."""
    heard = words(result.segments, probabilities=False)  # without the best path search they say nothing
    stable = len(heard) if result.final else max(0, len(heard) - HELD_BACK)
    end = max(result.frames * FRAME_MS, heard[-1].end if heard else 0)
    return Hypothesis(0, end, heard, final=result.final, stable=stable, language="en-US")


def utterance_hypothesis(result: UtteranceResult) -> Hypothesis:
    """A whole utterance, on the stream clock."""
    heard = words(result.segments, probabilities=True)
    return Hypothesis(0, result.frames * FRAME_MS, heard, final=True, stable=len(heard), language="en-US")
