"""
Whether to believe the second pass. Pure.

Whisper writes fluent text for noise, loops on a phrase, and sometimes says nothing to real speech. Each answer is
accepted, rejected, or doubted; a doubt is settled by whether the first pass heard anything in the same place.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from twopass.alignment import folded
from twopass.types import Evidence, Hypothesis, Utterance


class Verdict(Enum):
    """What to do with an answer of the second pass."""

    ACCEPT = auto()
    REJECT = auto()
    ACCEPT_IF_HEARD = auto()
    """Accept only if the first pass heard words there too."""
    ACCEPT_IF_UNHEARD = auto()
    """Accept only if the first pass heard nothing there either."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and, unless it is a plain ACCEPT, the reason that goes on record."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """
    Thresholds. The first three are those of Radford et al. 2022 (Whisper), section 4.5.

    Attributes:
        compression_ratio: Text that compresses better than this repeats itself.
        average_logprob: Below this the words are improbable.
        no_speech: Above this the model itself believes that nothing was said.
        loop_repeats: This many equal phrases in a row are a loop.
        collapsed_words: This many words in a row without duration were never said: the decoder repeated itself, and
            the alignment found no sound for them.
        faint_speech_ms: With less speech than this the voice detector heard next to nothing.
        clear_speech_ms: With more speech than this an empty answer is suspicious.
    """

    compression_ratio: float = 2.4
    average_logprob: float = -1.0
    no_speech: float = 0.6
    loop_repeats: int = 4
    collapsed_words: int = 4
    faint_speech_ms: int = 160
    clear_speech_ms: int = 600


def judge(hypothesis: Hypothesis, utterance: Utterance, settings: GuardSettings = GuardSettings()) -> Judgement:
    """Judge the second pass's answer for an utterance."""
    evidence = hypothesis.evidence
    doubts_itself = (evidence.no_speech or 0.0) > settings.no_speech
    if not hypothesis.words:
        if utterance.speech_ms > settings.clear_speech_ms and not doubts_itself:
            return Judgement(Verdict.ACCEPT_IF_UNHEARD, "rejected: nothing where the first pass heard words")
        return Judgement(Verdict.ACCEPT)
    if _repeats_itself(hypothesis, evidence, settings):
        return Judgement(Verdict.REJECT, "rejected: repetition loop")
    if _collapsed(hypothesis, settings.collapsed_words):
        return Judgement(Verdict.REJECT, "rejected: several words at one instant")
    improbable = evidence.average_logprob is not None and evidence.average_logprob < settings.average_logprob
    if improbable and doubts_itself:
        return Judgement(Verdict.REJECT, "rejected: improbable words in probable silence")
    if utterance.speech_ms < settings.faint_speech_ms:
        return Judgement(Verdict.ACCEPT_IF_HEARD, "rejected: words where nobody was heard")
    return Judgement(Verdict.ACCEPT)


def _repeats_itself(hypothesis: Hypothesis, evidence: Evidence, settings: GuardSettings) -> bool:
    if (evidence.compression_ratio or 0.0) > settings.compression_ratio:
        return True
    tokens = [folded(word.text) for word in hypothesis.words]
    return any(_loops(tokens, size, settings.loop_repeats) for size in range(1, 6))


def _collapsed(hypothesis: Hypothesis, most: int) -> bool:
    run = 0
    for word in hypothesis.words:
        run = run + 1 if word.end <= word.start else 0
        if run >= most:
            return True
    return False


def _loops(tokens: list[str], size: int, repeats: int) -> bool:
    """Whether a phrase of `size` words follows itself so often."""
    run = 0
    for i in range(size, len(tokens)):
        run = run + 1 if tokens[i] == tokens[i - size] else 0
        if run >= size * (repeats - 1):
            return True
    return False
