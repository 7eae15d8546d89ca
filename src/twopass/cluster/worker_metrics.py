"""What Prometheus sees of a worker. Never what was said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from twopass.recognizers import Capabilities, Recognition, UtteranceAudio, UtteranceRecognizer
from twopass.types import BYTES_PER_SAMPLE, SAMPLE_RATE

_SHARES = tuple(eighth / 8 for eighth in range(1, 9))
_OUTCOMES = ("answered", "failed", "dropped", "given_back", "dead", "unreadable")


class WorkerMetrics:
    """
    One worker's counters, in a registry of their own.

    Attributes:
        ready: 1 while the worker takes utterances: not before its models are loaded, and not while it drains.
        outcomes: How utterances ended: answered, failed, dropped, given_back; or, as dead letters, dead, unreadable.
        busy_seconds, audio_seconds: Decoding, and what was decoded; their quotient is the real-time factor.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.ready = Gauge("twopass_worker_ready", "Whether the worker takes utterances", registry=self.registry)
        self.outcomes = Counter(
            "twopass_worker_utterances", "Utterances by how they ended", ("outcome",), registry=self.registry
        )
        for outcome in _OUTCOMES:  # from the beginning: the first dead letter must be seen as a rise
            self.outcomes.labels(outcome)
        self.busy_seconds = Counter("twopass_worker_busy_seconds", "Time spent decoding", registry=self.registry)
        self.audio_seconds = Counter("twopass_worker_audio_seconds", "Audio decoded", registry=self.registry)
        self.batch_fill = Histogram(
            "twopass_worker_batch_fill",
            "Utterances of a batch as a share of what the recognizer takes",
            buckets=_SHARES,
            registry=self.registry,
        )
        self._rtf = Gauge(
            "twopass_worker_realtime_factor", "Decoding time of the last batch over its audio", registry=self.registry
        )

    def watch(self, in_flight: Callable[[], float], queue_age: Callable[[], float]) -> None:
        """Ask these whenever somebody reads the metrics: utterances taken and not answered; age of the oldest (s)."""
        names = {
            "twopass_worker_in_flight": ("Utterances taken and not answered yet", in_flight),
            "twopass_worker_queue_age_seconds": ("Since the oldest of them was sent", queue_age),
        }
        for name, (text, ask) in names.items():
            Gauge(name, text, registry=self.registry).set_function(ask)

    @property
    def takes_utterances(self) -> bool:
        """Whether the worker does; see `ready`. From any thread."""
        return self.registry.get_sample_value("twopass_worker_ready") == 1

    def batch(self, fill: float, seconds: float, audio_seconds: float) -> None:
        """A batch was decoded."""
        self.batch_fill.observe(fill)
        self.busy_seconds.inc(seconds)
        self.audio_seconds.inc(audio_seconds)
        if audio_seconds:
            self._rtf.set(seconds / audio_seconds)


class Observed:
    """An utterance recognizer, and what it is doing."""

    def __init__(self, recognizer: UtteranceRecognizer, metrics: WorkerMetrics) -> None:
        self._recognizer = recognizer
        self._metrics = metrics
        self._decoding: Sequence[UtteranceAudio] = ()

    @property
    def capabilities(self) -> Capabilities:
        """The recognizer's."""
        return self._recognizer.capabilities

    def decodes(self, audio: UtteranceAudio) -> bool:
        """Whether this very utterance is being decoded now."""
        return any(audio is each for each in self._decoding)

    async def open(self) -> None:
        """Open the recognizer."""
        await self._recognizer.open()

    async def close(self) -> None:
        """Close the recognizer."""
        await self._recognizer.close()

    async def recognize(self, batch: Sequence[UtteranceAudio]) -> Sequence[Recognition]:
        """Let it recognize, and measure."""
        loop = asyncio.get_running_loop()
        self._decoding, began = batch, loop.time()
        try:
            return await self._recognizer.recognize(batch)
        finally:
            self._decoding = ()
            samples = sum(len(audio.pcm) for audio in batch) // BYTES_PER_SAMPLE
            fill = len(batch) / self.capabilities.max_batch
            self._metrics.batch(fill, loop.time() - began, samples / SAMPLE_RATE)
