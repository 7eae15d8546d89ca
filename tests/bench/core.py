"""The reconciler alone: word updates per second, and whether hour three costs more than minute one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from twopass.reconciler import Closed, Fact, FirstPass, Heard, Opened, Reconciler, SecondPass, Settled
from twopass.types import Hypothesis, Utterance, Word

UTTERANCE_MS = 4_000
WORDS = 12


def measure(hours: float = 3.05) -> dict[str, Any]:
    """Feed a session of so many hours; a word update is one interim hypothesis that shows one more word."""
    reconciler = Reconciler()
    count = int(hours * 3_600_000 / UTTERANCE_MS)
    minute = 60_000 // UTTERANCE_MS
    first, last, total = [], [], 0.0
    for i in range(count):
        facts = list(_utterance(i))
        began = time.perf_counter()
        for fact in facts:
            reconciler.apply(fact)
        spent = time.perf_counter() - began
        total += spent
        if i < 10 * minute:
            first.append(spent)
        elif i >= count - 10 * minute:
            last.append(spent)
    return {
        "word_updates_per_s": round(count * WORDS / total),
        "first_minutes_us_per_word": round(_median(first) / WORDS * 1e6, 1),
        "hour_three_us_per_word": round(_median(last) / WORDS * 1e6, 1),
        "hour_three_over_first_minutes": round(_median(last) / _median(first), 2),
    }


def _utterance(number: int) -> Iterator[Fact]:
    start = number * UTTERANCE_MS
    utterance = Utterance(f"0-{start}", start, start + 3_600, 3_000)
    words = tuple(Word(f"word{k}", start + 300 + k * 250, start + 500 + k * 250) for k in range(WORDS))
    yield Opened(Utterance(utterance.id, start))
    for k in range(1, WORDS + 1):
        yield FirstPass(Hypothesis(start, words[k - 1].end, words[:k], stable=max(0, k - 2)), (number, k))
    yield Closed(utterance)
    yield FirstPass(Hypothesis(start, start + 3_600, words, final=True, stable=WORDS), (number, WORDS + 1))
    yield Settled(start + 3_750)
    yield Heard(start + 3_750)
    yield SecondPass(utterance, Hypothesis(start, start + 3_600, words, final=True, stable=WORDS))


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
