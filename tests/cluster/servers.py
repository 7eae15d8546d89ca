"""Real brokers on free ports, which can be killed and started again, and which end with the tests."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from twopass.cluster.broker import Broker, BrokerSettings, broker_for
from twopass.errors import BrokerUnavailable

GIVE_UP_SECONDS = 240.0
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


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


def end_with_parent() -> None:
    """Tests that are killed leave no process behind (on Linux, which can do that)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


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
def nats_server() -> Iterator[Server]:
    """NATS with JetStream on the disk."""
    program, port = _program("nats-server"), free_port()
    with _home() as home:
        command = [program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(home / "data")]
        with _running(Server(f"nats://127.0.0.1:{port}", home, command)) as server:
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
    _program("rabbitmq-server")
    erlang = _program("epmd")
    # What is on the path only changes the user, and hands on no variables.
    program = max(Path("/usr/lib/rabbitmq").glob("lib/*/sbin/rabbitmq-server"), default=None)
    if program is None:
        pytest.skip("rabbitmq-server is not where Debian puts it")
    port, mapper, between = free_port(), free_port(), free_port()
    with _home() as home:
        environment = os.environ | {
            "HOME": str(home),  # for the Erlang cookie
            "RABBITMQ_NODENAME": "twopass@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(between),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "logs"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(home / "none"),
            "RABBITMQ_ALLOW_INPUT": "1",  # no shell between us and the server, which would outlive it
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput +sbwt none +S 2:2",
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        names = Server(
            f"epmd://127.0.0.1:{mapper}", home, [erlang, "-port", str(mapper), "-address", "127.0.0.1"], environment
        )
        served = Server(f"amqp://guest:guest@127.0.0.1:{port}/", home, [str(program)], environment)
        # The mapper first, else RabbitMQ would start one that nobody ends.
        with _running(names), _running(served) as server:
            yield server


KAFKA_VARIABLE = "TWOPASS_KAFKA"
_KAFKA_JARS = Path("~/.cache/twopass/kafka")
_KAFKA = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
log.dirs={home}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.min.session.timeout.ms=1000
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.recovery.threads.per.data.dir=1
"""


@contextlib.contextmanager
def kafka_server() -> Iterator[Server]:
    """Kafka without ZooKeeper. tests/cluster/kafka.xml says how to get it."""
    java = _program("java")
    jars = Path(os.environ.get(KAFKA_VARIABLE) or _KAFKA_JARS).expanduser()
    if not any(jars.glob("kafka_*.jar")):
        pytest.skip(f"Kafka is not installed here (no jars in {KAFKA_VARIABLE}; see tests/cluster/kafka.xml)")
    port, controller = free_port(), free_port()
    with _home() as home:
        settings = home / "server.properties"
        settings.write_text(_KAFKA.format(port=port, controller=controller, home=home))
        command = [java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
        formatted = [*command, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(settings)]
        done = subprocess.run(formatted, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        served = Server(
            f"kafka://127.0.0.1:{port}", home, [*command, "kafka.Kafka", str(settings)], settings={"partitions": 4}
        )
        with _running(served) as server:
            yield server


SERVERS: Mapping[str, Callable[[], contextlib.AbstractContextManager[Server]]] = {
    "nats": nats_server,
    "redis": redis_server,
    "rabbit": rabbit_server,
    "kafka": kafka_server,
}
