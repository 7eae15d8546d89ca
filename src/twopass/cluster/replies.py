"""What a worker publishes: results for gateways, and dead letters."""

from __future__ import annotations

import asyncio
import time

import structlog

from twopass.cluster.broker import Broker, Topic
from twopass.cluster.inbox import Delivery
from twopass.cluster.recent import Recent
from twopass.cluster.wire import DeadLetter, JobId, Result, encode
from twopass.errors import BrokerUnavailable

log = structlog.get_logger()

_AGAIN_SECONDS = 0.5
_REMEMBERED = 2_048


class Replies:
    """
    One worker's. Each method returns when the broker has what is to be published, however long that takes.

    Attributes:
        name: The worker's.
    """

    def __init__(self, broker: Broker, name: str) -> None:
        self._broker = broker
        self.name = name
        self._given: Recent[JobId, bytes] = Recent(_REMEMBERED)

    async def give(self, result: Result) -> None:
        """Tell the gateway."""
        body = encode(result)
        await self._persist(Topic.FINALS, body, key=result.id.gateway)
        if result.hypothesis is not None or result.failure is not None:
            self._given.remember(result.id, body)

    async def give_again(self, id_: JobId) -> bool:
        """Tell the gateway what it was told lately; False if that is not known."""
        if id_ not in self._given:
            return False
        await self._persist(Topic.FINALS, self._given[id_], key=id_.gateway)
        return True

    async def bury(self, delivery: Delivery, reason: str, detail: str) -> None:
        """Put an utterance to the dead letters."""
        log.warning("an utterance goes to the dead letters", reason=reason, deliveries=delivery.count)
        at_ms = round(time.time() * 1000)
        letter = DeadLetter(Topic.UTTERANCES.value, reason, detail, self.name, at_ms, delivery.body)
        await self._persist(Topic.DEAD, encode(letter))

    async def _persist(self, topic: Topic, body: bytes, *, key: str = "") -> None:
        while True:
            try:
                await self._broker.publish(topic, body, key=key)
            except BrokerUnavailable as error:
                log.warning("the broker takes nothing", topic=topic.value, error=error.code)
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return
