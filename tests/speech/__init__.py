"""Synthetic recordings with exact references, for tests: `load("meeting_120s")`, `names("short")`."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import av

RATE = 16000
FOLDER = Path(__file__).parent


class Word(NamedTuple):
    text: str
    start_ms: int
    end_ms: int
    channel: int


@dataclass(frozen=True)
class Sentence:
    voice: str
    text: str
    start_ms: int
    end_ms: int
    channel: int
    words: list[Word]


@dataclass(frozen=True)
class Recording:
    name: str
    kind: str
    pcm: bytes  # 16 kHz s16 little-endian, channels interleaved
    channels: int
    sentences: list[Sentence]

    @property
    def words(self) -> list[Word]:
        return [word for sentence in self.sentences for word in sentence.words]

    @property
    def text(self) -> str:
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def duration_ms(self) -> int:
        return len(self.pcm) * 1000 // (2 * self.channels * RATE)


def names(kind: str | None = None) -> list[str]:
    """Recordings of a kind (nopause, meeting, short, noise, silence, two_channels), or all of them."""
    return [name for name, entry in _manifest().items() if kind in (None, entry["kind"])]


def load(name: str) -> Recording:
    entry = _manifest()[name]
    pcm, channels = _decoded(FOLDER / entry["file"])
    return Recording(name, entry["kind"], pcm, channels, [_sentence(row) for row in entry["sentences"]])


@cache
def _manifest() -> dict[str, Any]:
    rows = map(json.loads, (FOLDER / "manifest.jsonl").read_text().splitlines())
    return {row["file"].removesuffix(".flac"): row for row in rows}


def _sentence(row: dict[str, Any]) -> Sentence:
    channel = row["channel"]
    words = [Word(text, _ms(start), _ms(end), channel) for text, start, end in row["words"]]
    return Sentence(row["voice"], row["text"], _ms(row["start"]), _ms(row["end"]), channel, words)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _decoded(path: Path) -> tuple[bytes, int]:
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    return b"".join(frame.to_ndarray().tobytes() for frame in frames), len(frames[0].layout.channels)
