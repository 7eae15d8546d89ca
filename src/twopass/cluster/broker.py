"""
What gateways and workers need of a broker. One module in `brokers` for each kind; no other one names any.

    utterances   a queue that all workers share; what a worker does not acknowledge goes to another
    finals       to one gateway each
    wishes       to all workers that are there; best effort
    dead         what nobody could deal with, for whoever looks into it
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from urllib.parse import urlsplit

from twopass.cluster.inbox import Inbox
from twopass.errors import ConfigError


class Topic(StrEnum):
    """What is published where; brokers add a gateway's name where that makes reading cheap."""

    UTTERANCES = "twopass.utterances"
    FINALS = "twopass.finals"
    WISHES = "twopass.dropped"
    DEAD = "twopass.dead"


WORKERS = "twopass-workers"
"""The name of those who share the utterances."""
UNDERTAKERS = "twopass-undertakers"
"""The name of those who share the dead letters."""


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """
    Attributes:
        url: Where it is: nats://, redis://, amqp:// or kafka://host:port.
        ack_seconds: An utterance whose worker does not say for so long that it is alive goes to another one.
        connect_seconds: How long it may take to connect at the start; later it is tried for ever.
        publish_seconds: How long the broker may take to say that it has a message.
        finals_seconds: How long results are kept for a gateway that is not there.
        partitions: How many workers can share the utterances (Kafka only).
    """

    url: str
    ack_seconds: float = 30.0
    connect_seconds: float = 10.0
    publish_seconds: float = 3.0
    finals_seconds: float = 600.0
    partitions: int = 12

    @property
    def shown(self) -> str:
        """The address without its password."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class Broker(Protocol):
    """
    A connection to a broker, which is made again by itself when it breaks.

    Attributes:
        returned: Called when it was made again: what was sent before may be lost.
    """

    returned: Callable[[], None]

    @property
    def ack_seconds(self) -> float:
        """Deliveries of utterances that are worked at must be touched more often than that."""

    async def open(self) -> None:
        """Connect, and make the queues that are not there. Raises BrokerUnavailable."""

    async def close(self) -> None:
        """Disconnect."""

    async def publish(self, topic: Topic, body: bytes, *, key: str = "") -> None:
        """
        Send a message; returns when the broker has it.

        `key`: of an utterance its session, of a final its gateway. Raises BrokerUnavailable.
        """

    async def utterances(self, room: int) -> Inbox:
        """Take a share of the utterances, at most `room` unanswered ones at a time."""

    async def finals(self, gateway: str) -> Inbox:
        """All results for a gateway that are published from now on."""

    async def wishes(self) -> Inbox:
        """All wishes that are published from now on."""

    async def dead_letters(self) -> Inbox:
        """All dead letters that nobody has acknowledged."""


def nobody_waits() -> None:
    """What `returned` is for those who do not care."""


_MODULES = {"nats": "nats", "redis": "redis", "rediss": "redis", "amqp": "rabbit", "amqps": "rabbit", "kafka": "kafka"}


async def broker_for(settings: BrokerSettings) -> Broker:
    """The broker at an address, not opened yet. Raises ConfigError if it cannot be used from here."""
    scheme = urlsplit(settings.url).scheme
    if scheme not in _MODULES:
        known = ", ".join(f"{each}://" for each in _MODULES)
        raise ConfigError(f"{scheme or 'Nothing'} is no broker that can be used.", fix=f"There are: {known}.")
    module = f"twopass.cluster.brokers.{_MODULES[scheme]}"
    try:
        # In a thread: the clients take a while to import, and some are only there with the extra.
        made: Broker = (await asyncio.to_thread(importlib.import_module, module)).make(settings)
    except ImportError as error:
        raise ConfigError(f"{error.name} is not installed.", fix='pip install "twopass[cluster]"') from None
    return made
