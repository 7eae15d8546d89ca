"""Indexed frames: whatever is repeated, overlaps or is lost, each sample is taken once and at its place."""

from __future__ import annotations

import struct
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass.audio import AudioFormat, Encoding
from twopass.errors import ProtocolError, TapeError
from twopass.gateway.framing import IndexedFraming, Placed

RAW = {Encoding.PCM_S16LE: 2, Encoding.PCM_F32LE: 4, Encoding.MULAW: 1, Encoding.ALAW: 1}
MONO = AudioFormat(Encoding.PCM_S16LE)


def frame(index: int, data: bytes) -> bytes:
    """Audio with its sample index in front."""
    return struct.pack(">Q", index) + data


def laid(framing: IndexedFraming, frames: list[bytes], width: int) -> bytes:
    """The tape that comes of these frames, at 16 kHz and with holes silent."""
    tape = bytearray()
    for placed in [*chain.from_iterable(framing.push(each) for each in frames), *framing.flush()]:
        if placed.after_hole is not None:
            assert placed.after_hole > len(tape) // width
            tape = tape.ljust(placed.after_hole * width, b"\0")
        tape += placed.data
    return bytes(tape)


@st.composite
def formats(draw: st.DrawFn) -> tuple[AudioFormat, int]:
    """A format that can be indexed, and its bytes per sample of all channels."""
    encoding, channels = draw(st.sampled_from(list(RAW))), draw(st.integers(1, 2))
    return AudioFormat(encoding, channels=channels), RAW[encoding] * channels


@given(formats(), st.binary(max_size=400), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40))))
def test_each_sample_is_taken_once(fmt: tuple[AudioFormat, int], sound: bytes, spans: list[tuple[int, int]]) -> None:
    """However the audio is cut, repeated and shuffled: it lies in its place, once, and what never came is silent."""
    width = fmt[1]
    sound = sound[: len(sound) - len(sound) % width]
    cut = [(start, sound[start * width : (start + count) * width]) for start, count in spans]
    came = bytearray(max((start * width + len(data) for start, data in cut if data), default=0))
    for start, data in cut:
        came[start * width : start * width + len(data)] = data
    assert bytes(came) == laid(IndexedFraming(fmt[0]), [frame(start, data) for start, data in cut if data], width)


@given(st.permutations(range(12)), st.integers(1, 40))
def test_late_frames_are_waited_for(order: list[int], size: int) -> None:
    """Frames in any order within the patience leave no hole."""
    sound = bytes(range(1, 12 * size + 1)) if 12 * size < 256 else bytes([7]) * 12 * size
    framing = IndexedFraming(AudioFormat(Encoding.MULAW, sample_rate=16_000), patience_ms=12 * size)
    placed = [p for i in order for p in framing.push(frame(i * size, sound[i * size : (i + 1) * size]))]
    assert sound == b"".join(bytes(p.data) for p in placed)
    assert all(p.after_hole is None for p in placed)


@given(st.integers(8_000, 48_000), st.integers(0, 400_000), st.integers(1, 50))
def test_hole_is_told_in_samples_of_the_tape(rate: int, index: int, count: int) -> None:
    """The place behind a hole is that of the same moment at 16 kHz; where nothing is missing there is none."""
    framing = IndexedFraming(AudioFormat(Encoding.MULAW, sample_rate=rate), patience_ms=0)
    placed = framing.push(frame(index, bytes(count)))
    assert placed == [Placed(bytes(count), index * 16_000 // rate if index else None)]
    assert framing.push(frame(index + count, b"\1")) == [Placed(b"\1")]
    assert (index + count + 1) * 16_000 // rate == framing.next_sample


def test_patience_ends() -> None:
    """What is missing is waited for until so much audio has come after it, and not longer."""
    framing = IndexedFraming(MONO, patience_ms=10)
    assert [] == framing.push(frame(100, bytes(2 * 60)))
    assert [Placed(bytes(2 * 60), 100), Placed(bytes(2 * 40))] == framing.push(frame(160, bytes(2 * 40)))
    assert [] == framing.push(frame(0, bytes(200))), "too late: its place is taken"


def test_refused_frame_leaves_no_trace() -> None:
    """A frame that lies absurdly far ahead is refused, and what comes later at its place is no duplicate."""
    framing = IndexedFraming(MONO)
    framing.push(frame(0, b"abcd"))
    with pytest.raises(TapeError) as caught:
        framing.push(frame(1 << 63, b"xx"))
    assert "hole_too_long" == caught.value.code
    assert [Placed(b"ef")] == framing.push(frame(2, b"ef"))


@pytest.mark.parametrize("data", [b"", b"\0" * 7, frame(0, b"\1"), frame(5, b"\1\2\3")])
def test_frame_that_is_no_index_and_whole_samples(data: bytes) -> None:
    """Such a frame is refused with what to send instead."""
    with pytest.raises(ProtocolError, match="Send") as caught:
        IndexedFraming(MONO).push(data)
    assert "bad_frame" == caught.value.code


@pytest.mark.parametrize("encoding", [Encoding.WEBM, Encoding.OGG, Encoding.CONTAINER])
def test_compressed_audio_has_no_index(encoding: Encoding) -> None:
    """Bytes of a recording are no samples and cannot be counted."""
    with pytest.raises(ProtocolError) as caught:
        IndexedFraming(AudioFormat(encoding))
    assert "cannot_index" == caught.value.code
