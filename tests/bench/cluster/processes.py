"""Processes of a measurement: started on some cores, asked for JSON, watched, and ended whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import psutil
from tests.cluster.servers import end_with_parent

PATIENCE = 300.0
_LONGEST_LINE = 1 << 24


@dataclass(frozen=True)
class Role:
    """A process that does one thing. It speaks in lines of JSON."""

    process: asyncio.subprocess.Process

    async def said(self) -> Any:
        """What it says next. Raises RuntimeError if it has ended."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process ended with {await self.process.wait()}; the lines above say why")
        return json.loads(line)

    def tell(self, what: object) -> None:
        """A line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what).encode() + b"\n")

    @property
    def cpu_seconds(self) -> float:
        """So far, with all processes under it."""
        return cpu_seconds(self.process.pid)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and all under it so far, those that have ended included."""
    root = psutil.Process(pid)
    times = [process.cpu_times() for process in (root, *root.children(recursive=True))]
    ended = root.cpu_times()
    return sum(each.user + each.system for each in times) + ended.children_user + ended.children_system


@contextlib.asynccontextmanager
async def started(module: str, wishes: object, cores: Sequence[int] | None = None) -> AsyncIterator[Role]:
    """A process of a module, on some cores (where the system can do that); it is killed at the end."""

    def before() -> None:
        end_with_parent()
        if cores is not None:
            _keep_to(cores)

    command = [sys.executable, "-m", module, json.dumps(wishes)]
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, preexec_fn=before, limit=_LONGEST_LINE
    )
    try:
        yield Role(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def cores() -> list[int]:
    """Those that this process may use."""
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else list(range(os.cpu_count() or 1))


def _keep_to(some: Sequence[int]) -> None:
    if sys.platform == "linux":
        os.sched_setaffinity(0, set(some))


def say(what: object) -> None:
    """A line of JSON for whoever started this process."""
    print(json.dumps(what), flush=True)


async def told() -> Any:
    """A line of whoever started this process."""
    return json.loads(await asyncio.to_thread(sys.stdin.readline))
