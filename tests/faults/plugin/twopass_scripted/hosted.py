"""What runs in model processes: a voice detector for scripted audio, and the ear as a process that can be killed."""

from __future__ import annotations

import numpy as np

from twopass.modelhost import Connection, Serve
from twopass.segmenter import FRAME_SAMPLES
from twopass.vad import Frame

from .hearing import heard

_SPEECH, _SILENCE = Frame(1.0, 0.3), Frame(0.0, 0.0)


def voice() -> Serve:
    """The factory of the voice detector: any sample that is not 0 is speech."""

    def serve(connection: Connection) -> None:
        while True:
            connection.send(frames(connection.receive()))

    return serve


def frames(pcm: bytes) -> list[Frame]:
    """One frame per 512 samples."""
    loudest = np.frombuffer(pcm, "<u2").reshape(-1, FRAME_SAMPLES)[:, ::16].max(axis=1)
    return [_SPEECH if value else _SILENCE for value in loudest.tolist()]


def ear() -> Serve:
    """The factory of the second pass's model process: audio in, words out."""

    def serve(connection: Connection) -> None:
        while True:
            connection.send(heard(connection.receive()))

    return serve
