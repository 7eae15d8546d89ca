"""
From frame probabilities to utterances: a pure state machine.

The voice detector gives one speech probability per frame of 32 ms. The machine turns them into events:

    state     what comes                      what happens
    silence   a speech frame                  -> onset
    onset     min_speech of speech frames     Started; -> speech
    onset     as much silence as speech       -> silence (a click)
    speech    short_silence of silence        Paused: the second pass may begin on speculation; -> paused
    paused    a speech frame                  Resumed: throw that away; -> speech
    paused    endpoint_silence of silence     Ended; -> silence
    speech    max_utterance reached           Ended with a forced cut at the quietest place, and Started right there

No clock and no I/O: time is the number of frames pushed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from twopass.types import SAMPLE_RATE, Cut

FRAME_SAMPLES = 512
FRAME_MS = FRAME_SAMPLES * 1000 // SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class SegmenterSettings:
    """
    Attributes (all in milliseconds unless said):
        threshold: Probability from which a frame is speech.
        release: Probability below which speech has stopped (hysteresis).
        min_speech: Less speech than this is a click, not an utterance.
        pre_roll: Audio kept before the first speech frame: soft consonants begin before the detector notices.
        post_roll: Audio kept after the last speech frame.
        short_silence: Silence after which the second pass begins on speculation.
        endpoint_silence: Silence that ends an utterance.
        max_utterance: Length at which a cut is forced.
        cut_search: The last part of a too long utterance in which the quietest place is looked for.
        cut_margin: ... but not in its last so many, so that the second pass has context on the right at once.
        min_cut: A forced cut leaves at least this much on its left.
        pause_loudness: 96 ms that are softer than this share of the speech around are a pause between words.
    """

    threshold: float = 0.5
    release: float = 0.35
    min_speech: int = 128
    pre_roll: int = 320
    post_roll: int = 192
    short_silence: int = 192
    endpoint_silence: int = 512
    max_utterance: int = 14_000
    cut_search: int = 6_000
    cut_margin: int = 1_500
    min_cut: int = 2_000
    pause_loudness: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.post_roll <= self.short_silence <= self.endpoint_silence:
            raise ValueError("post_roll <= short_silence <= endpoint_silence must hold")
        if self.max_utterance < self.min_cut + self.cut_margin + 500:
            raise ValueError("max_utterance must exceed min_cut + cut_margin by 500 ms")


@dataclass(frozen=True, slots=True)
class Started:
    """An utterance began at `start`, perhaps right at a forced cut."""

    start: int
    cut: Cut = Cut.NONE


@dataclass(frozen=True, slots=True)
class Paused:
    """A short silence: if the utterance ends here, it ends at `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """The pause was none: the utterance goes on."""

    start: int


@dataclass(frozen=True, slots=True)
class Ended:
    """An utterance is complete, perhaps because a cut was forced."""

    start: int
    end: int
    speech_ms: int
    cut: Cut = Cut.NONE


SegmentEvent: TypeAlias = Started | Paused | Resumed | Ended


class _State(Enum):
    SILENCE = auto()
    ONSET = auto()
    SPEECH = auto()
    PAUSED = auto()


class Segmenter:
    """
    Push frames, get events.

    Attributes:
        settled: No utterance will ever start before this time (ms): the voice detector has made up its mind.
    """

    def __init__(self, settings: SegmenterSettings = SegmenterSettings()) -> None:
        self._set = settings
        self._state = _State.SILENCE
        self._now = 0  # end of the last frame, ms
        self._floor = 0  # end of the last utterance: the next cannot start before
        self._start = 0
        self._onset = 0
        self._speech_end = 0  # end of the last speech frame
        self._speech_ms = 0
        self._run = 0  # speech (onset) or silence (others) in a row, ms
        self._loudness: deque[float] = deque(maxlen=settings.cut_search // FRAME_MS)
        self._spoken: deque[bool] = deque(maxlen=settings.cut_search // FRAME_MS)

    @property
    def settled(self) -> int:
        if self._state in (_State.SPEECH, _State.PAUSED):
            return self._start
        reference = self._onset if self._state is _State.ONSET else self._now
        return max(self._floor, reference - self._set.pre_roll)

    def push(self, probability: float, loudness: float) -> list[SegmentEvent]:
        """
        The next frame: its speech probability 0..1, and its loudness on any scale (used to find the quietest place).
        """
        self._now += FRAME_MS
        speaking = self._state in (_State.SPEECH, _State.PAUSED)
        voiced = probability >= (self._set.release if speaking else self._set.threshold)
        self._loudness.append(loudness)
        self._spoken.append(voiced)
        events = self._step_speaking(voiced) if speaking else self._step_silent(voiced)
        return events + self._cut_if_too_long()

    def finish(self) -> list[SegmentEvent]:
        """The audio is over, or the client wants the utterance ended now: end what is open."""
        if self._state in (_State.SPEECH, _State.PAUSED):
            return [self._end(min(self._now, self._speech_end + self._set.post_roll))]
        self._state = _State.SILENCE
        return []

    def _step_silent(self, voiced: bool) -> list[SegmentEvent]:
        if self._state is _State.SILENCE:
            if not voiced:
                return []
            self._state, self._onset, self._run, self._speech_ms = _State.ONSET, self._now - FRAME_MS, 0, 0
        self._run += FRAME_MS if voiced else -FRAME_MS
        self._speech_ms += FRAME_MS if voiced else 0
        if self._run <= 0:
            self._state = _State.SILENCE
        elif self._run >= self._set.min_speech:
            self._start = max(self._floor, self._onset - self._set.pre_roll)
            self._state, self._run, self._speech_end = _State.SPEECH, 0, self._now
            return [Started(self._start)]
        return []

    def _step_speaking(self, voiced: bool) -> list[SegmentEvent]:
        if voiced:
            resumed = self._state is _State.PAUSED
            self._state, self._run, self._speech_end = _State.SPEECH, 0, self._now
            self._speech_ms += FRAME_MS
            return [Resumed(self._start)] if resumed else []
        self._run += FRAME_MS
        if self._run >= self._set.endpoint_silence:
            return [self._end(self._speech_end + self._set.post_roll)]
        if self._state is _State.SPEECH and self._run >= self._set.short_silence:
            self._state = _State.PAUSED
            return [Paused(self._start, self._speech_end + self._set.post_roll)]
        return []

    def _end(self, end: int) -> Ended:
        ended = Ended(self._start, end, self._speech_ms)
        self._state, self._floor = _State.SILENCE, end
        return ended

    def _cut_if_too_long(self) -> list[SegmentEvent]:
        if self._state not in (_State.SPEECH, _State.PAUSED) or self._now - self._start < self._set.max_utterance:
            return []
        cut, kind, spoken_after = self._quietest_place()
        ended = Ended(self._start, cut, max(0, self._speech_ms - spoken_after), kind)
        self._start, self._floor, self._speech_ms = cut, cut, spoken_after
        # A pause that led to the cut is over: what follows is an utterance of its own with a pause of its own.
        self._state, self._run = _State.SPEECH, 0
        return [ended, Started(cut, kind)]

    def _quietest_place(self) -> tuple[int, Cut, int]:
        """
        Where to cut (ms), whether that is a pause, and how much speech comes after it.

        The middle of the three frames (96 ms) with the least loudness in the search window; later ones win ties.
        """
        loudness, count = list(self._loudness), len(self._loudness)
        first = max(1, count - (self._now - self._start - self._set.min_cut) // FRAME_MS)
        last = max(first + 1, count - max(1, self._set.cut_margin // FRAME_MS))
        best = min(range(first, last), key=lambda i: (sum(loudness[i - 1 : i + 2]), -i))
        cut = self._now - (count - best) * FRAME_MS + FRAME_MS // 2
        loud = sorted(loudness)[count * 3 // 4]
        pause = max(loudness[best - 1 : best + 2]) < loud * self._set.pause_loudness
        return cut, Cut.PAUSE if pause else Cut.SPEECH, sum(list(self._spoken)[best:]) * FRAME_MS
