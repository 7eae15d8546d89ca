"""
The vocabulary: what is heard, said and shown.

All times are integer milliseconds on the *session clock* (0 = first sample of the session's tape), unless a
docstring says *stream clock* (0 = first sample of one recognizer stream). All values are frozen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import TypeAlias

SAMPLE_RATE = 16_000
"""Samples per second on the tape: mono, signed 16 bit, little endian."""
SAMPLES_PER_MS = SAMPLE_RATE // 1000
BYTES_PER_SAMPLE = 2


class Status(StrEnum):
    """How far an utterance has come. It only moves forward, in this order."""

    INTERIM = "interim"
    PROVISIONAL = "provisional"
    FINAL = "final"

    @property
    def rank(self) -> int:
        """0, 1, 2 in the order of the life of an utterance."""
        return tuple(Status).index(self)


class Pass(StrEnum):
    """Which recognizer the words come from."""

    FIRST = "first"
    SECOND = "second"


@dataclass(frozen=True, slots=True)
class Word:
    """
    One written word, with the punctuation that belongs to it.

    Attributes:
        start, end: Milliseconds.
        confidence: 0..1 if the recognizer gives one.
        estimated: The recognizer gave no word times; these are interpolated.
        glued: Written without a space before it (Chinese, Japanese, Thai, split hyphens).
        speaker: The recognizer's label, if it tells speakers apart.
    """

    text: str
    start: int
    end: int
    confidence: float | None = None
    estimated: bool = False
    glued: bool = False
    speaker: str | None = None

    @property
    def middle(self) -> float:
        """Words belong to the utterance that holds their midpoint."""
        return (self.start + self.end) / 2

    def shifted(self, by: int) -> Word:
        """The same word on a clock whose zero lies `by` ms earlier."""
        return replace(self, start=self.start + by, end=self.end + by)


Words: TypeAlias = tuple[Word, ...]


def text_of(words: Iterable[Word]) -> str:
    """Write words as a person would: spaces between them unless glued."""
    return "".join(word.text if word.glued else f" {word.text}" for word in words).strip()


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    What a decoder says of its own trustworthiness; None where it does not say.

    Attributes:
        average_logprob: Mean log probability of the tokens (Whisper).
        no_speech: Probability that nothing was said (Whisper).
        compression_ratio: Length of the text over its zlib-compressed length; above ~2.4 it repeats itself.
    """

    average_logprob: float | None = None
    no_speech: float | None = None
    compression_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """
    What one recognizer believes was said between `start` and `end`.

    Attributes:
        final: The recognizer will not change its mind about this span.
        stable: How many leading words it does not expect to change (all of them when final).
    """

    start: int
    end: int
    words: Words = ()
    final: bool = False
    stable: int = 0
    language: str | None = None
    evidence: Evidence = Evidence()

    @property
    def text(self) -> str:
        """The words as one line."""
        return text_of(self.words)

    def shifted(self, by: int) -> Hypothesis:
        """Rebase from a clock whose zero lies `by` ms later, stream clock to session clock."""
        words = tuple(word.shifted(by) for word in self.words)
        return replace(self, start=self.start + by, end=self.end + by, words=words)


class Cut(IntEnum):
    """How a border of an utterance came about."""

    NONE = 0
    """By silence: nothing lies across it."""
    PAUSE = 1
    """Forced, in a short pause between words."""
    SPEECH = 2
    """Forced, in running speech: a word may lie across it."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """
    A stretch of speech as the voice detector cut it.

    Attributes:
        end: None while the speaker goes on.
        speech_ms: How much of it the voice detector called speech.
        cut_left, cut_right: Whether a border was forced, because the speaker went on for too long.
    """

    id: str
    start: int
    end: int | None = None
    speech_ms: int = 0
    cut_left: Cut = Cut.NONE
    cut_right: Cut = Cut.NONE
    channel: int = 0


@dataclass(frozen=True, slots=True)
class Revision:
    """
    What a client shows for one utterance. The highest revision per id wins; sorted by start they are the transcript.

    Attributes:
        stable: How many leading words are not expected to change.
        degraded: Why the second pass's text is not shown although it was due; None if it is, or may still come.
        rewritten: Indexes of words that differ from what the first pass had shown.
    """

    utterance: str
    revision: int
    status: Status
    start: int
    end: int
    words: Words
    source: Pass
    stable: int = 0
    degraded: str | None = None
    rewritten: tuple[int, ...] = ()
    channel: int = 0
    language: str | None = None

    @property
    def text(self) -> str:
        """The words as one line."""
        return text_of(self.words)

    @property
    def order(self) -> tuple[bool, int]:
        """
        Of two revisions of an utterance the one whose order is higher counts: a final, whatever its number (a server
        that goes on for a lost one may not know what that one had told), else the one with the higher number.
        """
        return self.status is Status.FINAL, self.revision


class Clock(StrEnum):
    """
    Which clock a usage entry was read from.

    `provisioned` is a machine's time whether it works or not. `received` and `finalized` are no work but what it was
    for: audio that clients sent, and speech whose words are final.
    """

    AUDIO_SENT = "audio_sent"
    SOCKET_OPEN = "socket_open"
    VENDOR_REPORTED = "vendor_reported"
    CPU_BUSY = "cpu_busy"
    GPU_BUSY = "gpu_busy"
    PROVISIONED = "provisioned"
    RECEIVED = "received"
    FINALIZED = "finalized"


class Reason(StrEnum):
    """
    What a usage entry was for.

    `replay` is audio that some recognizer had heard before (after a break, or around the place where a stream is
    replaced); `race_loser` was heard by a recognizer that was not shown; `speculation` was begun on a short silence
    and thrown away; `shadow` was heard for comparison only.
    """

    WORK = "work"
    REPLAY = "replay"
    RACE_LOSER = "race_loser"
    SPECULATION = "speculation"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Usage:
    """
    An immutable fact for the meter: `seconds` of `clock` were used.

    Attributes:
        sku: What of the provider was used, as its rate card names it.
        reason: What it was for.
        stream: Which stream (a vendor bills each as one request) it belongs to, within the session; empty for work
            that is billed by time alone.
        features: What was asked of the vendor that it may bill besides, as its rate card names it.
    """

    provider: str
    sku: str
    clock: Clock
    seconds: float
    pass_: Pass = Pass.FIRST
    reason: Reason = Reason.WORK
    stream: str = ""
    features: tuple[str, ...] = ()


def milliseconds(samples: int) -> int:
    """Whole milliseconds of a number of tape samples, rounded down."""
    return samples // SAMPLES_PER_MS


def samples(ms: int) -> int:
    """Tape samples in a number of milliseconds."""
    return ms * SAMPLES_PER_MS
