"""
What was said in a recording, as a person wrote it down: the reference. Read from a file, by its suffix.

    .jsonl       a manifest, one recording a line: see `manifest`
    .json        what `twopass transcribe --format json` wrote, corrected by hand or not
    .txt         the text of the recording of the same name; or a recording's name and its text on each line
    .stm         NIST's segment time marks
    .srt .vtt    subtitles of the recording of the same name

Which recording a reference belongs to, `matching` finds out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from twopass.compare.recordings import manifest, subtitles, transcripts
from twopass.compare.recordings.reference import Named, Reference, read_text
from twopass.errors import ConfigError

__all__ = ["SUFFIXES", "Named", "Reference", "read"]


def read(path: Path, known: Collection[str] = ()) -> tuple[Named, ...]:
    """
    Read every reference in a file.

    Args:
        known: Names that recordings have. They decide whether a .txt is one text or has a name on each line.

    Raises:
        ConfigError: The file cannot be read or understood; it names the file, the line and what to do.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        fix = f"References end in {', '.join(SUFFIXES)}."
        raise ConfigError(f"{path} is no file of references.", code="bad_reference", fix=fix)
    return reader(path, known)


def _manifest(path: Path, _: Collection[str]) -> tuple[Named, ...]:
    return tuple(line.named for line in manifest.read(path) if line.named is not None)


def _plain(path: Path, known: Collection[str]) -> tuple[Named, ...]:
    text = read_text(path)
    listed = tuple(_lines(path, text))
    if path.stem not in known and any(one.key in known for one in listed):
        return listed
    return (_whole(path, Reference(" ".join(text.split()))),)


def _lines(path: Path, text: str) -> list[Named]:
    split = [(number, line.split(maxsplit=1)) for number, line in enumerate(text.split("\n"), start=1)]
    return [
        Named(parts[0], Reference(" ".join(" ".join(parts[1:]).split())), f"{path}, line {number}")
        for number, parts in split
        if parts
    ]


def _subtitles(path: Path, _: Collection[str]) -> tuple[Named, ...]:
    return (_whole(path, Reference(subtitles.text_in(path, read_text(path)))),)


def _transcript(path: Path, _: Collection[str]) -> tuple[Named, ...]:
    return (_whole(path, transcripts.from_json(path, read_text(path))),)


def _segments(path: Path, _: Collection[str]) -> tuple[Named, ...]:
    texts = transcripts.from_stm(path, read_text(path))
    return tuple(Named(key, Reference(text), f"{path}, {key}") for key, text in texts.items())


def _whole(path: Path, reference: Reference) -> Named:
    return Named(path.stem, reference, str(path), path.resolve().with_suffix(""))


_READERS: Mapping[str, Callable[[Path, Collection[str]], tuple[Named, ...]]] = MappingProxyType(
    {
        ".jsonl": _manifest,
        ".json": _transcript,
        ".txt": _plain,
        ".stm": _segments,
        ".srt": _subtitles,
        ".vtt": _subtitles,
    }
)
SUFFIXES = tuple(_READERS)
"""Of files that references are read from."""
