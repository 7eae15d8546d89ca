"""
Perturbations: the same speech under harder conditions, so that a small set of recordings tests many.

    noise:10  noise:5:babble  telephone  loss:0.05  loss:5%:60  speed:1.1  gain:-20  telephone+noise:10

The randomness comes from a seed: the same seed gives the same bytes. `effects`, `noises` and `lines`
say what each does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from twopass.compare.recordings.effects import Effect, Gain, Speed, read, written
from twopass.compare.recordings.lines import Loss, Telephone
from twopass.compare.recordings.noises import Colour, Noise
from twopass.errors import ConfigError

_FORMS = "noise:DB[:white|pink|babble], telephone, loss:SHARE[:MS], speed:FACTOR, gain:DB, several joined by +"


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One or several effects, one after the other."""

    effects: tuple[Effect, ...]

    @property
    def name(self) -> str:
        """For names of files: "telephone+noise-10"."""
        return "+".join(effect.name for effect in self.effects)

    @property
    def says(self) -> str:
        """For people: "telephone, noise 10 dB"."""
        return ", ".join(effect.says for effect in self.effects)

    def apply(self, pcm: bytes, seed: int) -> bytes:
        """The audio, perturbed: 16 kHz mono s16 in and out. The same seed gives the same bytes."""
        if not pcm:
            return pcm
        audio = read(pcm)
        for effect in self.effects:
            # Each kind has its own randomness: noise at 10 dB and at 5 dB is one noise at two levels.
            audio = effect.apply(audio, np.random.default_rng([seed, *type(effect).__name__.encode()]))
        return written(audio)

    def moved(self, ms: int) -> int:
        """Where in the perturbed audio that is which was at `ms`."""
        place = float(ms)
        for effect in self.effects:
            place = effect.moved(place)
        return round(place)


def parse(text: str) -> Perturbation:
    """
    Read a perturbation as it is written on the command line.

    Raises ConfigError if it is none, or if a figure in it is out of range.
    """
    chosen = tuple(_effect(part) for part in text.split("+"))
    if len({type(effect) for effect in chosen}) < len(chosen):
        raise _bad(text, "has one kind of effect twice")
    return Perturbation(chosen)


def _effect(text: str) -> Effect:
    kind, *arguments = text.strip().split(":")
    if kind not in _KINDS:
        raise _bad(text, "is no perturbation")
    try:
        return _KINDS[kind](*arguments)
    except TypeError:
        raise _bad(text, "has too few or too many figures") from None
    except ValueError as error:
        raise _bad(text, f"cannot be used: {error}") from None


def _bad(text: str, what: str) -> ConfigError:
    return ConfigError(f"“{text}” {what}.", code="bad_perturbation", fix=f"There are: {_FORMS}.")


def _noise(db: str, colour: str = Colour.WHITE) -> Noise:
    if colour not in tuple(Colour):
        raise ValueError(f"noise is {', '.join(Colour)}")
    return Noise(float(db), Colour(colour))


def _loss(share: str, burst_ms: str | None = None) -> Loss:
    part = float(share.removesuffix("%")) / (100 if share.endswith("%") else 1)
    return Loss(part, None if burst_ms is None else int(burst_ms))


_KINDS: Mapping[str, Callable[..., Effect]] = MappingProxyType(
    {
        "noise": _noise,
        "telephone": lambda: Telephone(),
        "loss": _loss,
        "speed": lambda factor: Speed(float(factor)),
        "gain": lambda db: Gain(float(db)),
    }
)
