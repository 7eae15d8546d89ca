"""Audio that is gone on with at a place, without what was before: it lies where it would have lain."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field

import numpy as np
import pytest

from twopass.errors import TwopassError
from twopass.gateway import messages
from twopass.gateway.intake import Intake, forget
from twopass.keeping import Place
from twopass.types import SAMPLE_RATE

SECONDS = 3
EDGE = 400
"""Samples at which a resampler that begins anew differs from one that goes on."""
DTYPES = {"pcm_s16le": "<i2", "pcm_f32le": "<f4", "mulaw": "u1"}


@dataclass
class Recorder:
    """A tape, one array per channel."""

    channels: int
    at: int = 0
    tape: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tape = [b""] * self.channels

    def write(self, channels: tuple[bytes, ...], at: int | None = None) -> None:
        """As a session does: holes are silence, what is there is ignored."""
        for number, pcm in enumerate(channels):
            end = self.at + len(self.tape[number]) // 2
            missing = bytes(2 * max(0, (end if at is None else at) - end))
            self.tape[number] += missing + pcm

    async def room(self) -> None:
        """There is room."""


def samples(encoding: str, rate: int, channels: int) -> bytes:
    """A deep tone that rises: a shift of many samples shows, one by a part of a sample hardly."""
    t = np.arange(SECONDS * rate) / rate
    wave = np.repeat(0.5 * np.sin(2 * np.pi * (50 + 20 * t) * t), channels)
    if encoding == "pcm_f32le":
        return wave.astype("<f4").tobytes()
    if encoding == "pcm_s16le":
        return (wave * 32_767).astype("<i2").tobytes()
    return (np.arange(len(wave)) * 7 % 251).astype("u1").tobytes()  # any byte is a sample


def cut(sound: bytes, width: int, framing: str, chance: random.Random) -> list[bytes]:
    """Frames of random length; indexed ones a little out of order and with a hole, raw ones with half samples."""
    frames, at = [], 0
    while at < len(sound):
        size = chance.randrange(50, 900) * (width if framing == "indexed" else 1)
        index = struct.pack(">Q", at // width) if framing == "indexed" else b""
        frames.append(index + sound[at : at + size])
        at += size
    if framing == "indexed":
        del frames[len(frames) // 3]
        for i in range(5, len(frames) - 1, 7):
            frames[i], frames[i + 1] = frames[i + 1], frames[i]
    return frames


@pytest.mark.parametrize("framing", ["raw", "indexed"])
@pytest.mark.parametrize(
    ("encoding", "rate", "channels", "separate"),
    [
        ("pcm_s16le", 16_000, 1, False),
        ("pcm_s16le", 48_000, 2, True),
        ("pcm_f32le", 44_100, 1, False),
        ("mulaw", 8_000, 1, False),
        ("pcm_s16le", 11_025, 2, False),
    ],
)
async def test_going_on_at_a_place(encoding: str, rate: int, channels: int, separate: bool, framing: str) -> None:
    """At every place that was told, what is taken from there on lies where it lies on the whole tape."""
    chance = random.Random(f"{encoding} {framing}")
    audio = {"encoding": encoding, "sample_rate": rate, "channels": channels, "framing": framing}
    start = messages.Start.model_validate({"type": "start", "audio": audio, "separate_channels": separate})
    width = np.dtype(DTYPES[encoding]).itemsize * channels
    frames = cut(samples(encoding, rate, channels), width, framing, chance)
    places: list[Place | None] = []
    whole = await heard(start, frames, None, places)
    early = places[: len(places) * 3 // 4]
    told = [(number, place) for number, place in enumerate(early) if place is not None]
    assert len(told) > 10
    for number, place in chance.sample(told, 8):
        rest = await heard(start, frames[number + 1 :], place, [])
        for before, after in zip(whole, rest, strict=True):
            assert len(before) - place.sample == pytest.approx(len(after), abs=2)
            common = slice(EDGE, min(len(after), len(before) - place.sample) - EDGE)
            apart = np.abs(before[place.sample :][common] - after[common])
            # Around holes a resampler begins anew, and where differs by a part of a sample.
            assert np.percentile(apart, 100 if rate == SAMPLE_RATE else 98) <= (0 if rate == SAMPLE_RATE else 1_200)


async def heard(
    start: messages.Start, frames: list[bytes], place: Place | None, places: list[Place | None]
) -> list[np.ndarray]:
    """What lies on the tape after these frames, from the place on."""
    intake = Intake(start, forget, jitter_ms=300)
    intake.keep_in(lambda _, where: places.append(where))
    recorder = Recorder(intake.channels, place.sample if place else 0)
    if place is not None:
        intake.begin_at(place)
        assert place.received == intake.received
    for frame in frames:
        intake.accept(frame)
        await intake.drain(recorder)
    await intake.finish(recorder)
    intake.close()
    return [np.frombuffer(pcm, "<i2").astype(int) for pcm in recorder.tape]


async def test_containers_have_no_such_place() -> None:
    """Their bytes mean nothing without what was before: all of them are kept."""
    start = messages.Start.model_validate({"type": "start", "audio": {"encoding": "webm"}})
    places: list[Place | None] = []
    intake = Intake(start, lambda _, where: places.append(where), jitter_ms=300)
    try:
        intake.accept(b"\x1a\x45\xdf\xa3")
        intake.accept(b"more")
    except TwopassError:  # it is no container; but it was taken
        pass
    intake.close()
    assert [None, None] == places
