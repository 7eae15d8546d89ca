"""Where somebody speaks in a recording: what latencies are measured from, alike for all systems."""

from __future__ import annotations

from collections.abc import Sequence

from twopass.segmenter import FRAME_SAMPLES, Ended, Segmenter, SegmenterSettings, SegmentEvent
from twopass.types import BYTES_PER_SAMPLE, milliseconds
from twopass.vad import VoiceDetector

_FRAMES_AT_ONCE = 256
_NO_ROLL = SegmenterSettings(pre_roll=0, post_roll=0, max_utterance=1 << 40)


async def stretches(voice: VoiceDetector, pcm: bytes) -> tuple[tuple[int, int], ...]:
    """Stretches of speech (start, end) ms with at least half a second of silence between them."""
    segmenter, listening = Segmenter(_NO_ROLL), await voice.listen()
    size = FRAME_SAMPLES * BYTES_PER_SAMPLE
    found: list[tuple[int, int]] = []
    try:
        for at in range(0, len(pcm) - size + 1, size * _FRAMES_AT_ONCE):
            piece = pcm[at : at + size * _FRAMES_AT_ONCE]
            for frame in await listening.frames(piece[: len(piece) // size * size]):
                found += _ended(segmenter.push(frame.probability, frame.loudness))
    finally:
        listening.close()
    found += _ended(segmenter.finish())
    whole = milliseconds(len(pcm) // BYTES_PER_SAMPLE)
    return tuple((start, min(end, whole)) for start, end in found)


def _ended(events: Sequence[SegmentEvent]) -> list[tuple[int, int]]:
    return [(event.start, event.end) for event in events if isinstance(event, Ended)]
