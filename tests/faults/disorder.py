"""A client that sends its indexed frames in a bad order: late, twice, or only after it was asked again. Pure."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

_INDEX = struct.Struct(">Q")


def indexed(pcm: bytes, samples: int) -> list[bytes]:
    """s16 mono as frames of so many samples, each behind the index of its first one."""
    size = samples * 2
    return [_INDEX.pack(at // 2) + pcm[at : at + size] for at in range(0, len(pcm), size)]


def disordered(frames: list[bytes], rng: random.Random, *, reach: int, share: float) -> Iterator[bytes]:
    """
    The same frames; this share of them comes up to `reach` frames late, and as many come again.

    None is missing in the end, and none is more than `reach` frames late.
    """
    due: dict[int, list[bytes]] = {}
    for i, frame in enumerate(frames):
        late = rng.random() < share
        if not late:
            yield frame
        if late or rng.random() < share:
            due.setdefault(i + rng.randint(1, reach), []).append(frame)
        yield from due.pop(i, [])
    for i in sorted(due):
        yield from due[i]
