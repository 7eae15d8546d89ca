"""What a queue in front of a recognizer has done, for metrics. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Served:
    """
    What a queue has done since it began; the difference of two is what it did meanwhile.

    Attributes:
        batches, utterances: That were decoded.
        places: How many utterances there would have been in full batches.
        audio_seconds: Their length.
        decode_seconds: How long it took.
    """

    batches: int = 0
    utterances: int = 0
    places: int = 0
    audio_seconds: float = 0.0
    decode_seconds: float = 0.0

    @property
    def batch_fill(self) -> float:
        """Utterances per place, 0..1; 0 as long as there were none."""
        return self.utterances / self.places if self.places else 0.0

    @property
    def real_time_factor(self) -> float:
        """Seconds of decoding per second of audio; 0 as long as there was none."""
        return self.decode_seconds / self.audio_seconds if self.audio_seconds else 0.0

    def __sub__(self, earlier: Served) -> Served:
        return Served(
            self.batches - earlier.batches,
            self.utterances - earlier.utterances,
            self.places - earlier.places,
            self.audio_seconds - earlier.audio_seconds,
            self.decode_seconds - earlier.decode_seconds,
        )

    def also(self, places: int, audio_seconds: Sequence[float], decode_seconds: float) -> Served:
        """With one more batch: how large it could be, how long each of its utterances was, and what it took."""
        return Served(
            self.batches + 1,
            self.utterances + len(audio_seconds),
            self.places + places,
            self.audio_seconds + sum(audio_seconds),
            self.decode_seconds + decode_seconds,
        )
