"""What faster-whisper says, as our types. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twopass.types import Evidence, Hypothesis, Word


@dataclass(frozen=True, slots=True)
class Request:
    """
    Parent to child: one utterance.

    Attributes:
        pcm: 16 kHz mono s16.
        languages: Two letters each: it is one of these; none means that it may be any.
    """

    pcm: bytes
    languages: tuple[str, ...]
    phrases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WordResult:
    """A word as Whisper splits it: with its leading space and its punctuation. Seconds from the first sample."""

    word: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class Result:
    """Child to parent: one utterance's answer, and the share of the batch's busy time that it took."""

    words: tuple[WordResult, ...]
    seconds: float
    language: str | None
    average_logprob: float | None
    no_speech: float | None
    compression_ratio: float | None
    busy_seconds: float


def language_code(tag: str | None) -> str | None:
    """Whisper's two letters for a BCP-47 tag: "en-US" is "en"."""
    return tag.replace("_", "-").split("-")[0].lower() if tag else None


def hypothesis(result: Result) -> Hypothesis:
    """The answer on the stream clock."""
    words = tuple(_word(word, first=i == 0) for i, word in enumerate(result.words) if word.word.strip())
    return Hypothesis(
        0,
        round(result.seconds * 1000),
        words,
        final=True,
        stable=len(words),
        language=result.language,
        evidence=Evidence(result.average_logprob, result.no_speech, result.compression_ratio),
    )


def loudest_doubt(values: Sequence[float | None], *, high: bool) -> float | None:
    """The worst value of several segments, None if none says anything."""
    known = [value for value in values if value is not None]
    return (max(known) if high else min(known)) if known else None


def _word(word: WordResult, *, first: bool) -> Word:
    start, end = round(word.start * 1000), round(word.end * 1000)
    glued = not first and not word.word[0].isspace()
    return Word(word.word.strip(), start, max(start, end), confidence=min(1.0, max(0.0, word.probability)), glued=glued)
