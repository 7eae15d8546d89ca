"""Which answers of the second pass are believed."""

from __future__ import annotations

import pytest

from twopass.guard import Verdict, judge
from twopass.types import Evidence, Hypothesis, Utterance, Word, Words

CLEAR = Utterance("u", 0, 3_000, speech_ms=2_000)
FAINT = Utterance("u", 0, 3_000, speech_ms=96)


def said(text: str) -> Words:
    """Words without interesting times."""
    return tuple(Word(token, 100 * i, 100 * i + 90) for i, token in enumerate(text.split()))


def test_words_without_duration_were_never_said() -> None:
    """Four words in a row at one instant: the decoder repeated itself and the alignment found no sound for it."""
    spoken = said("we need the budget")
    repeated = tuple(Word(text, 400, 400) for text in ("We", "spent", "it", "all"))
    answer = Hypothesis(0, 3_000, spoken + repeated, final=True, evidence=Evidence(-0.3, 0.01, 1.1))
    assert Verdict.REJECT is judge(answer, CLEAR).verdict


@pytest.mark.parametrize(
    ("verdict", "text", "evidence", "utterance"),
    [
        (Verdict.ACCEPT, "We will review the budget.", Evidence(-0.3, 0.01, 1.1), CLEAR),
        (Verdict.ACCEPT, "No no no, wait.", Evidence(-0.3, 0.01, 1.1), CLEAR),
        (Verdict.REJECT, "you you you you you", Evidence(-0.3, 0.01, 1.1), CLEAR),
        (Verdict.REJECT, "thank you very much " * 4, Evidence(-0.3, 0.01, 1.1), CLEAR),
        (Verdict.REJECT, "la la land", Evidence(-0.3, 0.01, 2.5), CLEAR),
        (Verdict.REJECT, "Thanks for watching!", Evidence(-1.2, 0.8, 1.0), CLEAR),
        (Verdict.ACCEPT, "Mumbled words", Evidence(-1.2, 0.1, 1.0), CLEAR),
        (Verdict.ACCEPT_IF_HEARD, "you", Evidence(-0.3, 0.1, 1.0), FAINT),
        (Verdict.ACCEPT_IF_UNHEARD, "", Evidence(-0.1, 0.1, 0.0), CLEAR),
        (Verdict.ACCEPT, "", Evidence(-0.1, 0.9, 0.0), CLEAR),
        (Verdict.ACCEPT, "", Evidence(-0.1, 0.1, 0.0), FAINT),
        (Verdict.ACCEPT, "A model that says nothing of itself.", Evidence(), CLEAR),
    ],
)
def test_verdicts(verdict: Verdict, text: str, evidence: Evidence, utterance: Utterance) -> None:
    """Loops and improbable words in silence are rejected, doubts ask the first pass, plain answers are accepted."""
    judgement = judge(Hypothesis(0, 3_000, said(text), final=True, evidence=evidence), utterance)
    assert verdict is judgement.verdict
    assert (verdict is Verdict.ACCEPT) == (judgement.reason == "")
