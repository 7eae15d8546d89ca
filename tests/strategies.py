"""Hypothesis strategies: whole sessions as the facts that a reconciler hears, in orders that can really happen."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from twopass.reconciler import (
    FOREVER,
    SNAP_MS,
    Closed,
    Fact,
    FirstPass,
    Heard,
    Opened,
    SecondPass,
    SecondPassFailed,
    Settled,
)
from twopass.types import Cut, Evidence, Hypothesis, Utterance, Word, Words

CONTEXT_MS = 1_500
VOCABULARY = "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november".split()


@dataclass(frozen=True)
class Step:
    """A fact and the places in the list of the facts that must come before it."""

    fact: Fact
    after: tuple[int, ...] = ()


class Script:
    """
    A session: what was really said, and everything that the reconciler will hear of it.

    Attributes:
        steps: In the order in which they would come if nothing were late.
    """

    def __init__(
        self, utterances: tuple[Utterance, ...], spoken: tuple[Words, ...], steps: tuple[Step, ...], recipe: str
    ) -> None:
        self.utterances = utterances
        self.spoken = spoken
        self.steps = steps
        self.recipe = recipe

    def __repr__(self) -> str:
        return f"<{self.recipe}>"

    def in_order(self) -> list[Fact]:
        """The facts as they would come if nothing were late."""
        return [step.fact for step in self.steps]

    def shuffled(self, chance: random.Random, *, duplicates: bool = True) -> list[Fact]:
        """Another order that keeps the callers' promises; hypotheses and answers also come twice."""
        waiting = list(range(len(self.steps)))
        done: set[int] = set()
        facts: list[Fact] = []
        while waiting:
            ready = [i for i in waiting if done.issuperset(self.steps[i].after)]
            chosen = chance.choice(ready)
            waiting.remove(chosen)
            done.add(chosen)
            facts.append(self.steps[chosen].fact)
            repeatable = [f for f in facts if isinstance(f, FirstPass | SecondPass | SecondPassFailed)]
            if duplicates and repeatable and chance.random() < 0.3:
                facts.append(chance.choice(repeatable))
        return facts


@st.composite
def scripts(draw: st.DrawFn, *, failures: bool = True, endpointing: bool | None = None) -> Script:
    """A session of one to six utterances."""
    seed, count = draw(st.integers(0, 2**32)), draw(st.integers(1, 6))
    chance = random.Random(seed)
    utterances = _utterances(chance, count)
    spoken = tuple(_words(chance, u) for u in utterances)
    steps: list[Step] = []
    closed = _voice(steps, utterances)
    whole = draw(st.booleans()) if endpointing is None else endpointing
    if whole:
        _one_stream(steps, chance, spoken)
    else:
        _stream_per_utterance(steps, chance, utterances, spoken)
    for i, utterance in enumerate(utterances):
        steps.append(Step(_answer(chance, i, utterance, spoken, failures)))
    steps.append(Step(Heard(FOREVER), tuple(closed)))
    return Script(utterances, spoken, tuple(steps), f"{count} utterances, seed {seed}, one stream: {whole}")


def _utterances(chance: random.Random, count: int) -> tuple[Utterance, ...]:
    made: list[Utterance] = []
    at, cut = chance.randrange(0, 2_000), Cut.NONE
    for _ in range(count):
        length = chance.randrange(1_200, 6_000)
        cut_right = chance.choice([Cut.NONE, Cut.NONE, Cut.NONE, Cut.PAUSE, Cut.SPEECH])
        made.append(Utterance(f"0-{at}", at, at + length, chance.randrange(700, length), cut, cut_right))
        at += length + (0 if cut_right else chance.randrange(300, 3_000))
        cut = cut_right
    made[-1] = replace(made[-1], cut_right=Cut.NONE)
    return tuple(made)


def _words(chance: random.Random, utterance: Utterance) -> Words:
    """What was said: words that fill the utterance, none crossing its borders, no two alike within reach."""
    assert utterance.end is not None
    words: list[Word] = []
    at = utterance.start + (10 if utterance.cut_left else 320)
    last = utterance.end - (10 if utterance.cut_right else 220)
    while at + 150 < last:
        end = min(at + chance.randrange(120, 500), last)
        recent = {word.text for word in words[-6:]}
        names = (f"{name}{utterance.start % 7}" for name in VOCABULARY)
        words.append(Word(chance.choice([name for name in names if name not in recent]), at, end))
        at = end + chance.randrange(0, 120)
    return tuple(words)


def _voice(steps: list[Step], utterances: tuple[Utterance, ...]) -> list[int]:
    """The voice detector's facts, in their order; returns where the closings are."""
    closed: list[int] = []
    for utterance in utterances:
        opened = replace(utterance, end=None, speech_ms=0, cut_right=Cut.NONE)
        steps.append(Step(Opened(opened), (len(steps) - 1,) if steps else ()))
        steps.append(Step(Closed(utterance), (len(steps) - 1,)))
        closed.append(len(steps) - 1)
        assert utterance.end is not None
        steps.append(Step(Heard(utterance.end), (len(steps) - 1,)))
    return closed


def _stream_per_utterance(
    steps: list[Step], chance: random.Random, utterances: tuple[Utterance, ...], spoken: tuple[Words, ...]
) -> None:
    before: list[int] = []
    for i, utterance in enumerate(utterances):
        assert utterance.end is not None
        heard = _misheard(chance, spoken[i])
        for number in range(len(heard)):
            end = heard[number].end
            partial = Hypothesis(utterance.start, end, heard[: number + 1], stable=max(0, number - 1))
            steps.append(Step(FirstPass(partial, (i, number + 1))))
            before.append(len(steps) - 1)
        final = Hypothesis(utterance.start, utterance.end, heard, final=True, stable=len(heard))
        steps.append(Step(FirstPass(final, (i, len(heard) + 1))))
        before.append(len(steps) - 1)
        until = utterance.end + (0 if utterance.cut_right else SNAP_MS)
        steps.append(Step(Settled(until), tuple(before)))
    steps.append(Step(Settled(FOREVER), tuple(before)))


def _one_stream(steps: list[Step], chance: random.Random, spoken: tuple[Words, ...]) -> None:
    """A recognizer with borders of its own: finals of one to five words, also across our borders."""
    heard = _misheard(chance, tuple(word for words in spoken for word in words))
    before: list[int] = []
    number = start = 0
    while heard:
        size = chance.randrange(1, 6)
        piece, heard = heard[:size], heard[size:]
        for count in range(1, len(piece) + 1):
            number += 1
            partial = Hypothesis(start, piece[count - 1].end, piece[:count])
            steps.append(Step(FirstPass(partial, (0, number))))
            before.append(len(steps) - 1)
        number += 1
        final = Hypothesis(start, piece[-1].end, piece, final=True, stable=len(piece))
        steps.append(Step(FirstPass(final, (0, number))))
        before.append(len(steps) - 1)
        start = piece[-1].end
        steps.append(Step(Settled(start), tuple(before)))
    steps.append(Step(Settled(FOREVER), tuple(before)))


def _misheard(chance: random.Random, words: Words) -> Words:
    return tuple(replace(w, text=w.text if chance.random() < 0.7 else f"mis{w.text}") for w in words)


def _answer(
    chance: random.Random,
    i: int,
    utterance: Utterance,
    spoken: tuple[Words, ...],
    failures: bool,
) -> Fact:
    """The second pass's answer: what was said, with the neighbours' words in the context beyond forced cuts."""
    if failures and chance.random() < 0.25:
        return SecondPassFailed(utterance, "timeout")
    assert utterance.end is not None
    words = spoken[i]
    if utterance.cut_left:
        words = tuple(w for w in spoken[i - 1] if w.start >= utterance.start - CONTEXT_MS) + words
    if utterance.cut_right:
        words += tuple(w for w in spoken[i + 1] if w.end <= utterance.end + CONTEXT_MS)
    jitter = chance.randrange(-60, 61)
    heard = tuple(w.shifted(jitter) if utterance.cut_left or utterance.cut_right else w for w in words)
    start = utterance.start - (CONTEXT_MS if utterance.cut_left else 0)
    end = utterance.end + (CONTEXT_MS if utterance.cut_right else 0)
    looping = failures and chance.random() < 0.1
    evidence = Evidence(-0.2, 0.05, 5.0 if looping else 1.1)
    return SecondPass(utterance, Hypothesis(start, end, heard, final=True, stable=len(heard), evidence=evidence))
