"""
What perturbations do to audio. Pure; samples are floats of full scale 1 at 16 kHz.

Each effect is a frozen value with a name for files, words for people, and a range of figures that make sense. Here:
what an effect is, speed and gain; `noises` and `lines` have the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import soxr
from numpy.typing import NDArray

from twopass.types import SAMPLE_RATE

Audio: TypeAlias = NDArray[np.float64]
"""One channel at 16 kHz, full scale = 1."""


class Effect(Protocol):
    """One way to make a recording harder."""

    @property
    def name(self) -> str:
        """For names of files."""
        ...

    @property
    def says(self) -> str:
        """For people."""
        ...

    def apply(self, audio: Audio, random: np.random.Generator) -> Audio:
        """The perturbed audio."""
        ...

    def moved(self, ms: float) -> float:
        """Where that is afterwards which was at `ms`."""
        ...


class InPlace:
    """An effect that leaves everything where it is."""

    __slots__ = ()

    def moved(self, ms: float) -> float:
        """At the same time."""
        return ms


@dataclass(frozen=True, slots=True)
class Speed:
    """Faster (above 1) or slower, as a tape that runs faster or slower: the pitch changes with it."""

    factor: float

    def __post_init__(self) -> None:
        check(self.factor, 0.5, 2, "the factor")

    @property
    def name(self) -> str:
        """As speed-1.1."""
        return f"speed-{self.factor:g}"

    @property
    def says(self) -> str:
        """As "speed × 1.1"."""
        return f"speed × {self.factor:g}"

    def apply(self, audio: Audio, random: np.random.Generator) -> Audio:  # noqa: ARG002 - nothing of it is random
        """Shorter or longer."""
        return fitted(soxr.resample(audio, SAMPLE_RATE * self.factor, SAMPLE_RATE), round(len(audio) / self.factor))

    def moved(self, ms: float) -> float:
        """Earlier if it is faster."""
        return ms / self.factor


@dataclass(frozen=True, slots=True)
class Gain(InPlace):
    """Louder or softer; what is too loud for 16 bits clips."""

    db: float

    def __post_init__(self) -> None:
        check(self.db, -60, 60, "the gain", " dB")

    @property
    def name(self) -> str:
        """As gain--20."""
        return f"gain-{self.db:g}"

    @property
    def says(self) -> str:
        """As "gain −20 dB"."""
        return f"gain {self.db:+g} dB".replace("-", "−")

    def apply(self, audio: Audio, random: np.random.Generator) -> Audio:  # noqa: ARG002 - nothing of it is random
        """Clipped at full scale."""
        return np.clip(audio * 10 ** (self.db / 20), -1, 1)


def read(pcm: bytes) -> Audio:
    """s16 as samples."""
    return np.frombuffer(pcm, "<i2").astype(np.float64) / 32768


def written(audio: Audio) -> bytes:
    """Samples as s16."""
    return np.clip(np.rint(audio * 32768), -32768, 32767).astype("<i2").tobytes()


def fitted(audio: Audio, length: int) -> Audio:
    """Cut, or filled with silence, to a length in samples."""
    return np.pad(audio[:length], (0, max(0, length - len(audio))))


def check(value: float, low: float, high: float, what: str, unit: str = "") -> None:
    """Raise ValueError if a figure makes no sense."""
    if not low <= value <= high:
        raise ValueError(f"{what} goes from {low:g} to {high:g}{unit}")
