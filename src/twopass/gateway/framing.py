"""
Where a binary frame of audio belongs. Pure.

With `indexed` framing each frame begins with the index of its first sample, so a client that sends something twice
harms nothing, and audio that got lost on the client's side leaves a hole of the right length.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from twopass.audio import AudioFormat, Encoding
from twopass.errors import ProtocolError
from twopass.types import SAMPLE_RATE

_INDEX = struct.Struct(">Q")
_BYTES = {Encoding.PCM_S16LE: 2, Encoding.PCM_F32LE: 4, Encoding.MULAW: 1, Encoding.ALAW: 1}


@dataclass(frozen=True, slots=True)
class Placed:
    """
    Audio that is new.

    Attributes:
        end: The index after its last sample, as the client counts.
        after_hole: The tape index (16 kHz) where it belongs, if audio is missing before it; else None.
    """

    data: bytes
    end: int
    after_hole: int | None = None


class IndexedFraming:
    """Counts samples of one connection in the client's format. `place` a frame, and `count` it once it was accepted."""

    def __init__(self, fmt: AudioFormat) -> None:
        if fmt.encoding not in _BYTES:
            raise ProtocolError(
                f"{fmt.encoding} cannot be indexed: its bytes are no samples.",
                code="cannot_index",
                fix='Use framing "raw", or send PCM, mulaw or alaw.',
            )
        self._frame = _BYTES[fmt.encoding] * fmt.channels
        self._rate = fmt.sample_rate
        self._next = 0

    def place(self, frame: bytes) -> Placed:
        """Read a binary frame. Raises ProtocolError if it is not an index and whole samples."""
        if len(frame) < _INDEX.size:
            raise ProtocolError("An indexed frame has at least 8 bytes.", code="bad_frame", fix="Send the index first.")
        (index,) = _INDEX.unpack_from(frame)
        data = frame[_INDEX.size :]
        if len(data) % self._frame:
            raise ProtocolError(
                f"{len(data)} bytes are not whole samples.", code="bad_frame", fix=f"Send multiples of {self._frame}."
            )
        fresh = data[max(0, self._next - index) * self._frame :]
        hole = index * SAMPLE_RATE // self._rate if index > self._next else None
        return Placed(fresh, index + len(data) // self._frame, hole)

    def count(self, placed: Placed) -> None:
        """Take a frame as received. One that was refused is not: what comes at its place later is no duplicate."""
        self._next = max(self._next, placed.end)
