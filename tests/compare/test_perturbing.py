"""Perturbations do what they promise: measured on signals whose level, band and length are known."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import speech

from twopass.compare.recordings.effects import Audio, read, written
from twopass.compare.recordings.lines import Loss, _mulaw
from twopass.compare.recordings.noises import speech_level
from twopass.compare.recordings.perturbing import parse
from twopass.errors import ConfigError
from twopass.types import SAMPLE_RATE

PACKET = SAMPLE_RATE // 50


def tone(hertz: float = 1_000, seconds: float = 2, peak: float = 0.1) -> Audio:
    """A sine."""
    wave: Audio = peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)
    return wave


def hiss(seconds: float = 4, level: float = 0.1) -> Audio:
    """White noise, which has all frequencies."""
    return np.random.default_rng(7).standard_normal(round(seconds * SAMPLE_RATE)) * level


def perturbed(text: str, audio: Audio, seed: int = 1) -> Audio:
    """What a perturbation makes of it."""
    return read(parse(text).apply(written(audio), seed))


def rms(audio: Audio) -> float:
    """Root of the mean square."""
    return math.sqrt(float(np.mean(audio**2)))


def decibels(ratio: float) -> float:
    """Of amplitudes."""
    return 20 * math.log10(ratio)


def band(audio: Audio, low: float, high: float) -> float:
    """Amplitude between two frequencies, without a window: the signals last for seconds."""
    spectrum = np.abs(np.fft.rfft(audio)) ** 2
    hertz = np.fft.rfftfreq(len(audio), 1 / SAMPLE_RATE)
    return math.sqrt(float(spectrum[(low <= hertz) & (hertz < high)].sum()))


@pytest.mark.parametrize("colour", ["white", "pink", "babble"])
@pytest.mark.parametrize("db", [-5, 0, 10, 20])
def test_noise_has_its_ratio_to_the_speech_and_not_to_the_pauses(db: int, colour: str) -> None:
    """A recording that is silent for most of the time gets noise of the asked level under what is said in it."""
    said = tone()
    audio = np.concatenate((np.zeros(3 * SAMPLE_RATE), said, np.zeros(2 * SAMPLE_RATE)))
    heard = perturbed(f"noise:{db}:{colour}", audio)
    assert decibels(rms(said) / rms(heard - audio)) == pytest.approx(db, abs=0.5)


@pytest.mark.parametrize("colour", ["white", "pink"])
def test_ratio_holds_where_there_is_no_room(colour: str) -> None:
    """Over speech of nearly full scale, speech and noise are both made softer, by the same factor."""
    said = tone(peak=0.9)
    heard = perturbed(f"noise:0:{colour}", said)
    factor = float(heard @ said / (said @ said))  # noise is orthogonal to the tone
    assert factor < 0.8
    assert decibels(factor * rms(said) / rms(heard - factor * said)) == pytest.approx(0, abs=0.5)


def test_loud_noise_does_not_clip() -> None:
    """Noise over speech of full scale makes both softer instead of cutting them off."""
    heard = perturbed("noise:0", tone(peak=0.99))
    assert np.count_nonzero(np.abs(heard) >= 32767 / 32768) <= 1


def test_level_of_real_speech_is_that_of_its_words() -> None:
    """Of a meeting with long pauses: the words' level, and a decibel more for the closures of plosives in them."""
    recording = speech.load("meeting_120s")
    audio = read(recording.pcm)
    words = [audio[word.start_ms * 16 : word.end_ms * 16] for word in recording.words]
    assert decibels(speech_level(audio) / rms(np.concatenate(words))) == pytest.approx(1, abs=0.5)
    assert decibels(speech_level(audio) / rms(audio)) > 2


def test_silence_gets_noise_as_if_somebody_spoke() -> None:
    """Digital silence has no level: noise at 10 dB is as loud as under usual speech."""
    assert decibels(rms(perturbed("noise:10", np.zeros(SAMPLE_RATE)))) == pytest.approx(-36, abs=0.5)
    assert not perturbed("noise:10:babble", np.zeros(SAMPLE_RATE)).any()


def test_pink_noise_is_equal_in_every_octave_and_white_is_not() -> None:
    """Octaves of pink noise are equally loud; of white noise each is 3 dB louder than the one below."""
    silence = np.zeros(20 * SAMPLE_RATE)
    for colour, step in (("pink", 0.0), ("white", 3.01)):
        noise = perturbed(f"noise:0:{colour}", silence)
        octaves = [band(noise, low, 2 * low) for low in (125, 250, 500, 1_000, 2_000, 4_000)]
        rises = [decibels(b / a) for a, b in pairwise(octaves)]
        assert rises == pytest.approx([step] * 5, abs=0.7)


def test_one_noise_at_two_levels() -> None:
    """A condition that is worse by 10 dB has the same noise, louder: only its level differs."""
    audio = tone()
    soft, loud = perturbed("noise:20", audio) - audio, perturbed("noise:10", audio) - audio
    assert np.corrcoef(soft, loud)[0, 1] > 0.99


@pytest.mark.parametrize("text", ["noise:10", "noise:10:pink", "noise:10:babble", "loss:0.1", "loss:0.1:60"])
def test_seed_decides(text: str) -> None:
    """The same seed gives the same bytes, another one others."""
    perturbation, pcm = parse(text), written(hiss(2))
    assert perturbation.apply(pcm, 5) == perturbation.apply(pcm, 5) != perturbation.apply(pcm, 6)


def test_telephone_keeps_its_band_only() -> None:
    """Between 400 and 3300 Hz all is there, below 200 and above 3600 Hz next to nothing."""
    before, after = hiss(), perturbed("telephone", hiss())
    assert decibels(band(after, 400, 3_300) / band(before, 400, 3_300)) == pytest.approx(0, abs=0.3)
    assert decibels(band(after, 0, 200) / band(before, 0, 200)) < -30
    assert decibels(band(after, 3_600, 8_000) / band(before, 3_600, 8_000)) < -35


def test_telephone_has_the_noise_of_its_codec() -> None:
    """A tone comes back in place, with the distortion of 8 bits (G.711: 33 to 40 dB below), and no more."""
    before = tone(1_020)
    after = perturbed("telephone", before)
    middle = slice(SAMPLE_RATE // 2, -SAMPLE_RATE // 2)
    assert 30 < decibels(rms(before[middle]) / rms((after - before)[middle])) < 45


@given(st.lists(st.floats(-1.2, 1.2), min_size=1, max_size=50))
def test_mulaw_takes_the_nearest_value(values: list[float]) -> None:
    """No other code stands for a value nearer to the sample, by G.711's formula."""
    codes = range(256)
    signs = [1 if code & 0x80 else -1 for code in codes]
    table = [
        sign * (((((~code & 0x0F) << 3) + 0x84) << (~code >> 4 & 7)) - 0x84) / 32768
        for code, sign in zip(codes, signs, strict=True)
    ]
    for value, code in zip(values, _mulaw(np.array(values)), strict=True):
        assert abs(table[code] - value) <= min(abs(other - value) for other in table) + 1e-12


@given(
    st.integers(1, 3_000), st.sampled_from(["telephone", "noise:10", "noise:5:pink", "noise:0:babble", "loss:0.5:60"])
)
def test_length_stays(length: int, text: str) -> None:
    """All but the speed leave every sample where it is, however short the recording."""
    perturbation = parse(text)
    assert len(perturbation.apply(written(hiss(1)[:length]), 3)) == 2 * length
    assert perturbation.moved(length) == length


@given(st.integers(1, 400), st.floats(0, 0.9), st.none() | st.integers(20, 500), st.integers(0, 99))
def test_exactly_the_share_is_lost(packets: int, share: float, burst: int | None, seed: int) -> None:
    """Of any number of packets the asked share is silent, the nearest whole number; the others are untouched."""
    audio = np.full(packets * PACKET, 0.25)
    heard = Loss(share, burst).apply(audio, np.random.default_rng(seed)).reshape(packets, PACKET)
    lost = [not packet.any() for packet in heard]
    assert sum(lost) == round(share * packets)
    assert all((packet == 0.25).all() for packet, gone in zip(heard, lost, strict=True) if not gone)


@pytest.mark.parametrize("burst_ms", [20, 60, 200])
def test_bursts_have_their_length(burst_ms: int) -> None:
    """On average, with lengths that differ."""
    lost = perturbed(f"loss:10%:{burst_ms}", np.full(6_000 * PACKET, 0.25)).reshape(-1, PACKET)[:, 0] == 0
    edges = np.flatnonzero(np.diff(np.concatenate(([0], lost.astype(int), [0]))))
    lengths = (edges[1::2] - edges[::2]) * 20
    assert lengths.mean() == pytest.approx(burst_ms, rel=0.02)
    assert burst_ms == 20 or len(set(lengths)) > 3


@pytest.mark.parametrize("factor", [0.8, 1.1, 2])
def test_speed_changes_length_and_pitch(factor: float) -> None:
    """A tone of a second and 1000 Hz gets shorter and higher by the factor; so do the times in it."""
    heard = perturbed(f"speed:{factor}", tone(seconds=1))
    strongest = int(np.argmax(np.abs(np.fft.rfft(heard)))) * SAMPLE_RATE / len(heard)
    assert len(heard) == round(SAMPLE_RATE / factor)
    assert strongest == pytest.approx(1_000 * factor, abs=2)
    assert parse(f"speed:{factor}").moved(1_000) == round(1_000 / factor)


def test_gain_is_exact_and_clips() -> None:
    """Softer by what was asked; too loud is cut at full scale."""
    assert decibels(rms(perturbed("gain:-20", tone())) / rms(tone())) == pytest.approx(-20, abs=0.01)
    loud = perturbed("gain:20", tone(peak=0.5))
    assert loud.max() == 32767 / 32768
    assert loud.min() == -1
    assert np.count_nonzero(np.abs(loud) > 0.99) > len(loud) / 2


def test_effects_follow_one_another() -> None:
    """Joined by +, the second hears what the first made; times move with all of them."""
    both = parse("speed:2+gain:-6")
    assert rms(read(both.apply(written(tone()), 1))) == pytest.approx(rms(tone()) / 2, rel=0.01)
    assert both.moved(900) == 450
    high = perturbed("telephone+noise:10", tone(seconds=4))
    assert band(high, 4_500, 8_000) > 100 * band(perturbed("noise:10+telephone", tone(seconds=4)), 4_500, 8_000)


def test_nothing_stays_nothing() -> None:
    """No samples, no error."""
    for text in ("noise:10:pink", "noise:10:babble", "telephone", "loss:0.1:60", "speed:1.1", "gain:3"):
        assert parse(text).apply(b"", 1) == b""


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("noise:10", "noise-10", "noise 10 dB"),
        ("noise:2.5:pink", "noise-2.5-pink", "pink noise 2.5 dB"),
        ("noise:-5:babble", "noise--5-babble", "babble -5 dB"),
        ("telephone", "telephone", "telephone"),
        ("loss:0.05", "loss-0.05", "5% lost"),
        ("loss:5%:60", "loss-0.05-60", "5% lost in bursts of 60 ms"),
        ("speed:1.10", "speed-1.1", "speed × 1.1"),
        ("gain:-20", "gain--20", "gain −20 dB"),
        (" telephone + noise:10:white ", "telephone+noise-10", "telephone, noise 10 dB"),
    ],
)
def test_names(text: str, name: str, says: str) -> None:
    """For files and for people; equal perturbations are equal values, also in another process."""
    perturbation = parse(text)
    assert (perturbation.name, perturbation.says) == (name, says)
    assert perturbation == parse(text) == pickle.loads(pickle.dumps(perturbation))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "hum:3",
            "noise",
            "noise:loud",
            "noise:nan",
            "noise:99",
            "noise:10:brown",
            "noise:10:pink:3",
            "telephone:8",
        ),
        *("loss", "loss:1", "loss:-0.1", "loss:0.1:5", "loss:0.1:x", "speed:0", "speed:3", "gain:inf", "gain:1+gain:2"),
    ],
)
def test_mistakes_are_told(text: str) -> None:
    """What is no perturbation is refused, with the list of those that there are."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.code == "bad_perturbation"
    assert "noise:DB" in caught.value.fix
