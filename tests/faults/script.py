"""What is said in a run: numbered words and pauses, from a seed. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property

from tests.scripted import spoken

from twopass.types import Word, Words

TAIL_MS = 1_000
_GAPLESS = 0.15
"""This share of the scripts has a stretch so long and dense that a cut must be forced in it."""
_GAPLESS_WORDS = (60, 75)


@dataclass(frozen=True)
class Script:
    """Words, each with a number of its own, and how long the recording is (ms)."""

    words: Words
    ms: int

    @cached_property
    def pcm(self) -> bytes:
        """16 kHz s16 mono."""
        return spoken(self.words, self.ms)

    @property
    def texts(self) -> list[str]:
        """What the transcript must say."""
        return [word.text for word in self.words]


def written(seed: object, least_ms: int, *, first: int = 1) -> Script:
    """A script of at least this length: utterances of 1-14 words, pauses of 0.7-2.2 s. Words count from `first`."""
    rng = random.Random(f"script {seed}")
    words: list[Word] = []
    at, dense = rng.randrange(200, 1_500), rng.random() < _GAPLESS
    while at < least_ms:
        count = rng.randint(*_GAPLESS_WORDS) if dense else rng.randint(1, 14)
        for _ in range(count):
            length = rng.randrange(160, 420)
            words.append(Word(str(len(words) + first), at, at + length))
            at += length + (rng.randrange(20, 60) if dense else rng.randrange(30, 200))
        at += rng.randrange(700, 2_200)
        dense = False
    return Script(tuple(words), at - at % 32 + TAIL_MS)
