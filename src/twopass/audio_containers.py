"""
Ogg and WAV, taken apart while they arrive: bytes in, codec packets out. No codec, no I/O, no clock. (WebM has the
same shape, in `audio_webm`.)

A live recording is cut anywhere: inside a packet, a page, even a number. So a demuxer keeps what is not complete yet (a
few MiB at most, whatever is sent) and yields each packet with the byte that completes it. A demuxer that pulls, like
FFmpeg's, would have to wait for that byte in a thread of its own.

The parsers read only what audio needs and step over the rest.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from twopass.errors import AudioError

_MAX_PACKET = 4 << 20
"""Bytes of the largest packet that is kept in memory: a header with a picture in it. Larger ones are lost."""


@dataclass(frozen=True, slots=True)
class Track:
    """
    The audio track that the packets after it belong to. Comes again where a recording restarts in the stream.

    Attributes:
        codec: FFmpeg's name of the decoder.
        extradata: What the decoder must know before the first packet (for Opus with the pre-skip in it).
        sample_rate, channels: What the header says.
    """

    codec: str
    extradata: bytes
    sample_rate: int
    channels: int


Item: TypeAlias = Track | bytes
"""A track, or one packet of the track that came last."""


class Demuxer(Protocol):
    """A container format, taken apart incrementally."""

    kind: str
    """The format's name, for messages."""

    def feed(self, data: bytes) -> Iterator[Item]:
        """Yield what `data` completes. Raise `AudioError` where no more audio can come."""
        ...


def no_header(kind: str) -> AudioError:
    """Make the error for a stream that does not begin where a recording begins."""
    return AudioError(
        f"The audio is not {kind}, or it begins in the middle of a recording.",
        code="bad_audio",
        fix="Send a recording from its first byte: the recorder's first chunk has the header. Check the encoding.",
    )


def no_track(found: str) -> AudioError:
    """Make the error for a recording without audio, or with audio that cannot be decoded while it arrives."""
    return AudioError(
        f"The recording has no audio track that can be streamed (found: {found or 'none'}).",
        code="no_audio_stream",
        fix="Record Opus, Vorbis or PCM, or upload it as a file.",
    )


# Ogg: https://www.rfc-editor.org/rfc/rfc3533; Opus in it: https://www.rfc-editor.org/rfc/rfc7845

_CAPTURE = b"OggS"
_PAGE = struct.Struct("<4sBBqIIIB")
_CONTINUED, _FIRST_PAGE = 1, 2


class OggDemuxer:
    """An Ogg stream with Opus or Vorbis; other streams in it are ignored."""

    kind = "Ogg"

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._begun = False
        self._serial: int | None = None
        self._page = 0
        self._partial: bytes | None = None  # a packet that goes on on the next page; None: its beginning is lost
        self._headers: list[bytes] = []
        self._headers_due = 0
        self._foreign = ""  # how a stream begins that is not for us, for the message

    def feed(self, data: bytes) -> Iterator[Item]:
        """Yield the track and the packets that `data` completes."""
        self._buffer += data
        while (page := self._next_page()) is not None:
            yield from self._read_page(page)

    def _next_page(self) -> bytes | None:
        """Cut one whole page from the buffer, whatever lies before it. None: more bytes are needed."""
        start = self._buffer.find(_CAPTURE)
        if not self._begun and not self._buffer.startswith(_CAPTURE[: len(self._buffer)]):
            raise no_header(self.kind)
        del self._buffer[: start if start >= 0 else max(0, len(self._buffer) - 3)]
        if start < 0 or len(self._buffer) < _PAGE.size:
            return None
        self._begun = True
        body = _PAGE.size + self._buffer[_PAGE.size - 1]
        size = body + sum(self._buffer[_PAGE.size : body])
        if len(self._buffer) < size:
            return None
        page = bytes(self._buffer[:size])
        del self._buffer[:size]
        return page

    def _read_page(self, page: bytes) -> Iterator[Item]:
        _, _, flags, _, serial, number, _, segments = _PAGE.unpack_from(page)
        lacing = page[_PAGE.size : _PAGE.size + segments]
        if flags & _FIRST_PAGE:
            self._begin_stream(serial, page[_PAGE.size + segments :])
        elif self._serial is None:
            raise no_track(self._foreign) if self._foreign else no_header(self.kind)
        if serial != self._serial:
            return
        if number != self._page or not flags & _CONTINUED:
            self._partial = None if flags & _CONTINUED else b""
        self._page = number + 1
        for packet in self._packets(lacing, page, _PAGE.size + segments):
            yield from self._read_packet(packet)

    def _begin_stream(self, serial: int, head: bytes) -> None:
        """Choose this stream if it is audio, and none is chosen or the chosen one has begun (a chained recording)."""
        headers = 2 if head.startswith(b"OpusHead") else 3 if head.startswith(b"\1vorbis") else 0
        self._foreign = repr(head[:8])
        if headers and not self._headers:
            self._serial, self._page, self._headers_due = serial, 0, headers

    def _packets(self, lacing: bytes, page: bytes, at: int) -> Iterator[bytes]:
        """Yield the packets that end on this page. A segment below 255 bytes ends one."""
        start = at
        for size in lacing:
            at += size
            if size < 255:
                if self._partial is not None:
                    yield self._partial + page[start:at]
                self._partial, start = b"", at
        if self._partial is not None:
            self._partial += page[start:at]
            if len(self._partial) > _MAX_PACKET:
                self._partial = None

    def _read_packet(self, packet: bytes) -> Iterator[Item]:
        if not self._headers_due:
            yield packet
            return
        self._headers.append(packet)
        if len(self._headers) == self._headers_due:
            yield _ogg_track(self._headers)
            self._headers, self._headers_due = [], 0


def _ogg_track(headers: list[bytes]) -> Track:
    first = headers[0]
    if len(headers) == 2:
        return Track("opus", first, 48_000, first[9] if len(first) > 9 else 1)
    if len(first) < 16:
        raise no_header("Ogg Vorbis")
    lengths = b"".join(b"\xff" * (len(header) // 255) + bytes([len(header) % 255]) for header in headers[:2])
    rate = int.from_bytes(first[12:16], "little")
    return Track("vorbis", b"\2" + lengths + b"".join(headers), rate, first[11])


# WAV: RIFF chunks; the last one is the audio

_PCM = {
    (1, 8): "pcm_u8",
    (1, 16): "pcm_s16le",
    (1, 24): "pcm_s24le",
    (1, 32): "pcm_s32le",
    (3, 32): "pcm_f32le",
    (3, 64): "pcm_f64le",
    (6, 8): "pcm_alaw",
    (7, 8): "pcm_mulaw",
}
"""(format tag, bits per sample) -> codec"""
_EXTENSIBLE = 0xFFFE
_ENDLESS = range(0x7FFF_0000, 1 << 32)
"""What live recorders write as the length of audio that has no end yet. Or 0."""


class WavDemuxer:
    """A WAV stream. FFmpeg's own demuxer looks at 64 KiB first, which is 2 s of speech."""

    kind = "WAV"

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = 12  # RIFF, size, WAVE
        self._align = 0  # bytes of one sample of all channels
        self._left: int | None = None  # bytes of audio still to come; None: its chunk has not begun

    def feed(self, data: bytes) -> Iterator[Item]:
        """Yield the track, then the samples that `data` completes."""
        self._buffer += data
        while self._left is None:
            items = self._step()
            if items is None:
                return
            yield from items
        whole = min(len(self._buffer), self._left) // self._align * self._align
        if whole:
            yield bytes(self._buffer[:whole])
            self._left -= whole
        del self._buffer[: whole if self._left else len(self._buffer)]  # after the audio: tags

    def _step(self) -> list[Item] | None:
        """Consume one chunk's header, or a part of a chunk that is not needed. None: more bytes are needed."""
        if self._skip:
            count = min(self._skip, len(self._buffer))
            del self._buffer[:count]
            self._skip -= count
            return [] if count else None
        if len(self._buffer) < 8:
            return None
        name, size = struct.unpack_from("<4sI", self._buffer)
        if name == b"fmt ":
            return self._read_format(size)
        if name == b"data":
            return self._begin_audio(size)
        self._skip = 8 + size + size % 2
        return []

    def _begin_audio(self, size: int) -> list[Item]:
        if not self._align:
            raise no_header(self.kind)
        self._left = sys.maxsize if size == 0 or size in _ENDLESS else size
        del self._buffer[:8]
        return []

    def _read_format(self, size: int) -> list[Item] | None:
        if not 16 <= size <= 1024:
            raise no_header(self.kind)
        if len(self._buffer) < 8 + size:
            return None
        tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", self._buffer, 8)
        if tag == _EXTENSIBLE and size >= 26:
            (tag,) = struct.unpack_from("<H", self._buffer, 8 + 24)
        if (tag, bits) not in _PCM or not channels:
            raise no_track(f"WAV format {tag} with {bits} bits")
        self._align, self._skip = channels * bits // 8, 8 + size + size % 2
        return [Track(_PCM[tag, bits], b"", rate, channels)]
