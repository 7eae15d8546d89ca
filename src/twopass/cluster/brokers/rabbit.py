"""RabbitMQ: a quorum queue of utterances, which counts deliveries; a queue of finals for each gateway."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

from aio_pika.exceptions import AMQPError
from aiormq.exceptions import AMQPException
from faststream import AckPolicy
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.rabbit.annotations import RabbitMessage

from twopass.cluster.broker import BrokerSettings, Topic, nobody_waits
from twopass.cluster.inbox import Delivery, Inbox
from twopass.errors import BrokerUnavailable

_MANY = 256
_FAILURES = (AMQPError, AMQPException, OSError, asyncio.TimeoutError, RuntimeError)
_UTTERANCES = RabbitQueue(Topic.UTTERANCES.value, queue_type=QueueType.QUORUM)
_DEAD = RabbitQueue(Topic.DEAD.value, queue_type=QueueType.QUORUM)
_WISHES = RabbitExchange(Topic.WISHES.value, type=ExchangeType.FANOUT)


def make(settings: BrokerSettings) -> RabbitTransport:
    """The broker at this address, not opened yet."""
    return RabbitTransport(settings)


class _Ticket:
    def __init__(self, message: RabbitMessage) -> None:
        self._message = message

    async def ack(self) -> None:
        await self._message.ack()

    async def nack(self) -> None:
        await self._message.nack(requeue=True)

    async def touch(self) -> None:
        """RabbitMQ waits as long as the connection is there."""


class RabbitTransport:
    """See `twopass.cluster.broker.Broker`."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.returned: Callable[[], None] = nobody_waits
        self._set = settings
        self._broker = RabbitBroker(
            settings.url,
            logger=None,
            reconnect_interval=1.0,
            on_reconnected=[self._reconnected],
        )

    @property
    def ack_seconds(self) -> float:
        return self._set.ack_seconds

    async def open(self) -> None:
        try:
            async with asyncio.timeout(self._set.connect_seconds):
                # Not with `declare_queue` of the broker: consumers would then share its channel, which has no prefetch.
                channel = await (await self._broker.connect()).channel()
                for queue in (_UTTERANCES, _DEAD):
                    await channel.declare_queue(queue.name, durable=True, arguments=queue.arguments)
                await self._broker.declare_exchange(_WISHES)
        except _FAILURES as error:
            message = f"{self._set.shown}: {type(error).__name__}."
            raise BrokerUnavailable(message, fix="Is RabbitMQ there, and may this user declare queues?") from None

    async def close(self) -> None:
        await self._broker.stop()

    async def publish(self, topic: Topic, body: bytes, *, key: str = "") -> None:
        try:
            async with asyncio.timeout(self._set.publish_seconds):
                if topic is Topic.WISHES:
                    await self._broker.publish(body, exchange=_WISHES, mandatory=False)
                elif topic is Topic.FINALS:  # the queue of a gateway that has ended is not there any more
                    await self._broker.publish(body, f"{topic}.{key}", persist=True, mandatory=False)
                else:
                    await self._broker.publish(body, topic.value, persist=True)
        except _FAILURES as error:
            raise BrokerUnavailable(f"RabbitMQ did not take a message: {type(error).__name__}.") from None

    async def utterances(self, room: int) -> Inbox:
        return await self._consume(_UTTERANCES, room)

    async def dead_letters(self) -> Inbox:
        return await self._consume(_DEAD, _MANY)

    async def finals(self, gateway: str) -> Inbox:
        return await self._consume(self._own(f"{Topic.FINALS}.{gateway}"), _MANY)

    async def wishes(self) -> Inbox:
        queue = self._own(f"{Topic.WISHES}.{secrets.token_hex(8)}")
        return await self._consume(queue, _MANY, exchange=_WISHES)

    def _own(self, name: str) -> RabbitQueue:
        """A queue that goes some time after whoever reads it."""
        return RabbitQueue(name, arguments={"x-expires": round(self._set.finals_seconds * 1000)})

    async def _consume(self, queue: RabbitQueue, room: int, exchange: RabbitExchange | None = None) -> Inbox:
        inbox = Inbox(room)
        channel, policy = Channel(prefetch_count=room), AckPolicy.MANUAL
        subscriber = self._broker.subscriber(queue, exchange, channel=channel, ack_policy=policy)

        @subscriber
        async def take(message: RabbitMessage) -> None:
            inbox.put(_delivery(message))

        await subscriber.start()
        inbox.at_close(subscriber.stop)
        return inbox

    def _reconnected(self, *_: Any) -> None:
        self.returned()


def _delivery(message: RabbitMessage) -> Delivery:
    before = message.raw_message.headers.get("x-delivery-count", 0)
    return Delivery(message.body, _Ticket(message), 1 + (before if isinstance(before, int) else 0))
