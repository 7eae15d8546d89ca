"""The same second-pass model over the whole file at once: what the two passes are measured against."""

from __future__ import annotations

from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from tests import speech

from twopass.compare.measures.accuracy import word_errors
from twopass_providers.whisper import models


def measure(recording: speech.Recording) -> dict[str, Any]:
    """Word error rate of an offline run, as faster-whisper does it."""
    model = WhisperModel(models.locate(models.DEMO).directory, device="cpu", compute_type="int8", cpu_threads=1)
    audio = np.frombuffer(recording.pcm, dtype="<i2").astype(np.float32) / 32768.0
    segments, _ = model.transcribe(
        audio, beam_size=5, word_timestamps=True, condition_on_previous_text=False, language="en"
    )
    heard = [word.word for segment in segments for word in segment.words or ()]
    errors = word_errors([word.text for word in recording.words], heard)
    return {"recording": recording.name, "wer_offline": round(errors.rate or 0.0, 4)}
