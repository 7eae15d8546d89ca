"""
What one stream of the first pass takes, second by second: the audio itself, told apart from audio that some stream
of this channel had heard before.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from twopass.recognizers import Capabilities, Feature, StreamOptions
from twopass.types import SAMPLE_RATE, Clock, Reason, Usage

_TOLD_EVERY = SAMPLE_RATE  # samples: a crash of this process loses no more


class Coverage:
    """How far somebody has heard a channel's audio."""

    def __init__(self, until: int = 0) -> None:
        self._until = until

    def take(self, start: int, end: int) -> int:
        """Samples [start, end) are heard now; returns how many of them nobody had heard before."""
        new = max(0, end - max(start, self._until))
        self._until = max(self._until, end)
        return new


class StreamMeter:
    """
    One stream's meter.

    Args:
        used: Called with everything that the stream used, with the stream's name on it.
    """

    def __init__(
        self,
        capabilities: Capabilities,
        options: StreamOptions,
        coverage: Coverage,
        used: Callable[[Usage], None],
    ) -> None:
        self._name = secrets.token_hex(4)
        self._capabilities = capabilities
        self._features = _billed(options, capabilities)
        self._coverage = coverage
        self._used = used
        self._untold: Counter[Reason] = Counter()

    def sent(self, start: int, end: int) -> None:
        """The stream took the samples [start, end)."""
        new = self._coverage.take(start, end)
        self._untold[Reason.WORK] += new
        self._untold[Reason.REPLAY] += end - start - new
        if self._untold.total() >= _TOLD_EVERY:
            self.tell()

    def tell(self) -> None:
        """Tell what was not told yet."""
        untold, self._untold = self._untold, Counter()
        provider, sku = self._capabilities.provider, self._capabilities.sku
        for reason, taken in untold.items():
            if sku and taken:
                self.take(Usage(provider, sku, Clock.AUDIO_SENT, taken / SAMPLE_RATE, reason=reason))

    def take(self, usage: Usage) -> None:
        """Something that the recognizer itself says it used. A recognizer made of several names them in `stream`."""
        name = f"{self._name}.{usage.stream}" if usage.stream else self._name
        self._used(replace(usage, stream=name, features=self._features))


def _billed(options: StreamOptions, capabilities: Capabilities) -> tuple[str, ...]:
    """What was asked of the recognizer that vendors may bill besides."""
    asked = {Feature.DIARIZATION: options.diarization, Feature.DETECTION: bool(options.languages)}
    return tuple(sorted(name.value for name, wanted in asked.items() if wanted and name in capabilities.features))
