"""Make the test recordings, their manifest, and the demo sample of the package, from nothing but synthetic voices.

Needs the Debian packages espeak-ng, flite, festival, festvox-kallpc16k, festvox-kdlpc16k and festvox-us-slt-hts.
Run it at the root of the repository: `python -m tests.speech.make_speech`. The same versions make the same audio.
"""

import argparse
import json
import random
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from . import grammar
from .engines import say
from .spoken import RATE, Audio, Spoken, longest_silence_s

SEED = 7
ROOT = Path(__file__).parents[2]
FLOOR_DB, SAMPLE_FLOOR_DB = -78.0, -62.0  # noise under the test recordings and under the demo sample

MEETING_VOICES = ["flite:slt", "flite:rms", "espeak:en-us+f3", "festival:ked"]
FLOWING_VOICES = ["flite:rms", "espeak:en-us", "espeak:en-us+f3"]
FLOWING_SPEED = (0.87, 0.91)
FLOWING_LEAST_WORDS = 8
FLOWING_JOIN_S = (0.1, 0.18)
LONGEST_INNER_PAUSE_S, LONGEST_SILENCE_S = 0.18, 0.2
SHORT_VOICES = [
    *("flite:slt", "flite:rms", "flite:awb", "flite:kal16", "festival:kal", "festival:ked", "festival:slt_hts"),
    *("espeak:en-us", "espeak:en-us+f3", "espeak:en-us+m3", "espeak:en+f2", "espeak:en-gb-x-rp"),
]
DIALOGUE = [  # pause before the sentence, voice, text
    (0.6, "flite:slt", "Good morning everyone, let's get started."),
    (0.8, "flite:slt", "Welcome to the budget review."),
    (1.3, "espeak:en-us+f3", "Sales went up by fifteen percent in March."),
    (1.1, "flite:slt", "Thanks, Nina, that was very clear."),
    (0.3, "flite:slt", "How much did we spend on the roadmap?"),
    (1.5, "flite:rms", "We spent eight thousand dollars on the roadmap."),
    (1.0, "flite:slt", "Robert, can you send the document this afternoon?"),
    (1.2, "flite:rms", "Yes, that works for me."),
    (0.7, "flite:slt", "That's all for today, thank you."),
]


@dataclass(frozen=True)
class Placed:
    spoken: Spoken
    start: int  # samples from the start of the recording
    channel: int

    def entry(self) -> dict[str, Any]:
        offset = self.start / RATE
        words = [[word, round(offset + start, 3), round(offset + end, 3)] for word, start, end in self.spoken.words]
        return {
            "voice": self.spoken.voice,
            "text": self.spoken.text,
            "start": words[0][1],
            "end": words[-1][2],
            "channel": self.channel,
            "words": words,
        }


@dataclass
class Timeline:
    """Sentences one after the other. A pause is silence as measured, from the last sound to the next one."""

    sentences: list[Placed] = field(default_factory=list)
    end_s: float = 0.0

    def add(self, pause_s: float, spoken: Spoken, channel: int = 0) -> None:
        start = max(0, round((self.end_s + pause_s - spoken.onset_s) * RATE))
        self.sentences.append(Placed(spoken, start, channel))
        self.end_s = start / RATE + spoken.offset_s

    def mix(self, channels: int, trail_s: float, noise: np.random.Generator, floor_db: float = FLOOR_DB) -> Audio:
        audio = white_noise(round((self.end_s + trail_s) * RATE), channels, floor_db, noise)
        for placed in self.sentences:
            voice = placed.spoken.audio[: audio.shape[1] - placed.start]
            audio[placed.channel, placed.start : placed.start + len(voice)] += voice
        return audio


@dataclass(frozen=True)
class Recording:
    name: str
    kind: str
    audio: Audio  # channels, samples
    sentences: list[Placed]

    def entry(self) -> dict[str, Any]:
        return {
            "file": f"{self.name}.flac",
            "duration_s": round(self.audio.shape[1] / RATE, 3),
            "kind": self.kind,
            "text": " ".join(placed.spoken.text for placed in self.sentences),
            "sentences": [placed.entry() for placed in self.sentences],
        }


def white_noise(samples: int, channels: int, level_db: float, noise: np.random.Generator) -> Audio:
    return noise.standard_normal((channels, samples)).astype(np.float32) * np.float32(10 ** (level_db / 20))


def speed(rng: random.Random) -> float:
    return rng.uniform(0.92, 1.1)


def flowing(rng: random.Random, noise: np.random.Generator, seconds: float = 300.0) -> Recording:
    """Speech without a pause: a voice keeps talking for its share of the time, and never stops for 0.2 s."""
    timeline = Timeline()
    while timeline.end_s < seconds - 1:
        voice = FLOWING_VOICES[int(timeline.end_s / seconds * len(FLOWING_VOICES))]
        spoken = say(voice, grammar.held_out(rng, FLOWING_LEAST_WORDS), rng.uniform(*FLOWING_SPEED))
        if spoken.longest_pause_s <= LONGEST_INNER_PAUSE_S:
            timeline.add(rng.uniform(*FLOWING_JOIN_S), spoken)
    audio = timeline.mix(1, 0.1, noise)
    if longest_silence_s(audio[0]) > LONGEST_SILENCE_S:
        raise ValueError("the recording without pauses has one")
    return Recording("nopause_300s", "nopause", audio, timeline.sentences)


def meeting(rng: random.Random, noise: np.random.Generator, seconds: float = 120.0) -> Recording:
    """Four people in turn, each for one to three sentences, with natural pauses."""
    timeline, voice, turns_left = Timeline(), "", 0
    while timeline.end_s < seconds - 3:
        if turns_left == 0:
            voice = rng.choice([other for other in MEETING_VOICES if other != voice])
            turns_left = rng.randint(1, 3)
        timeline.add(rng.uniform(0.5, 2.0), say(voice, grammar.held_out(rng), speed(rng)))
        turns_left -= 1
    return Recording("meeting_120s", "meeting", timeline.mix(1, 1.0, noise), timeline.sentences)


def two_channels(rng: random.Random, noise: np.random.Generator, seconds: float = 20.0) -> Recording:
    """Two people in turn, one on the left channel and one on the right."""
    timeline = Timeline()
    while timeline.end_s < seconds - 3.5:
        channel = len(timeline.sentences) % 2
        voice = ("flite:slt", "flite:rms")[channel]
        timeline.add(rng.uniform(0.5, 1.2), say(voice, grammar.held_out(rng), speed(rng)), channel)
    trail_s = max(0.5, seconds - timeline.end_s)
    return Recording("two_channels", "two_channels", timeline.mix(2, trail_s, noise), timeline.sentences)


def short(rng: random.Random, noise: np.random.Generator, voice: str) -> Recording:
    timeline = Timeline()
    timeline.add(0.4, say(voice, grammar.held_out(rng), speed(rng)))
    name = voice.split(":")[1].replace("-", "_").replace("+", "_")
    return Recording(f"short_{name}", "short", timeline.mix(1, 1.0, noise), timeline.sentences)


def only_noise(_: random.Random, noise: np.random.Generator) -> Recording:
    return Recording("noise_10s", "noise", white_noise(10 * RATE, 1, -40.0, noise), [])


def only_silence(_: random.Random, __: np.random.Generator) -> Recording:
    return Recording("silence_5s", "silence", np.zeros((1, 5 * RATE), np.float32), [])


def dialogue(_: random.Random, noise: np.random.Generator) -> Recording:
    """The demo sample: a little meeting, with one place where a sentence follows almost without a pause."""
    timeline = Timeline()
    for pause_s, voice, text in DIALOGUE:
        timeline.add(pause_s, say(voice, text, 1.0))
    return Recording("sample", "sample", timeline.mix(1, 1.0, noise, SAMPLE_FLOOR_DB), timeline.sentences)


def seeded(make: Callable[..., Recording], *arguments: str) -> Recording:
    """Every recording draws from its own source of chance, so that a change to one leaves the others alone."""
    rng = random.Random(" ".join((str(SEED), make.__name__, *arguments)))
    return make(rng, np.random.default_rng(rng.getrandbits(64)), *arguments)


def recordings() -> Iterator[Recording]:
    yield seeded(flowing)
    yield seeded(meeting)
    for voice in SHORT_VOICES:
        yield seeded(short, voice)
    yield seeded(only_noise)
    yield seeded(only_silence)
    yield seeded(two_channels)


def to_s16(audio: Audio) -> npt.NDArray[np.int16]:
    """Interleaved samples."""
    return np.round(np.clip(audio.T, -1, 1) * 32767).astype(np.int16).reshape(1, -1)


def write_flac(path: Path, audio: Audio) -> None:
    layout = "mono" if len(audio) == 1 else "stereo"
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("flac", rate=RATE, layout=layout, format="s16")
        stream.codec_context.options = {"compression_level": "12", "lpc_type": "cholesky", "flags": "+bitexact"}
        frame = av.AudioFrame.from_ndarray(to_s16(audio), format="s16", layout=layout)
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def write_wav(path: Path, audio: Audio) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setparams((len(audio), 2, RATE, 0, "NONE", "not compressed"))
        sound.writeframes(to_s16(audio).tobytes())


def write_tests(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.jsonl").open("w") as manifest:
        for recording in recordings():
            write_flac(folder / f"{recording.name}.flac", recording.audio)
            manifest.write(json.dumps(recording.entry()) + "\n")
            print(f"{recording.name}: {recording.audio.shape[1] / RATE:.1f} s")


def write_sample(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sample = seeded(dialogue)
    write_wav(folder / "sample.wav", sample.audio)
    entry = sample.entry()
    kept = {"text": entry["text"], "sentences": entry["sentences"]}
    for sentence in kept["sentences"]:
        del sentence["channel"]
    (folder / "sample.json").write_text(json.dumps(kept, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=Path, default=Path(__file__).parent, help="folder of the test recordings")
    parser.add_argument("--assets", type=Path, default=ROOT / "src/twopass/assets", help="folder of the demo sample")
    arguments = parser.parse_args()
    write_sample(arguments.assets)
    write_tests(arguments.tests)


if __name__ == "__main__":
    main()
