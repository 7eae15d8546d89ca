"""What Prometheus sees. Never what was said."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from twopass.outbox import Event, ProviderTrouble
from twopass.second_pass_watch import Audio, Watch
from twopass.types import Revision, Status

_LAG_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
_ANSWER_SECONDS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0)
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
    second_load: Gauge = field(init=False)
    second_age: Gauge = field(init=False)
    second_waiting: Gauge = field(init=False)
    second_waits: Histogram = field(init=False)

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
            **_of_second_passes(self.registry),
        }
        for name, metric in made.items():
            object.__setattr__(self, name, metric)

    def watch(self, second_passes: Mapping[str, Watch]) -> None:
        """Show, by profile, what second passes have to do whenever somebody reads the metrics."""
        for profile, watch in second_passes.items():
            names = (profile, watch.place)
            self.second_load.labels(*names).set_function(partial(getattr, watch, "load"))
            for audio in Audio:
                self.second_age.labels(*names, audio.value).set_function(partial(watch.age, audio))
                self.second_waiting.labels(*names, audio.value).set_function(partial(watch.count, audio))
            watch.waited = self.second_waits.labels(*names).observe

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
        """Prometheus' text format. In the event loop: the age of what waits is measured by its clock."""
        return generate_latest(self.registry)


def _of_second_passes(registry: CollectorRegistry) -> dict[str, Gauge | Histogram]:
    """`place` is here, or workers; `audio` is live, or recording, which has no deadline."""
    names = ("profile", "place")
    return {
        "second_load": Gauge(
            "twopass_second_pass_load", "Expected wait as a share of the deadline", names, registry=registry
        ),
        "second_age": Gauge(
            "twopass_second_pass_waiting_seconds",
            "How long the oldest utterance has waited that has no answer yet",
            (*names, "audio"),
            registry=registry,
        ),
        "second_waiting": Gauge(
            "twopass_second_pass_waiting", "Utterances that have no answer yet", (*names, "audio"), registry=registry
        ),
        "second_waits": Histogram(
            "twopass_second_pass_answer_seconds",
            "How long live utterances waited until they were answered, failed or too late",
            names,
            buckets=_ANSWER_SECONDS,
            registry=registry,
        ),
    }
