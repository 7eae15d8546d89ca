"""
Kafka: utterances by session in partitions that workers share, finals for all gateways in one topic.

With aiokafka itself: FastStream acknowledges all that was read so far, and here each utterance is done in its own time.
What is done is committed up to the oldest utterance that is not; how often those were delivered is written beside it,
so that the next worker knows when this one dies.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code

from twopass.cluster.broker import UNDERTAKERS, WORKERS, BrokerSettings, Topic, nobody_waits
from twopass.cluster.brokers.kafka_share import Share
from twopass.cluster.inbox import POLL_SECONDS, Delivery, Inbox, NoTicket
from twopass.errors import BrokerUnavailable

_LARGEST_BYTES = 4 << 20
_LONGEST_POLL_MS = 3_600_000  # a worker whose room is full reads nothing meanwhile
_POLL_MS = round(POLL_SECONDS * 1000)
_MANY = 256
_MOST_COPIES = 3
_FAILURES = (KafkaError, OSError, asyncio.TimeoutError)


def make(settings: BrokerSettings) -> KafkaTransport:
    """The broker at this address, not opened yet."""
    # It repeats each failed attempt to connect; what that means is logged by whoever waits for it.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return KafkaTransport(settings)


class KafkaTransport:
    """See `twopass.cluster.broker.Broker`. Nothing that was published is lost, so `returned` is never called."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.returned: Callable[[], None] = nobody_waits
        self._set = settings
        self._server = settings.url.removeprefix("kafka://").rstrip("/")
        self._opened: list[Any] = []
        self._producer: Any = None
        self._admin: Any = None

    @property
    def ack_seconds(self) -> float:
        return self._set.ack_seconds

    async def open(self) -> None:
        try:
            async with asyncio.timeout(self._set.connect_seconds):
                self._admin = await self._start(AIOKafkaAdminClient(bootstrap_servers=self._server))
                self._producer = await self._start(self._new_producer())
                await self._make_topics()
        except _FAILURES as error:
            message = f"{self._set.shown}: {type(error).__name__}."
            raise BrokerUnavailable(message, fix="Is Kafka there, and may this user create topics?") from None

    async def close(self) -> None:
        while self._opened:
            each = self._opened.pop()
            await (each.close() if isinstance(each, AIOKafkaAdminClient) else each.stop())

    async def publish(self, topic: Topic, body: bytes, *, key: str = "") -> None:
        await self._publish(topic, body, key.encode() or None, {})

    async def _publish(self, topic: str, body: bytes, key: bytes | None, headers: dict[str, bytes]) -> None:
        try:
            async with asyncio.timeout(self._set.publish_seconds):
                await self._producer.send_and_wait(topic, body, key, headers=list(headers.items()))
        except _FAILURES as error:
            raise BrokerUnavailable(f"Kafka did not take a message: {type(error).__name__}.") from None

    async def utterances(self, room: int) -> Inbox:
        return await self._shared(Topic.UTTERANCES, WORKERS, room)

    async def dead_letters(self) -> Inbox:
        return await self._shared(Topic.DEAD, UNDERTAKERS, _MANY)

    async def finals(self, gateway: str) -> Inbox:
        return await self._all_from_now(Topic.FINALS, gateway.encode())

    async def wishes(self) -> Inbox:
        return await self._all_from_now(Topic.WISHES, None)

    async def _shared(self, topic: Topic, group: str, room: int) -> Inbox:
        session_ms = round(self._set.ack_seconds * 1000)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._server,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 6,
            max_poll_interval_ms=_LONGEST_POLL_MS,
        )
        share = Share(consumer, self._admin, group, self._publish)
        consumer.subscribe([topic.value], listener=share)
        await self._start(consumer)
        return Inbox(room, share.fetch)

    async def _all_from_now(self, topic: Topic, key: bytes | None) -> Inbox:
        consumer = await self._start(AIOKafkaConsumer(topic.value, bootstrap_servers=self._server))
        await consumer.seek_to_end()
        for partition in consumer.assignment():
            await consumer.position(partition)

        async def fetch(_: int) -> Sequence[Delivery]:
            come = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MANY)
            messages = [message for some in come.values() for message in some]
            return [Delivery(m.value or b"", NoTicket()) for m in messages if key in (None, m.key)]

        return Inbox(_MANY, fetch)

    def _new_producer(self) -> Any:
        return AIOKafkaProducer(
            bootstrap_servers=self._server,
            acks="all",
            enable_idempotence=True,
            max_request_size=_LARGEST_BYTES,
        )

    async def _start(self, client: Any) -> Any:
        self._opened.append(client)
        await client.start()
        return client

    async def _make_topics(self) -> None:
        minutes = {"retention.ms": str(round(self._set.finals_seconds * 1000))}
        largest = {"max.message.bytes": str(_LARGEST_BYTES)}
        copies = min(_MOST_COPIES, len((await self._admin.describe_cluster())["brokers"]))
        for topic in Topic:
            brief = minutes if topic in (Topic.FINALS, Topic.WISHES) else {}
            partitions = self._set.partitions if topic is Topic.UTTERANCES else 1
            new = NewTopic(topic.value, partitions, copies, topic_configs=largest | brief)
            answer = await self._admin.create_topics([new])
            code = answer.topic_errors[0][1]
            if code not in (NoError.errno, TopicAlreadyExistsError.errno):
                raise for_code(code)
