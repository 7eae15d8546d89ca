"""
Sessions on disk, so that the end of the process is not the end of the session.

    <directory>/<session>/about.json   what the session is: how it began, and the hash of its token
                          received     what the client sent, as it came: 4-byte lengths and bytes
                          journal      what happened (see `journal`)

What the client sent and what happened are all that is needed: decoders and merges are functions of them. The journal's
file is locked as long as its process lives, so another process knows which sessions were left behind. A spool that
cannot be written any more (full disk, limit) is removed at once: the session goes on, but says that it would not
survive.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import structlog

from twopass import journal
from twopass.journal import Record, nothing
from twopass.keeping import About, Place, anyone, nobody_wants

log = structlog.get_logger()

_LENGTH = struct.Struct(">I")
_KEPT = "kept-"
_NAME = re.compile(r"[\w-]+")
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """
    Attributes:
        directory: Where; None keeps nothing on disk, and no session survives the end of the server.
        url: Instead of a directory a Redis (redis://host:port/db), which several servers share: any of them can go on
            with any session. Redis should write to its disk (`appendonly yes`).
        session_mb: The most that one session may take. What the client sends and a little more: 16 kHz PCM takes
            115 MB per hour.
        total_mb: The most that all may take.
        keep_hours: How long audio and journal are kept after the transcript is complete. 0: not at all.
        sync: Wait for the disk at each acknowledgement: what was acknowledged survives a power cut too.
    """

    directory: Path | None = None
    url: str | None = None
    session_mb: int = 512
    total_mb: int = 16_384
    keep_hours: float = 0.0
    sync: bool = False


class Spool:
    """The directory of one server, or of several: each session belongs to the process that has locked it."""

    def __init__(self, directory: Path, settings: SpoolSettings) -> None:
        self.wanted: Callable[[str], None] = nobody_wants
        self._directory = directory
        self.settings = settings
        self.used = 0
        """Bytes taken by the sessions of this process."""

    async def open(self) -> None:
        """Nothing is to be done."""

    async def shut(self) -> None:
        """Nothing is to be done: each session closes its own files."""

    def create(self, session: str, about: About) -> SessionSpool:
        """A place for a new session. Raises OSError."""
        path = self._directory / session
        path.mkdir(mode=0o700, parents=True)
        try:
            spool = SessionSpool(self, path)  # which locks it: nobody else finds it without
            (path / "about.json").write_text(json.dumps(about))
        except OSError:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return spool

    async def take(self, session: str, allowed: Callable[[About], bool]) -> SessionSpool | None:
        """One that was left behind. Who has a session that is still going on keeps it: only its end unlocks it."""
        spool = self._left(self._directory / session) if _NAME.fullmatch(session) else None
        if spool is not None and not _allowed(spool, allowed):
            spool.close()
            return None
        return spool

    async def left_behind(self, fit: Callable[[str], bool] = anyone) -> AsyncIterator[SessionSpool]:
        """The sessions whose process is gone, as far as they fit, by name; they are ours from now on."""
        if self._directory.is_dir():
            for path in sorted(self._directory.iterdir()):
                if fit(path.name) and (spool := self._left(path)) is not None:
                    yield spool

    def _left(self, path: Path) -> SessionSpool | None:
        """The session in a directory, if nobody has it."""
        try:
            if path.name.startswith(_KEPT) or not (path / "about.json").exists():
                return None
            spool = SessionSpool(self, path)
        except BlockingIOError:
            return None  # somebody else's
        except OSError as error:
            log.warning("spool cannot be read", session=path.name, reason=error.strerror)
            return None
        if (path / "about.json").exists():  # it was there a moment ago; perhaps its owner has finished meanwhile
            return spool
        spool.discard()
        return None

    def tidy(self) -> None:
        """Remove what has been kept for long enough, and the oldest if all together take more than they may."""
        before = time.time() - self.settings.keep_hours * 3600
        left = self.settings.total_mb << 20
        for ended, size, path in sorted(map(_weighed, self._directory.glob(f"{_KEPT}*")), reverse=True):
            left -= size
            if ended < before or left < 0:
                shutil.rmtree(path, ignore_errors=True)


class SessionSpool:
    """
    One session's files.

    Attributes:
        failure: Why it cannot be written any more; None while it can.
    """

    def __init__(self, spool: Spool, path: Path) -> None:
        self._spool = spool
        self._path = path
        self._journal: BinaryIO = (path / "journal").open("a+b", buffering=_BUFFER)
        self._lock()
        self._received: BinaryIO = (path / "received").open("a+b", buffering=_BUFFER)
        self._size = sum(file.stat().st_size for file in path.iterdir())
        self._written = self._closed = False
        self.failure: str | None = None
        spool.used += self._size

    @property
    def session(self) -> str:
        """The session's name."""
        return self._path.name

    @property
    def about(self) -> About:
        """What `create` was given. Raises ValueError if it is damaged."""
        about: About = json.loads((self._path / "about.json").read_text())
        return about

    def write(self, record: Record) -> None:
        """Append to the journal. Survives the end of the process once `flush` has said so."""
        self._append(self._journal, journal.encode(record))

    @property
    def begins(self) -> Place | None:
        """All audio is kept."""
        return None

    def receive(self, data: bytes, place: Place | None = None) -> None:  # noqa: ARG002 - all audio is kept
        """Append what the client sent. Empty data is a mark that the reader knows the meaning of."""
        self._append(self._received, _LENGTH.pack(len(data)) + data)

    def release(self, before: int) -> None:
        """All audio is kept: files can only be cut at their end."""

    def flush(self, then: Callable[[], None] = nothing) -> bool:
        """Hand everything to the system. What was received goes first: nothing is heard before it is received."""
        if self.failure is None and self._written and not self._closed:
            self._written = False
            try:
                for file in (self._received, self._journal):
                    file.flush()
                    if self._spool.settings.sync:
                        os.fdatasync(file.fileno())
            except OSError as error:
                self._give_up(error.strerror or str(error))
        then()
        return self.failure is None

    async def settled(self) -> bool:
        """What was flushed is safe, or never will be."""
        return self.failure is None

    def records(self) -> Iterator[Record]:
        """What happened. Half a record at the end is cut off."""
        self._journal.seek(0)
        text, whole = self._journal.read(), 0
        for record, after in journal.decode(text):
            whole = after
            yield record
        if whole < len(text):
            log.warning("journal was cut", session=self.session, bytes=len(text) - whole)
        self._journal.truncate(whole)

    def frames(self) -> Iterator[bytes]:
        """What was received, frame by frame. Half a frame at the end is cut off."""
        self._received.seek(0)
        whole = 0
        while len(head := self._received.read(_LENGTH.size)) == _LENGTH.size:
            (length,) = _LENGTH.unpack(head)
            data = self._received.read(length)
            if len(data) < length:
                break
            whole += _LENGTH.size + length
            yield data
        self._received.truncate(whole)

    def close(self) -> None:
        """Leave the files for the next process."""
        self.flush()
        self._let_go()

    def complete(self) -> None:
        """The transcript is complete: remove the files, or keep them as long as they are to be kept."""
        if self.failure is None and self._spool.settings.keep_hours > 0:
            self.close()
            with contextlib.suppress(OSError):
                os.utime(self._path)  # kept from now on, not from its beginning
                self._path.rename(self._path.with_name(_KEPT + self._path.name))
        else:
            self.discard()

    def discard(self) -> None:
        """Remove the files."""
        shutil.rmtree(self._path, ignore_errors=True)  # before the lock is gone
        self._let_go()

    def _append(self, file: BinaryIO, data: bytes) -> None:
        if self.failure is not None or self._closed:
            return
        self._size += len(data)
        self._spool.used += len(data)
        limits = self._spool.settings
        if self._size > limits.session_mb << 20 or self._spool.used > limits.total_mb << 20:
            self._give_up("its limit is reached")
            return
        try:
            file.write(data)
        except OSError as error:
            self._give_up(error.strerror or str(error))
        self._written = True

    def _give_up(self, reason: str) -> None:
        self.failure = reason
        log.error("spool cannot be written", session=self.session, reason=reason)
        self.discard()

    def _let_go(self) -> None:
        self._spool.used -= self._size
        self._size, self._closed = 0, True
        for file in (self._received, self._journal):
            with contextlib.suppress(OSError):  # what is still buffered may not fit on a full disk
                file.close()

    def _lock(self) -> None:
        """Raises BlockingIOError if another process has it."""
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._journal.close()
            raise


def _allowed(spool: SessionSpool, allowed: Callable[[About], bool]) -> bool:
    try:
        return allowed(spool.about)
    except ValueError:  # damaged
        return False


def _weighed(path: Path) -> tuple[float, int, Path]:
    """When it was put away, and how much it takes."""
    try:
        return path.stat().st_mtime, sum(file.stat().st_size for file in path.iterdir()), path
    except OSError:  # somebody else removes it
        return 0.0, 0, path
