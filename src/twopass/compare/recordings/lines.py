"""What lines do to speech: the telephone's band and codec, and packets that get lost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import soxr
from numpy.typing import NDArray

from twopass.audio import AudioFormat, Encoding, open_decoder
from twopass.compare.recordings.effects import Audio, InPlace, check, fitted, read
from twopass.types import SAMPLE_RATE, samples

PACKET_MS = 20
"""What one packet of telephony holds."""
_TELEPHONE_RATE = 8_000
_BAND = (300.0, 3_400.0)
_TAPS = 255


@dataclass(frozen=True, slots=True)
class Telephone(InPlace):
    """A telephone line: 300 to 3400 Hz, 8 kHz, G.711 μ-law, and back to 16 kHz as live telephone audio comes in."""

    @property
    def name(self) -> str:
        """As its word."""
        return "telephone"

    @property
    def says(self) -> str:
        """As its word."""
        return "telephone"

    def apply(self, audio: Audio, random: np.random.Generator) -> Audio:  # noqa: ARG002 - nothing of it is random
        """Band and codec; as long as before."""
        narrow = np.convolve(soxr.resample(audio, SAMPLE_RATE, _TELEPHONE_RATE), _band_pass(), mode="full")
        narrow = narrow[_TAPS // 2 : _TAPS // 2 + (len(audio) + 1) // 2]
        decoder = open_decoder(AudioFormat(Encoding.MULAW, _TELEPHONE_RATE))
        coded = _mulaw(narrow)
        minute = 60 * _TELEPHONE_RATE
        heard = [decoder.feed(coded[at : at + minute])[0] for at in range(0, len(coded), minute)]
        return fitted(read(b"".join(heard) + decoder.finish()[0]), len(audio))


@dataclass(frozen=True, slots=True)
class Loss(InPlace):
    """
    Packets of 20 ms that never arrive: silence in their place, as without any concealment.

    Exactly `share` of them is lost, so that a short recording is made as hard as a long one: each at random, or in
    bursts of `burst_ms` on average with lengths and places at random (as in Gilbert's model of a channel).
    """

    share: float
    burst_ms: int | None = None

    def __post_init__(self) -> None:
        check(self.share, 0, 0.9, "the share")
        if self.burst_ms is not None:
            check(self.burst_ms, PACKET_MS, 10_000, "the length of a burst", " ms")

    @property
    def name(self) -> str:
        """As loss-0.05-60."""
        return f"loss-{self.share:g}" + (f"-{self.burst_ms}" if self.burst_ms else "")

    @property
    def says(self) -> str:
        """As "5% lost in bursts of 60 ms"."""
        return f"{self.share * 100:g}% lost" + (f" in bursts of {self.burst_ms} ms" if self.burst_ms else "")

    def apply(self, audio: Audio, random: np.random.Generator) -> Audio:
        """With holes."""
        packets = -(-len(audio) // samples(PACKET_MS))
        lost = np.repeat(self._lost(packets, random), samples(PACKET_MS))[: len(audio)]
        return np.where(lost, 0.0, audio)

    def _lost(self, packets: int, random: np.random.Generator) -> NDArray[np.bool_]:
        count = round(self.share * packets)
        if self.burst_ms is None or count == 0:
            return np.isin(np.arange(packets), random.choice(packets, count, replace=False))
        bursts = min(max(1, round(count * PACKET_MS / self.burst_ms)), packets - count + 1)
        lengths = _parts(count, bursts, random)
        # One gap before, one after, which may be empty; and at least one packet between two bursts.
        gaps = _parts(packets - count + 2, bursts + 1, random)
        gaps[0] -= 1
        gaps[-1] -= 1
        runs = np.zeros(2 * bursts + 1, np.intp)
        runs[0::2], runs[1::2] = gaps, lengths
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs)


@cache
def _band_pass() -> Audio:
    """A windowed sinc: half of the amplitude at the borders of the band, full 50 Hz inside."""
    at = np.arange(_TAPS) - _TAPS // 2
    low, high = (2 * hertz / _TELEPHONE_RATE * np.sinc(2 * hertz / _TELEPHONE_RATE * at) for hertz in _BAND)
    taps: Audio = (high - low) * np.hamming(_TAPS)
    return taps


def _mulaw(audio: Audio) -> bytes:
    """G.711: the code whose value is nearest."""
    values, codes = _levels()
    nearest = np.searchsorted((values[1:] + values[:-1]) / 2, audio)
    return codes[nearest].tobytes()


@cache
def _levels() -> tuple[Audio, NDArray[np.uint8]]:
    """Every value that a code stands for, in order, and the code: as our own decoder reads them."""
    values = read(open_decoder(AudioFormat(Encoding.MULAW, SAMPLE_RATE)).feed(bytes(range(256)))[0])
    order = np.argsort(values, kind="stable")
    return values[order], order.astype(np.uint8)


def _parts(total: int, count: int, random: np.random.Generator) -> NDArray[np.intp]:
    """`total` cut at random into `count` parts of at least one."""
    cuts = np.sort(random.choice(total - 1, count - 1, replace=False)) + 1
    return np.diff(np.concatenate(([0], cuts, [total])))
