"""
WebM, taken apart while it arrives: EBML elements in, codec packets out. See `audio_containers`.

Standards: https://www.rfc-editor.org/rfc/rfc8794 (EBML), https://www.rfc-editor.org/rfc/rfc9559 (Matroska).
Damage loses the audio up to the next cluster.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import accumulate, pairwise

from twopass.audio_containers import Item, Track, no_header, no_track

_EBML, _CLUSTER, _TRACKS, _TRACK_ENTRY = 0x1A45DFA3, 0x1F43B675, 0x1654AE6B, 0xAE
_SIMPLE_BLOCK, _BLOCK = 0xA3, 0xA1
_SEGMENT, _BLOCK_GROUP, _VOID = 0x18538067, 0xA0, 0xEC
_TRACK_NUMBER, _CODEC_ID, _CODEC_PRIVATE, _AUDIO = 0xD7, 0x86, 0x63A2, 0xE1
_RATE, _CHANNELS, _ENCODINGS = 0xB5, 0x9F, 0x6D80
_ENTERED = frozenset({_SEGMENT, _CLUSTER, _BLOCK_GROUP})
"""Elements whose children are read as if they stood alone. Ids are unique, so no one needs to know where these end."""
_BLOCKS = frozenset({_SIMPLE_BLOCK, _BLOCK})
_METADATA = frozenset({0x114D9B74, 0x1549A966, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367})
"""SeekHead, Info, Cues, Attachments, Chapters, Tags: stepped over."""
_LIMITS = {_EBML: 4 << 10, _TRACKS: 1 << 20, **dict.fromkeys(_METADATA | _BLOCKS, 64 << 20), _VOID: 64 << 10}
"""Bytes of an element that are believed. What claims more is damage."""
_OTHER_LIMIT = 4 << 10
_AUDIO_LIMIT = 256 << 10
"""Bytes of a block with audio: 60 ms of PCM are 23 KiB."""
_WEBM_CODECS = {"A_OPUS": "opus", "A_VORBIS": "vorbis", "A_PCM/FLOAT/IEEE": "pcm_f32le"}


class _Damaged(Exception):
    """These bytes are no WebM."""


class WebmDemuxer:
    """A WebM (or Matroska) stream; sizes may be unknown, as live recorders write them."""

    kind = "WebM"

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = 0
        self._begun = False
        self._lost = False
        self._tracks: frozenset[int] = frozenset()
        self._audio = 0  # its track number; 0: none yet

    def feed(self, data: bytes) -> Iterator[Item]:
        """Yield the track and the packets that `data` completes."""
        self._buffer += data
        while (items := self._step()) is not None:
            yield from items

    def _step(self) -> list[Item] | None:
        """Consume one element, or a part of one that is not needed. None: more bytes are needed."""
        try:
            return self._drop() if self._skip else self._find_cluster() if self._lost else self._element()
        except (_Damaged, IndexError):
            if not self._audio:  # no clusters make sense without a header
                raise no_header(self.kind) from None
            del self._buffer[:1]
            self._lost = True
            return []

    def _drop(self) -> list[Item] | None:
        count = min(self._skip, len(self._buffer))
        del self._buffer[:count]
        self._skip -= count
        return [] if count else None

    def _find_cluster(self) -> list[Item] | None:
        starts = [at for magic in (_CLUSTER, _EBML) if (at := self._buffer.find(magic.to_bytes(4, "big"))) >= 0]
        self._lost = not starts
        del self._buffer[: min(starts, default=max(0, len(self._buffer) - 3))]
        return [] if starts else None

    def _element(self) -> list[Item] | None:
        header = _element_header(self._buffer)
        if header is None:
            return None
        element, size, head = header
        if not self._begun and element != _EBML:
            raise _Damaged
        if element in _ENTERED:
            del self._buffer[:head]
            return []
        if size is None or size > _LIMITS.get(element, _OTHER_LIMIT):
            raise _Damaged
        if element in _BLOCKS and self._audio:
            if len(self._buffer) < head + min(size, 8):
                return None
            wanted = self._is_audio(_vint(self._buffer, head)[0], size)
        else:
            wanted = element in (_EBML, _TRACKS)
        if not wanted:
            self._skip = head + size
            return []
        if len(self._buffer) < head + size:
            return None
        items = self._read(element, bytes(self._buffer[head : head + size]))
        del self._buffer[: head + size]
        return items

    def _is_audio(self, number: int, size: int) -> bool:
        """Tell whether a block is wanted, before the whole of it is here."""
        if number not in self._tracks or (number == self._audio and size > _AUDIO_LIMIT):
            raise _Damaged
        return number == self._audio

    def _read(self, element: int, body: bytes) -> list[Item]:
        if element == _EBML:
            self._begun, self._audio = True, 0
            return []
        if element == _TRACKS:
            self._audio, self._tracks, track = _audio_track(body)
            return [track]
        _, length = _vint(body, 0)
        return list(unlace(body[length + 2 :]))  # after the track number: 16 bits of time


def _element_header(buffer: bytearray) -> tuple[int, int | None, int] | None:
    """Read (id, size or None if unknown, bytes of both). None: incomplete."""
    if not buffer:
        return None
    id_length = 9 - buffer[0].bit_length()
    if id_length > 4:
        raise _Damaged
    if len(buffer) <= id_length:
        return None
    size_length = 9 - buffer[id_length].bit_length()
    if len(buffer) < id_length + size_length:
        return None
    size, _ = _vint(buffer, id_length)
    unknown = size == (1 << 7 * size_length) - 1
    return int.from_bytes(buffer[:id_length], "big"), None if unknown else size, id_length + size_length


def _vint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Read the EBML number at `at`: (value, bytes)."""
    length = 9 - data[at].bit_length()
    if length > 8 or at + length > len(data):
        raise _Damaged
    return int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1), length


def _children(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (id, content) of each element in `body`."""
    rest = bytearray(body)
    while (header := _element_header(rest)) is not None:
        element, size, head = header
        end = head + (len(rest) if size is None else size)
        yield element, bytes(rest[head:end])
        del rest[:end]


def _audio_track(content: bytes) -> tuple[int, frozenset[int], Track]:
    """Choose the first audio track of a Tracks element: (its number, all tracks' numbers, the track)."""
    entries = [dict(_children(body)) for element, body in _children(content) if element == _TRACK_ENTRY]
    numbers = [int.from_bytes(entry.get(_TRACK_NUMBER, b""), "big") for entry in entries]
    names = [entry.get(_CODEC_ID, b"").rstrip(b"\0").decode("ascii", "replace") for entry in entries]
    for number, name, entry in zip(numbers, names, entries, strict=True):
        if number and name in _WEBM_CODECS and _ENCODINGS not in entry:  # an encoding: packets are encrypted or packed
            audio = dict(_children(entry.get(_AUDIO, b"")))
            channels = int.from_bytes(audio.get(_CHANNELS, b"\1"), "big")
            track = Track(_WEBM_CODECS[name], entry.get(_CODEC_PRIVATE, b""), _hertz(audio.get(_RATE, b"")), channels)
            return number, frozenset(numbers), track
    raise no_track(", ".join(names))


def _hertz(content: bytes) -> int:
    """Read a SamplingFrequency (a float of 4 or 8 bytes). Without a sensible one: 8000, the standard's default."""
    kind = {4: ">f", 8: ">d"}.get(len(content))
    value = struct.unpack(kind, content)[0] if kind else 0.0
    return int(value) if 0 < value < 1e7 else 8000


def unlace(block: bytes) -> Iterator[bytes]:
    """
    Yield the packets of a block, which begins with its flags byte.

    Several packets may share a block; then their sizes come first, all but the last one's, in one of three ways.
    """
    lacing = block[0] >> 1 & 3
    if lacing == 0:
        yield block[1:]
        return
    count, at = block[1] + 1, 2
    sizes, at = {1: _xiph_sizes, 2: _fixed_sizes, 3: _ebml_sizes}[lacing](block, at, count)
    last = len(block) - at - sum(sizes)
    if last < 0 or min(sizes, default=0) < 0:
        raise _Damaged
    for start, end in pairwise(accumulate([*sizes, last], initial=at)):
        yield block[start:end]


def _xiph_sizes(block: bytes, at: int, count: int) -> tuple[list[int], int]:
    """Read count-1 sizes, each the sum of bytes up to the first one below 255: (sizes, where the packets begin)."""
    sizes = []
    for _ in range(count - 1):
        size = 0
        while (step := block[at]) == 255:
            size, at = size + 255, at + 1
        sizes.append(size + step)
        at += 1
    return sizes, at


def _fixed_sizes(block: bytes, at: int, count: int) -> tuple[list[int], int]:
    if (len(block) - at) % count:
        raise _Damaged
    return [(len(block) - at) // count] * (count - 1), at


def _ebml_sizes(block: bytes, at: int, count: int) -> tuple[list[int], int]:
    """Read count-1 sizes: the first as a number, each next one as a signed difference."""
    sizes: list[int] = []
    for _ in range(count - 1):
        value, length = _vint(block, at)
        at += length
        sizes.append(sizes[-1] + value - ((1 << 7 * length - 1) - 1) if sizes else value)
    return sizes, at
