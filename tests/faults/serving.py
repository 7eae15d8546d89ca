"""A real `twopass serve` in a process of its own, that can be killed, restarted, hurt and watched."""

from __future__ import annotations

import contextlib
import random
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from tests.faults.programs import Program, asked
from tests.faults.proxy import Direct, Door, Proxy, Weather

ROOT = Path(__file__).parents[2]


@dataclass
class Server(Program):
    """
    One server on one port; its spool lives in `directory` and outlives its processes.

    Attributes:
        peak_mb: The most memory that the gateway's own process ever had, resident.
        first_mb: The same when it was ready for the first time.
    """

    peak_mb: float = 0.0
    first_mb: float = 0.0

    @property
    def command(self) -> Sequence[str]:
        """See `Program`."""
        return "serve", "--config", str(self.config), "--port", str(self.port)

    async def ready(self) -> bool:
        """Whether sessions can begin."""
        await asked(f"{self.url}/readyz")
        return True

    async def start(self) -> None:
        """Start it and wait until sessions can begin."""
        await super().start()
        self.first_mb = self.first_mb or self.memory_mb()

    def door(self, weather: Weather | None, seed: object) -> Door:
        """Where a client connects: directly, or through bad weather."""
        return Direct(self.url) if weather is None else Proxy(self.port, weather, seed)

    def limit_files(self, size: int) -> None:
        """No file may grow beyond so many bytes: what a full disk looks like to whoever writes."""
        hard = self.process.rlimit(psutil.RLIMIT_FSIZE)[1]
        self.process.rlimit(psutil.RLIMIT_FSIZE, (size, hard))

    def lift_limit(self) -> None:
        """There is room on the disk again."""
        hard = self.process.rlimit(psutil.RLIMIT_FSIZE)[1]
        self.process.rlimit(psutil.RLIMIT_FSIZE, (hard, hard))

    def memory_mb(self) -> float:
        """Resident memory of the gateway's own process now; 0 while it is down."""
        now = super().memory_mb()
        self.peak_mb = max(self.peak_mb, now)
        return now

    def cpu_seconds(self) -> float:
        """CPU time of the gateway and its model processes so far."""
        processes = [self.process, *self.children()]
        return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


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


def free_port() -> int:
    """A free port that no outgoing connection takes while the server is being restarted."""
    text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    low = int(re.split(r"\s+", text)[0])
    while True:
        port = random.SystemRandom().randrange(min(10_000, low - 5_000), low)
        with contextlib.closing(socket.socket()) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
