"""How a program of the cluster is, seen from outside."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from twopass.cluster.local.asking import fetched, figure, listens, well
from twopass.cluster.local.notes import Running
from twopass.cluster.local.programs import HOST, Role


@dataclass(frozen=True, slots=True)
class Health:
    """
    Attributes:
        answers: Whether it does its work.
        doing: What, for people; empty if it does not say.
    """

    answers: bool
    doing: str = ""


async def health(program: Running) -> Health:
    """Ask it. Never raises."""
    if not program.metrics:
        parts = urlsplit(program.address)
        return Health(await listens(parts.port or 0, parts.hostname or HOST)())
    doing = _gateway if program.role is Role.GATEWAY else _worker
    ready = well(urlsplit(program.metrics)._replace(path="/readyz").geturl())
    return Health(await ready(), doing(await _metrics(program)))


async def _metrics(program: Running) -> str:
    """Empty if it does not answer, or only to those with a key (`doors.open_metrics`)."""
    try:
        return await fetched(program.metrics)
    except OSError:
        return ""


def _gateway(metrics: str) -> str:
    sessions = figure(metrics, "twopass_sessions")
    return "" if sessions is None else f"sessions: {sessions:.0f}"


def _worker(metrics: str) -> str:
    in_flight = figure(metrics, "twopass_worker_in_flight")
    if in_flight is None:
        return ""
    age = figure(metrics, "twopass_worker_queue_age_seconds") or 0.0
    heard = figure(metrics, "twopass_worker_utterances_total") or 0.0
    return f"in flight: {in_flight:.0f}, for {age:.1f} s; done: {heard:.0f}"
