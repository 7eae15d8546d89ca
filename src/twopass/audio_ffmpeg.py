"""
Everything that FFmpeg decodes: packets, files, and containers as a stream. Internal to `twopass.audio`.

All of PyAV is in here, and nothing that PyAV raises leaves it: callers see `AudioError`.
"""

from __future__ import annotations

import atexit
import io
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from twopass.audio_containers import Demuxer, Track, WavDemuxer, no_header
from twopass.errors import AudioError

Samples: TypeAlias = NDArray[np.float32]
"""Shape (samples, channels), full scale = 1."""

MAX_SILENT_BYTES = 8 << 20
"""Bytes of a live recording that may pass without one audible packet before it is taken for garbage."""
MAX_BACKLOG = 32 << 20
"""Bytes that may wait for the decoder of a streamed container, and bytes of audio that may wait behind it."""
_FILE_BUFFER, _LIVE_BUFFER = 1 << 18, 1 << 12
_LIVE_PROBING = {"probesize": "2048", "analyzeduration": "0"}
"""FFmpeg would look at 5 seconds before the first packet. (Recognizing the format has a limit of its own.)"""
_DECODER_ERRORS = (av.FFmpegError, ValueError, RuntimeError, OSError, MemoryError)
_SEND_VALID = "Send a file that a media player plays from start to end."
_SEND_STREAMABLE = (
    "Send what can be played while it arrives (an mp4 fragmented or with its index in front), or upload it."
)


class Frames(NamedTuple):
    """Decoded audio at the sender's rate (hertz)."""

    rate: int
    samples: Samples


# WebM and Ogg, live


class PacketSource:
    """Decodes a live recording packet by packet, in the call that brings the packet's last byte."""

    def __init__(self, demuxer: Demuxer) -> None:
        self._demuxer = demuxer
        self._codec: av.AudioCodecContext | None = None
        self._silent = 0

    def feed(self, data: bytes) -> Iterator[Frames]:
        self._silent += len(data)
        for item in self._demuxer.feed(data):
            if isinstance(item, Track):
                self._codec = _open_codec(item)
            elif self._codec is not None:
                yield from self._decode(self._codec, item)
        if self._silent > MAX_SILENT_BYTES:
            raise AudioError("The recording has no audio any more.", code="bad_audio", fix="Start a new recording.")

    def finish(self) -> Iterator[Frames]:
        if self._codec is not None:
            yield from self._decode(self._codec, None)
        elif self._silent:
            raise no_header(self._demuxer.kind)

    def close(self) -> None:
        self._codec = None

    def _decode(self, codec: av.AudioCodecContext, packet: bytes | None) -> Iterator[Frames]:
        try:
            decoded = codec.decode(None if packet is None else av.Packet(packet)) if packet != b"" else []
        except _DECODER_ERRORS:
            return  # one bad packet is a click; nothing but bad packets ends at MAX_SILENT_BYTES
        for frame in decoded:
            self._silent = 0
            yield _to_frames(frame)


def _open_codec(track: Track) -> av.AudioCodecContext:
    with _translated():
        codec = av.CodecContext.create(track.codec, "r")
        assert isinstance(codec, av.AudioCodecContext)
        codec.extradata = track.extradata or None
        codec.sample_rate = track.sample_rate
        codec.layout = f"{track.channels}c"
        codec.open()
    return codec


# Files, and containers as a stream: FFmpeg's demuxer


class Readable(Protocol):
    """What FFmpeg's demuxer needs: it may block; empty at the end."""

    def read(self, size: int, /) -> bytes: ...


def _fix(live: bool) -> str:
    return _SEND_STREAMABLE if live else _SEND_VALID


@contextmanager
def _translated(fix: str = _SEND_VALID) -> Iterator[None]:
    """Turn what PyAV raises into `AudioError`."""
    try:
        yield
    except _DECODER_ERRORS as error:
        raise AudioError("The audio is damaged or in no known format.", code="bad_audio", fix=fix) from error


@contextmanager
def open_file(source: str | Path | bytes) -> Iterator[BinaryIO]:
    """Open a path, or bytes as if they were a file."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(source).open("rb"))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            fix = "Check the path and the permissions."
            raise AudioError(f"The file cannot be read: {reason}.", code="unreadable_file", fix=fix) from error
        yield file


@contextmanager
def open_container(file: Readable, *, live: bool = False) -> Iterator[av.container.InputContainer]:
    """
    Open a container for reading; `live`: with the first audio as soon as possible.

    FFmpeg gets a file object, never a name, and may open nothing else: a playlist sent as audio must not make the
    server read its own files or call other hosts.
    """
    options = {"protocol_whitelist": "none", **(_LIVE_PROBING if live else {})}
    size = _LIVE_BUFFER if live else _FILE_BUFFER
    with _translated(_fix(live)):
        container = av.open(file, "r", container_options=options, metadata_errors="replace", buffer_size=size)
    with container:
        yield container


def audio_stream(container: av.container.InputContainer) -> av.AudioStream:
    """Choose the first audio track."""
    if not container.streams.audio:
        fix = "Send a file with an audio track."
        raise AudioError("The file has no audio track.", code="no_audio_stream", fix=fix)
    return container.streams.audio[0]


def read_duration(file: Readable) -> float | None:
    """Read the length of the audio in seconds; None if the container does not say."""
    with open_container(file) as container:
        stream = audio_stream(container)
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        return None if container.duration is None else container.duration / av.time_base


def decode_container(file: Readable, *, live: bool = False) -> Iterator[Frames]:
    """Yield the first audio track of a container. Bad packets are left out; without a good one it is an error."""
    heard = False
    with open_container(file, live=live) as container:
        for packet in _packets(container, _fix(live)):
            for frame in _decoded(packet):
                heard = True
                yield _to_frames(frame)
    if not heard:
        raise AudioError("There is no audio in it that can be decoded.", code="bad_audio", fix=_fix(live))


def _packets(container: av.container.InputContainer, fix: str) -> Iterator[av.Packet[av.AudioStream]]:
    packets = container.demux(audio_stream(container))
    while True:
        try:
            with _translated(fix):
                packet = next(packets, None)
        except IndexError:  # PyAV's end of a damaged file in which more tracks came up on the way
            packet = None
        if packet is None:
            return
        yield packet


def _decoded(packet: av.Packet[av.AudioStream]) -> list[av.AudioFrame]:
    try:
        return packet.decode()
    except _DECODER_ERRORS:
        return []


def _to_frames(frame: av.AudioFrame) -> Frames:
    with _translated():
        raw = frame.to_ndarray()
    samples = raw.T if frame.format.is_planar else raw.reshape(-1, frame.layout.nb_channels)
    return Frames(frame.sample_rate, _to_full_scale(samples))


def _to_full_scale(samples: NDArray[Any]) -> Samples:
    """Bring FFmpeg's sample types to floats: u8 is centred at 128, s16 and s32 at 0, floats are full scale already."""
    zero, unit = {"u1": (128, 2.0**-7), "i2": (0, 2.0**-15), "i4": (0, 2.0**-31)}.get(samples.dtype.str[1:], (0, 1.0))
    return (samples.astype(np.float32) - np.float32(zero)) * np.float32(unit)


class Pipe:
    """Encoded bytes into the decoder's thread, frames out of it. Both sides are bounded."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._input = bytearray()
        self._output: deque[Frames] = deque()
        self._waiting = 0  # bytes in _output
        self._ended = self._closed = self._done = False
        self._error: AudioError | None = None

    @property
    def backlog(self) -> int:
        """Encoded bytes that wait for the thread."""
        return len(self._input)

    def write(self, data: bytes) -> None:
        """Append encoded bytes (connection's side). Never waits."""
        with self._changed:
            if self._done:
                return  # the container has ended before its bytes
            if len(self._input) + len(data) > MAX_BACKLOG:
                fix = "Send it at the speed of speech, or upload it as a file."
                raise AudioError("Audio comes faster than it can be decoded.", code="audio_too_fast", fix=fix)
            self._input += data
            self._changed.notify_all()

    def take(self, *, wait: bool) -> list[Frames]:
        """Take what is decoded (connection's side); with `wait`, at least something unless the thread is done."""
        with self._changed:
            self._changed.wait_for(lambda: self._output or self._done or not wait)
            taken = list(self._output)
            self._output.clear()
            self._waiting = 0
            self._changed.notify_all()
            if not taken and self._error is not None:
                raise self._error
            return taken

    def end(self, *, close: bool = False) -> None:
        """Say that nothing follows; with `close`, also that nothing is wanted any more."""
        with self._changed:
            self._ended, self._closed = True, self._closed or close
            self._changed.notify_all()

    def read(self, size: int, /) -> bytes:
        """Wait for encoded bytes (thread's side, called by FFmpeg). Empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._input or self._ended)
            data = b"" if self._closed else bytes(self._input[:size])
            del self._input[:size]
            return data

    def decode(self) -> None:
        """Run the decoder (the thread's main function)."""
        try:
            for frames in decode_container(self, live=True):
                self._put(frames)
        except AudioError as error:
            self._error = error
        finally:
            with self._changed:
                self._done = True
                self._changed.notify_all()

    def _put(self, frames: Frames) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting < MAX_BACKLOG or self._closed)
            if not self._closed:
                self._output.append(frames)
                self._waiting += frames.samples.nbytes


_threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


@atexit.register
def _join_threads() -> None:
    """Wait for the decoders at exit: a thread inside FFmpeg would call back into an interpreter that is gone."""
    for thread in tuple(_threads):
        thread.join(timeout=5)


class PipeSource:
    """Decodes any container while it arrives. The thread begins with the first byte and ends with `close`."""

    def __init__(self) -> None:
        self._pipe = Pipe()
        self._thread: threading.Thread | None = None
        # The thread knows only the pipe: a decoder that is dropped without `close` ends it too, and so does the exit.
        weakref.finalize(self, self._pipe.end, close=True)

    @property
    def backlog(self) -> int:
        """Encoded bytes that are not decoded yet."""
        return self._pipe.backlog

    def feed(self, data: bytes) -> Iterator[Frames]:
        if self._thread is None:
            self._thread = threading.Thread(target=self._pipe.decode, name="twopass-audio", daemon=True)
            self._thread.start()
            _threads.add(self._thread)
        self._pipe.write(data)
        yield from self._pipe.take(wait=False)

    def finish(self) -> Iterator[Frames]:
        self._pipe.end()
        while self._thread is not None and (decoded := self._pipe.take(wait=True)):
            yield from decoded

    def close(self) -> None:
        self._pipe.end(close=True)


class ContainerSource:
    """Decodes any container while it arrives: WAV without delay and without a thread, all others through the pipe."""

    def __init__(self) -> None:
        self._head = b""
        self._source: PacketSource | PipeSource | None = None

    @property
    def backlog(self) -> int:
        """Encoded bytes that are not decoded yet."""
        return self._source.backlog if isinstance(self._source, PipeSource) else 0

    def feed(self, data: bytes) -> Iterator[Frames]:
        if self._source is None:
            self._head = data = self._head + data
            if len(data) < 12:
                return
            wav = data[:4] == b"RIFF" and data[8:12] == b"WAVE"
            self._source = PacketSource(WavDemuxer()) if wav else PipeSource()
        yield from self._source.feed(data)

    def finish(self) -> Iterator[Frames]:
        if self._source is not None:
            yield from self._source.finish()
        elif self._head:
            raise no_header("an audio file")

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
