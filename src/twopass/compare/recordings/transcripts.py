"""Transcripts as references: what `twopass transcribe --format json` writes, and NIST's segment time marks (STM)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twopass.alignment import folded
from twopass.compare.recordings.reference import Reference, spread
from twopass.errors import ConfigError
from twopass.types import Word, Words, text_of

_NOT_SCORED = "ignore_time_segment_in_scoring"
_GAP = "inter_segment_gap"
_LABELS = re.compile(r"^<[^<>]*>$")


# JSON


class _Word(BaseModel):
    model_config = ConfigDict(frozen=True)

    text: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    estimated: bool = False


class _Segment(BaseModel):
    model_config = ConfigDict(frozen=True)

    text: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    language: str | None = None
    words: tuple[_Word, ...] = ()


class _Transcript(BaseModel):
    model_config = ConfigDict(frozen=True)

    text: str | None = None
    segments: tuple[_Segment, ...] = ()


def from_json(path: Path, content: str) -> Reference:
    """
    A transcript, as it was written or corrected by hand; a segment whose text was corrected loses its words' times.

    Raises ConfigError if it is none, or if its text was corrected and its segments were not, or the reverse.
    """
    fix = "Write one with: twopass transcribe --format json."
    try:
        data = _Transcript.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "JSON"
        raise ConfigError(f"{path}: {where}: {first['msg']}.", code="bad_reference", fix=fix) from None
    if data.text is None and not data.segments:
        raise ConfigError(f"{path} has neither text nor segments.", code="bad_reference", fix=fix)
    return _reference(path, data)


def _reference(path: Path, data: _Transcript) -> Reference:
    text = " ".join(segment.text for segment in data.segments) if data.text is None else data.text
    if data.segments and folded(text) != folded("".join(segment.text for segment in data.segments)):
        fix = 'Correct the segments and remove the first "text", or the reverse.'
        raise ConfigError(f"{path}: the text and its segments differ.", code="bad_reference", fix=fix)
    words = tuple(word for segment in data.segments for word in _words(segment))
    languages = {segment.language for segment in data.segments}
    timed = any(not word.estimated for word in words)
    return Reference(text, words if timed else (), timed, language=languages.pop() if len(languages) == 1 else None)


def _words(segment: _Segment) -> Words:
    words = tuple(Word(w.text, w.start, w.end, estimated=w.estimated) for w in segment.words)
    if folded(text_of(words)) != folded(segment.text):
        return spread(segment.text, segment.start, segment.end)
    return _glued(words, segment.text)


def _glued(words: Words, text: str) -> Words:
    """The file does not say which words are written without a space before them; the text does."""
    at, found = 0, []
    for word in words:
        glued = at > 0 and text.startswith(word.text, at)
        at = max(text.find(word.text, at), at) + len(word.text)
        found.append(replace(word, glued=glued))
    return tuple(found)


# STM


def from_stm(path: Path, content: str) -> dict[str, str]:
    """
    The text of each recording: its segments in the order of time, channels together.

    Segments that NIST's scorer leaves out are left out. Of alternatives, { a / b }, the first is taken; words that may
    be missing, (uh), are not asked for.

    Raises ConfigError that names the line.
    """
    segments: dict[str, list[tuple[float, str]]] = {}
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip() or line.startswith(";;"):
            continue
        recording, start, text = _segment(f"{path}, line {number}", line)
        segments.setdefault(recording, [])
        if text is not None:
            segments[recording].append((start, text))
    return {
        key: " ".join(text for _, text in sorted(all_, key=lambda s: s[0]) if text) for key, all_ in segments.items()
    }


def _segment(where: str, line: str) -> tuple[str, float, str | None]:
    """Recording, start in seconds, text; None for the text of what is not scored."""
    fields = line.split()
    try:
        recording, _, speaker, start, end = fields[:5]
        begins, ends = float(start), float(end)
    except ValueError:
        fix = "A line looks like: recording 1 speaker 0.00 2.50 <labels> the words."
        raise ConfigError(f"{where} is no segment.", code="bad_reference", fix=fix) from None
    if ends < begins:
        raise ConfigError(f"{where} ends before it begins.", code="bad_reference", fix="Correct its times.")
    words = fields[6:] if fields[5:6] and _LABELS.match(fields[5]) else fields[5:]
    text = " ".join(words)
    skipped = speaker == _GAP or _NOT_SCORED in text.casefold()
    return recording, begins, None if skipped else _spoken(text)


def _spoken(text: str) -> str:
    chosen = re.sub(r"\{([^{}/]*)(?:/[^{}]*)?\}", r" \1 ", text)
    bare = re.sub(r"\([^()]*\)|<[^<>]*>|\[[^\[\]]*\]", " ", chosen)
    return " ".join(word for word in bare.split() if word != "@")
