"""What a program of the cluster is: a value. `keeping` runs it."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from twopass.errors import ConfigError

HOST = "127.0.0.1"
_SYSTEM = "/usr/sbin:/usr/local/sbin"


class Role(StrEnum):
    """What a program is there for."""

    BROKER = "broker"
    STATE = "session state"
    GATEWAY = "gateway"
    WORKER = "worker"
    BALANCER = "load balancer"


@dataclass(frozen=True, slots=True)
class Program:
    """
    Attributes:
        name: No other one has it.
        ready: Whether it does its work. Never raises.
        address: Where it listens, for those who speak to it; empty if nobody does.
        metrics: Where Prometheus reads it.
        environment: Besides our own.
        before: A command to run to its end before the first start.
    """

    name: str
    role: Role
    command: tuple[str, ...]
    ready: Callable[[], Awaitable[bool]]
    address: str = ""
    metrics: str = ""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    before: tuple[str, ...] = ()


def installed(program: str, package: str) -> str:
    """Where a program of the system is. Raises ConfigError `not_installed`, with how to get it."""
    found = shutil.which(program) or shutil.which(program, path=_SYSTEM)
    if found is None:
        raise missing(program, f"apt-get install {package}")
    return found


def missing(what: str, fix: str) -> ConfigError:
    """It is not there; `fix` is the command that gets it."""
    return ConfigError(f"{what} is not installed here.", code="not_installed", fix=fix)
