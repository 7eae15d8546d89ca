"""What is done to a cluster while sessions run on it. Each leaves it in order."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import psutil
from tests.cluster import servers
from tests.faults.clustering import ACK_SECONDS, Cluster, Worker
from tests.faults.programs import Died, Program
from tests.faults.scenarios import Doing
from tests.faults.serving import Server

_PAUSE = (0.5, 2.5)
_WAIT_SECONDS = 10.0
_AWAY = (0.0, 2.0)
_STARTS = 100
_PERIOD_SECONDS = 0.1
_TENTH = 0.1
_P = TypeVar("_P", bound=Program)


async def make(doing: Doing, times: int, cluster: Cluster, rng: random.Random) -> int:
    """Do it so often, with pauses between, while there are clients; returns how often it was done."""
    done = 0
    for _ in range(times):
        await asyncio.sleep(rng.uniform(*_PAUSE))
        if cluster.in_use:
            done += await DOINGS[doing](cluster, rng)
    return done


async def _kill_worker(cluster: Cluster, rng: random.Random) -> int:
    """In the middle of a batch, or at least of its work."""
    async with _busy_worker(cluster, rng) as victim:
        if victim is not None:
            await asyncio.sleep(rng.uniform(0.0, 0.1))
            await victim.kill()
            await _again(victim, rng)
    return victim is not None


async def _stop_worker(cluster: Cluster, rng: random.Random) -> int:
    async with _busy_worker(cluster, rng) as victim:
        if victim is not None:
            await victim.stop()
            await _again(victim, rng)
    return victim is not None


async def _pause_worker(cluster: Cluster, rng: random.Random) -> int:
    """Longer than the others wait, mostly, so what it has is heard twice."""
    async with _busy_worker(cluster, rng) as victim:
        if victim is not None:
            victim.pause()
            await asyncio.sleep(rng.uniform(0.5, 2.5) * ACK_SECONDS)
            victim.go_on()
    return victim is not None


async def _slow_worker(cluster: Cluster, rng: random.Random) -> int:
    """It gets a tenth of the time."""
    victim, loop = rng.choice(cluster.workers), asyncio.get_running_loop()
    until = loop.time() + rng.uniform(3.0, 6.0)
    while loop.time() < until:
        victim.pause()
        await asyncio.sleep(_PERIOD_SECONDS * (1 - _TENTH))
        victim.go_on()
        await asyncio.sleep(_PERIOD_SECONDS * _TENTH)
    return 1


async def _kill_worker_models(cluster: Cluster, rng: random.Random) -> int:
    """One worker's, or all."""
    victims = cluster.workers if rng.random() < 0.3 else [rng.choice(cluster.workers)]
    children = [child for victim in victims for child in victim.children()]
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    return len(children)


async def _kill_gateway(cluster: Cluster, rng: random.Random) -> int:
    """One that has sessions."""
    async with _gateway_in_use(cluster, rng) as victim:
        if victim is not None:
            await victim.kill()
            await _again(victim, rng)
    return victim is not None


async def _stop_gateway(cluster: Cluster, rng: random.Random) -> int:
    async with _gateway_in_use(cluster, rng) as victim:
        if victim is not None:
            await victim.stop()
            await _again(victim, rng)
    return victim is not None


async def _pause_gateway(cluster: Cluster, rng: random.Random) -> int:
    """Most of the time so long that its clients go elsewhere; it does not know that, and goes on."""
    async with _gateway_in_use(cluster, rng) as victim:
        if victim is not None:
            victim.pause()
            await asyncio.sleep(rng.uniform(6.0, 16.0))
            victim.go_on()
    return victim is not None


async def _kill_broker(cluster: Cluster, rng: random.Random) -> int:
    return await _kill_server(cluster, cluster.broker, rng.uniform(*_AWAY))


async def _lose_broker(cluster: Cluster, rng: random.Random) -> int:
    return await _kill_server(cluster, cluster.broker, rng.uniform(4.0, 8.0))


async def _kill_state(cluster: Cluster, rng: random.Random) -> int:
    return await _kill_server(cluster, cluster.state, rng.uniform(*_AWAY))


async def _empty_state(cluster: Cluster, rng: random.Random) -> int:
    """It comes back with nothing."""
    return await _kill_server(cluster, cluster.state, rng.uniform(*_AWAY), empty=True)


async def _kill_server(cluster: Cluster, server: servers.Server, seconds: float, *, empty: bool = False) -> int:
    server.kill()
    await asyncio.sleep(seconds)
    if empty:
        shutil.rmtree(server.home / "appendonlydir")
    server.start()
    await cluster.listening(server)
    return 1


async def _anything(cluster: Cluster, rng: random.Random) -> int:
    """Two at the same time, of those that can be. Who is started again meanwhile has to try for longer."""
    what = rng.sample(_TOGETHER, 2)
    return sum(await asyncio.gather(*(DOINGS[doing](cluster, rng) for doing in what)))


async def _again(program: Program, rng: random.Random) -> None:
    """Start it until it lives, as those do who run clusters."""
    for _ in range(_STARTS):
        await asyncio.sleep(rng.uniform(0.0, 0.5))
        try:
            await program.start()
        except Died as death:
            program.log.append(f"--- it did not live: {death}"[-500:])
        else:
            return
    raise Died(f"{program.command} did not live, {_STARTS} times")


@asynccontextmanager
async def _busy_worker(cluster: Cluster, rng: random.Random) -> AsyncIterator[Worker | None]:
    """One that works, for nobody else to hurt; None if there is none for a while."""

    async def busy() -> list[Worker]:
        return [worker for worker in cluster.workers if not worker.in_trouble and await worker.busy()]

    async with _chosen(busy, rng) as victim:
        yield victim


@asynccontextmanager
async def _gateway_in_use(cluster: Cluster, rng: random.Random) -> AsyncIterator[Server | None]:
    """One that has clients, likewise."""

    async def in_use() -> list[Server]:
        return [server for server in cluster.gateways if not server.in_trouble and cluster.connections(server)]

    async with _chosen(in_use, rng) as victim:
        yield victim


@asynccontextmanager
async def _chosen(candidates: Callable[[], Awaitable[list[_P]]], rng: random.Random) -> AsyncIterator[_P | None]:
    loop = asyncio.get_running_loop()
    until = loop.time() + _WAIT_SECONDS
    found: list[_P] = []
    while not found and loop.time() < until:
        await asyncio.sleep(0.01)
        found = [each for each in await candidates() if not each.in_trouble]
    victim = rng.choice(found) if found else None
    if victim is not None:
        victim.in_trouble = True
    try:
        yield victim
    finally:
        if victim is not None:
            victim.in_trouble = False


_TOGETHER: tuple[Doing, ...] = (
    "kill_worker",
    "stop_worker",
    "kill_gateway",
    "stop_gateway",
    "kill_broker",
    "kill_state",
)
DOINGS: Mapping[Doing, Callable[[Cluster, random.Random], Awaitable[int]]] = {
    "kill_worker": _kill_worker,
    "stop_worker": _stop_worker,
    "pause_worker": _pause_worker,
    "slow_worker": _slow_worker,
    "kill_worker_models": _kill_worker_models,
    "kill_gateway": _kill_gateway,
    "stop_gateway": _stop_gateway,
    "pause_gateway": _pause_gateway,
    "kill_broker": _kill_broker,
    "lose_broker": _lose_broker,
    "kill_state": _kill_state,
    "empty_state": _empty_state,
    "anything": _anything,
}
