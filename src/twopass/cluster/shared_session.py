"""
One session's share of a shared spool: what is to be written, until Redis has it. No I/O.

Written is what `flush` was called for; `change` says what that is, and `answered` takes what Redis says to it. What
has no answer is part of the next change again: it belongs where it belonged.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import structlog

from twopass import journal
from twopass.cluster.state_scripts import LEAVE, REMOVE, Answer
from twopass.journal import Record, nothing
from twopass.keeping import About, Place

log = structlog.get_logger()

_FORGOTTEN_MS = 86_400_000
"""What no server has written to for so long is forgotten by Redis."""


class Writer(Protocol):
    """
    Who brings changes to Redis.

    Attributes:
        away: Redis does not answer, or not soon.
        patience: Seconds that nobody should wait longer for an answer.
    """

    patience: float

    @property
    def away(self) -> bool: ...

    def write(self, session: SharedSession) -> None:
        """There is something to write."""

    def grown(self, by: int, size: int) -> bool:
        """A session has grown by so many bytes to this size. Whether that may be."""


@dataclass(frozen=True, slots=True)
class Change:
    """
    What Redis does not have yet; see `state_scripts.WRITE`.

    Attributes:
        generation: It holds everything up to the flush of that number.
        farewell: The script to run afterwards.
        trims: Frames before `drop` are still there that nobody needs.
    """

    generation: int
    about: str
    at: int
    journal: bytes
    drop: int
    trims: bool
    begins: str
    first: int
    frames: Sequence[bytes]
    farewell: str | None

    @property
    def empty(self) -> bool:
        """Whether Redis has it all."""
        return not (self.about or self.journal or self.trims or self.frames)

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.journal) + sum(map(len, self.frames))

    def arguments(self, owner: str) -> Sequence[str | bytes | int]:
        """As the script takes them."""
        where = (self.at, self.journal, self.drop, self.begins, self.first, _FORGOTTEN_MS)
        return (owner, self.about, *where, *self.frames)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What another process left."""

    journal: bytes = b""
    first: int = 0
    frames: Sequence[bytes] = ()
    begins: Place | None = None

    @classmethod
    def of(cls, first: bytes, begins: bytes, journal: bytes, frames: Sequence[bytes]) -> Loaded:
        """As `state_scripts.TAKE` gives it."""
        return cls(journal, int(first), frames, Place(**json.loads(begins)) if begins else None)


class SharedSession:
    """See `keeping.Kept`."""

    def __init__(self, writer: Writer, session: str, about: About, loaded: Loaded | None = None) -> None:
        self.session = session
        self.about = about
        self.failure: str | None = None
        self._farewell: str | None = None
        self._writer = writer
        self._new = loaded is None
        self._loaded = loaded = loaded or Loaded()
        self._begins = loaded.begins
        self._journal, self._at = bytearray(), len(loaded.journal)
        self._frames: deque[bytes] = deque()
        self._from = self._number = loaded.first + len(loaded.frames)
        self._first = loaded.first
        self._sizes = deque(map(len, loaded.frames))
        self._cuts: deque[tuple[int, Place]] = deque()
        self._size = self._at + sum(self._sizes)
        self._unflushed = self._new
        self._trimmed = self._taken = False
        self._flushed = self._safe = 0
        self._thens: deque[tuple[int, Callable[[], None]]] = deque()
        self._changed = asyncio.Event()
        writer.grown(self._size, self._size)

    # -- what was there ---------------------------------------------------------------------------------------------

    @property
    def begins(self) -> Place | None:
        return self._begins

    def records(self) -> Iterator[Record]:
        """What happened. Raises ValueError if it is damaged."""
        whole = 0
        for record, after in journal.decode(self._loaded.journal):
            whole = after
            yield record
        if whole < len(self._loaded.journal):
            raise ValueError(f"the journal is damaged at {whole}")

    def frames(self) -> Iterator[bytes]:
        yield from self._loaded.frames
        self._loaded = Loaded()

    # -- what comes -------------------------------------------------------------------------------------------------

    def write(self, record: Record) -> None:
        line = journal.encode(record)
        if self._grow(len(line)):
            self._journal += line

    def receive(self, data: bytes, place: Place | None = None) -> None:
        if not self._grow(len(data)):
            return
        self._frames.append(data)
        self._sizes.append(len(data))
        self._number += 1
        if place is not None:
            self._cuts.append((self._number, place))

    def release(self, before: int) -> None:
        cut = None
        while self._cuts and self._cuts[0][1].sample <= before:
            cut = self._cuts.popleft()
        if cut is None or self._over:
            return
        number, self._begins = cut
        self._shrink(number)
        self._unflushed = self._trimmed = True

    def flush(self, then: Callable[[], None] = nothing) -> bool:
        if self._over:
            if not self._taken:  # else the numbers of what was used are the other's
                then()
            return False
        if self._unflushed:
            self._unflushed = False
            self._flushed += 1
            self._writer.write(self)
        if self._safe >= self._flushed:
            then()
        else:
            self._thens.append((self._flushed, then))
        return not self._writer.away

    async def settled(self) -> bool:
        wanted = self._flushed
        try:
            async with asyncio.timeout(self._writer.patience):
                while self._safe < wanted and not self._over:
                    if self._writer.away:
                        return False
                    await self._changed.wait()
        except TimeoutError:
            return False
        return self.failure is None

    def close(self) -> None:
        self._end(LEAVE)

    def complete(self) -> None:
        self._end(REMOVE)

    def discard(self) -> None:
        self._end(REMOVE)

    # -- to and from Redis ------------------------------------------------------------------------------------------

    def change(self) -> Change:
        """What Redis does not have yet; nothing of a session that cannot be kept any more."""
        if self.failure is not None:
            return Change(
                self._flushed, "", 0, b"", 0, trims=False, begins="", first=0, frames=(), farewell=self._farewell
            )
        return Change(
            generation=self._flushed,
            about=json.dumps(self.about) if self._new else "",
            at=self._at,
            journal=bytes(self._journal),
            drop=self._first,
            trims=self._trimmed,
            begins=json.dumps(asdict(self._begins)) if self._begins else "",
            first=self._from,
            frames=tuple(self._frames),
            farewell=self._farewell,
        )

    def answered(self, change: Change, answer: Answer) -> None:
        """Redis has taken a change, or says why not."""
        if self.failure is not None:
            log.debug("an answer came too late", session=self.session)
        elif answer is Answer.KEPT:
            self._new = False
            self._trimmed = self._trimmed and change.drop < self._first
            del self._journal[: len(change.journal)]
            self._at += len(change.journal)
            self._forget_frames(change.first + len(change.frames))
            self._safe = max(self._safe, change.generation)
        elif answer is Answer.TAKEN:
            self._taken = True
            self._fail("another server goes on with it")
            self._thens.clear()
        else:
            self._fail("what was kept of it is lost")
            self._leave(REMOVE)  # the rest is of no use to anybody
        self._told()

    def given_up(self) -> None:
        """There is no more time to write anything."""
        self._fail("Redis was away when its server ended")
        self._told()

    @property
    def _over(self) -> bool:
        return self.failure is not None or self._farewell is not None

    def _grow(self, by: int) -> bool:
        if self._over:
            return False
        self._size += by
        if not self._writer.grown(by, self._size):
            self._fail("its limit is reached")
            self._leave(REMOVE)
            self._told()
            return False
        self._unflushed = True
        return True

    def _shrink(self, first: int) -> None:
        """Frames before this one are not needed."""
        before = self._size
        while self._first < first:
            self._size -= self._sizes.popleft()
            self._first += 1
        self._writer.grown(self._size - before, self._size)
        self._forget_frames(first)

    def _forget_frames(self, before: int) -> None:
        while self._from < before:
            self._frames.popleft()
            self._from += 1

    def _end(self, farewell: str) -> None:
        if not self._over:
            self.flush()
            self._leave(farewell)
        self._give_room()

    def _leave(self, farewell: str) -> None:
        self._farewell = farewell
        self._writer.write(self)

    def _fail(self, reason: str) -> None:
        if self.failure is None:
            self.failure = reason
            log.error("a session cannot be kept", session=self.session, reason=reason)
            self._journal.clear()
            self._frames.clear()
            self._cuts.clear()
            self._give_room()

    def _give_room(self) -> None:
        self._writer.grown(-self._size, 0)
        self._size = 0

    def _told(self) -> None:
        while self._thens and (self._thens[0][0] <= self._safe or self.failure is not None):
            self._thens.popleft()[1]()
        self._changed.set()
        self._changed = asyncio.Event()
