"""What is done to a server while sessions run on it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping

import psutil
from tests.faults.scenarios import Doing
from tests.faults.serving import Server

_PAUSE = (1.0, 3.5)


async def make(doing: Doing, times: int, server: Server, rng: random.Random) -> int:
    """Do it so often, with pauses between; returns how often it was done. Leaves the server in order."""
    done = 0
    for _ in range(times):
        await asyncio.sleep(rng.uniform(*_PAUSE))
        done += await _DOINGS[doing](server, rng)
    return done


async def _kill(server: Server, rng: random.Random) -> int:
    await server.kill()
    await asyncio.sleep(rng.uniform(0.0, 0.5))
    await server.start()
    return 1


async def _restart(server: Server, rng: random.Random) -> int:
    await server.stop()
    await asyncio.sleep(rng.uniform(0.0, 0.5))
    await server.start()
    return 1


async def _kill_models(server: Server, rng: random.Random) -> int:
    """One of them, or all."""
    children = server.children()
    victims = children if rng.random() < 0.3 else rng.sample(children, min(1, len(children)))
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    return len(victims)


async def _fill_disk(server: Server, rng: random.Random) -> int:
    """No file can grow; half of the time there is room again after a while."""
    server.limit_files(rng.choice([1_000, 50_000, 200_000]))
    if rng.random() < 0.5:
        await asyncio.sleep(rng.uniform(1.0, 3.0))
        server.lift_limit()
    return 1


_DOINGS: Mapping[Doing, Callable[[Server, random.Random], Awaitable[int]]] = {
    "kill": _kill,
    "restart": _restart,
    "kill_models": _kill_models,
    "fill_disk": _fill_disk,
}
