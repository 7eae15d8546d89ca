"""
How much more two workers hear than one, each with a core of its own and the bundled Whisper.

The queue is full before they begin, so that the gateway costs nothing while they work. One and two take turns, so that
a machine that others use is as busy for both. What a worker had of its core is told beside the throughput: where that
is less than all of it, the throughput is that of a slower machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.batching import utterances
from tests.bench.cluster.hearing_worker import PROFILE
from tests.bench.cluster.processes import PATIENCE, Role, cores, started
from tests.cluster.servers import Server
from tests.waiting import until

from twopass.cluster.dispatch import Dispatch, RemoteSecondPass
from twopass.recognizers import Capabilities
from twopass.second_pass import Job, SecondPassSettings

_MODULE = "tests.bench.cluster.hearing_worker"
_CAPABILITIES = Capabilities("whisper", "demo", "The bundled Whisper's.")


@dataclass(frozen=True)
class Heard:
    """
    What some workers did.

    Attributes:
        seconds: From the moment when they, ready, were told to begin, to the last answer.
        cpu_seconds: Of the workers and their models.
    """

    workers: int
    utterances: int
    seconds: float
    cpu_seconds: float

    @property
    def busy_cores(self) -> float:
        """How much of the processors they had."""
        return self.cpu_seconds / self.seconds

    @property
    def throughput(self) -> float:
        """Utterances per second."""
        return self.utterances / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Utterances per second of processor time."""
        return self.utterances / self.cpu_seconds


async def measure(server: Server, rounds: int, count: int) -> dict[str, Any]:
    """Let one and two workers hear so many utterances, in turns."""
    found: dict[int, list[Heard]] = {1: [], 2: []}
    for _ in range(rounds):
        for workers, runs in found.items():
            runs.append(await _hear(server, workers, count))
    one, two = found[1], found[2]
    efficiency = [b.per_cpu_second / a.per_cpu_second for a, b in zip(one, two, strict=True)]
    return {
        "cores": len(cores()),
        "median_factor": round(
            statistics.median(b.throughput / a.throughput for a, b in zip(one, two, strict=True)), 2
        ),
        "best_factor": round(max(each.throughput for each in two) / max(each.throughput for each in one), 2),
        "factor_per_cpu_second": round(2 * statistics.median(efficiency), 2),
        "runs": [_row(each) for runs in (one, two) for each in runs],
    }


def _row(heard: Heard) -> dict[str, float]:
    figures = {"per_s": heard.throughput, "busy_cores": heard.busy_cores, "per_cpu_s": heard.per_cpu_second}
    return asdict(heard) | {name: round(figure, 2) for name, figure in figures.items()}


async def _hear(server: Server, workers: int, count: int) -> Heard:
    own = cores()
    async with _asked(server, count) as jobs, contextlib.AsyncExitStack() as stack:
        roles: list[Role] = []
        for number in range(workers):
            one = own[number % len(own)]
            role = await stack.enter_async_context(started(_MODULE, asdict(server.broker(ack_seconds=60.0)), [one]))
            assert await role.said() == "ready"
            roles.append(role)
        before = sum(role.cpu_seconds for role in roles)
        seconds = await _seconds(jobs, roles)
        used = sum(role.cpu_seconds for role in roles) - before
        for role in roles:
            role.tell("end")
            assert await role.said() == "drained"
    return Heard(workers, count, seconds, used)


async def _seconds(jobs: Sequence[Job], roles: Sequence[Role]) -> float:
    """Until the last answer."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for role in roles:
        role.tell("go")
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(job.answer for job in jobs))
    return loop.time() - began


@contextlib.asynccontextmanager
async def _asked(server: Server, count: int) -> AsyncIterator[list[Job]]:
    """So many utterances at the broker."""
    dispatch = Dispatch(server.connected)
    await dispatch.open()
    try:
        second = RemoteSecondPass(dispatch, PROFILE, _CAPABILITIES, SecondPassSettings())
        jobs: list[Job] = [second.submit(audio, used=lambda usage: None) for audio in utterances(count)]
        await until(lambda: not dispatch.sending, seconds=PATIENCE)
        yield jobs
    finally:
        await dispatch.close()
