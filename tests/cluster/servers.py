"""Real brokers on free ports, which can be killed and started again, and which end with the tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from twopass.cluster.broker import Broker, BrokerSettings, broker_for
from twopass.cluster.local import servers
from twopass.cluster.local.keeping import end_with_parent as end_with_parent
from twopass.cluster.local.ports import free_ports
from twopass.errors import BrokerUnavailable, ConfigError

GIVE_UP_SECONDS = 240.0


@dataclass
class Server:
    """
    A server of a broker.

    Attributes:
        url: Where it is, before and after it was started again.
        command: How it is started.
        settings: What tests want to be otherwise.
    """

    url: str
    home: Path
    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it need not answer yet."""
        with (self.home / "log").open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.home,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=end_with_parent,
            )

    def kill(self) -> None:
        """As a power cut would, but that the disk is kept."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(GIVE_UP_SECONDS)

    def listening(self) -> None:
        """Wait until it takes connections."""
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", urlsplit(self.url).port or 0)).close()
                return
            except OSError:
                assert self.process is not None
                assert self.process.poll() is None, (self.home / "log").read_text()
                assert time.monotonic() < give_up, (self.home / "log").read_text()
                time.sleep(0.02)

    def broker(self, **settings: Any) -> BrokerSettings:
        """How to reach it."""
        return BrokerSettings(self.url, **{"ack_seconds": 3.0, "finals_seconds": 120.0, **self.settings, **settings})

    async def connected(self, **settings: Any) -> Broker:
        """A connection to it, as soon as it answers."""
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while True:
            broker = await broker_for(self.broker(**settings))
            try:
                await broker.open()
            except BrokerUnavailable:
                await broker.close()
                assert self.process is not None
                assert self.process.poll() is None, (self.home / "log").read_text()
                assert time.monotonic() < give_up, (self.home / "log").read_text()
                await asyncio.sleep(0.1)
            else:
                return broker


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


@contextlib.contextmanager
def _home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="broker"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


@contextlib.contextmanager
def _running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        server.listening()
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def _installed(make: servers.Make, **settings: Any) -> Iterator[Server]:
    """As `twopass cluster up` starts it."""
    with _home() as home, contextlib.ExitStack() as running:
        try:
            programs = make(home, free_ports())
        except ConfigError as error:
            pytest.skip(str(error))
        for program in programs:
            if program.before:
                done = subprocess.run(program.before, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stderr
            environment = os.environ | dict(program.environment)
            server = Server(program.address, home, program.command, environment, settings)
            running.enter_context(_running(server))
        yield server


@contextlib.contextmanager
def nats_server() -> Iterator[Server]:
    """NATS with JetStream on the disk."""
    with _installed(servers.nats) as server:
        yield server


@contextlib.contextmanager
def redis_server() -> Iterator[Server]:
    """Redis that writes all to the disk."""
    program, port = _program("redis-server"), free_port()
    with _home() as home:
        options = ["--bind", "127.0.0.1", "--appendonly", "yes", "--save", "", "--dir", str(home)]
        command = [program, "--port", str(port), *options]
        with _running(Server(f"redis://127.0.0.1:{port}", home, command)) as server:
            yield server


@contextlib.contextmanager
def rabbit_server() -> Iterator[Server]:
    """RabbitMQ, with a port mapper of its own that ends with it."""
    with _installed(servers.rabbit) as server:
        yield server


@contextlib.contextmanager
def kafka_server() -> Iterator[Server]:
    """Kafka without ZooKeeper. tests/cluster/kafka.xml says how to get it."""
    with _installed(servers.kafka, partitions=4) as server:
        yield server


SERVERS: Mapping[str, Callable[[], contextlib.AbstractContextManager[Server]]] = {
    "nats": nats_server,
    "redis": redis_server,
    "rabbit": rabbit_server,
    "kafka": kafka_server,
}
