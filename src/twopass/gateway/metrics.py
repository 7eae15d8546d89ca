"""What Prometheus sees. Never what was said."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from twopass.outbox import Event, ProviderTrouble
from twopass.types import Revision, Status

_LAG_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
_SAMPLE_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Metrics:
    """One server's counters, in a registry of their own."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    sessions: Gauge = field(init=False)
    audio_seconds: Counter = field(init=False)
    revisions: Counter = field(init=False)
    degraded: Counter = field(init=False)
    trouble: Counter = field(init=False)
    shadows: Counter = field(init=False)
    loop_lag: Histogram = field(init=False)

    def __post_init__(self) -> None:
        made = {
            "sessions": Gauge("twopass_sessions", "Sessions now", registry=self.registry),
            "audio_seconds": Counter("twopass_audio_seconds", "Audio received", registry=self.registry),
            "revisions": Counter("twopass_revisions", "Revisions sent", ("status", "source"), registry=self.registry),
            "degraded": Counter(
                "twopass_degraded", "Finals without the second pass's text", ("reason",), registry=self.registry
            ),
            "trouble": Counter(
                "twopass_provider_trouble", "Failures of recognizers", ("passing", "provider"), registry=self.registry
            ),
            "shadows": Counter(
                "twopass_shadows", "Sessions that a second provider heard", ("outcome",), registry=self.registry
            ),
            "loop_lag": Histogram(
                "twopass_event_loop_lag_seconds", "Delay of a timer", buckets=_LAG_SECONDS, registry=self.registry
            ),
        }
        for name, metric in made.items():
            object.__setattr__(self, name, metric)

    def count(self, event: Event) -> None:
        """Count an event of a session."""
        if isinstance(event, Revision):
            self.revisions.labels(event.status.value, event.source.value).inc()
            if event.status is Status.FINAL and event.degraded:
                self.degraded.labels(event.degraded.split(":")[0]).inc()
        elif isinstance(event, ProviderTrouble) and event.state != "recovered":
            self.trouble.labels(event.pass_.value, event.provider).inc()

    def count_shadow(self, outcome: str) -> None:
        """Count what became of a shadow; see `twopass.shadow.shadows.Told`."""
        self.shadows.labels(outcome).inc()

    async def watch_loop(self) -> None:
        """Measure for ever how late the event loop wakes a sleeper."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _SAMPLE_EVERY
            await asyncio.sleep(_SAMPLE_EVERY)
            self.loop_lag.observe(max(0.0, loop.time() - due))

    def exposition(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)
