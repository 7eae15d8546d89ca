"""
A manifest: recordings, what was said in them and under which conditions. One JSON object a line:

    {"file": "jfk.wav", "id": "jfk", "text": "Ask not what …", "condition": "speech", "language": "en-US"}

`file` (or `audio`, `audio_filepath`) is relative to the manifest; the text may be called `reference`, the condition
`kind`; all but a file or an id is optional. Word times, in seconds, stand in `words` as {"text", "start", "end"} or
["text", start, end], or in the `words` of `sentences`. Other keys are not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from twopass.alignment import folded
from twopass.compare.recordings.reference import Named, Reference, read_text
from twopass.errors import ConfigError
from twopass.types import Word, Words, text_of

SUFFIX = ".jsonl"
_EXAMPLE = 'A line looks like {"file": "jfk.wav", "text": "Ask not …", "condition": "speech"}.'


@dataclass(frozen=True, slots=True)
class Line:
    """
    One line of a manifest.

    Attributes:
        file: The recording; None if the line has only an id.
        id: The recording's name; None if it has that of its file.
        reference: None if nobody has written down what was said.
        where: File and line, for messages.
    """

    file: Path | None
    id: str | None
    reference: Reference | None
    condition: str
    language: str | None
    where: str

    @property
    def named(self) -> Named | None:
        """The reference for a recording that was found elsewhere; None without one."""
        if self.reference is None:
            return None
        key = self.id or (self.file.stem if self.file else "")
        return Named(key, self.reference, self.where, self.file.resolve().with_suffix("") if self.file else None)


def read(path: Path) -> tuple[Line, ...]:
    """Read a manifest. Raises ConfigError that names the line: it cannot be read, or its file is on another, too."""
    numbered = enumerate(read_text(path).split("\n"), start=1)
    lines = tuple(_line(path, line, f"{path}, line {number}") for number, line in numbered if line.strip())
    first: dict[Path, Line] = {}
    for line in lines:
        if line.file is not None and first.setdefault(line.file, line) is not line:
            message = f"{line.where}: {line.file} is on another line, too ({first[line.file].where})."
            raise ConfigError(
                message, code="bad_manifest", fix="Leave one of them out; of a file in parts, cut the parts."
            )
    return lines


class _Word(BaseModel):
    model_config = ConfigDict(frozen=True)

    text: str = Field(validation_alias=AliasChoices("text", "word"))
    start: float = Field(ge=0)
    end: float = Field(ge=0)

    @model_validator(mode="after")
    def _forward(self) -> _Word:
        if self.end < self.start:
            raise ValueError(f"“{self.text}” ends before it starts")
        return self


def _named(word: object) -> object:
    """A list as the mapping that it stands for."""
    return dict(zip(("text", "start", "end"), word, strict=False)) if isinstance(word, list) else word


_Times = tuple[Annotated[_Word, BeforeValidator(_named)], ...]


class _Sentence(BaseModel):
    model_config = ConfigDict(frozen=True)

    words: _Times = ()


class _Object(BaseModel):
    """A line as it is written."""

    model_config = ConfigDict(frozen=True)

    file: str | None = Field(None, min_length=1, validation_alias=AliasChoices("file", "audio", "audio_filepath"))
    id: str | None = Field(None, min_length=1)
    text: str | None = Field(None, validation_alias=AliasChoices("reference", "text"))
    condition: str = Field("", validation_alias=AliasChoices("condition", "kind"))
    language: str | None = None
    words: _Times = ()
    sentences: tuple[_Sentence, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _whole_file(cls, data: Any) -> Any:
        if isinstance(data, dict) and not {"file", "audio", "audio_filepath", "id"} & data.keys():
            raise ValueError("there is neither a file nor an id")
        if isinstance(data, dict) and data.get("offset"):
            raise ValueError("a part of a file (offset) cannot be compared")
        return data

    @property
    def timed(self) -> Words:
        """The words with their times, in the order in which they are written."""
        times = self.words or tuple(word for sentence in self.sentences for word in sentence.words)
        return tuple(Word(w.text, round(w.start * 1000), round(w.end * 1000)) for w in times)


def _line(path: Path, line: str, where: str) -> Line:
    try:
        data = _Object.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"{part}: " for part in first["loc"])
        message = f"{where}: {place}{first['msg']}."
        raise ConfigError(message, code="bad_manifest", fix=_EXAMPLE) from None
    file = path.parent / data.file if data.file else None
    return Line(file, data.id, _reference(data, where), data.condition, data.language, where)


def _reference(data: _Object, where: str) -> Reference | None:
    words = data.timed
    if data.text is None and not words:
        return None
    text = text_of(words) if data.text is None else data.text
    if words and folded(text_of(words)) != folded(text):
        fix = "Correct both, or leave the times out."
        raise ConfigError(f"{where}: the text and the words with times differ.", code="bad_manifest", fix=fix)
    return Reference(text, words, bool(words), data.condition, data.language)
