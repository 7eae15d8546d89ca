"""What a client has to send: audio, commands at their place in it, the end. All of it can be sent again. Pure."""

from __future__ import annotations

import struct
from collections import deque

from twopass.audio import Encoding
from twopass.gateway.messages import Ack, ClientAudio, ClientRequest, End, Framing, Resumed
from twopass.ring import AudioRing
from twopass.types import SAMPLE_RATE

_SAMPLE_BYTES = {Encoding.PCM_S16LE: 2, Encoding.PCM_F32LE: 4, Encoding.MULAW: 1, Encoding.ALAW: 1}
_CONTAINER_BYTES = 192_000  # a second of 48 kHz stereo without compression: few containers need more
_KEPT_SECONDS = 30
_MOST_SECONDS = 60
_INDEX = struct.Struct(">Q")
_PIECES_PER_SECOND = 5
_SMALLEST_PIECE = 8_192
"""Frames of this size cost little, and what is lost of one when the line breaks is little, too."""


class AudioMissing(Exception):
    """The server wants audio that is not kept any more, and what comes after it would make no sense without it."""


def with_indexes(audio: ClientAudio) -> ClientAudio:
    """The same, with `indexed` framing where that is possible and the caller has not chosen."""
    if audio.encoding not in _SAMPLE_BYTES or "framing" in audio.model_fields_set:
        return audio
    return audio.model_copy(update={"framing": Framing.INDEXED})


class Outgoing:
    """One session's way out, over several connections."""

    def __init__(self, audio: ClientAudio) -> None:
        self._indexed = audio.framing is Framing.INDEXED
        self._rate = audio.sample_rate
        sample = _SAMPLE_BYTES.get(audio.encoding, 0) * audio.channels
        second = (sample * audio.sample_rate) or _CONTAINER_BYTES
        self._width = sample if self._indexed else 1
        units = second // self._width
        self._ring = AudioRing(width=self._width, keep=_KEPT_SECONDS * units, limit=_MOST_SECONDS * units)
        self._piece = max(second // _PIECES_PER_SECOND, _SMALLEST_PIECE) // self._width
        self._commands: deque[tuple[int, ClientRequest]] = deque()  # with the place before which they are said
        self._sent = 0  # commands, of those
        self._cursor = 0
        self._ended = self._end_said = False

    @property
    def room(self) -> bool:
        """Whether audio may be appended: no more than a minute of it waits for the server."""
        return self._ring.room

    def append(self, data: bytes | memoryview) -> None:
        """More audio. Look at `room` first."""
        self._ring.append(data)

    def command(self, message: ClientRequest) -> None:
        """Something to say after the audio so far."""
        self._commands.append((self._ring.end, message))

    def end(self) -> None:
        """No more audio."""
        self._ended = True

    def next(self) -> str | bytes | None:
        """The next frame to send; None if there is nothing now."""
        until = self._ring.end
        if self._sent < len(self._commands):
            until, message = self._commands[self._sent]
            if until <= self._cursor:
                self._sent += 1
                return message.model_dump_json()
        if data := self._ring.read(self._cursor, min(self._piece, until - self._cursor)):
            at = self._cursor
            self._cursor += len(data) // self._width
            return _INDEX.pack(at) + data if self._indexed else data
        if self._ended and not self._end_said:
            self._end_said = True
            return End().model_dump_json()
        return None

    def acknowledge(self, ack: Ack) -> None:
        """What the server has need not be kept."""
        at = self._place(ack.samples, ack.bytes)
        self._ring.acknowledge(at, durable=ack.durable)
        # After an acknowledgement of audio beyond it a command has been heard, too.
        while self._sent and self._commands[0][0] < at:
            self._commands.popleft()
            self._sent -= 1

    def go_on(self, resumed: Resumed) -> None:
        """A new connection: send everything from where the server wants it. Raises AudioMissing."""
        wanted = self._place(resumed.next_sample, resumed.next_byte)
        self._cursor = self._ring.rewind(wanted)
        if self._cursor > wanted and not self._indexed:
            raise AudioMissing
        self._commands = deque(command for command in self._commands if command[0] >= wanted)
        self._sent = 0
        self._end_said = False

    def _place(self, samples: int, received: int) -> int:
        return samples * self._rate // SAMPLE_RATE if self._indexed else received
