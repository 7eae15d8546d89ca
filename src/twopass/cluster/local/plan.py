"""What a cluster is made of: all its programs, before any of them runs."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

from twopass import config as configuration
from twopass import serving
from twopass.cluster.local import servers
from twopass.cluster.local.asking import well
from twopass.cluster.local.balancer import nginx
from twopass.cluster.local.derived import DEMO, derived
from twopass.cluster.local.ports import free_ports
from twopass.cluster.local.programs import HOST, Program, Role
from twopass.config import ServerConfig
from twopass.errors import ConfigError

_ACK_SECONDS = 5
"""A worker that is killed must not make its utterances late: most deadlines are 10 s."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """
    Attributes:
        config: YAML file; None for ours.
        broker: One of `servers.BROKERS`.
        gateways, workers: How many.
        port: Of the load balancer; 0 takes a free one. Its host is that of the configuration's server.
    """

    config: Path | None
    broker: str
    gateways: int
    workers: int
    port: int


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Attributes:
        stages: Programs, in the order in which they are started: each needs those before it.
        sample: The profile that is best for the bundled sample.
        notice: What is missing, and how to get it; empty if nothing is.
    """

    stages: tuple[tuple[Program, ...], ...]
    sample: str
    notice: str

    @property
    def programs(self) -> tuple[Program, ...]:
        """All of them."""
        return tuple(program for stage in self.stages for program in stage)

    @property
    def urls(self) -> tuple[str, ...]:
        """Where clients come in: the load balancer's address, else those of the gateways."""
        by_role = {role: tuple(each.address for each in self.programs if each.role is role) for role in Role}
        return by_role[Role.BALANCER] or by_role[Role.GATEWAY]


def plan(wishes: Wishes, home: Path) -> Plan:
    """
    Choose ports and write all configurations into the home.

    Raises ConfigError if the configuration cannot be used, the port is taken, or the broker or Redis is not installed.
    """
    ports, path, own = free_ports(), home / "config.yaml", wishes.config is None
    source = wishes.config or default_path()
    text = _text(source)
    settings = configuration.parse(text, name=str(source))
    brokers, state = servers.BROKERS[wishes.broker](home, ports), servers.state(home, ports)
    gateways = tuple(_gateway(number + 1, path, next(ports)) for number in range(wishes.gateways))
    workers = tuple(_worker(number + 1, path, next(ports)) for number in range(wishes.workers))
    balancers, notice = _balancers(home, wishes.port or next(ports), gateways, settings.server)
    changed = derived(text, broker=brokers[-1].address, state=f"{state.address}/0", balanced=bool(balancers), demo=own)
    profiles = configuration.parse(changed, name=f"{source}, derived").profiles
    path.touch(mode=0o600)
    path.write_text(changed, encoding="utf-8")
    # A mapper of ports works before what would start one itself.
    stages = (tuple(brokers[:-1]), (brokers[-1], state), (*gateways, *workers), balancers)
    return Plan(stages, DEMO if DEMO in profiles else settings.default, notice)


def default_path() -> Path:
    """configs/cluster.yaml beside the default configuration, or that one itself: any can be derived from."""
    usual = configuration.default_path()
    beside = usual.with_name("cluster.yaml")
    return beside if beside.is_file() else usual


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{path} cannot be read: {why}.", fix="Name a file with --config.") from None


def _twopass(*arguments: str | Path | int) -> tuple[str, ...]:
    return (sys.executable, "-m", "twopass.cli", *map(str, arguments))


def _gateway(number: int, config: Path, port: int) -> Program:
    url = f"http://{HOST}:{port}"
    command = _twopass("serve", "--config", config, "--host", HOST, "--port", port)
    return Program(f"gateway-{number}", Role.GATEWAY, command, well(f"{url}/readyz"), url, f"{url}/metrics")


def _worker(number: int, config: Path, port: int) -> Program:
    url = f"http://{HOST}:{port}"
    listen = ("--metrics-host", HOST, "--metrics-port", port)
    command = _twopass("worker", "--config", config, "--ack-seconds", _ACK_SECONDS, *listen)
    return Program(f"worker-{number}", Role.WORKER, command, well(f"{url}/readyz"), metrics=f"{url}/metrics")


def _balancers(
    home: Path, port: int, gateways: tuple[Program, ...], server: ServerConfig
) -> tuple[tuple[Program, ...], str]:
    """One if it is installed, else none and the reason."""
    try:
        listener = serving.listen(server.host, port)
    except ConfigError as error:
        fix = "Choose another port with --port, or 0 for any free one."
        raise ConfigError(error.message, code=error.code, fix=fix) from None
    with contextlib.closing(listener):
        listen, url = listener.getsockname()[:2], serving.url_of(listener, tls=server.tls is not None)
    try:
        return (nginx(home, listen, url, [gateway.address for gateway in gateways], server.tls),), ""
    except ConfigError as error:
        unsafe = " Nor is there TLS, which it would do." if server.tls else ""
        return (), f"There is no load balancer: {error.message}{unsafe} {error.fix}"
