"""
The tape: all audio of one channel of a session, addressed by sample index.

16 kHz, mono, s16; sample 0 is the start of the session. Writing is by index, so that a client that replays audio
harms nothing and a client that lost audio leaves a marked hole. Readers own cursors. Old audio is released when
nobody can need it any more; reading released audio is an error, never silence.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from twopass.errors import TapeError
from twopass.types import BYTES_PER_SAMPLE, samples


@dataclass(frozen=True, slots=True)
class Hole:
    """Audio that never came and was filled with silence: samples [start, end)."""

    start: int
    end: int


class Tape:
    """
    Append-only audio with random access to what was not yet released.

    Attributes:
        holes: What the client never sent, in order, as far as it was not released.
    """

    def __init__(self, *, max_hole_ms: int = 60_000) -> None:
        self._pcm = bytearray()
        self._base = 0  # index of the first sample still held
        self._max_hole = samples(max_hole_ms)
        self._changed = asyncio.Event()
        self.holes: list[Hole] = []
        self.finished = False

    @property
    def start(self) -> int:
        """Index of the first sample that is still held."""
        return self._base

    @property
    def end(self) -> int:
        """Index after the last sample written; also the next sample wanted."""
        return self._base + len(self._pcm) // BYTES_PER_SAMPLE

    def write(self, pcm: bytes, at: int | None = None) -> None:
        """
        Write whole samples at index `at` (default: the end).

        What lies before the end is already there and is ignored; a hole before `at` is filled with silence and marked.
        Raises TapeError if the tape is finished, for an odd number of bytes, or for a hole longer than allowed: then
        nothing is written.
        """
        if self.finished:
            raise TapeError("The tape is finished.", code="tape_finished")
        if len(pcm) % BYTES_PER_SAMPLE:
            raise TapeError("Half a sample cannot be written.", code="odd_bytes")
        before = self.end
        at = before if at is None else at
        if at < 0:
            raise TapeError(f"Sample index {at} is negative.", code="bad_index")
        self._fill_hole(at)
        self._pcm += pcm[(self.end - at) * BYTES_PER_SAMPLE :]
        if self.end > before:
            self._wake()

    def begin_at(self, index: int) -> None:
        """What lies before this sample was written and released elsewhere. For an empty tape."""
        assert not self._pcm
        self._base = index

    def finish(self) -> None:
        """No more audio will come. Readers at the end stop waiting."""
        self.finished = True
        self._wake()

    def read(self, start: int, end: int) -> bytes:
        """Samples [start, end) as bytes. Raises TapeError if a part is released or not yet written."""
        if not self._base <= start <= end <= self.end:
            held = f"{self._base}..{self.end}"
            raise TapeError(f"Samples {start}..{end} are not on the tape ({held}).", code="not_on_tape")
        return bytes(self._pcm[(start - self._base) * BYTES_PER_SAMPLE : (end - self._base) * BYTES_PER_SAMPLE])

    def release(self, before: int) -> None:
        """Forget samples before this index: nobody will ask for them again."""
        gone = min(before, self.end) - self._base
        if gone > 0:
            del self._pcm[: gone * BYTES_PER_SAMPLE]
            self._base += gone
            self.holes = [hole for hole in self.holes if hole.end > self._base]

    async def wait_beyond(self, index: int) -> bool:
        """Wait until sample `index` is written (True) or the tape finishes before it (False)."""
        while self.end <= index:
            if self.finished:
                return False
            await self._changed.wait()
        return True

    def _fill_hole(self, at: int) -> None:
        missing = at - self.end
        if missing <= 0:
            return
        if missing > self._max_hole:
            limit = self._max_hole // samples(1000)
            raise TapeError(
                f"Sample index {at} is {missing // samples(1000)} s ahead of the tape.",
                code="hole_too_long",
                fix=f"Send audio within {limit} s of the last sample, or start a new session.",
            )
        self.holes.append(Hole(self.end, at))
        self._pcm += bytes(missing * BYTES_PER_SAMPLE)

    def _wake(self) -> None:
        # One event per change: everyone who waits sees it, and nobody who comes later is woken by an old one.
        self._changed.set()
        self._changed = asyncio.Event()


class Cursor:
    """One reader's place on a tape."""

    def __init__(self, tape: Tape, at: int = 0) -> None:
        self.tape = tape
        self.at = at

    @property
    def lag(self) -> int:
        """Samples written but not yet read here."""
        return self.tape.end - self.at

    def jump(self, to: int) -> Hole | None:
        """Move forward over audio that this reader gives up; returns what it skipped."""
        if to <= self.at:
            return None
        skipped = Hole(self.at, to)
        self.at = to
        return skipped

    async def next(self, most: int, *, until: int | None = None) -> bytes:
        """
        Up to `most` samples from here on, as soon as there are any; b"" at the end of the tape or at index `until`.
        """
        if until is not None and self.at >= until:
            return b""
        if not await self.tape.wait_beyond(self.at):
            return b""
        end = min(self.at + most, self.tape.end if until is None else min(until, self.tape.end))
        pcm = self.tape.read(self.at, end)
        self.at = end
        return pcm
