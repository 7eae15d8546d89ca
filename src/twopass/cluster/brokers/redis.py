"""
Redis streams: one of utterances that workers share as a consumer group, one of finals for each gateway.

With redis-py itself: what FastStream makes of it can neither count deliveries nor give a message back on servers
before 8.4, and ends for good when a server comes back without its data. To keep them, Redis must write to its disk
(`appendonly yes`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from twopass.cluster.broker import UNDERTAKERS, WORKERS, BrokerSettings, Topic, nobody_waits
from twopass.cluster.inbox import POLL_SECONDS, Delivery, Inbox, NoTicket
from twopass.cluster.redis_reply import replied
from twopass.errors import BrokerUnavailable

_POLL_MS = round(POLL_SECONDS * 1000)
_LONG_IDLE_MS = 10 * 86_400_000
_MANY = 256
_MOST_FINALS = 10_000
_FAILURES = (RedisError, OSError)
_BODY = b"body"
_Entry: TypeAlias = tuple[bytes, dict[bytes, bytes] | None]


def make(settings: BrokerSettings) -> RedisTransport:
    """The broker at this address, not opened yet."""
    return RedisTransport(settings)


class _Ticket:
    """An entry that this consumer of a group has."""

    def __init__(self, redis: Redis, topic: Topic, group: str, consumer: str, id_: bytes) -> None:
        self._redis = redis
        self._names = (topic.value, group, consumer)
        self._id = id_

    async def ack(self) -> None:
        stream, group, _ = self._names
        async with self._redis.pipeline(transaction=True) as together:
            together.xack(stream, group, self._id)
            together.xdel(stream, self._id)
            await together.execute()

    async def nack(self) -> None:
        # There is no such thing, but who has been idle for long loses it to the next one who asks.
        await self._claim(idle=_LONG_IDLE_MS)

    async def touch(self) -> None:
        await self._claim()

    async def _claim(self, idle: int | None = None) -> None:
        """Keep it as ours, idle for so long, without counting that as a delivery."""
        await replied(self._redis.xclaim(*self._names, 0, [self._id], idle=idle, justid=True))


class RedisTransport:
    """See `twopass.cluster.broker.Broker`."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.returned: Callable[[], None] = nobody_waits
        self._set = settings
        self._consumer = secrets.token_hex(8)
        # Without retries: that the connection broke must be noticed.
        self._redis: Redis = Redis.from_url(
            settings.url,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=settings.connect_seconds,
            socket_timeout=None,
        )

    @property
    def ack_seconds(self) -> float:
        return self._set.ack_seconds

    async def open(self) -> None:
        try:
            await replied(self._redis.ping())
        except _FAILURES as error:
            message = f"{self._set.shown}: {type(error).__name__}."
            raise BrokerUnavailable(message, fix="Is Redis there?") from None

    async def close(self) -> None:
        await self._redis.aclose()

    async def publish(self, topic: Topic, body: bytes, *, key: str = "") -> None:
        try:
            if topic is Topic.WISHES:
                await replied(self._redis.publish(topic.value, body))
            elif topic is Topic.FINALS:
                await self._add_final(f"{topic}.{key}", body)
            else:
                await replied(self._redis.xadd(topic.value, {_BODY: body}))
        except _FAILURES as error:
            raise BrokerUnavailable(f"Redis did not take a message: {type(error).__name__}.") from None

    async def _add_final(self, stream: str, body: bytes) -> None:
        async with self._redis.pipeline(transaction=True) as together:
            together.xadd(stream, {_BODY: body}, maxlen=_MOST_FINALS, approximate=True)
            together.expire(stream, round(self._set.finals_seconds))
            await together.execute()

    async def utterances(self, room: int) -> Inbox:
        return await self._shared(Topic.UTTERANCES, WORKERS, room)

    async def dead_letters(self) -> Inbox:
        return await self._shared(Topic.DEAD, UNDERTAKERS, _MANY)

    async def _shared(self, topic: Topic, group: str, room: int) -> Inbox:
        await self._make_group(topic, group)
        cursor = b"0-0"

        async def fetch(most: int) -> Sequence[Delivery]:
            nonlocal cursor
            try:
                cursor, left_behind = await self._left_behind(topic, group, cursor, most)
                return left_behind or await self._new(topic, group, most)
            except ResponseError as error:
                if not str(error).startswith("NOGROUP"):
                    raise
                await self._make_group(topic, group)  # it came back without its data
                return ()

        return Inbox(room, fetch, lambda: self.returned())

    async def _make_group(self, topic: Topic, group: str) -> None:
        try:
            await replied(self._redis.xgroup_create(topic.value, group, id="0", mkstream=True))
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def _left_behind(
        self, topic: Topic, group: str, cursor: bytes, most: int
    ) -> tuple[bytes, Sequence[Delivery]]:
        """What others had and did not answer in time, and where to look on: it looks at some each time."""
        idle_ms = round(self._set.ack_seconds * 1000)
        names = (topic.value, group, self._consumer, idle_ms)
        cursor, entries, *_ = await replied(self._redis.xautoclaim(*names, start_id=cursor, count=most))
        return cursor, [await self._again(topic, group, entry) for entry in entries if entry[1] is not None]

    async def _again(self, topic: Topic, group: str, entry: _Entry) -> Delivery:
        states = await replied(self._redis.xpending_range(topic.value, group, entry[0], entry[0], 1))
        return self._delivery(topic, group, entry, count=states[0]["times_delivered"] if states else 1)

    async def _new(self, topic: Topic, group: str, most: int) -> Sequence[Delivery]:
        come = await replied(
            self._redis.xreadgroup(group, self._consumer, {topic.value: ">"}, count=most, block=_POLL_MS)
        )
        return [self._delivery(topic, group, entry, count=1) for entry in _entries(come)]

    def _delivery(self, topic: Topic, group: str, entry: _Entry, *, count: int) -> Delivery:
        ticket = _Ticket(self._redis, topic, group, self._consumer, entry[0])
        return Delivery((entry[1] or {}).get(_BODY, b""), ticket, count)

    async def finals(self, gateway: str) -> Inbox:
        stream, last = f"{Topic.FINALS}.{gateway}", b"0"

        async def fetch(most: int) -> Sequence[Delivery]:
            nonlocal last
            entries = _entries(await replied(self._redis.xread({stream: last}, count=most, block=_POLL_MS)))
            last = entries[-1][0] if entries else last
            return [Delivery((entry[1] or {}).get(_BODY, b""), NoTicket()) for entry in entries]

        return Inbox(_MANY, fetch, lambda: self.returned())

    async def wishes(self) -> Inbox:
        listener = self._redis.pubsub(ignore_subscribe_messages=True)
        await listener.subscribe(Topic.WISHES.value)

        async def fetch(_: int) -> Sequence[Delivery]:
            message = await listener.get_message(timeout=_POLL_MS / 1000)
            return () if message is None else (Delivery(message["data"], NoTicket()),)

        inbox = Inbox(_MANY, fetch)
        inbox.at_close(listener.aclose)
        return inbox


def _entries(come: Any) -> list[_Entry]:
    """Of the one stream that was read: version 2 of the protocol gives a list, version 3 a mapping."""
    if not come:
        return []
    if isinstance(come, dict):
        (((entries,),),) = (come.values(),)
        return cast("list[_Entry]", entries)
    return cast("list[_Entry]", come[0][1])
