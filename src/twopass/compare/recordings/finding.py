"""Which files are recordings, and what each is called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from twopass.compare.recordings import manifest
from twopass.compare.recordings.reference import Reference
from twopass.errors import ConfigError

AUDIO = frozenset(
    ".3gp .aac .ac3 .aif .aifc .aiff .amr .au .avi .caf .flac .m4a .m4b .m4v .mka .mkv .mov .mp2 .mp3 .mp4 .mpeg .mpg "
    ".mxf .nist .oga .ogg .ogv .opus .snd .sph .ts .w64 .wav .webm .wma .wmv".split()
)
"""What is taken from a directory. (A file that is named is tried whatever its suffix: FFmpeg looks into it.)"""
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Found:
    """
    A recording's file, and what its manifest says of it.

    Attributes:
        id: What the manifest calls it; None without one.
        place: The path without its suffix, whole: what a reference may lie beside.
    """

    path: Path
    place: Path
    id: str | None = None
    reference: Reference | None = None
    condition: str = ""
    language: str | None = None


def find(paths: Sequence[Path]) -> tuple[Found, ...]:
    """
    Every recording once, in the order of the paths; one that is in a manifest, as the manifest has it.

    Raises ConfigError if a path is missing, has no recordings, or is a manifest with mistakes.
    """
    best: dict[Path, Found] = {}
    for one in (one for path in paths for one in _at(path)):
        whole = one.path.resolve()
        if whole not in best or _knows_more(one, best[whole]):
            best[whole] = one
    if not best:
        raise ConfigError(
            "There are no recordings.", code="no_recordings", fix="Name audio files, or a folder of them."
        )
    return tuple(best.values())


def names(found: Sequence[Found]) -> tuple[str, ...]:
    """A name for each: its id, or that of its file; where files are called alike, with their folder's or a number."""
    simple = [_safe(one.id or one.path.stem) for one in found]
    alike = Counter(name.casefold() for name in simple)
    taken: set[str] = set()
    chosen = []
    for one, name in zip(found, simple, strict=True):
        longer = name if alike[name.casefold()] == 1 or one.id else _safe(f"{one.place.parent.name}-{name}")
        chosen.append(_free(longer, taken))
        taken.add(chosen[-1].casefold())
    return tuple(chosen)


def _free(name: str, taken: set[str]) -> str:
    number, wanted = 1, name
    while wanted.casefold() in taken:
        number += 1
        wanted = f"{name}-{number}"
    return wanted


def _safe(name: str) -> str:
    """As a file's name on any system. "~" begins a perturbation."""
    return re.sub(r"[^\w.+-]+", "-", name).strip(".-")[:_LONGEST_NAME].strip(".-") or "recording"


def _knows_more(one: Found, other: Found) -> bool:
    return (one.id, one.reference) != (None, None) and (other.id, other.reference) == (None, None)


def _at(path: Path) -> Iterator[Found]:
    if path.is_dir():
        yield from _in_directory(path)
    elif not path.is_file():
        raise ConfigError(f"{path} does not exist.", code="no_recordings", fix="Name audio files, or a folder of them.")
    elif path.suffix.lower() == manifest.SUFFIX:
        yield from (_listed(line) for line in manifest.read(path))
    else:
        yield _file(path)


def _in_directory(path: Path) -> Iterator[Found]:
    # What is hidden is no recording: ._a.wav is what macOS leaves beside a.wav on other people's disks.
    candidates = (file for file in path.rglob("[!.]*") if file.suffix.lower() in AUDIO)
    files = sorted(file for file in candidates if file.is_file())
    if not files:
        known = " ".join(sorted(AUDIO))
        raise ConfigError(f"{path} has no recordings in it.", code="no_recordings", fix=f"They end in {known}.")
    yield from map(_file, files)


def _file(path: Path) -> Found:
    return Found(path, path.resolve().with_suffix(""))


def _listed(line: manifest.Line) -> Found:
    if line.file is None:
        fix = "A manifest of recordings names the file of each; one without is for --references."
        raise ConfigError(f"{line.where}: there is no file.", code="bad_manifest", fix=fix)
    if not line.file.is_file():
        fix = "Files are looked for in the manifest's folder."
        raise ConfigError(f"{line.where}: there is no file {line.file}.", code="bad_manifest", fix=fix)
    place = line.file.resolve().with_suffix("")
    return Found(line.file, place, line.id, line.reference, line.condition, line.language)
