"""One worker's share of a topic's partitions: which messages it has, and how often they were delivered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from twopass.cluster.inbox import POLL_SECONDS, Delivery
from twopass.errors import BrokerUnavailable

log = structlog.get_logger()

_POLL_MS = round(POLL_SECONDS * 1000)
_AGAIN_SECONDS = 0.5
_COUNTED = 200  # what is written beside an offset has at most 4 kB
_DELIVERIES = "deliveries"
Publish: TypeAlias = Callable[[str, bytes, bytes | None, dict[str, bytes]], Awaitable[None]]


@dataclass(eq=False, slots=True)
class _Part:
    """
    A partition.

    Attributes:
        loaded: Since it was assigned, what is written beside its offset was read.
        before: How often messages were delivered to workers before this one, by offset.
        open: How often those that we have were delivered, by offset.
        next: Behind the last that we had.
        committed: What was committed last.
    """

    loaded: bool = False
    before: dict[int, int] = field(default_factory=dict)
    open: dict[int, int] = field(default_factory=dict)
    next: int = 0
    committed: tuple[int, str] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def state(self, *, revoked: bool = False) -> tuple[int, str]:
        """What to commit. A partition that is taken away alive does not count as a delivery without an answer."""
        counts = {offset: count - revoked for offset, count in sorted(self.open.items())[:_COUNTED]}
        return min(self.open, default=self.next), json.dumps(counts) if counts else ""


class _Ticket:
    def __init__(self, share: Share, message: Any, count: int) -> None:
        self._share = share
        self._message = message
        self._count = count

    async def ack(self) -> None:
        await self._share.done(self._message)

    async def nack(self) -> None:
        await self._share.send_again(self._message, self._count)

    async def touch(self) -> None:
        """The consumer's heartbeat says it."""


class Share(ConsumerRebalanceListener):  # type: ignore[misc]
    """See the module."""

    def __init__(self, consumer: Any, admin: Any, group: str, publish: Publish) -> None:
        self._consumer = consumer
        self._admin = admin
        self._group = group
        self._publish = publish
        self._parts: dict[TopicPartition, _Part] = {}

    async def fetch(self, most: int) -> Sequence[Delivery]:
        """At most so many messages. They are ours only after it is written down that we have them."""
        come = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=most)
        deliveries: list[Delivery] = []
        for partition, messages in come.items():
            part = await self._part(partition)
            deliveries += [self._taken(part, message) for message in messages if message.offset not in part.open]
        # From here on nothing may be raised, or what was read would be lost until the next worker.
        for partition in list(self._parts):
            await self._try_commit(partition)
        return deliveries

    def _taken(self, part: _Part, message: Any) -> Delivery:
        sent_back = dict(message.headers).get(_DELIVERIES, b"0")
        before = part.before.pop(message.offset, 0) + (int(sent_back) if sent_back.isdigit() else 0)
        part.open[message.offset] = before + 1
        part.next = max(part.next, message.offset + 1)
        return Delivery(message.value or b"", _Ticket(self, message, before + 1), before + 1)

    async def done(self, message: Any) -> None:
        """A message is answered."""
        partition = TopicPartition(message.topic, message.partition)
        self._parts[partition].open.pop(message.offset, None)
        await self._commit(partition)

    async def send_again(self, message: Any, count: int) -> None:
        """Put a message to the end of its partition, for whoever is first."""
        while True:
            try:
                headers = {_DELIVERIES: str(count).encode()}
                await self._publish(message.topic, message.value, message.key, headers)
                break
            except BrokerUnavailable:  # nobody else would ever get it while we live
                await asyncio.sleep(_AGAIN_SECONDS)
        await self.done(message)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Others will get them, and what we have of them as well."""
        for partition in revoked:
            part = self._parts.get(partition)
            if part is not None:
                part.loaded = False
                await self._try_commit(partition, revoked=True)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """What is written beside their offsets is read when the first message comes."""

    async def _part(self, partition: TopicPartition) -> _Part:
        part = self._parts.setdefault(partition, _Part())
        if not part.loaded:
            offset, part.before = await self._read(partition)
            part.open = {each: count for each, count in part.open.items() if each >= offset}
            part.committed = None
            part.loaded = True
        return part

    async def _read(self, partition: TopicPartition) -> tuple[int, dict[int, int]]:
        """What was committed, and how often what follows was delivered."""
        try:
            found = await self._admin.list_consumer_group_offsets(self._group, partitions=[partition])
            counts = json.loads(found[partition].metadata or "{}")
            return found[partition].offset, {int(offset): int(count) for offset, count in counts.items()}
        except (KafkaError, OSError, KeyError, ValueError, AttributeError) as error:
            log.warning("deliveries are counted from one again", error=type(error).__name__)
            return 0, {}

    async def _try_commit(self, partition: TopicPartition, *, revoked: bool = False) -> None:
        try:
            await self._commit(partition, revoked=revoked)
        except (KafkaError, OSError) as error:
            log.debug("not committed now", error=type(error).__name__)

    async def _commit(self, partition: TopicPartition, *, revoked: bool = False) -> None:
        part = self._parts[partition]
        if not part.loaded and not revoked:
            return  # it is not ours any more
        async with part.lock:
            state = part.state(revoked=revoked)
            if state != part.committed:
                await self._consumer.commit({partition: state})
                part.committed = state
