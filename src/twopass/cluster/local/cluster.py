"""All programs of a cluster: started stage by stage, kept, and ended in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from pathlib import Path

from twopass.cluster.local.keeping import Kept, Tell
from twopass.cluster.local.plan import Plan
from twopass.cluster.local.programs import Role

# Gateways first: they let sessions go, or wait for their finals, and need all others for that.
_ENDING = (
    ({Role.GATEWAY}, 60.0),
    ({Role.BALANCER}, 10.0),
    ({Role.WORKER}, 90.0),
    ({Role.BROKER, Role.STATE}, 30.0),
)
"""Who ends together, and how many seconds they are given: more than they take for themselves."""


class Cluster:
    """
    Args:
        temporary: Where programs may put temporary files; a short path, for there are Unix sockets in it.
        logs: Where each of them gets a file.
        tell: Is told what happens to any of them.
    """

    def __init__(self, plan: Plan, temporary: Path, logs: Path, tell: Tell) -> None:
        self._stages = [
            [Kept(program, temporary, logs / f"{program.name}.log", tell) for program in stage] for stage in plan.stages
        ]

    @property
    def kept(self) -> list[Kept]:
        """All of them, in the order in which they are started."""
        return [kept for stage in self._stages for kept in stage]

    async def open(self) -> None:
        """Returns when every program does its work. Raises ConfigError with what one said that does not start."""
        for stage in self._stages:
            await _together(kept.open() for kept in stage)

    async def close(self) -> None:
        """End all in order. Nothing is left afterwards."""
        for roles, seconds in _ENDING:
            await asyncio.gather(*(kept.close(seconds) for kept in self.kept if kept.program.role in roles))

    def kill(self) -> None:
        """End all at once; `close` still has to be awaited."""
        for kept in self.kept:
            kept.kill()


async def _together(work: Iterable[Awaitable[None]]) -> None:
    """All at the same time; the first that fails ends the others."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
