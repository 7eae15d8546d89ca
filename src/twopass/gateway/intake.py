"""
From binary frames to the tape.

A frame is taken at once (`accept`) and decoded in pieces (`drain`): the event loop must not feel a large frame, nor the
tape a flood. What was taken stays here until it is decoded, so a socket may break at any moment, and the next one goes
on where it was. All of it is a function of the frames and marks that were taken, in their order: a journal of them is
enough to put the same audio on another tape.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias

from twopass.audio import AudioDecoder, Encoding, open_decoder
from twopass.errors import AudioError
from twopass.gateway import messages
from twopass.gateway.framing import IndexedFraming, Placed, sample_bytes
from twopass.keeping import Place
from twopass.types import SAMPLE_RATE

_RAW_PIECE = 16_000  # bytes decoded at once: two seconds of mulaw, a millisecond or two of work
_COMPRESSED_PIECE = 2_000
MARK = b""
"""Stands in a journal of frames where nothing was waited for any more (see `settle`)."""


Keep: TypeAlias = Callable[[bytes, "Place | None"], None]
"""Where what was taken is kept, with the place up to which everything was taken (see `keeping.Kept.receive`)."""


class Target(Protocol):
    """Where the audio goes."""

    def write(self, channels: tuple[bytes, ...], at: int | None = None) -> None: ...

    def room(self) -> Coroutine[Any, Any, None]: ...


class Intake:
    """
    The audio of one session, from whatever socket it comes.

    Attributes:
        channels: How many channels are transcribed each for itself.
        received: Bytes of audio taken, without indexes.
    """

    def __init__(self, start: messages.Start, keep: Keep, *, jitter_ms: int) -> None:
        self._format = start.format
        contained = self._format.encoding in (Encoding.WEBM, Encoding.OGG, Encoding.CONTAINER)
        stereo = contained or self._format.channels == 2
        self._piece = _COMPRESSED_PIECE if contained else _RAW_PIECE
        self.channels = 2 if self._format.separate_channels and stereo else 1
        indexed = start.audio.framing is messages.Framing.INDEXED
        self._framing = IndexedFraming(self._format, patience_ms=jitter_ms) if indexed else None
        self._decoder: AudioDecoder = open_decoder(self._format)
        self._keep = keep
        self._waiting: deque[Placed] = deque()
        self.received = 0

    @property
    def backlog(self) -> int:
        """Bytes that the decoder has not come to yet."""
        return self._decoder.backlog

    def next_sample(self, tape_end: int) -> int:
        """The next sample wanted (16 kHz), given where the tape ends."""
        return tape_end if self._framing is None else self._framing.next_sample

    def accept(self, frame: bytes) -> None:
        """Take a binary frame. Raises ProtocolError or TapeError; then nothing of it was taken."""
        if self._framing is None:
            placed = [Placed(frame)] if frame else []
            self.received += len(frame)
        else:
            placed = self._framing.push(frame)
            self.received += len(frame) - 8
        if frame:
            self._keep(frame, self._place())
        self._waiting.extend(placed)

    def settle(self) -> None:
        """What is missing will not come: wait for it no longer."""
        if self._framing is not None and (placed := self._framing.flush()):
            self._keep(MARK, self._place())
            self._waiting.extend(placed)

    def _place(self) -> Place | None:
        """Where what was taken ends, if what comes next makes sense without it."""
        if self._framing is not None:
            index = self._framing.whole
            return None if index is None else Place(self._framing.next_sample, index, self.received)
        index, half = divmod(self.received, sample_bytes(self._format) or self.received + 1)
        return None if half else Place(index * SAMPLE_RATE // self._format.sample_rate, index, self.received)

    def begin_at(self, place: Place) -> None:
        """Go on where an earlier process was, without what it had taken before."""
        self.received = place.received
        if self._framing is not None:
            self._framing.begin_at(place.index)

    def keep_in(self, keep: Keep) -> None:
        """Keep what is taken from now on."""
        self._keep = keep

    def replay(self, frame: bytes) -> None:
        """A frame or mark that an earlier process has kept."""
        if frame == MARK:
            self.settle()
        else:
            self.accept(frame)

    async def drain(self, target: Target) -> None:
        """
        Decode what was taken. May be cancelled at any time and called again.

        Raises AudioError if it cannot be decoded (nothing after it can, either), SessionClosed.
        """
        while self._waiting:
            placed = self._waiting.popleft()
            if len(placed.data) > self._piece:
                self._waiting.appendleft(Placed(memoryview(placed.data)[self._piece :]))
            try:
                self._decode(target, placed.after_hole, bytes(placed.data[: self._piece]))
            except AudioError:
                self._waiting.clear()
                raise
            await target.room()
            await asyncio.sleep(0)

    async def finish(self, target: Target) -> None:
        """No more frames. Raises AudioError if the audio was broken at its end; what was good is on the tape."""
        self.settle()
        await self.drain(target)
        # Beside the loop: a container's last bytes may take long to decode.
        self._write(target, await asyncio.to_thread(self._decoder.finish))
        if self._decoder.error is not None:
            raise self._decoder.error

    def close(self) -> None:
        """Let go of the decoder."""
        self._decoder.close()

    def _decode(self, target: Target, after_hole: int | None, data: bytes) -> None:
        if after_hole is not None:
            # The tape marks the hole at once, and the resampler begins anew behind it.
            self._write(target, self._decoder.finish())
            self._decoder = open_decoder(self._format)
            target.write((b"",) * self.channels, after_hole)
        self._write(target, self._decoder.feed(data))

    def _write(self, target: Target, channels: tuple[bytes, ...]) -> None:
        if any(channels):
            target.write(fitted(channels, self.channels))


def forget(data: bytes, place: Place | None) -> None:
    """For sessions that are not kept anywhere."""


def fitted(channels: tuple[bytes, ...], wanted: int) -> tuple[bytes, ...]:
    """As many channels as wanted: a recording with fewer is silent on the rest."""
    return (*channels, *(bytes(len(channels[0])) for _ in range(wanted - len(channels))))[:wanted]
