"""A real cluster: gateways and workers, processes of their own, a broker between them, Redis for their sessions."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster import servers
from tests.faults.balancer import Balancer
from tests.faults.configs import CLUSTERED
from tests.faults.programs import Program, asked
from tests.faults.proxy import Weather
from tests.faults.serving import Server, free_port

ACK_SECONDS = 2
"""So long after a worker has died others get what it had."""
_IN_FLIGHT = re.compile(r"^twopass_worker_in_flight (\S+)$", re.MULTILINE)
_BROKER_SECONDS = 120.0


@dataclass
class Worker(Program):
    """One `twopass worker`; its port is that of its metrics."""

    @property
    def command(self) -> Sequence[str]:
        """See `Program`."""
        metrics = "--metrics-port", str(self.port)
        return "worker", "--config", str(self.config), "--ack-seconds", str(ACK_SECONDS), *metrics

    async def ready(self) -> bool:
        """Whether it waits for utterances, or does so in a moment."""
        return _IN_FLIGHT.search(await asked(f"{self.url}/metrics")) is not None

    async def busy(self) -> bool:
        """Whether it has utterances that it has not answered."""
        try:
            found = _IN_FLIGHT.search(await asked(f"{self.url}/metrics"))
        except OSError:
            return False
        return found is not None and float(found[1]) > 0


@dataclass
class Cluster:
    """
    Everything that runs. To clients it is one server.

    Attributes:
        peak_mb: The most that the gateways together had.
    """

    gateways: Sequence[Server]
    workers: Sequence[Worker]
    broker: servers.Server
    state: servers.Server
    peak_mb: float = 0.0
    _doors: list[Balancer] = field(default_factory=list)
    _turns: Iterator[int] = field(default_factory=itertools.count)

    def door(self, weather: Weather | None, seed: object) -> Balancer:
        """A client's balancer."""
        ports = [gateway.port for gateway in self.gateways]
        door = Balancer(ports[next(self._turns) % len(ports)], weather or Weather(), seed, targets=ports)
        self._doors = [each for each in self._doors if each.open]
        self._doors.append(door)
        return door

    def connections(self, gateway: Server) -> int:
        """How many clients it has now."""
        return sum(door.now == gateway.port for door in self._doors)

    @property
    def in_use(self) -> bool:
        """Whether there are clients, connected or about to be again."""
        return any(door.open for door in self._doors)

    def memory_mb(self) -> float:
        """What all gateways have now."""
        now = sum(gateway.memory_mb() for gateway in self.gateways)
        self.peak_mb = max(self.peak_mb, now)
        return now

    def lift_limit(self) -> None:
        """Nothing was limited."""

    @property
    def log(self) -> list[str]:
        """The last lines of everybody, in the order of time."""
        programs = {"gateway": self.gateways, "worker": self.workers}
        lines = [
            f"{kind} {number}: {line}"
            for kind, some in programs.items()
            for number, program in enumerate(some)
            for line in program.log
        ]
        return sorted(lines, key=lambda line: line.partition('"timestamp": ')[2])

    async def listening(self, server: servers.Server) -> None:
        """Wait until a broker or Redis, started again, answers."""
        async with asyncio.timeout(_BROKER_SECONDS):
            await asyncio.to_thread(server.listening)


@asynccontextmanager
async def clustered(broker: str, directory: Path, *, gateways: int = 2, workers: int = 2) -> AsyncIterator[Cluster]:
    """A cluster with this broker, ready; everything ends afterwards. Raises pytest's Skipped if it is not installed."""
    with contextlib.ExitStack() as stack:
        carrier = stack.enter_context(servers.SERVERS[broker]())
        state = stack.enter_context(servers.redis_server())
        await (await carrier.connected()).close()  # it listens before it answers
        config = directory / "cluster.yaml"
        config.write_text(CLUSTERED.format(broker=carrier.url, state=state.url))
        cluster = Cluster(
            [Server(config, free_port()) for _ in range(gateways)],
            [Worker(config, free_port()) for _ in range(workers)],
            carrier,
            state,
        )
        programs: list[Program] = [*cluster.gateways, *cluster.workers]
        try:
            await asyncio.gather(*(program.start() for program in programs))
            yield cluster
        finally:
            await asyncio.gather(*(program.kill() for program in programs if program.alive))
