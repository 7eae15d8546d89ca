"""What the way over a broker adds to an utterance's answer, with many sessions at two gateways on two cores."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.cluster.processes import Role, cores, cpu_seconds, started
from tests.cluster.servers import Server

_MODULE = "tests.bench.cluster.crowd"
_CORES = 2


@dataclass(frozen=True)
class Crowd:
    """
    How many speak how long.

    Attributes:
        warm_seconds, seconds: Before it counts, and while it does.
        longest: Seconds of the longest utterance; the shortest has one.
        pause: Seconds between an answer and the next utterance, on average.
        answer_seconds: What the workers' recognizer takes for a batch.
        profile: Where the profiler's figures of each process go; none is profiled without it.
    """

    sessions: int = 1_000
    gateways: int = 2
    workers: int = 1
    warm_seconds: float = 5.0
    seconds: float = 30.0
    longest: float = 6.0
    pause: float = 3.0
    answer_seconds: float = 0.0
    profile: str = ""


async def measure(name: str, server: Server, crowd: Crowd) -> dict[str, Any]:
    """Let them speak; percentiles of the overhead in ms, and CPU (cores) of all who took part."""
    own = cores()[:_CORES]
    async with contextlib.AsyncExitStack() as stack:

        async def role(kind: str, number: int) -> Role:
            wishes = {
                "role": kind,
                "broker": asdict(server.broker(ack_seconds=30.0)),
                "seed": number,
                "sessions": crowd.sessions // crowd.gateways,
                "warm_seconds": crowd.warm_seconds,
                "seconds": crowd.seconds,
                "longest": crowd.longest,
                "pause": crowd.pause,
                "answer_seconds": crowd.answer_seconds,
                "profile_to": crowd.profile and f"{crowd.profile}.{kind}{number}",
            }
            made = await stack.enter_async_context(started(_MODULE, wishes, own))
            assert await made.said() == "ready"
            return made

        workers = [await role("worker", number) for number in range(crowd.workers)]
        gateways = [await role("gateway", number) for number in range(crowd.gateways)]
        assert server.process is not None
        roles = {"gateways": [each.process.pid for each in gateways], "workers": [each.process.pid for each in workers]}
        roles["broker"] = [server.process.pid]
        for each in gateways:
            each.tell("go")
        await asyncio.sleep(crowd.warm_seconds)
        before = {kind: sum(map(cpu_seconds, pids)) for kind, pids in roles.items()}
        await asyncio.sleep(crowd.seconds)
        used = {kind: sum(map(cpu_seconds, pids)) - before[kind] for kind, pids in roles.items()}
        told = [await each.said() for each in gateways]
        for each in (*gateways, *workers):
            each.tell("end")
            await each.process.wait()
    overheads = sorted(ms for each in told for ms in each["overheads_ms"])
    return {
        "broker": name,
        "sessions": crowd.sessions,
        "utterances": len(overheads),
        "asked": sum(each["asked"] for each in told),
        "utterances_per_s": round(len(overheads) / crowd.seconds, 1),
        **{f"p{share}_ms": _percentile(overheads, share / 100) for share in (50, 90, 99)},
        "max_ms": overheads[-1],
        "cores": {kind: round(seconds / crowd.seconds, 2) for kind, seconds in used.items()},
    }


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
