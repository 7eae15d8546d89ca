"""What the second pass did to the first pass's words. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rewrites:
    """
    Counts, so that recordings can be added up.

    Attributes:
        words: Words of the transcript.
        changed: Those of them that the second pass changed.
        reference: Words of the truth; 0 without one.
        errors_before, errors_after: Word errors of the first pass's last words, and of the final ones.
        harmful: Words of the truth that the first pass had right and the second made wrong.
        helpful: Words of the truth that the first pass had wrong and the second made right.
        latency_ms: From the first pass's final words to the second's, one per utterance.
    """

    words: int = 0
    changed: int = 0
    reference: int = 0
    errors_before: int = 0
    errors_after: int = 0
    harmful: int = 0
    helpful: int = 0
    latency_ms: tuple[float, ...] = ()
