"""A real `twopass serve` in a process of its own, that can be killed, restarted, hurt and watched."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import sys
import urllib.request
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
PLUGIN = Path(__file__).parent / "plugin"
_READY_SECONDS = 120.0
_STOP_SECONDS = 60.0
_LOG_LINES = 200
_MB = 1 << 20


@dataclass
class Server:
    """
    One server on one port; its spool lives in `directory` and outlives its processes.

    Attributes:
        log: Its last lines.
        peak_mb: The most memory that the gateway's own process ever had, resident.
        first_mb: The same when it was ready for the first time.
    """

    config: Path
    port: int
    log: deque[str] = field(default_factory=lambda: deque(maxlen=_LOG_LINES))
    peak_mb: float = 0.0
    first_mb: float = 0.0
    starts: int = 0
    _process: asyncio.subprocess.Process | None = None
    _reading: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it and wait until sessions can begin."""
        command = ["-m", "twopass.cli", "serve", "--config", str(self.config), "--port", str(self.port)]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(),
        )
        self.starts += 1
        self._reading = asyncio.create_task(self._read_log(self._process))
        await self._ready()
        self.first_mb = self.first_mb or self.memory_mb()

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

    def children(self) -> list[psutil.Process]:
        """Its model processes."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return self._gateway.children(recursive=True)
        return []

    def limit_files(self, size: int) -> None:
        """No file may grow beyond so many bytes: what a full disk looks like to whoever writes."""
        hard = self._gateway.rlimit(psutil.RLIMIT_FSIZE)[1]
        self._gateway.rlimit(psutil.RLIMIT_FSIZE, (size, hard))

    def lift_limit(self) -> None:
        """There is room on the disk again."""
        hard = self._gateway.rlimit(psutil.RLIMIT_FSIZE)[1]
        self._gateway.rlimit(psutil.RLIMIT_FSIZE, (hard, hard))

    def memory_mb(self) -> float:
        """Resident memory of the gateway's own process now; 0 while it is down."""
        with contextlib.suppress(psutil.NoSuchProcess):
            now = self._gateway.memory_info().rss / _MB
            self.peak_mb = max(self.peak_mb, now)
            return now
        return 0.0

    def cpu_seconds(self) -> float:
        """CPU time of the gateway and its model processes so far."""
        processes = [self._gateway, *self.children()]
        return sum(times.user + times.system for times in (process.cpu_times() for process in processes))

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def _gateway(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

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

    async def _ready(self) -> None:
        async with asyncio.timeout(_READY_SECONDS):
            while True:
                assert self.alive, "\n".join(self.log)
                try:
                    await asyncio.to_thread(_asked, f"{self.url}/readyz")
                except OSError:  # HTTPError too: its models are being loaded
                    await asyncio.sleep(0.1)
                else:
                    return


def _asked(url: str) -> None:
    urllib.request.urlopen(url, timeout=10).close()


@asynccontextmanager
async def served(config: str, directory: Path) -> AsyncIterator[Server]:
    """A server with this configuration (`{directory}` in it is where it may write), ready; stopped afterwards."""
    path = directory / "config.yaml"
    path.write_text(config.replace("{directory}", str(directory)))
    server = Server(path, free_port())
    try:
        await server.start()
        yield server
    finally:
        if server.alive:
            await server.stop()


def _environment() -> dict[str, str]:
    known = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(PLUGIN), *([known] if known else [])])
    return os.environ | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}


def free_port() -> int:
    """A free port that no outgoing connection takes while the server is being restarted."""
    text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    low = int(re.split(r"\s+", text)[0])
    while True:
        port = random.SystemRandom().randrange(min(10_000, low - 5_000), low)
        with contextlib.closing(socket.socket()) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
