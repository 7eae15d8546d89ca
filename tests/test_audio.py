"""
`twopass.audio`: whatever clients send, cut wherever the network cuts it, comes out as the same tape PCM.

The media are made here. Browsers' recordings come from a small WebM writer of the same shape as MediaRecorder's output
(sizes unknown, one block per packet), so that tests can say what each byte is.
"""

from __future__ import annotations

import gc
import io
import random
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from textwrap import dedent

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.conftest import PATIENCE

from twopass.audio import AudioDecoder, AudioFormat, Encoding, decode_file, open_decoder, probe_duration
from twopass.audio_containers import WavDemuxer
from twopass.audio_ffmpeg import MAX_BACKLOG, MAX_SILENT_BYTES, Pipe
from twopass.audio_webm import WebmDemuxer, unlace
from twopass.errors import AudioError

RAW = (Encoding.PCM_S16LE, Encoding.PCM_F32LE, Encoding.MULAW, Encoding.ALAW)
WIDTH = {Encoding.PCM_S16LE: 2, Encoding.PCM_F32LE: 4, Encoding.MULAW: 1, Encoding.ALAW: 1}

few = settings(max_examples=25, deadline=None)


# Making media


def tone(seconds: float, rate: int, hertz: float = 440.0) -> NDArray[np.float32]:
    """A sine at half of full scale, shape (samples,)."""
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def s16(samples: NDArray[np.float32]) -> bytes:
    return np.rint(samples * 32767).astype("<i2").tobytes()


def frames(channels: tuple[NDArray[np.float32], ...], rate: int, sample_format: str) -> Iterator[av.AudioFrame]:
    """Cut channels into frames of 20 ms in the sample format of the encoder."""
    size, layout = rate // 50, {1: "mono", 2: "stereo"}[len(channels)]
    to_format = av.AudioResampler(format=sample_format, layout=layout, rate=rate)
    for start in range(0, len(channels[0]), size):
        planes = np.ascontiguousarray(np.stack([channel[start : start + size] for channel in channels]))
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        yield from to_format.resample(frame)


def media(
    container: str,
    codec: str,
    *channels: NDArray[np.float32],
    rate: int = 48_000,
    options: dict[str, str] | None = None,
) -> bytes:
    """Encode with FFmpeg's muxer."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options or {}) as output:
        stream = output.add_stream(codec, rate=rate, layout={1: "mono", 2: "stereo"}[len(channels)])
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.options = {"strict": "experimental"}  # for Vorbis
        for frame in frames(channels, rate, stream.codec_context.format.name):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def opus(*channels: NDArray[np.float32]) -> tuple[bytes, list[bytes]]:
    """Encode to Opus: (OpusHead, one packet per 20 ms)."""
    codec = av.CodecContext.create("libopus", "w")
    assert isinstance(codec, av.AudioCodecContext)
    codec.sample_rate, codec.format, codec.layout = 48_000, "flt", {1: "mono", 2: "stereo"}[len(channels)]
    codec.open()
    packets = [bytes(packet) for frame in frames(channels, 48_000, "flt") for packet in codec.encode(frame)]
    return codec.extradata or b"", packets


UNKNOWN_SIZE = b"\x01" + b"\xff" * 7


def element(code: int, body: bytes, size: bytes | None = None) -> bytes:
    """One EBML element, with its size in four bytes."""
    name = code.to_bytes((code.bit_length() + 7) // 8, "big")
    return name + (size or (len(body) | 0x1000_0000).to_bytes(4, "big")) + body


def webm_header(head: bytes, channels: int = 1, *, video: bool = False) -> bytes:
    audio = element(0xE1, element(0xB5, struct.pack(">f", 48_000)) + element(0x9F, bytes([channels])))
    entry = element(0xD7, b"\1") + element(0x83, b"\2") + element(0x86, b"A_OPUS") + element(0x63A2, head) + audio
    picture = element(0xD7, b"\2") + element(0x83, b"\1") + element(0x86, b"V_VP8")
    tracks = element(0x1654AE6B, element(0xAE, entry) + (element(0xAE, picture) if video else b""))
    info = element(0x1549A966, element(0x2AD7B1, b"\x0f\x42\x40"))
    return element(0x1A45DFA3, element(0x4282, b"webm")) + element(0x18538067, info + tracks, UNKNOWN_SIZE)


def cluster(blocks: bytes, at_ms: int = 0) -> bytes:
    return element(0x1F43B675, element(0xE7, at_ms.to_bytes(4, "big")) + blocks, UNKNOWN_SIZE)


def block(content: bytes, lacing: int = 0, track: int = 1) -> bytes:
    return element(0xA3, bytes([0x80 | track, 0, 0, 0x80 | lacing << 1]) + content)


def recorder(*channels: NDArray[np.float32], packets_per_chunk: int = 12) -> list[bytes]:
    """What MediaRecorder hands to `ondataavailable`: a chunk each 240 ms; the header is in the first one."""
    head, packets = opus(*channels)
    chunks = []
    for start in range(0, len(packets), packets_per_chunk):
        blocks = b"".join(block(packet) for packet in packets[start : start + packets_per_chunk])
        chunks.append(cluster(blocks, start * 20) if start % (5 * packets_per_chunk) == 0 else blocks)
    return [webm_header(head, len(channels)) + chunks[0], *chunks[1:]]


@pytest.fixture(scope="module")
def webm() -> list[bytes]:
    """Three seconds of a mono recording, in chunks."""
    return recorder(tone(3, 48_000))


@pytest.fixture(scope="module")
def ogg() -> bytes:
    """Three seconds of Ogg Opus, pages of 100 ms."""
    return media("ogg", "libopus", tone(3, 48_000), options={"page_duration": "100000"})


# Reading results


def run(decoder: AudioDecoder, chunks: Iterable[bytes]) -> list[bytes]:
    """Feed, finish, and join the output per channel."""
    parts = [decoder.feed(chunk) for chunk in chunks] + [decoder.finish()]
    width = max(len(part) for part in parts)
    return [b"".join(part[channel] for part in parts if part) for channel in range(width)]


def heard(decoder: AudioDecoder, chunks: Iterable[bytes]) -> tuple[int, AudioError | None]:
    """Feed until the end or an error: (bytes of the first channel, the error)."""
    count = 0
    try:
        for chunk in chunks:
            count += len(b"".join(decoder.feed(chunk)[:1]))
        count += len(b"".join(decoder.finish()[:1]))
    except AudioError as error:
        return count, error
    return count, decoder.error


def decoder(encoding: Encoding, rate: int = 16_000, channels: int = 1, *, separate: bool = False) -> AudioDecoder:
    return open_decoder(AudioFormat(encoding, rate, channels, separate))


def cut(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """Cut data into pieces of the given sizes, and the rest."""
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size
    yield data[at:]


def pcm(data: bytes) -> NDArray[np.float64]:
    return np.frombuffer(data, "<i2") / 32768


def pitch(data: bytes) -> float:
    """The strongest frequency of tape PCM, in hertz."""
    samples = pcm(data)
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))) * 16_000 / len(samples))


def audio_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "twopass-audio"]


def until_no_threads() -> bool:
    """Wait for decoder threads to end: they do so at their next read."""
    deadline = time.monotonic() + PATIENCE
    while audio_threads() and time.monotonic() < deadline:
        time.sleep(0.005)
    return not audio_threads()


# Raw PCM and G.711


def test_16_khz_passes_unchanged_and_at_once() -> None:
    """PCM that is tape PCM already comes out of the same call, byte for byte."""
    data = np.arange(-32768, 32768, dtype="<i2").tobytes()
    assert (data,) == decoder(Encoding.PCM_S16LE).feed(data)


def test_split_samples_are_joined_and_a_dangling_one_is_dropped() -> None:
    """Samples may be cut between calls, calls may be empty, and half a sample at the end is no error."""
    data = s16(tone(0.1, 16_000))
    assert [data] == run(decoder(Encoding.PCM_S16LE), [data[:3], b"", data[3:4], data[4:], b"\x01"])


@few
@given(
    encoding=st.sampled_from(RAW),
    rate=st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000]),
    channels=st.sampled_from([1, 2]),
    separate=st.booleans(),
    length=st.integers(0, 20_000),
    sizes=st.lists(st.integers(0, 3_000), max_size=30),
)
def test_how_raw_audio_is_cut_does_not_matter(
    encoding: Encoding, rate: int, channels: int, separate: bool, length: int, sizes: list[int]
) -> None:
    """Any way to cut the stream gives the same bytes as feeding it at once."""
    data = random.Random(length).randbytes(length)
    whole = run(decoder(encoding, rate, channels, separate=separate), [data])
    assert whole == run(decoder(encoding, rate, channels, separate=separate), cut(data, sizes))
    assert len(whole) == (channels if separate else 1)


@few
@given(rate=st.integers(8_000, 48_000), samples=st.integers(0, 5_000))
def test_the_length_is_exact(rate: int, samples: int) -> None:
    """n samples at rate r become round(n * 16000 / r) samples, for every rate."""
    (out,) = run(decoder(Encoding.PCM_S16LE, rate), cut(bytes(2 * samples), [700, 900]))
    assert abs(len(out) / 2 - samples * 16_000 / rate) <= 1


@pytest.mark.parametrize(("rate", "seconds"), [(8_000, 300), (11_025, 3_600), (44_100, 60)])
def test_there_is_no_drift(rate: int, seconds: int) -> None:
    """After minutes, and after an hour, the tone is still in phase with the clock."""
    second, pieces = s16(tone(1, rate)), random.Random(1)
    stream = decoder(Encoding.PCM_S16LE, rate)
    parts = [
        out
        for _ in range(seconds)
        for piece in cut(second, [pieces.randrange(0, 9_000, 2)])
        for out in stream.feed(piece)
    ]
    out = b"".join([*parts, *stream.finish()])
    assert len(out) == seconds * 32_000
    assert np.abs(pcm(out[-32_000:])[:-500] - tone(1, 16_000)[:-500]).max() < 1e-3


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_the_resampler_holds_back_less_than_a_tenth_of_a_second(rate: int) -> None:
    """What a rate conversion delays is small against the time in which people read."""
    stream = decoder(Encoding.PCM_S16LE, rate)
    fed = rate // 50 * 2
    out = sum(len(stream.feed(bytes(fed))[0]) for _ in range(100))
    assert out / 32_000 > 2 - 0.1


def test_nan_and_infinity_are_silence_and_loud_values_are_clipped() -> None:
    """A broken sample must not spread over its neighbours in the resampler."""
    values = struct.pack("<6f", float("nan"), float("inf"), float("-inf"), 7.0, -7.0, 0.5)
    (out,) = decoder(Encoding.PCM_F32LE).feed(values)
    assert struct.pack("<6h", 0, 0, 0, 32767, -32768, 16384) == out
    (resampled,) = run(decoder(Encoding.PCM_F32LE, 48_000), [values[:12] * 1000])
    assert not any(resampled)


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
def test_g711_tables_agree_with_ffmpeg(law: str) -> None:
    """All 256 codes, computed from the standard's formula, are what another implementation says."""
    codec = av.CodecContext.create(f"pcm_{law}", "r")
    assert isinstance(codec, av.AudioCodecContext)
    codec.sample_rate, codec.layout = 16_000, "mono"
    (frame,) = codec.decode(av.Packet(bytes(range(256))))
    assert (frame.to_ndarray().astype("<i2").tobytes(),) == decoder(Encoding(law)).feed(bytes(range(256)))


def test_stereo_is_mixed_or_kept_apart() -> None:
    """The mix is the mean of both channels; apart, each channel is one output."""
    data = struct.pack("<6h", 100, 300, -100, -300, 32767, 32767)
    assert (struct.pack("<3h", 200, -200, 32767),) == decoder(Encoding.PCM_S16LE, channels=2).feed(data)
    left, right = decoder(Encoding.PCM_S16LE, channels=2, separate=True).feed(data)
    assert (struct.pack("<3h", 100, -100, 32767), struct.pack("<3h", 300, -300, 32767)) == (left, right)


@pytest.mark.parametrize(
    ("fmt", "code"),
    [
        (AudioFormat(Encoding.PCM_S16LE, 7_999), "bad_sample_rate"),
        (AudioFormat(Encoding.MULAW, 48_001), "bad_sample_rate"),
        (AudioFormat(Encoding.PCM_S16LE, channels=3), "bad_channels"),
        (AudioFormat(Encoding.PCM_S16LE, channels=0), "bad_channels"),
        (AudioFormat("opus"), "unknown_encoding"),  # type: ignore[arg-type]
    ],
)
def test_a_format_out_of_range_is_refused(fmt: AudioFormat, code: str) -> None:
    """The error has a code for programs and a fix for people."""
    with pytest.raises(AudioError) as caught:
        open_decoder(fmt)
    assert code == caught.value.code
    assert caught.value.fix


def test_a_closed_decoder_says_so() -> None:
    """After `finish` or `close` comes no audio; closing twice is fine."""
    stream = decoder(Encoding.PCM_S16LE)
    stream.finish()
    stream.close()
    with pytest.raises(AudioError) as caught:
        stream.feed(b"")
    assert "decoder_closed" == caught.value.code


# WebM and Ogg, live


def test_webm_starts_at_the_first_sample(webm: list[bytes]) -> None:
    """The encoder's pre-skip is dropped: the tone begins at time 0, in phase."""
    (out,) = run(decoder(Encoding.WEBM), webm)
    assert 3 * 16_000 - 312 // 3 == len(out) // 2  # the recorder has no packet for the end of the signal
    assert np.abs(pcm(out)[1_000:40_000] - tone(3, 16_000)[1_000:40_000]).max() < 0.02


def test_webm_comes_out_with_the_chunk_that_brings_it(webm: list[bytes]) -> None:
    """After k chunks, the audio of at least k - 2 chunks has come out: no probing, no waiting."""
    stream, out = decoder(Encoding.WEBM), 0
    for count, chunk in enumerate(webm, 1):
        out += len(stream.feed(chunk)[0])
        assert out / 32_000 >= (count - 2) * 0.24


def test_ogg_comes_out_with_the_page_that_brings_it(ogg: bytes) -> None:
    """After each page, all but the last two pages' audio (100 ms each) has come out."""
    pages = [b"OggS" + page for page in ogg.split(b"OggS")[1:]]
    stream, out = decoder(Encoding.OGG), 0
    for count, page in enumerate(pages, -1):  # two pages of headers
        out += len(stream.feed(page)[0])
        assert out / 32_000 >= (count - 2) * 0.1


@few
@given(sizes=st.lists(st.integers(0, 2_000), max_size=40), one_by_one=st.integers(0, 600))
def test_how_a_recording_is_cut_does_not_matter(
    webm: list[bytes], ogg: bytes, sizes: list[int], one_by_one: int
) -> None:
    """Any cut, even inside a number, gives the same bytes as feeding the recording at once."""
    for encoding, data in ((Encoding.WEBM, b"".join(webm)), (Encoding.OGG, ogg)):
        data = data[:12_000]
        assert run(decoder(encoding), [data]) == run(decoder(encoding), cut(data, [1] * one_by_one + sizes))


@pytest.mark.parametrize(
    ("container", "codec", "encoding"),
    [
        ("webm", "libopus", Encoding.WEBM),
        ("ogg", "libopus", Encoding.OGG),
        ("matroska", "vorbis", Encoding.WEBM),
        ("ogg", "vorbis", Encoding.OGG),
    ],
)
def test_our_demuxers_agree_with_ffmpeg(container: str, codec: str, encoding: Encoding) -> None:
    """Live decoding gives what decoding the finished file gives, but for the padding at the end of the last packet."""
    data = media(container, codec, tone(1, 48_000), tone(1, 48_000, 1_000))
    live = run(decoder(encoding, separate=True), cut(data, [1_000] * 20))
    file = [b"".join(blocks) for blocks in zip(*decode_file(data, separate_channels=True), strict=True)]
    assert [440, 1_000] == pytest.approx([pitch(channel) for channel in live], abs=25)
    for ours, theirs in zip(live, file, strict=True):
        assert abs(len(ours) - len(theirs)) < 0.1 * 32_000
        same = min(len(ours), len(theirs)) - 4_000  # the resampler sees another end
        assert np.abs(pcm(ours[:same]) - pcm(theirs[:same])).max() < 1e-4


def test_a_restarted_recording_goes_on(webm: list[bytes], ogg: bytes) -> None:
    """A recorder that is stopped and started sends a second header; the audio goes on behind it."""
    for encoding, data in ((Encoding.WEBM, b"".join(webm)), (Encoding.OGG, ogg)):
        (once,), (twice,) = run(decoder(encoding), [data]), run(decoder(encoding), [data, data])
        assert 2 * len(once) == len(twice)


def test_damage_costs_the_audio_up_to_the_next_cluster_or_page(webm: list[bytes], ogg: bytes) -> None:
    """Lost bytes in the middle of a recording do not end it."""
    parts = list(webm)
    parts[2] = parts[2][:50] + b"\0" + parts[2][90:]
    lost, error = heard(decoder(Encoding.WEBM), parts)
    assert error is None
    assert 1.8 * 32_000 < lost < 2.6 * 32_000
    lost, error = heard(decoder(Encoding.OGG), [ogg[:6_000], b"noise", ogg[6_100:]])
    assert error is None
    assert 2.5 * 32_000 < lost < 3 * 32_000


@few
@given(end=st.integers(1, 20_000))
def test_a_truncated_recording_keeps_what_was_heard(webm: list[bytes], ogg: bytes, end: int) -> None:
    """A connection that breaks in the middle of a packet is no error once the header has come."""
    for encoding, data in ((Encoding.WEBM, b"".join(webm)), (Encoding.OGG, ogg)):
        count, error = heard(decoder(encoding), [data[:end]])
        assert count > 0 or end < 1_500
        assert error is None or (error.code == "bad_audio" and count == 0)


def test_a_recording_without_its_beginning_is_refused(webm: list[bytes], ogg: bytes) -> None:
    """The usual mistake, sending on after the header was lost, gets an error that says what to do."""
    pages = ogg[ogg.index(b"OggS", 1_000) :]
    starts = [(Encoding.WEBM, webm[1]), (Encoding.OGG, ogg[1_000:]), (Encoding.OGG, pages), (Encoding.WEBM, ogg)]
    for encoding, data in starts:
        with pytest.raises(AudioError, match="first byte") as caught:
            decoder(encoding).feed(data)
        assert "bad_audio" == caught.value.code


def test_a_recording_without_audio_is_refused() -> None:
    """A track in a codec that cannot be streamed is named in the error."""
    entry = element(0xD7, b"\1") + element(0x86, b"V_VP8")
    data = element(0x1A45DFA3, b"") + element(0x1654AE6B, element(0xAE, entry))
    with pytest.raises(AudioError, match="V_VP8") as caught:
        decoder(Encoding.WEBM).feed(data)
    assert "no_audio_stream" == caught.value.code
    with pytest.raises(AudioError, match="FLAC") as caught:
        decoder(Encoding.OGG).feed(media("ogg", "flac", tone(0.5, 48_000)))
    assert "no_audio_stream" == caught.value.code


def test_audio_before_an_error_comes_first(webm: list[bytes]) -> None:
    """The call that meets the damage returns what was good, with the resampler's rest; the next one raises."""
    stream = decoder(Encoding.WEBM)
    bad_tracks = element(0x1654AE6B, element(0xAE, element(0x86, b"A_AAC")))
    (out,) = stream.feed(b"".join(webm) + bad_tracks)
    assert len(run(decoder(Encoding.WEBM), webm)[0]) == len(out)
    assert stream.error is not None
    with pytest.raises(AudioError) as caught:
        stream.feed(b"")
    assert "no_audio_stream" == caught.value.code
    with pytest.raises(AudioError):
        stream.finish()


def laced(lacing: int, packets: list[bytes]) -> bytes:
    """Pack a block's content as Matroska's lacing 1 (Xiph), 2 (fixed) or 3 (EBML) does."""
    sizes = [len(packet) for packet in packets]
    coded = {
        1: b"".join(b"\xff" * (size // 255) + bytes([size % 255]) for size in sizes[:-1]),
        2: b"",
        3: (0x4000 | sizes[0]).to_bytes(2, "big")
        + b"".join((0x4000 | b - a + 0x1FFF).to_bytes(2, "big") for a, b in pairwise(sizes[:-1])),
    }[lacing]
    return bytes([len(packets) - 1]) + coded + b"".join(packets)


@given(
    lacing=st.sampled_from([1, 2, 3]),
    packets=st.lists(st.binary(max_size=600), min_size=2, max_size=9),
    size=st.integers(0, 600),
)
def test_laced_packets_are_taken_apart(lacing: int, packets: list[bytes], size: int) -> None:
    """Each of Matroska's three ways to put several packets into a block is undone."""
    packets = [bytes(size) for _ in packets] if lacing == 2 else packets
    assert packets == list(unlace(bytes([lacing << 1]) + laced(lacing, packets)))


def test_other_tracks_groups_and_unknown_elements_are_stepped_over() -> None:
    """Only the audio track's blocks count, alone or in a group, whatever stands between them."""
    between = element(0xEC, bytes(100)) + element(0x4DBB, b"?") + block(b"video", track=2)
    grouped = element(0xA0, element(0xA1, b"\x81\0\0\0two") + element(0x9B, b"\x14"))
    data = webm_header(b"", video=True) + cluster(block(b"one") + between + grouped)
    assert [b"one", b"two"] == list(WebmDemuxer().feed(data))[1:]


@settings(max_examples=60, deadline=None)
@given(
    encoding=st.sampled_from([Encoding.WEBM, Encoding.OGG, Encoding.CONTAINER]),
    garbage=st.binary(max_size=2_000),
    keep=st.integers(0, 4_000),
    size=st.integers(1, 700),
)
def test_garbage_is_an_audio_error_or_nothing(
    webm: list[bytes], ogg: bytes, encoding: Encoding, garbage: bytes, keep: int, size: int
) -> None:
    """After any good beginning, anything may follow: no other exception, no hang."""
    good = {Encoding.WEBM: b"".join(webm), Encoding.OGG: ogg, Encoding.CONTAINER: wav(b"", 44)}[encoding][:keep]
    data = good + garbage + good[-500:]
    stream = decoder(encoding)
    _, error = heard(stream, cut(data, [size] * (len(data) // size)))
    stream.close()
    assert error is None or error.code in {"bad_audio", "no_audio_stream", "bad_sample_rate"}


@pytest.mark.parametrize("encoding", [Encoding.WEBM, Encoding.OGG])
def test_endless_garbage_ends_soon_and_in_bounded_memory(webm: list[bytes], ogg: bytes, encoding: Encoding) -> None:
    """Behind a good header too: 100 MB of noise are refused after 8 MiB, and little is kept meanwhile."""
    noise, stream = random.Random(3).randbytes(1 << 20), decoder(encoding)
    header = webm[0] if encoding is Encoding.WEBM else ogg[:3_000]
    tracemalloc.start()
    try:
        with pytest.raises(AudioError) as caught:
            run(stream, [header, *[noise] * 100])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "bad_audio" == caught.value.code
    assert peak < MAX_SILENT_BYTES + (8 << 20)


# Containers as a stream


def wav(data: bytes, size: int | None = None, *, rate: int = 16_000, extra: bytes = b"") -> bytes:
    """A WAV file, mono s16, with chunks before the audio; `size` as a live recorder writes it."""
    fmt = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
    length = struct.pack("<I", len(data) if size is None else size)
    return b"RIFF\xff\xff\xff\xffWAVE" + extra + fmt + b"data" + length + data


@pytest.mark.parametrize("size", [None, 0, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_wav_streams_without_delay_whatever_length_it_claims(size: int | None) -> None:
    """Live WAV has no length; its first audio comes out of the call that brings it, without a thread."""
    data, threads = s16(tone(0.5, 16_000)), audio_threads()
    file = wav(data, size, extra=b"LIST" + struct.pack("<I", 3) + b"abc\0")
    stream, header = decoder(Encoding.CONTAINER), len(file) - len(data)
    assert (b"",) == stream.feed(file[:header])
    assert (data[:100],) == stream.feed(file[header : header + 101])
    assert (data[100:],) == stream.feed(file[header + 101 :])
    assert set(audio_threads()) <= set(threads)  # those of other tests may end meanwhile


def test_tags_behind_the_audio_of_a_wav_are_not_heard() -> None:
    """A WAV that says its length may go on with text, which would be a click."""
    data = s16(tone(0.1, 16_000))
    assert [data] == run(decoder(Encoding.CONTAINER), cut(wav(data) + b"LIST" + bytes(500), [7] * 500))


@given(data=st.binary(max_size=300), sizes=st.lists(st.integers(0, 50), max_size=30))
def test_the_wav_demuxer_takes_any_cut(data: bytes, sizes: list[int]) -> None:
    """The samples are the same however the file is cut."""
    demuxer = WavDemuxer()
    items = [item for piece in cut(wav(data), sizes) for item in demuxer.feed(piece)]
    assert data[: len(data) // 2 * 2] == b"".join(item for item in items if isinstance(item, bytes))


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("mp3", "libmp3lame", {}),
        ("flac", "flac", {}),
        ("adts", "aac", {}),
        ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "250000"}),
        ("webm", "libopus", {}),
    ],
)
def test_other_containers_stream_through_a_thread(container: str, codec: str, options: dict[str, str]) -> None:
    """What comes out in the end is what decoding the file gives, and the thread is gone."""
    data = media(container, codec, tone(1, 48_000), tone(1, 48_000), options=options)
    (live,) = run(decoder(Encoding.CONTAINER), cut(data, [500] * 100))
    assert b"".join(block[0] for block in decode_file(data))[: len(live) - 4_000] == live[:-4_000]
    assert 440 == round(pitch(live), -1)
    assert until_no_threads()


def test_a_streamed_mp3_is_heard_before_it_ends() -> None:
    """Less than a second of it must come in before the first audio comes out."""
    data = media("mp3", "libmp3lame", tone(5, 44_100), rate=44_100)
    stream, out, deadline = decoder(Encoding.CONTAINER), 0, time.monotonic() + PATIENCE
    for piece in cut(data[: len(data) // 6], [500] * 10):
        out += len(stream.feed(piece)[0])
    while not out and time.monotonic() < deadline:  # the thread decodes between the calls
        out += len(stream.feed(b"")[0])
    stream.close()
    assert out > 0


def test_a_process_may_exit_while_it_decodes() -> None:
    """The interpreter's end waits for the decoders' threads, even of a decoder that nobody closed."""
    program = """
        import sys
        from twopass.audio import AudioFormat, Encoding, open_decoder
        decoder = open_decoder(AudioFormat(Encoding.CONTAINER))
        decoder.feed(sys.stdin.buffer.read())
    """
    data = media("mp3", "libmp3lame", tone(5, 44_100), rate=44_100)
    ended = subprocess.run([sys.executable, "-c", dedent(program)], input=data * 20, capture_output=True)
    assert (0, b"") == (ended.returncode, ended.stderr)


def test_the_thread_ends_with_the_decoder() -> None:
    """Closed, forgotten or failed: no decoder leaves a thread behind."""
    data = media("mp3", "libmp3lame", tone(1, 48_000))
    closed, forgotten, failed = (decoder(Encoding.CONTAINER) for _ in range(3))
    closed.feed(data)
    closed.close()
    forgotten.feed(data)
    del forgotten
    gc.collect()
    with pytest.raises(AudioError) as caught:
        run(failed, [b"this is no audio" * 100])
    assert "bad_audio" == caught.value.code
    assert until_no_threads()


def test_an_mp4_with_its_index_at_the_end_cannot_be_streamed(tmp_path: Path) -> None:
    """It can be decoded as a file, and the error says what to do."""
    path = tmp_path / "a.m4a"
    path.write_bytes(media("mp4", "aac", tone(1, 48_000)))
    assert 440 == round(pitch(b"".join(block[0] for block in decode_file(path))), -1)
    count, error = heard(decoder(Encoding.CONTAINER), [path.read_bytes()])
    assert 0 == count
    assert error is not None
    assert "index in front" in error.fix


def test_a_sender_faster_than_the_decoder_is_told() -> None:
    """What waits for the decoder's thread is bounded; here the thread never comes."""
    pipe = Pipe()
    pipe.write(bytes(MAX_BACKLOG))
    with pytest.raises(AudioError) as caught:
        pipe.write(b"x")
    assert "audio_too_fast" == caught.value.code


def test_more_than_an_hour_in_one_message_is_refused() -> None:
    """Some codecs make hours of silence from a few bytes; one call makes an hour at most."""
    quiet = wav(bytes(2 * 4_000 * 3_700), rate=4_000)
    count, error = heard(decoder(Encoding.CONTAINER), [quiet])
    assert 3_600 * 32_000 <= count < 3_610 * 32_000
    assert error is not None
    assert "audio_too_fast" == error.code


# Files


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("wav", "pcm_u8"),
        ("wav", "pcm_s16le"),
        ("wav", "pcm_s24le"),
        ("wav", "pcm_s32le"),
        ("wav", "pcm_f32le"),
        ("wav", "pcm_alaw"),
        ("mp3", "libmp3lame"),
        ("mp4", "aac"),
        ("flac", "flac"),
        ("matroska", "aac"),
        ("webm", "libopus"),
    ],
)
def test_files_are_decoded_in_blocks_of_a_second(container: str, codec: str) -> None:
    """Any container gives its channels, its tones and its length, a second at a time."""
    data = media(container, codec, tone(2.5, 44_100), tone(2.5, 44_100, 1_000), rate=48_000)
    blocks = list(decode_file(data, separate_channels=True))
    channels = [b"".join(channel) for channel in zip(*blocks, strict=True)]
    expected = 48_000 / 44_100  # the same samples, played faster
    assert [round(440 * expected, -1), round(1_000 * expected, -1)] == [round(pitch(one), -1) for one in channels]
    assert 2.5 / expected == pytest.approx(len(channels[0]) / 32_000, abs=0.06)
    assert all(32_000 <= len(block[0]) < 40_000 for block in islice(blocks, len(blocks) - 1))


def test_a_file_is_mixed_unless_the_channels_are_wanted(tmp_path: Path) -> None:
    """Opposite channels cancel out in the mix."""
    path = tmp_path / "a.wav"
    path.write_bytes(media("wav", "pcm_s16le", tone(0.5, 16_000), -tone(0.5, 16_000), rate=16_000))
    ((mixed,),) = decode_file(str(path))
    assert np.abs(pcm(mixed)).max() < 1e-4
    ((left, right),) = decode_file(path, separate_channels=True)
    assert np.abs(pcm(left) + pcm(right)).max() < 1e-4


def test_a_video_gives_its_audio_and_a_silent_one_an_error() -> None:
    """The audio track is found beside a picture; without one the error says so."""
    picture = io.BytesIO()
    with av.open(picture, "w", format="matroska") as output:
        stream = output.add_stream("mpeg4", rate=10, width=32, height=32)
        assert isinstance(stream, av.VideoStream)
        for _ in range(3):
            output.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        output.mux(stream.encode(None))
    with pytest.raises(AudioError) as caught:
        list(decode_file(picture.getvalue()))
    assert "no_audio_stream" == caught.value.code


def fail_decode(source: str | Path | bytes) -> None:
    list(decode_file(source))


@pytest.mark.parametrize("use", [fail_decode, probe_duration])
@pytest.mark.parametrize("data", [b"RIFF", b"not audio at all " * 1_000, bytes(5_000)])
def test_an_invalid_file_is_an_audio_error(use: Callable[[bytes], object], data: bytes) -> None:
    """Whatever FFmpeg says about a file, callers see one kind of error, with a fix."""
    with pytest.raises(AudioError) as caught:
        use(data)
    assert "bad_audio" == caught.value.code
    assert caught.value.fix


def test_an_empty_or_missing_file_is_an_audio_error(tmp_path: Path) -> None:
    """An empty upload is bad audio; a path that is not there is unreadable."""
    empty = tmp_path / "empty.wav"
    empty.touch()
    for path, code in ((empty, "bad_audio"), (tmp_path / "none.wav", "unreadable_file"), (tmp_path, "unreadable_file")):
        with pytest.raises(AudioError) as caught:
            list(decode_file(path))
        assert code == caught.value.code


def test_a_damaged_file_gives_what_is_good_of_it() -> None:
    """Bad packets in the middle are left out."""
    data = bytearray(media("mp3", "libmp3lame", tone(2, 48_000)))
    data[len(data) // 2 : len(data) // 2 + 2_000] = random.Random(5).randbytes(2_000)
    assert sum(len(block[0]) for block in decode_file(bytes(data))) > 1.5 * 32_000


def test_an_absurd_sample_rate_is_refused() -> None:
    """A header that claims 1 Hz would make 16000 samples of each one."""
    with pytest.raises(AudioError) as caught:
        list(decode_file(wav(bytes(100), rate=1)))
    assert "bad_sample_rate" == caught.value.code


def test_a_playlist_cannot_make_the_server_open_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg opens nothing but the bytes it is given, though its concat format would read a file by name."""
    (tmp_path / "secret.wav").write_bytes(wav(s16(tone(1, 16_000))))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AudioError) as caught:
        list(decode_file(b"ffconcat version 1.0\nfile secret.wav\n"))
    assert "bad_audio" == caught.value.code


def test_the_duration_is_known_if_the_file_says_it(tmp_path: Path) -> None:
    """A WAV has its length in the header; a browser's live recording has none."""
    path = tmp_path / "a.wav"
    path.write_bytes(media("wav", "pcm_s16le", tone(1.5, 16_000), rate=16_000))
    assert 1.5 == probe_duration(path)
    assert probe_duration(b"".join(recorder(tone(0.5, 48_000)))) is None
