"""Recordings as sound that lies in a page: MP3, small enough for hours, which every browser plays."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import av
import numpy as np

from twopass.types import SAMPLE_RATE

BITS_PER_SECOND = 32_000
LIMIT_BYTES = 40_000_000
"""So much sound, as text, goes into one page. Browsers open larger ones, but nobody mails them."""
_FRAME = SAMPLE_RATE  # samples that are given to the encoder at once


@dataclass(frozen=True, slots=True)
class Sounds:
    """
    Attributes:
        by_name: Addresses (data:) for players, by the recording's name.
        left_out: Recordings whose sound found no room.
    """

    by_name: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def embedded(names: Iterable[str], audio: Mapping[str, bytes], limit: int = LIMIT_BYTES) -> Sounds:
    """
    Encode the recordings in this order until the page is full; from there on they are left out.

    Args:
        audio: 16 kHz mono s16 by name. A recording that is not in it is not missed; one that is left out is not asked
            for.
        limit: Bytes of all addresses together.
    """
    by_name: dict[str, str] = {}
    left_out: list[str] = []
    used = 0
    for name in names:
        if name not in audio:
            continue
        address = "" if left_out else _address(mp3(audio[name]))
        used += len(address)
        if left_out or used > limit:
            left_out.append(name)
        else:
            by_name[name] = address
    return Sounds(by_name, tuple(left_out))


def _address(data: bytes) -> str:
    return f"data:audio/mpeg;base64,{base64.b64encode(data).decode()}"


def mp3(pcm: bytes) -> bytes:
    """Encode 16 kHz mono s16."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="mono")
        stream.bit_rate = BITS_PER_SECOND
        samples = np.frombuffer(pcm, np.int16).reshape(1, -1)
        for begin in range(0, samples.shape[1], _FRAME):
            frame = av.AudioFrame.from_ndarray(samples[:, begin : begin + _FRAME], format="s16p", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
