"""Audio as it travels: FLAC, so that a worker hears exactly what the gateway has. Pure; it takes milliseconds."""

from __future__ import annotations

import io

import av
import numpy as np

from twopass.errors import WireError
from twopass.types import BYTES_PER_SAMPLE, SAMPLE_RATE

_LONGEST_SECONDS = 120
_LEVEL = {"compression_level": "2", "frame_size": "4096"}
"""The default level takes half as long again and saves 5 %; what takes long in level 2 are its many small frames."""
_BROKEN = (av.FFmpegError, ValueError, RuntimeError, OSError, IndexError)


def to_flac(pcm: bytes) -> bytes:
    """16 kHz mono s16 as a FLAC file; nothing as nothing."""
    if not pcm:
        return b""
    out = io.BytesIO()
    with av.open(out, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, options=_LEVEL, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2")[None, :], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def from_flac(data: bytes, samples: int) -> bytes:
    """The samples again. Raises WireError unless there are exactly so many."""
    if samples > _LONGEST_SECONDS * SAMPLE_RATE:
        raise WireError(f"An utterance is not longer than {_LONGEST_SECONDS} s.", code="too_long")
    pcm = _decoded(data, samples) if data else b""
    if len(pcm) != samples * BYTES_PER_SAMPLE or (data and not samples):
        message = f"The audio has {len(pcm) // BYTES_PER_SAMPLE} samples and should have {samples}."
        raise WireError(message, code="bad_audio")
    return pcm


def _decoded(data: bytes, most: int) -> bytes:
    pcm = bytearray()
    try:
        with av.open(io.BytesIO(data), "r", format="flac") as container:
            for frame in container.decode(audio=0):
                if (frame.sample_rate, frame.layout.nb_channels, frame.format.name) != (SAMPLE_RATE, 1, "s16"):
                    raise WireError("The audio is not 16 kHz mono of 16 bits.", code="bad_audio")
                pcm += memoryview(frame.planes[0])[: frame.samples * BYTES_PER_SAMPLE]
                if len(pcm) > most * BYTES_PER_SAMPLE:
                    break
    except _BROKEN:
        raise WireError("The audio is no FLAC, or broken.", code="bad_audio") from None
    return bytes(pcm)
