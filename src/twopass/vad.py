"""
The voice detector: Silero VAD (the ONNX file inside faster-whisper) in a process of its own.

`VoiceDetector` is the gateway's side: one `Listening` per channel turns tape audio into frames for the segmenter.
`load` and `SileroStream` run in the child.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from twopass.errors import RecognizerCrashed
from twopass.modelhost import Channel, Connection, HostedModel, ModelHost, Serve
from twopass.segmenter import FRAME_SAMPLES
from twopass.types import BYTES_PER_SAMPLE

SILERO = "twopass.vad:load"
FRAME_BYTES = FRAME_SAMPLES * BYTES_PER_SAMPLE
_CONTEXT_SAMPLES = 64
_STATE = (1, 1, 128)
_HANG_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Frame:
    """32 ms of audio: the probability that somebody speaks, and the root mean square (0..1)."""

    probability: float
    loudness: float


class VoiceDetector:
    """
    One process for all channels of all sessions.

    Args:
        factory: "module:function" that loads the detector, such as `load` below: each connection sends whole frames
            of PCM and gets as many `Frame`s.
    """

    def __init__(self, factory: str = SILERO) -> None:
        self._host = ModelHost(HostedModel("silero-vad" if factory == SILERO else factory, factory, {}, niceness=0))

    async def open(self) -> None:
        """Load the model. Raises RecognizerUnavailable."""
        await self._host.start()

    async def close(self) -> None:
        """End the process."""
        await self._host.close()

    async def listen(self) -> Listening:
        """A new channel, with a memory of its own."""
        return Listening(self._host, await self._host.connect())


class Listening:
    """One channel's detector. Feed it consecutive whole frames."""

    def __init__(self, host: ModelHost, channel: Channel) -> None:
        self._host = host
        self._channel = channel

    async def frames(self, pcm: bytes) -> Sequence[Frame]:
        """One `Frame` per 512 samples. Raises RecognizerCrashed, also if the detector hangs: it is ended then."""
        try:
            async with asyncio.timeout(_HANG_SECONDS):
                await self._channel.send(pcm)
                return cast("Sequence[Frame]", await self._channel.receive())
        except TimeoutError as error:
            await self._host.restart()
            raise RecognizerCrashed("The voice detector did not answer.", provider="silero-vad") from error

    def close(self) -> None:
        """Hang up."""
        self._channel.close()


# -- the child --------------------------------------------------------------------------------------------------------


def load() -> Serve:
    """Load Silero; every connection sends PCM and gets frames."""
    import onnxruntime
    from faster_whisper.utils import get_assets_path

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.log_severity_level = 4
    path = str(Path(get_assets_path()) / "silero_vad_v6.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"], sess_options=options)

    def serve(connection: Connection) -> None:
        stream = SileroStream(session)
        while True:
            connection.send(stream.frames(connection.receive()))

    return serve


class SileroStream:
    """Silero's recurrent state for one channel. Each frame is judged with the 64 samples before it."""

    def __init__(self, session: Any) -> None:
        import numpy as np

        self._np = np
        self._session = session
        self._h = np.zeros(_STATE, dtype=np.float32)
        self._c = np.zeros(_STATE, dtype=np.float32)
        self._context = np.zeros(_CONTEXT_SAMPLES, dtype=np.float32)

    def frames(self, pcm: bytes) -> list[Frame]:
        """Whole frames of s16 PCM."""
        np = self._np
        audio = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32768.0
        blocks = audio.reshape(-1, FRAME_SAMPLES)
        before = np.concatenate([self._context[None], blocks[:-1, -_CONTEXT_SAMPLES:]])
        self._context = blocks[-1, -_CONTEXT_SAMPLES:]
        inputs = {"input": np.concatenate([before, blocks], axis=1), "h": self._h, "c": self._c}
        probabilities, self._h, self._c = self._session.run(None, inputs)
        loudness = np.sqrt(np.mean(blocks**2, axis=1))
        # Rounded: a journal keeps them as text, which need not be longer.
        judged = zip(np.ravel(probabilities), loudness, strict=True)
        return [Frame(round(float(probability), 4), round(float(rms), 6)) for probability, rms in judged]
