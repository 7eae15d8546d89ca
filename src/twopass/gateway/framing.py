"""
Where a binary frame of audio belongs. Pure.

With `indexed` framing each frame begins with the index of its first sample. So a client may send something twice,
frames may come in the wrong order, and audio that got lost on the client's side leaves a hole of the right length.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from twopass.audio import AudioFormat, Encoding
from twopass.errors import ProtocolError, TapeError
from twopass.types import SAMPLE_RATE

_INDEX = struct.Struct(">Q")
_BYTES = {Encoding.PCM_S16LE: 2, Encoding.PCM_F32LE: 4, Encoding.MULAW: 1, Encoding.ALAW: 1}
_LONGEST_HOLE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Placed:
    """
    Audio that is new, and whose turn it is.

    Attributes:
        after_hole: The tape index (16 kHz) where it belongs, if audio is missing before it; else None.
    """

    data: bytes | memoryview
    after_hole: int | None = None


class IndexedFraming:
    """
    Puts frames into order, in the client's count of samples.

    What comes too early waits for what is missing before it: as long as no more than `patience_ms` of audio lie
    beyond the hole. Then the hole is taken for lost.
    """

    def __init__(self, fmt: AudioFormat, *, patience_ms: int = 300) -> None:
        if fmt.encoding not in _BYTES:
            raise ProtocolError(
                f"{fmt.encoding} cannot be indexed: its bytes are no samples.",
                code="cannot_index",
                fix='Use framing "raw", or send PCM, mulaw or alaw.',
            )
        self._width = sample_bytes(fmt)
        self._rate = fmt.sample_rate
        self._patience = patience_ms * fmt.sample_rate // 1000
        self._next = 0
        self._early: dict[int, bytes] = {}

    @property
    def whole(self) -> int | None:
        """The client's index of the next sample wanted, if nothing is held back that lies beyond it."""
        return None if self._early else self._next

    def begin_at(self, index: int) -> None:
        """Want this sample next: what lies before it was taken by somebody else."""
        self._next = index

    @property
    def next_sample(self) -> int:
        """The tape index (16 kHz) of the next sample wanted."""
        return self._next * SAMPLE_RATE // self._rate

    def push(self, frame: bytes) -> list[Placed]:
        """
        Take a binary frame; returns all audio whose turn it is.

        Raises ProtocolError if it is not an index and whole samples, TapeError if it lies too far ahead. Then it is
        forgotten: what comes later at its place is no duplicate.
        """
        index, data = self._read(frame)
        if index > self._next:
            if len(data) > len(self._early.get(index, b"")):
                self._early[index] = data
            newest = max(at + len(held) // self._width for at, held in self._early.items())
            return self._hurry() if newest - self._next > self._patience else []
        return [*self._take(index, data), *self._follow()]

    def flush(self) -> list[Placed]:
        """Wait for nothing any more: returns all that was held back, with its holes."""
        placed = []
        while self._early:
            placed += self._hurry()
        return placed

    def _hurry(self) -> list[Placed]:
        """Take the first hole for lost."""
        if not self._early:
            return []
        index = min(self._early)
        data = self._early.pop(index)
        self._next = index + len(data) // self._width
        return [Placed(data, index * SAMPLE_RATE // self._rate), *self._follow()]

    def _follow(self) -> list[Placed]:
        """What was held back and goes on without a hole."""
        placed = []
        while self._early and (index := min(self._early)) <= self._next:
            placed += self._take(index, self._early.pop(index))
        return placed

    def _take(self, index: int, data: bytes) -> list[Placed]:
        fresh = data[(self._next - index) * self._width :]
        self._next += len(fresh) // self._width
        return [Placed(fresh)] if fresh else []

    def _read(self, frame: bytes) -> tuple[int, bytes]:
        if len(frame) < _INDEX.size:
            raise ProtocolError("An indexed frame has at least 8 bytes.", code="bad_frame", fix="Send the index first.")
        (index,) = _INDEX.unpack_from(frame)
        data = frame[_INDEX.size :]
        if len(data) % self._width:
            raise ProtocolError(
                f"{len(data)} bytes are not whole samples.", code="bad_frame", fix=f"Send multiples of {self._width}."
            )
        if index - self._next > _LONGEST_HOLE_SECONDS * self._rate:
            raise TapeError(
                f"Sample index {index} is {(index - self._next) // self._rate} s ahead of the last one.",
                code="hole_too_long",
                fix=f"Send audio within {_LONGEST_HOLE_SECONDS} s of the last sample, or start a new session.",
            )
        return index, data


def sample_bytes(fmt: AudioFormat) -> int:
    """Bytes of one sample of all channels; 0 where bytes are no samples."""
    return _BYTES.get(fmt.encoding, 0) * fmt.channels
