"""Noise under speech, at a signal-to-noise ratio that is measured where somebody speaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import numpy as np
import soxr

from twopass.compare.recordings.effects import Audio, InPlace, check
from twopass.types import SAMPLE_RATE, samples

NOMINAL_DB = -26.0
"""Speech as loud as it is in ITU-T's listening tests, relative to full scale."""
_ACTIVE_DB = 15.9
_FRAME = samples(20)
_VOICES = 6
_BLOCK = 1 << 17  # eight seconds of noise are made at once: an hour would take gigabytes


class Colour(StrEnum):
    """
    What noise sounds like.

    Babble is six voices made of the recording itself, backwards, faster and slower and from elsewhere in it: they have
    the spectrum and the rhythm of speech, and no words.
    """

    WHITE = "white"
    PINK = "pink"
    BABBLE = "babble"


@dataclass(frozen=True, slots=True)
class Noise(InPlace):
    """
    Noise under the speech, `db` below its level: a signal-to-noise ratio.

    The speech's level is that of its loud parts, pauses not counted (`speech_level`); the noise's is its RMS. If the
    sum would clip, all of it is made softer: clipping would be another perturbation.
    """

    db: float
    colour: Colour = Colour.WHITE

    def __post_init__(self) -> None:
        check(self.db, -30, 80, "the signal-to-noise ratio", " dB")

    @property
    def name(self) -> str:
        """As noise-10-pink; white is not said."""
        return f"noise-{self.db:g}" + ("" if self.colour is Colour.WHITE else f"-{self.colour}")

    @property
    def says(self) -> str:
        """As "pink noise 10 dB"."""
        kind = {Colour.WHITE: "noise", Colour.PINK: "pink noise", Colour.BABBLE: "babble"}[self.colour]
        return f"{kind} {self.db:g} dB"

    def apply(self, audio: Audio, random: np.random.Generator) -> Audio:
        """The sum."""
        noise = _NOISES[self.colour](audio, random)
        loud = _rms(noise)
        if loud == 0:
            return audio  # babble of silence
        mixed = audio + noise * (speech_level(audio) * 10 ** (-self.db / 20) / loud)
        return mixed / max(1.0, float(np.abs(mixed).max()))


def speech_level(audio: Audio) -> float:
    """
    RMS of the parts in which somebody speaks, full scale = 1; of digital silence: `NOMINAL_DB`.

    Active are frames of 20 ms above a threshold 15.9 dB below the level of all active ones: the margin of ITU-T P.56,
    method B. Its hangover is left out: of running speech this is about 1 dB more, as short silences in words are out.
    """
    frames = audio[: len(audio) // _FRAME * _FRAME].reshape(-1, _FRAME) if len(audio) >= _FRAME else audio[None, :]
    power = np.mean(frames**2, axis=1)
    active = power > 0
    if not active.any():
        return float(10 ** (NOMINAL_DB / 20))
    # The level rises with each quiet frame that goes, and the frames are finite: this ends.
    while (louder := power > power[active].mean() * 10 ** (-_ACTIVE_DB / 10)).sum() < active.sum():
        active = louder
    return float(np.sqrt(power[active].mean()))


def _white(audio: Audio, random: np.random.Generator) -> Audio:
    return random.standard_normal(len(audio))


def _pink(audio: Audio, random: np.random.Generator) -> Audio:
    """Power falls by 3 dB an octave above 50 Hz; below there is none: nobody hears it, and it would take most of it."""
    hertz = np.fft.rfftfreq(_BLOCK, 1 / SAMPLE_RATE)
    shape = np.where(hertz >= 50, 1 / np.sqrt(np.maximum(hertz, 50)), 0)
    blocks = -(-len(audio) // _BLOCK)
    spectra = (np.fft.rfft(random.standard_normal(_BLOCK)) * shape for _ in range(blocks))
    return np.concatenate([np.fft.irfft(spectrum, _BLOCK) for spectrum in spectra])[: len(audio)]


def _babble(audio: Audio, random: np.random.Generator) -> Audio:
    voices = np.zeros(len(audio))
    for factor in random.uniform(0.8, 1.25, _VOICES):
        voice = soxr.resample(audio[::-1], SAMPLE_RATE * factor, SAMPLE_RATE, quality="MQ")
        voices += np.resize(np.roll(voice, random.integers(len(audio))), len(audio)) if len(voice) else 0
    return voices


_NOISES: Mapping[Colour, Callable[[Audio, np.random.Generator], Audio]] = MappingProxyType(
    {Colour.WHITE: _white, Colour.PINK: _pink, Colour.BABBLE: _babble}
)


def _rms(audio: Audio) -> float:
    return float(np.sqrt(np.mean(audio**2)))
