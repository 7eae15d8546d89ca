"""Where a client's audio comes from: files and standard input, in real time or at full speed, or a microphone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from twopass.audio import decode_file
from twopass.errors import AudioError
from twopass.types import BYTES_PER_SAMPLE, SAMPLE_RATE

CHUNK_MS = 40
_MIC_QUEUE = 256
_STDIN_BLOCKS = 16


async def from_file(path: Path, *, separate_channels: bool = False) -> AsyncIterator[bytes]:
    """A file as 16 kHz s16 PCM, interleaved if its channels are kept separate; about a second at a time."""
    blocks = decode_file(path, separate_channels=separate_channels)
    while (block := await asyncio.to_thread(_next, blocks)) is not None:
        yield interleaved(block)


async def from_stdin() -> AsyncIterator[bytes]:
    """Standard input as it comes."""
    loop, queue, room = asyncio.get_running_loop(), asyncio.Queue[bytes](), threading.Semaphore(_STDIN_BLOCKS)

    def read() -> None:
        data = b"?"
        with contextlib.suppress(RuntimeError):  # the loop has ended
            while data:
                room.acquire()
                data = os.read(sys.stdin.fileno(), 1 << 16)
                loop.call_soon_threadsafe(queue.put_nowait, data)

    # A thread that nobody joins: who stops listening must not wait for input that may never come.
    threading.Thread(target=read, name="twopass-stdin", daemon=True).start()
    while data := await queue.get():
        yield data
        room.release()


async def from_microphone() -> AsyncIterator[bytes]:
    """The default microphone, 16 kHz mono s16, until cancelled. Raises AudioError if there is none."""
    sounddevice = _sounddevice()
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[bytes](_MIC_QUEUE)

    def heard(data: Any, frames: int, time: Any, status: Any) -> None:  # noqa: ARG001 - PortAudio's signature
        loop.call_soon_threadsafe(queue.put_nowait, bytes(data))

    block = SAMPLE_RATE * CHUNK_MS // 1000
    try:
        stream = sounddevice.RawInputStream(SAMPLE_RATE, block, channels=1, dtype="int16", callback=heard)
    except sounddevice.PortAudioError as error:
        message = f"The microphone cannot be opened: {error}."
        raise AudioError(message, code="no_microphone", fix="Plug one in.") from error
    with stream:
        while True:
            yield await queue.get()


async def chunked(audio: AsyncIterator[bytes], channels: int = 1) -> AsyncIterator[bytes]:
    """The same audio in chunks of 40 ms."""
    size = SAMPLE_RATE * CHUNK_MS // 1000 * BYTES_PER_SAMPLE * channels
    rest = b""
    async for data in audio:
        rest += data
        whole = len(rest) - len(rest) % size
        for at in range(0, whole, size):
            yield rest[at : at + size]
        rest = rest[whole:]
    if rest:
        yield rest


async def paced(
    chunks: AsyncIterator[bytes], channels: int = 1, began: Callable[[float], None] | None = None
) -> AsyncIterator[bytes]:
    """
    Chunks as a microphone would give them: each when its last sample has been spoken.

    `began` is told the loop time of sample 0.
    """
    loop = asyncio.get_running_loop()
    start, spoken = loop.time(), 0
    if began is not None:
        began(start)
    async for chunk in chunks:
        spoken += len(chunk) // (BYTES_PER_SAMPLE * channels)
        await asyncio.sleep(start + spoken / SAMPLE_RATE - loop.time())
        yield chunk


def interleaved(channels: tuple[bytes, ...]) -> bytes:
    """One PCM stream per channel as one stream."""
    if len(channels) == 1:
        return channels[0]
    step = BYTES_PER_SAMPLE
    output = bytearray(len(channels) * len(channels[0]))
    for k, pcm in enumerate(channels):
        for byte in range(step):
            output[k * step + byte :: step * len(channels)] = pcm[byte::step]
    return bytes(output)


def _next(blocks: Iterator[tuple[bytes, ...]]) -> tuple[bytes, ...] | None:
    return next(blocks, None)


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        fix = "Run: pip install 'twopass[mic]'"
        raise AudioError("The microphone needs the package sounddevice.", code="no_sounddevice", fix=fix) from error
    except OSError as error:  # the package is there, PortAudio is not
        fix = "On Debian: apt install libportaudio2"
        raise AudioError("The microphone needs PortAudio.", code="no_portaudio", fix=fix) from error
    return sounddevice
