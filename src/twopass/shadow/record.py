"""
What is kept of a session that had a shadow: what was shown, what the shadow heard, and whose it was. On disk only;
transcripts lie in it, so nobody else on the machine may read it.
"""

from __future__ import annotations

import os
import re
import shutil
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from twopass.compare.measures.timeline import Seen
from twopass.compare.records import Hearing, written
from twopass.shadow.settings import ShadowSettings

ABOUT = "about.json"
LIVE = "live.json.gz"
SHADOW = "shadow.json.gz"
_SEEN = TypeAdapter(Seen)
_GZIP = 31
_FAST = 3
_MOST_BYTES = 32 << 20
_MEASURED_EVERY = 60.0
_NAME = re.compile(r"[\w-]{1,100}")


@dataclass(frozen=True, slots=True)
class About:
    """
    Whose a record is.

    Attributes:
        began: UTC, ISO 8601.
        provider, model: The shadow's.
        cost: The shadow's, in `currency`; None if a part of it has no price.
    """

    session: str
    tenant: str
    began: str
    profile: str
    provider: str
    model: str
    language: str | None
    realtime: bool
    cost: str | None
    currency: str


class Reel:
    """
    A hearing in the making. It is written as it comes, and compressed, so that a long session takes neither much memory
    nor much time at its end.
    """

    def __init__(self) -> None:
        self._zip = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP)
        self._data = bytearray(self._zip.compress(b'{"seen":['))
        self._separator = b""
        self._closed = False

    @property
    def full(self) -> bool:
        """Whether no more should come."""
        return len(self._data) > _MOST_BYTES

    def add(self, seen: Seen) -> None:
        """A revision reached the reader. After the end it is ignored."""
        if self._closed:
            return
        line = self._separator + _SEEN.dump_json(seen, exclude_defaults=True)
        self._separator = b","
        self._data += self._zip.compress(line)

    def closed(self, rest: Hearing) -> bytes:
        """All of it; `rest` is the hearing without what was seen. To be called once."""
        self._closed = True
        return bytes(self._data + self._zip.compress(b"]," + written(rest)[1:]) + self._zip.flush())


class Shelf:
    """The directory of the records. All of it blocks and may raise OSError."""

    def __init__(self, settings: ShadowSettings) -> None:
        self._directory = settings.directory
        self._most = settings.max_bytes
        self._size = 0
        self._measured_at = -_MEASURED_EVERY

    def full(self) -> bool:
        """Whether there is no room for another record, as far as was seen within a minute."""
        now = time.monotonic()
        if now - self._measured_at >= _MEASURED_EVERY:
            self._size, self._measured_at = _size_of(self._directory), now
        return self._size >= self._most

    def put(self, session: str, files: Mapping[str, bytes]) -> None:
        """A new record: all of it or nothing. Raises ValueError for a name that is no session's."""
        if not _NAME.fullmatch(session):
            raise ValueError("that is no session's name")
        part = self._directory / f".{session}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700, parents=True)
        try:
            for name, data in files.items():
                _write(part / name, data)
            part.rename(self._directory / session)
            self._size += sum(map(len, files.values()))
        except OSError:
            shutil.rmtree(part, ignore_errors=True)
            raise


def about_file(about: About) -> bytes:
    """As JSON."""
    return TypeAdapter(About).dump_json(about)


def _size_of(directory: Path) -> int:
    size = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with suppress(FileNotFoundError):  # it has just gone
                size += Path(folder, name).lstat().st_size
    return size


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
