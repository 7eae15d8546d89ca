"""
How the servers of others are started for one machine: brokers, and the Redis that holds what sessions are.

All listen on the loopback only, write what they are given to the disk, and are told to end by SIGTERM.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from twopass.cluster.local.asking import listens
from twopass.cluster.local.programs import HOST, Program, Role, installed, missing

KAFKA_VARIABLE = "TWOPASS_KAFKA"
_KAFKA_JARS = Path("~/.cache/twopass/kafka")
_KAFKA_FIX = (
    f"Let {KAFKA_VARIABLE} name a directory with Kafka's jars (libs/ of its download), or choose --brokers nats."
)
_KAFKA = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
controller.listener.names=CONTROLLER
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.min.session.timeout.ms=1000
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.recovery.threads.per.data.dir=1
"""
_KAFKA_ID = "MkU3OEVBNTcwNTJENDM2Qg"

Make = Callable[[Path, Iterator[int]], Sequence[Program]]


def nats(home: Path, ports: Iterator[int]) -> Sequence[Program]:
    """NATS with JetStream. Raises ConfigError if it is not installed."""
    server, port = installed("nats-server", "nats-server"), next(ports)
    command = (server, "-a", HOST, "-p", str(port), "-js", "-sd", str(home / "nats"))
    return (Program("broker", Role.BROKER, command, listens(port), f"nats://{HOST}:{port}"),)


def redis(home: Path, ports: Iterator[int]) -> Sequence[Program]:
    """Redis as a broker. Raises ConfigError if it is not installed."""
    return (_redis("broker", Role.BROKER, home / "broker", next(ports)),)


def state(home: Path, ports: Iterator[int]) -> Program:
    """Redis for what sessions are. Raises ConfigError if it is not installed."""
    return _redis("redis", Role.STATE, home / "redis", next(ports))


def _redis(name: str, role: Role, data: Path, port: int) -> Program:
    server = installed("redis-server", "redis-server")
    data.mkdir(exist_ok=True)
    kept = ("--appendonly", "yes", "--save", "", "--dir", str(data))
    command = (server, "--bind", HOST, "--port", str(port), *kept)
    return Program(name, role, command, listens(port), f"redis://{HOST}:{port}")


def rabbit(home: Path, ports: Iterator[int]) -> Sequence[Program]:
    """RabbitMQ, and a port mapper of its own that ends with it. Raises ConfigError if it is not installed."""
    installed("rabbitmq-server", "rabbitmq-server")
    mapper = installed("epmd", "rabbitmq-server")
    # What is on the path only changes the user, and hands on no variables.
    server = max(Path("/usr/lib/rabbitmq").glob("lib/*/sbin/rabbitmq-server"), default=None)
    if server is None:
        raise missing("rabbitmq-server, where Debian puts it,", "apt-get install rabbitmq-server")
    port, names = next(ports), next(ports)
    environment = _rabbit_environment(home, port, next(ports), names)
    mapping = (mapper, "-port", str(names), "-address", HOST)
    return (
        # The mapper first, else RabbitMQ would start one that nobody ends.
        Program("names", Role.BROKER, mapping, listens(names), f"epmd://{HOST}:{names}", environment=environment),
        Program(
            "broker",
            Role.BROKER,
            (str(server),),
            listens(port),
            f"amqp://guest:guest@{HOST}:{port}/",
            environment=environment,
        ),
    )


def _rabbit_environment(home: Path, port: int, between: int, names: int) -> Mapping[str, str]:
    own = home / "rabbitmq"
    own.mkdir(exist_ok=True)
    return MappingProxyType(
        {
            "HOME": str(own),  # for the Erlang cookie
            "RABBITMQ_NODENAME": "twopass@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(between),
            "RABBITMQ_MNESIA_BASE": str(own / "data"),
            "RABBITMQ_LOG_BASE": str(own / "logs"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(own / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(own / "none"),
            "RABBITMQ_ALLOW_INPUT": "1",  # no shell between us and the server, which would outlive it
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput +sbwt none +S 2:2",
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": HOST,
        }
    )


def kafka(home: Path, ports: Iterator[int]) -> Sequence[Program]:
    """Kafka without ZooKeeper, from its jars. Raises ConfigError if they, or Java, are not here."""
    java = installed("java", "default-jre-headless")
    jars = Path(os.environ.get(KAFKA_VARIABLE) or _KAFKA_JARS).expanduser()
    if not any(jars.glob("kafka_*.jar")):
        raise missing("Kafka", _KAFKA_FIX)
    port, settings = next(ports), home / "kafka.properties"
    settings.write_text(_KAFKA.format(host=HOST, port=port, controller=next(ports), data=home / "kafka"))
    machine = (java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*")
    format_ = ("kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", _KAFKA_ID, "-c", str(settings))
    return (
        Program(
            "broker",
            Role.BROKER,
            (*machine, "kafka.Kafka", str(settings)),
            listens(port),
            f"kafka://{HOST}:{port}",
            before=(*machine, *format_),
        ),
    )


BROKERS: Mapping[str, Make] = MappingProxyType({"nats": nats, "redis": redis, "rabbit": rabbit, "kafka": kafka})
"""By name; the last program of each is the broker itself."""
