"""
A finished transcript as text, SubRip, WebVTT or JSON. Pure.

Subtitles follow the usual rules for reading: at most two lines of 42 characters and 7 seconds a cue (BBC and Netflix
timed-text guidelines), cut between words at their times.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from twopass.types import Revision, Words, text_of

LINE_CHARACTERS = 42
CUE_LINES = 2
CUE_MS = 7_000


class Format(StrEnum):
    """How a transcript is written."""

    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: times in milliseconds, lines of text."""

    start: int
    end: int
    lines: tuple[str, ...]


def ordered(revisions: Iterable[Revision]) -> list[Revision]:
    """The latest revision of each utterance that has words, in the order of time."""
    latest: dict[str, Revision] = {}
    for revision in revisions:
        known = latest.get(revision.utterance)
        if known is None or known.order < revision.order:
            latest[revision.utterance] = revision
    return sorted((r for r in latest.values() if r.words), key=lambda r: (r.start, r.channel))


def write(revisions: Iterable[Revision], style: Format) -> str:
    """The transcript in one of the formats, ending in a newline."""
    return _WRITERS[style](ordered(revisions))


def cues(words: Words) -> Iterator[Cue]:
    """Cut one utterance's words into subtitles."""
    current: list[int] = []
    for i, word in enumerate(words):
        if current and (
            word.end - words[current[0]].start > CUE_MS
            or len(_lines(tuple(words[k] for k in [*current, i]))) > CUE_LINES
        ):
            yield _cue(tuple(words[k] for k in current))
            current = []
        current.append(i)
    if current:
        yield _cue(tuple(words[k] for k in current))


def _cue(words: Words) -> Cue:
    return Cue(words[0].start, max(words[-1].end, words[0].start + 1), _lines(words))


def _lines(words: Words) -> tuple[str, ...]:
    lines: list[Words] = []
    for word in words:
        if lines and len(text_of([*lines[-1], word])) <= LINE_CHARACTERS:
            lines[-1] = (*lines[-1], word)
        else:
            lines.append((word,))
    return tuple(text_of(line) for line in lines)


def _txt(revisions: list[Revision]) -> str:
    return "".join(f"{revision.text}\n" for revision in revisions)


def _srt(revisions: list[Revision]) -> str:
    all_cues = [cue for revision in revisions for cue in cues(revision.words)]
    blocks = (
        f"{number}\n{_time(cue.start, ',')} --> {_time(cue.end, ',')}\n" + "\n".join(cue.lines) + "\n"
        for number, cue in enumerate(all_cues, start=1)
    )
    return "\n".join(blocks)


def _vtt(revisions: list[Revision]) -> str:
    blocks = (
        f"{_time(cue.start, '.')} --> {_time(cue.end, '.')}\n" + _escaped("\n".join(cue.lines)) + "\n"
        for revision in revisions
        for cue in cues(revision.words)
    )
    return "\n".join(["WEBVTT\n", *blocks])


def _json(revisions: list[Revision]) -> str:
    data = {"text": " ".join(r.text for r in revisions), "segments": [_segment(r) for r in revisions]}
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"


def _segment(revision: Revision) -> dict[str, Any]:
    return {
        "id": revision.utterance,
        "start": revision.start,
        "end": revision.end,
        "channel": revision.channel,
        "text": revision.text,
        "source": revision.source,
        "degraded": revision.degraded,
        "language": revision.language,
        "words": [
            {"text": w.text, "start": w.start, "end": w.end, "confidence": w.confidence, "estimated": w.estimated}
            for w in revision.words
        ],
    }


def _time(ms: int, point: str) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{ms:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_WRITERS: Mapping[Format, Callable[[list[Revision]], str]] = MappingProxyType(
    {Format.TXT: _txt, Format.SRT: _srt, Format.VTT: _vtt, Format.JSON: _json}
)
