"""
What was heard, on disk: a comparison that was interrupted goes on where it was.

A hearing is kept under a key of everything that it depends on (recording, system, settings): what has changed since is
not found, and heard again.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from twopass.compare.records import Hearing, read, written
from twopass.errors import ConfigError
from twopass.whole_files import write_whole

_FORMAT = 1
_SPEECH = TypeAdapter(tuple[tuple[int, int], ...])
_UNSAFE = re.compile(r"[^\w.~=#+-]+")
_LONGEST_NAME, _BEGIN = 200, 40  # bytes, letters; most file systems take 255 bytes


def key(*parts: Any) -> str:
    """A short name for everything that a result depends on."""
    text = json.dumps([_FORMAT, *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _file_name(name: str) -> str:
    """The name; if no file can have it, what is left of it, and a key that no other name has."""
    safe = _UNSAFE.sub("_", name)
    return safe if safe == name and len(safe.encode()) <= _LONGEST_NAME else f"{safe[:_BEGIN]}.{key(name)}"


class Store:
    """
    Hearings and stretches of speech in a report's folder.

    Raises ConfigError where the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hearing(self, system: str, recording: str, key: str) -> Hearing | None:
        """What was heard before; None if it was not, not wholly, or what is there cannot be read."""
        try:
            found = read(self._hearing(system, recording, key))
        except ConfigError:
            return None
        return None if found.failed else found

    def keep(self, hearing: Hearing, key: str) -> None:
        """Keep a hearing."""
        self._write(self._hearing(hearing.system, hearing.recording, key), written(hearing))

    def speech(self, recording: str, key: str) -> tuple[tuple[int, int], ...] | None:
        """Where somebody speaks, if it was kept."""
        try:
            return _SPEECH.validate_json(self._speech(recording, key).read_bytes())
        except (OSError, ValidationError):
            return None

    def keep_speech(self, recording: str, key: str, speech: tuple[tuple[int, int], ...]) -> None:
        """Keep where somebody speaks."""
        self._write(self._speech(recording, key), _SPEECH.dump_json(speech))

    def _hearing(self, system: str, recording: str, key: str) -> Path:
        return self._folder / "hearings" / _file_name(system) / f"{_file_name(recording)}.{key}.json"

    def _speech(self, recording: str, key: str) -> Path:
        return self._folder / "speech" / f"{_file_name(recording)}.{key}.json"

    def _write(self, path: Path, data: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
        except OSError as error:
            fix = "Free some space, or name another folder with --output; what was heard so far stays."
            raise ConfigError(f"{path} cannot be written: {error.strerror}.", code="no_output", fix=fix) from None
