"""A program of ours in a process of its own, that can be killed, stopped for a while, restarted and watched."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import urllib.request
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from tests.cluster.servers import end_with_parent

PLUGIN = Path(__file__).parent / "plugin"
_READY_SECONDS = 120.0
_STOP_SECONDS = 60.0
_LOG_LINES = 1_000
_MB = 1 << 20


class Died(Exception):
    """It ended before it did its work."""


@dataclass
class Program:
    """
    One that listens on a port, from one process to the next.

    Attributes:
        log: Its last lines.
        in_trouble: Somebody does something to it.
    """

    config: Path
    port: int
    log: deque[str] = field(default_factory=lambda: deque(maxlen=_LOG_LINES))
    starts: int = 0
    in_trouble: bool = False
    _process: asyncio.subprocess.Process | None = None
    _reading: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def command(self) -> Sequence[str]:
        """What is run: arguments of `twopass`."""
        raise NotImplementedError

    async def ready(self) -> bool:
        """Whether it does its work. May raise OSError meanwhile."""
        raise NotImplementedError

    async def start(self) -> None:
        """Start it and wait until it does its work. Raises Died."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "twopass.cli"),
            *self.command,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(),
            preexec_fn=end_with_parent,
        )
        self.starts += 1
        self._reading = asyncio.create_task(self._read_log(self._process))
        async with asyncio.timeout(_READY_SECONDS):
            while not await self._is_ready():
                if not self.alive:
                    await self._ended()
                    raise Died("\n".join(self.log))
                await asyncio.sleep(0.1)

    async def kill(self) -> None:
        """`kill -9`; its model processes end by themselves."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._ended()

    async def stop(self) -> None:
        """SIGTERM, as an orderly restart does it."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self.log.append("--- it did not stop, and was killed")
        await self.kill()

    def pause(self) -> None:
        """As if its machine had stood still."""
        self.process.suspend()

    def go_on(self) -> None:
        """It does not know that it was paused."""
        self.process.resume()

    def children(self) -> list[psutil.Process]:
        """Its model processes."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return self.process.children(recursive=True)
        return []

    def memory_mb(self) -> float:
        """Resident memory of its own process now; 0 while it is down."""
        with contextlib.suppress(psutil.NoSuchProcess):
            rss: int = self.process.memory_info().rss
            return rss / _MB
        return 0.0

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def process(self) -> psutil.Process:
        """Its own. Raises psutil.NoSuchProcess."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    async def _is_ready(self) -> bool:
        try:
            return await self.ready()
        except OSError:  # HTTPError too: its models are being loaded
            return False

    async def _ended(self) -> None:
        assert self._process is not None
        await self._process.wait()
        if self._reading is not None:
            await self._reading

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        # A pipe, not a file: a limit on the size of files must not hit the log.
        assert process.stderr is not None
        async for line in process.stderr:
            self.log.append(line.decode(errors="replace").rstrip())


async def asked(url: str) -> str:
    """What is there. Raises OSError."""

    def ask() -> str:
        with urllib.request.urlopen(url, timeout=10) as answer:
            text: bytes = answer.read()
        return text.decode()

    return await asyncio.to_thread(ask)


def _environment() -> dict[str, str]:
    known = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(PLUGIN), *([known] if known else [])])
    return os.environ | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}
