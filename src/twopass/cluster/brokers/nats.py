"""NATS JetStream: one stream of utterances that workers pull from, finals under a subject for each gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import nats.errors
import structlog
from faststream.nats import NatsBroker
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy as JetStreamAck
from nats.js.api import ConsumerConfig, DeliverPolicy, RetentionPolicy, StreamConfig
from nats.js.errors import BadRequestError

from twopass.cluster.broker import UNDERTAKERS, WORKERS, BrokerSettings, Topic, nobody_waits
from twopass.cluster.brokers.nats_pull import Pull
from twopass.cluster.inbox import Delivery, Inbox, NoTicket
from twopass.errors import BrokerUnavailable

log = structlog.get_logger()

_AGAIN_SECONDS = 0.25
_DEAD_SECONDS = 14 * 86_400.0
_FINALS_ROOM = 256
_SHARE = 4
"""So many utterances a worker asks for at once."""
_FAILURES = (nats.errors.Error, OSError, asyncio.TimeoutError)


def make(settings: BrokerSettings) -> NatsTransport:
    """The broker at this address, not opened yet."""
    return NatsTransport(settings)


class _Ticket:
    """
    Good for the connection that the message came with. A server that comes back without its data begins to count anew,
    and would take our answer for one to another message; if it has its data, it delivers the message again.
    """

    def __init__(self, message: Msg, valid: Callable[[], bool]) -> None:
        self._message = message
        self._valid = valid

    async def ack(self) -> None:
        if self._valid():
            await self._message.ack()

    async def nack(self) -> None:
        if self._valid():
            await self._message.nak()

    async def touch(self) -> None:
        if self._valid():
            await self._message.in_progress()


class NatsTransport:
    """See `twopass.cluster.broker.Broker`."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.returned: Callable[[], None] = nobody_waits
        self._set = settings
        self._consumers: list[tuple[Topic, str, str]] = []
        self._restoring: asyncio.Task[None] | None = None
        self._client: Client | None = None
        self._connections = 0
        self._broker = NatsBroker(
            settings.url,
            logger=None,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            reconnected_cb=self._reconnected,
            error_cb=_ignore,
        )

    @property
    def ack_seconds(self) -> float:
        return self._set.ack_seconds

    async def open(self) -> None:
        try:
            async with asyncio.timeout(self._set.connect_seconds):
                self._client = await self._broker.connect()
                await self._make_streams()
        except _FAILURES as error:
            fix = "Is NATS there, with JetStream (nats-server -js)?"
            raise BrokerUnavailable(f"{self._set.shown}: {type(error).__name__}.", fix=fix) from None

    async def close(self) -> None:
        if self._restoring is not None:
            self._restoring.cancel()
        if self._client is not None:
            await self._client.close()  # not `drain`, which waits for a broker that is gone

    async def publish(self, topic: Topic, body: bytes, *, key: str = "") -> None:
        try:
            if topic is Topic.WISHES:
                await self._broker.publish(body, topic)
            else:
                subject = f"{topic}.{key}" if topic is Topic.FINALS else topic
                stream, seconds = _stream(topic), self._set.publish_seconds
                await self._broker.publish(body, subject, stream=stream, timeout=seconds)
        except _FAILURES as error:
            raise BrokerUnavailable(f"NATS did not take a message: {type(error).__name__}.") from None

    async def utterances(self, room: int) -> Inbox:
        return await self._pull(room, Topic.UTTERANCES, Topic.UTTERANCES, durable=WORKERS)

    async def dead_letters(self) -> Inbox:
        return await self._pull(_FINALS_ROOM, Topic.DEAD, Topic.DEAD, durable=UNDERTAKERS)

    async def finals(self, gateway: str) -> Inbox:
        return await self._pull(_FINALS_ROOM, Topic.FINALS, f"{Topic.FINALS}.{gateway}", durable=gateway)

    async def wishes(self) -> Inbox:
        inbox = Inbox(0)

        async def came(message: Any) -> None:
            inbox.put(Delivery(message.data, NoTicket()))

        client = await self._broker.connect()
        subscription = await client.subscribe(Topic.WISHES, cb=came)
        await client.flush()
        inbox.at_close(subscription.unsubscribe)
        return inbox

    async def _pull(self, room: int, topic: Topic, subject: str, *, durable: str) -> Inbox:
        self._consumers.append((topic, subject, durable))
        await self._make_consumer(topic, subject, durable)
        assert self._client is not None
        pull = Pull(self._client, _stream(topic), durable, _SHARE if topic is Topic.UTTERANCES else room)
        await pull.open()

        async def fetch(most: int) -> Sequence[Delivery]:
            return [self._delivery(message) for message in await pull.fetch(most)]

        async def close() -> None:
            for message in await pull.close():
                inbox.put(self._delivery(message))

        inbox = Inbox(room, fetch)
        inbox.at_close(close)
        return inbox

    def _delivery(self, message: Msg) -> Delivery:
        return Delivery(message.data, _Ticket(message, self._validity()), message.metadata.num_delivered or 1)

    @property
    def _jetstream(self) -> JetStreamContext:
        assert self._client is not None
        return self._client.jetstream()

    def _validity(self) -> Callable[[], bool]:
        """Whether this connection is still the one that is there."""
        client, number = self._client, self._connections
        return lambda: client is not None and client.is_connected and number == self._connections

    async def _make_streams(self) -> None:
        # Files: what was published survives a restart of the server.
        keep = {
            Topic.UTTERANCES: StreamConfig(subjects=[Topic.UTTERANCES], retention=RetentionPolicy.WORK_QUEUE),
            Topic.FINALS: StreamConfig(subjects=[f"{Topic.FINALS}.*"], max_age=self._set.finals_seconds),
            Topic.DEAD: StreamConfig(subjects=[Topic.DEAD], max_age=_DEAD_SECONDS),
        }
        for topic, config in keep.items():
            try:
                await self._jetstream.add_stream(config, name=_stream(topic))
            except BadRequestError:  # it is there, and whoever runs the server has set it up otherwise
                continue

    async def _make_consumer(self, topic: Topic, subject: str, durable: str) -> None:
        own = topic is Topic.FINALS
        config = ConsumerConfig(
            durable_name=durable,
            filter_subject=subject,
            ack_policy=JetStreamAck.EXPLICIT,
            ack_wait=self._set.ack_seconds,
            max_ack_pending=-1,  # each worker minds its own room
            deliver_policy=DeliverPolicy.ALL,
            inactive_threshold=self._set.finals_seconds if own else None,
        )
        try:
            await self._jetstream.add_consumer(_stream(topic), config)
        except BadRequestError:  # as above
            return

    async def _reconnected(self) -> None:
        self._connections += 1
        if self._restoring is None or self._restoring.done():
            self._restoring = asyncio.create_task(self._restore())

    async def _restore(self) -> None:
        """The server may have come back without its data, and need not be ready yet."""
        while True:
            try:
                await self._make_streams()
                for consumer in self._consumers:
                    await self._make_consumer(*consumer)
            except Exception as error:  # a server that begins answers in many ways
                log.debug("the streams cannot be made yet", error=type(error).__name__)
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                break
        self.returned()


def _stream(topic: Topic) -> str:
    """A stream's name must not have dots."""
    return topic.replace(".", "-")


async def _ignore(error: Exception) -> None:
    """What matters is raised where it matters, or ends with a reconnection."""
