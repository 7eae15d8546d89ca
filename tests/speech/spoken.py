"""One spoken sentence: its audio, the times of its words, and where sound and silence lie in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import soxr

Audio = npt.NDArray[np.float32]
WordTime = tuple[str, float, float]  # text, start and end in seconds

RATE = 16000
PEAK = 0.4  # every sentence is normalised to this peak
MARGIN_S = 0.06  # kept around the first and the last word
SILENCE = 10 ** (-45 / 20)  # a frame with a lower RMS holds no speech
FRAME = RATE // 100
_HOP = RATE // 200
_LOUD = 0.02  # of the loudest frame: louder than this is part of a word
_SLACK_HOPS = 4  # 20 ms: the engines' word times are no better than this
_PUNCTUATION = ",.?"


@dataclass(frozen=True)
class Spoken:
    voice: str
    text: str
    audio: Audio
    words: tuple[WordTime, ...]

    @cached_property
    def onset_s(self) -> float:
        return float(_sounding(self.audio)[0]) * FRAME / RATE

    @cached_property
    def offset_s(self) -> float:
        return float(_sounding(self.audio)[-1] + 1) * FRAME / RATE

    @cached_property
    def longest_pause_s(self) -> float:
        """The longest silence between the first and the last sound."""
        return float(np.diff(_sounding(self.audio)).max(initial=1) - 1) * FRAME / RATE


def finish(voice: str, text: str, audio: Audio, rate: int, words: Sequence[WordTime]) -> Spoken:
    """Bring what an engine said to 16 kHz, one loudness, true word limits and short margins."""
    audio = np.asarray(soxr.resample(audio, rate, RATE), np.float32) if rate != RATE else audio
    audio = audio / np.abs(audio).max() * np.float32(PEAK)
    words = _tightened(audio, _ordered(words, len(audio) / RATE))
    first = max(0, int((words[0][1] - MARGIN_S) * RATE))
    last = int((words[-1][2] + MARGIN_S) * RATE)
    shifted = tuple((word, start - first / RATE, end - first / RATE) for word, start, end in words)
    return Spoken(voice, text, audio[first:last], shifted)


def longest_silence_s(audio: Audio) -> float:
    """The longest silence in a recording, its beginning and its end included."""
    limits = np.concatenate(([-1], _sounding(audio), [len(audio) // FRAME]))
    return float(np.diff(limits).max() - 1) * FRAME / RATE


def _sounding(audio: Audio) -> npt.NDArray[np.intp]:
    return np.flatnonzero(_rms(audio, FRAME) > SILENCE)


def _rms(audio: Audio, frame: int) -> Audio:
    frames = audio[: len(audio) // frame * frame].reshape(-1, frame)
    return np.asarray(np.sqrt(np.mean(frames**2, axis=1)), np.float32)


def _ordered(words: Sequence[WordTime], duration_s: float) -> list[WordTime]:
    """The same words, none of them overlapping the next or reaching past the audio."""
    starts = [start for _, start, _ in words[1:]] + [duration_s]
    return [
        (word, start, max(min(end, after, duration_s), start + 0.02))
        for (word, start, end), after in zip(words, starts, strict=True)
    ]


def _tightened(audio: Audio, words: list[WordTime]) -> list[WordTime]:
    """Move word limits that face a pause (the outer ones, and at punctuation) onto the sound itself."""
    energy = _rms(audio, _HOP)
    loud = energy > max(float(energy.max()) * _LOUD, 1e-4)
    tight: list[WordTime] = []
    before = "."
    for word, start, end in words:
        first = int(start * RATE / _HOP) + _SLACK_HOPS
        sounds = first + np.flatnonzero(loud[first : int(end * RATE / _HOP) - _SLACK_HOPS])
        tight_start, tight_end = start, end
        if len(sounds) > 0 and before[-1] in _PUNCTUATION:
            tight_start = max(start, float(sounds[0] - _SLACK_HOPS) * _HOP / RATE)
        if len(sounds) > 0 and word[-1] in _PUNCTUATION:
            tight_end = min(end, float(sounds[-1] + 1 + _SLACK_HOPS) * _HOP / RATE)
        tight.append((word, tight_start, tight_end))
        before = word
    return tight
