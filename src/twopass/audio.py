"""
What clients send becomes what the tape takes: 16 kHz, signed 16 bit little endian, one byte stream per channel.

    bytes ─> source ─> samples at the sender's rate ─> tape writer (mix, resample, count) ─> bytes

A source is one way to read an encoding:

* raw PCM and G.711: NumPy, at once;
* WebM, Ogg and WAV, live: our own demuxers (`audio_webm`, `audio_containers`) and FFmpeg's decoder, packet by packet. A
  packet is heard in the same `feed` that completes it, and no thread is needed;
* any other container: FFmpeg's demuxer. It pulls and blocks, so it runs in a thread of its own behind a bounded pipe.

Resampling is soxr's HQ: its pass band and its noise (below -100 dB) are out of a recognizer's hearing, it costs
0.3 ms per second of audio, and MQ would not be faster. It holds back 37 ms at 48 kHz and 30 ms at 8 kHz. At 16 kHz
there is no resampler and no delay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from twopass.audio_containers import Demuxer, OggDemuxer
from twopass.audio_ffmpeg import (
    ContainerSource,
    Frames,
    PacketSource,
    Samples,
    decode_container,
    open_file,
    read_duration,
)
from twopass.audio_webm import WebmDemuxer
from twopass.errors import AudioError
from twopass.types import SAMPLE_RATE

MAX_CALL_SECONDS = 3600
"""Audio that one call may bring forth. Some codecs make an hour of silence from a few kilobytes."""
_PIECE = 1 << 16
_RATES = range(8_000, 48_001)
_FILE_RATES = range(4_000, 768_001)


class Encoding(StrEnum):
    """How a client's audio is encoded."""

    PCM_S16LE = "pcm_s16le"
    PCM_F32LE = "pcm_f32le"
    MULAW = "mulaw"
    ALAW = "alaw"
    WEBM = "webm"
    """WebM with Opus, Vorbis or PCM, as a browser's MediaRecorder streams it."""
    OGG = "ogg"
    """Ogg with Opus or Vorbis."""
    CONTAINER = "container"
    """Any file FFmpeg knows: wav, mp3, m4a, flac, mkv... To be streamed, an mp4 must have its index in front."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """
    What a client says it sends.

    Attributes:
        sample_rate: Hertz, 8000 to 48000. Ignored for webm, ogg and container: they say it themselves.
        channels: 1 or 2, interleaved. Ignored likewise.
        separate_channels: One output per channel; otherwise all channels are mixed (their mean).
    """

    encoding: Encoding
    sample_rate: int = SAMPLE_RATE
    channels: int = 1
    separate_channels: bool = False


class _Source(Protocol):
    """One way to read an encoding. May raise `AudioError` after it has yielded what was good."""

    def feed(self, data: bytes) -> Iterator[Frames]: ...
    def finish(self) -> Iterator[Frames]: ...
    def close(self) -> None: ...


class AudioDecoder:
    """
    The decoder of one connection. Safe to call from an event loop, except `finish` for `Encoding.CONTAINER`: it waits
    for the decoding of what was sent last, so call it in a thread.

    An error is raised by the first call that has no audio to return, and by each call after it: what was decoded
    before the damage is returned first.

    Attributes:
        error: What ended the audio early, if anything. Look at it after `finish`, which cannot both return and raise.
    """

    def __init__(self, source: _Source, writer: _TapeWriter) -> None:
        self._source = source
        self._writer = writer
        self._closed = False
        self.error: AudioError | None = None

    @property
    def backlog(self) -> int:
        """Bytes that were fed and are not decoded yet: whoever feeds faster than real time should let it shrink."""
        return self._source.backlog if isinstance(self._source, ContainerSource) else 0

    def feed(self, data: bytes) -> tuple[bytes, ...]:
        """
        Decode the next bytes, cut anywhere.

        Returns:
            Tape PCM, one item per output channel, perhaps empty. No items at all until a container has said how
            many channels it has.
        """
        pieces = (data[at : at + _PIECE] for at in range(0, len(data) or 1, _PIECE))
        return self._run(frames for piece in pieces for frames in self._source.feed(piece))

    def finish(self) -> tuple[bytes, ...]:
        """Say that nothing follows, and return what decoder and resampler still hold. An incomplete sample is lost."""
        output = self._run(self._source.finish(), last=True)
        self.close()
        return output

    def close(self) -> None:
        """Give everything back, at any time, more than once. What was not returned yet is lost."""
        self._closed = True
        self._source.close()

    def _run(self, decoded: Iterator[Frames], *, last: bool = False) -> tuple[bytes, ...]:
        if self.error is not None:
            raise self.error
        if self._closed:
            raise AudioError("The decoder is closed.", code="decoder_closed", fix="Open a new one.")
        try:
            for frames in decoded:
                self._writer.write(frames)
        except AudioError as error:
            self.error, last = error, True
            self.close()
        if last:
            self._writer.flush()
        output = self._writer.take()
        if self.error is not None and not any(output):
            raise self.error
        return output


def open_decoder(fmt: AudioFormat) -> AudioDecoder:
    """Make the decoder for a connection. Raise `AudioError` if the format is out of range."""
    writer = _TapeWriter(separate=fmt.separate_channels)
    if fmt.encoding not in tuple(Encoding):
        known = ", ".join(Encoding)
        raise AudioError(f"Unknown encoding {fmt.encoding!r}.", code="unknown_encoding", fix=f"Use one of: {known}.")
    if fmt.encoding == Encoding.CONTAINER:
        return AudioDecoder(ContainerSource(), writer)
    if fmt.encoding in _DEMUXERS:
        return AudioDecoder(PacketSource(_DEMUXERS[fmt.encoding]()), writer)
    _check(fmt.sample_rate, _RATES, "bad_sample_rate", "sample rate")
    _check(fmt.channels, range(1, 3), "bad_channels", "number of channels")
    writer.channels = fmt.channels if fmt.separate_channels else 1
    return AudioDecoder(_RawSource(fmt), writer)


def decode_file(source: str | Path | bytes, *, separate_channels: bool = False) -> Iterator[tuple[bytes, ...]]:
    """
    Yield the audio of a file in blocks of about one second, tape PCM per output channel, in bounded memory.

    Raises:
        AudioError: at once or after the good part; `code` is `bad_audio`, `no_audio_stream`, `bad_sample_rate` or
            `unreadable_file`.
    """
    writer = _TapeWriter(separate=separate_channels)
    with open_file(source) as file:
        for frames in decode_container(file):
            writer.write(frames)
            if writer.pending >= SAMPLE_RATE:
                yield writer.take()
    writer.flush()
    if writer.pending:
        yield writer.take()


def probe_duration(path: str | Path | bytes) -> float | None:
    """Read the length of a file in seconds; None if it does not say. Raises like `decode_file`."""
    with open_file(path) as file:
        return read_duration(file)


# From samples to the tape


class _TapeWriter:
    """
    Mixes, resamples and counts: n samples at rate r become exactly round(n * 16000 / r) on the tape.

    Attributes:
        channels: Output channels; 0 until the first frames say it.
        pending: Samples per channel waiting to be taken.
    """

    def __init__(self, *, separate: bool) -> None:
        self.channels = 0 if separate else 1
        self.pending = 0
        self._parts: list[NDArray[np.int16]] = []
        self._rate = SAMPLE_RATE
        self._resampler: Any = None
        self._read = self._written = 0

    def write(self, frames: Frames) -> None:
        """Append audio. A new rate ends the old one's signal cleanly."""
        _check(frames.rate, _FILE_RATES, "bad_sample_rate", "sample rate")
        self.channels = self.channels or frames.samples.shape[1]
        if frames.rate != self._rate:
            self.flush()
            self._rate, self._resampler = frames.rate, _resampler(frames.rate, self.channels)
        samples = _mix(_clean(frames.samples), self.channels)
        self._read += len(samples)
        self._append(samples if self._resampler is None else self._resampler.resample_chunk(samples))
        if self.pending > (MAX_CALL_SECONDS + 1) * SAMPLE_RATE:
            fix = "Send it in smaller messages, or upload it as a file."
            raise AudioError("There is more than an hour of audio in one message.", code="audio_too_fast", fix=fix)

    def flush(self) -> None:
        """Append what the resampler holds, to the exact length."""
        if self._resampler is not None:
            due = round(self._read * SAMPLE_RATE / self._rate) - self._written
            tail = self._resampler.resample_chunk(np.zeros((0, self.channels), np.float32), last=True)[: max(0, due)]
            self._append(np.pad(tail, ((0, max(0, due) - len(tail)), (0, 0))))
        self._rate, self._resampler = SAMPLE_RATE, None
        self._read = self._written = 0

    def take(self) -> tuple[bytes, ...]:
        """Hand out what is pending, one item per channel."""
        parts, self._parts, self.pending = self._parts, [], 0
        return tuple(b"".join(part[:, channel].tobytes() for part in parts) for channel in range(self.channels))

    def _append(self, samples: Samples) -> None:
        self._parts.append(np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2"))
        self.pending += len(samples)
        self._written += len(samples)


def _resampler(rate: int, channels: int) -> Any:
    if rate == SAMPLE_RATE:
        return None
    # soxr's variable-rate engine holds back 30 ms of telephone audio, its fixed-rate engine 115 ms. At other rates the
    # fixed one is as quick, and only it is exact to the sample over hours.
    return soxr.ResampleStream(rate, SAMPLE_RATE, channels, dtype="float32", quality="HQ", vr=rate == 8000)


def _clean(samples: Samples) -> Samples:
    """Take out NaN and infinity, which a resampler would spread over their neighbours, and clip."""
    clean: Samples = np.clip(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0), -1, 1)
    return clean


def _mix(samples: Samples, channels: int) -> Samples:
    if samples.shape[1] == channels:
        return np.ascontiguousarray(samples)
    mono = samples.mean(axis=1, keepdims=True, dtype=np.float32)
    mixed: Samples = np.repeat(
        mono, channels, axis=1
    )  # a recording that restarted with other channels keeps its outputs
    return mixed


def _check(value: int, allowed: range, code: str, what: str) -> None:
    if value not in allowed:
        span = f"from {allowed[0]} to {allowed[-1]}"
        raise AudioError(f"The {what} {value} is not supported.", code=code, fix=f"Send a {what} {span}.")


# Where samples come from

_DEMUXERS: dict[Encoding, Callable[[], Demuxer]] = {Encoding.WEBM: WebmDemuxer, Encoding.OGG: OggDemuxer}


def _mulaw_table() -> Samples:
    """ITU-T G.711, table 2: code bits are inverted; sign, 3 bits of segment, 4 bits of step; bias 33 (here times 4)."""
    code = ~np.arange(256) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << (code >> 4 & 7)) - 0x84
    table: Samples = (np.where(code & 0x80, -magnitude, magnitude) / 32768).astype(np.float32)
    return table


def _alaw_table() -> Samples:
    """ITU-T G.711, table 1: even bits are inverted; sign (1: positive), segment, step; segments 0 and 1 are linear."""
    code = np.arange(256) ^ 0x55
    segment = code >> 4 & 7
    magnitude = (((code & 0x0F) << 4) + 8 + np.where(segment > 0, 0x100, 0)) << np.maximum(segment - 1, 0)
    table: Samples = (np.where(code & 0x80, magnitude, -magnitude) / 32768).astype(np.float32)
    return table


_MULAW, _ALAW = _mulaw_table(), _alaw_table()
_RAW: dict[Encoding, tuple[int, Callable[[bytes], Samples]]] = {
    Encoding.PCM_S16LE: (2, lambda data: np.multiply(np.frombuffer(data, "<i2"), 2.0**-15, dtype=np.float32)),
    Encoding.PCM_F32LE: (4, lambda data: np.frombuffer(data, "<f4")),
    Encoding.MULAW: (1, lambda data: _MULAW[np.frombuffer(data, np.uint8)]),
    Encoding.ALAW: (1, lambda data: _ALAW[np.frombuffer(data, np.uint8)]),
}
"""Bytes per sample, and how to read them."""


class _RawSource:
    """Reads PCM and G.711. Keeps the bytes of an incomplete sample for the next call."""

    def __init__(self, fmt: AudioFormat) -> None:
        width, self._read = _RAW[fmt.encoding]
        self._rate, self._channels, self._width = fmt.sample_rate, fmt.channels, width * fmt.channels
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frames]:
        data = self._rest + data
        whole = len(data) - len(data) % self._width
        self._rest = data[whole:]
        yield Frames(self._rate, self._read(data[:whole]).reshape(-1, self._channels))

    def finish(self) -> Iterator[Frames]:
        yield from ()

    def close(self) -> None: ...
