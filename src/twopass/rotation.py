"""
When a stream that nears its vendor's limit is replaced, and where, if nobody pauses. Pure.

From `due` on the next final is the place: the new stream begins where it ends. If none comes until `forced`, the
quietest point of the latest audio is: both streams hear what lies around it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twopass.types import SAMPLES_PER_MS

SEARCH_MS = 3_000
_WINDOW_MS = 30
_STEP_MS = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """Ages of a stream (s) at which it is to be replaced: at a final, and anywhere."""

    due: float
    forced: float

    @classmethod
    def of(cls, max_stream_seconds: float | None) -> Limits | None:
        """With 45 s (15 % of short limits) to find a final, and 15 s (5 %) to say the last words."""
        if max_stream_seconds is None:
            return None
        most = max_stream_seconds
        return cls(most - min(45.0, 0.15 * most), most - min(15.0, 0.05 * most))


def quietest(pcm: bytes) -> int:
    """Where a piece of 16 kHz s16 audio is quietest, ms from its start: the middle of its 30 ms of least energy."""
    each_ms = np.abs(np.frombuffer(pcm, "<i2").astype(np.float32))
    whole = len(each_ms) // SAMPLES_PER_MS
    if whole <= _WINDOW_MS:
        return whole // 2
    energy = np.square(each_ms[: whole * SAMPLES_PER_MS]).reshape(whole, SAMPLES_PER_MS).sum(axis=1)
    sums = np.concatenate(([0.0], np.cumsum(energy, dtype=np.float64)))
    starts = np.arange(0, whole - _WINDOW_MS + 1, _STEP_MS)
    loudness = sums[starts + _WINDOW_MS] - sums[starts]
    return int(starts[int(np.argmin(loudness))]) + _WINDOW_MS // 2
