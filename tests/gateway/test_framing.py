"""Indexed frames: whatever is repeated, overlaps or is lost, each sample is taken once and at its place."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass.audio import AudioFormat, Encoding
from twopass.errors import ProtocolError
from twopass.gateway.framing import IndexedFraming, Placed

RAW = {Encoding.PCM_S16LE: 2, Encoding.PCM_F32LE: 4, Encoding.MULAW: 1, Encoding.ALAW: 1}
MONO = AudioFormat(Encoding.PCM_S16LE)


def frame(index: int, data: bytes) -> bytes:
    """Audio with its sample index in front."""
    return struct.pack(">Q", index) + data


def taken(framing: IndexedFraming, data: bytes) -> Placed:
    """Place a frame and accept it."""
    placed = framing.place(data)
    framing.count(placed)
    return placed


@st.composite
def formats(draw: st.DrawFn) -> tuple[AudioFormat, int]:
    """A format that can be indexed, and its bytes per sample of all channels."""
    encoding, channels = draw(st.sampled_from(list(RAW))), draw(st.integers(1, 2))
    return AudioFormat(encoding, channels=channels), RAW[encoding] * channels


@given(formats(), st.binary(max_size=400), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40))))
def test_each_sample_is_taken_once(fmt: tuple[AudioFormat, int], sound: bytes, spans: list[tuple[int, int]]) -> None:
    """However the audio is cut, repeated and shuffled: what was received so far is what it is, holes silent."""
    framing, width = IndexedFraming(fmt[0]), fmt[1]
    sound = sound[: len(sound) - len(sound) % width]
    received = bytearray()
    for start, count in spans:
        data = sound[start * width : (start + count) * width]
        placed = taken(framing, frame(start, data))
        if placed.after_hole is not None:
            assert start > len(received) // width
            received += sound[len(received) : start * width].ljust(start * width - len(received), b"\0")
        received += placed.data
    whole = sound.ljust(len(received), b"\0")
    assert whole[: len(received)] == received


@given(st.integers(8_000, 48_000), st.integers(0, 1 << 40), st.integers(0, 50))
def test_hole_is_told_in_samples_of_the_tape(rate: int, index: int, count: int) -> None:
    """The place behind a hole is that of the same moment at 16 kHz; where nothing is missing there is none."""
    framing = IndexedFraming(AudioFormat(Encoding.MULAW, sample_rate=rate))
    placed = taken(framing, frame(index, bytes(count)))
    assert placed == Placed(bytes(count), index + count, index * 16_000 // rate if index else None)
    assert taken(framing, frame(index + count, b"\1")).after_hole is None


def test_refused_frame_leaves_no_trace() -> None:
    """A frame that was placed but not counted, because its hole is too long, is forgotten."""
    framing = IndexedFraming(MONO)
    taken(framing, frame(0, b"abcd"))
    assert framing.place(frame(1 << 63, b"xx")).after_hole == 1 << 63
    assert Placed(b"ef", 3) == taken(framing, frame(2, b"ef"))


@pytest.mark.parametrize("data", [b"", b"\0" * 7, frame(0, b"\1"), frame(5, b"\1\2\3")])
def test_frame_that_is_no_index_and_whole_samples(data: bytes) -> None:
    """Such a frame is refused with what to send instead."""
    with pytest.raises(ProtocolError, match="Send") as caught:
        IndexedFraming(MONO).place(data)
    assert "bad_frame" == caught.value.code


@pytest.mark.parametrize("encoding", [Encoding.WEBM, Encoding.OGG, Encoding.CONTAINER])
def test_compressed_audio_has_no_index(encoding: Encoding) -> None:
    """Bytes of a recording are no samples and cannot be counted."""
    with pytest.raises(ProtocolError) as caught:
        IndexedFraming(AudioFormat(encoding))
    assert "cannot_index" == caught.value.code
