"""
Entries that wait for the ledger, in a file: lines of JSON that survive the end of the process.

Each process has a file of its own, locked as long as it lives. What another one left behind is anybody's.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import structlog
from pydantic import TypeAdapter, ValidationError

from twopass.cost.usage.entries import Entry

log = structlog.get_logger()

_ADAPTER = TypeAdapter(Entry)
_SUFFIX = ".entries"


class WaitingFile:
    """
    One process's file.

    Attributes:
        path: Where it is.
        shipped: Bytes that the ledger has.
        written: Bytes in all.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError; BlockingIOError if its process is alive."""
        self.path = path
        self._file: BinaryIO = path.open("a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise
        self.shipped = 0
        self.written = self._whole()

    @classmethod
    def create(cls, directory: Path) -> WaitingFile:
        """A new one. Raises OSError."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(directory / f"{secrets.token_hex(8)}{_SUFFIX}")

    def append(self, entries: Iterable[Entry]) -> None:
        """Raises OSError if the disk takes them not, or not all; then it is as before."""
        data = b"".join(_ADAPTER.dump_json(entry, exclude_defaults=True) + b"\n" for entry in entries)
        try:
            if self._file.write(data) != len(data):
                raise OSError(None, "the disk is full")
        except OSError:
            os.ftruncate(self._file.fileno(), self.written)
            raise
        self.written += len(data)

    def next(self, most: int) -> tuple[list[Entry], int]:
        """The oldest (at most so many) that the ledger does not have, and the offset after them."""
        entries: list[Entry] = []
        at = self.shipped
        with self.path.open("rb") as file:
            file.seek(at)
            while len(entries) < most and at < self.written:
                line = file.readline()
                at += len(line)
                if (entry := _read(line, self.path)) is not None:
                    entries.append(entry)
        return entries, at

    def ship(self, until: int) -> None:
        """The ledger has everything up to this offset."""
        self.shipped = until
        if until == self.written:
            os.ftruncate(self._file.fileno(), 0)
            self.shipped = self.written = 0

    def close(self) -> None:
        """Give it up: it is removed if nothing waits, or left to others."""
        if self.shipped == self.written:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def _whole(self) -> int:
        """Bytes without a half line at the end, which a crash may have left; that is cut off."""
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        os.ftruncate(self._file.fileno(), whole)
        return whole


def left_behind(directory: Path) -> Iterator[WaitingFile]:
    """Files whose process is gone; they are ours from now on."""
    for path in sorted(directory.glob(f"*{_SUFFIX}")):
        try:
            yield WaitingFile(path)
        except OSError:  # its process is alive, or somebody else was faster
            continue


def _read(line: bytes, path: Path) -> Entry | None:
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError:
        log.error("a usage entry cannot be read", file=path.name, line=line[:200].decode(errors="replace"))
        return None
