"""The worker's side: takes utterances of all sessions from the broker; `hearing` says what becomes of each."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from twopass.cluster.broker import Broker
from twopass.cluster.hearing import Hearer, Hearing
from twopass.cluster.inbox import Delivery, Inbox
from twopass.cluster.reaching import parted
from twopass.cluster.replies import Replies
from twopass.cluster.wire import Wish, decode
from twopass.cluster.worker_metrics import WorkerMetrics
from twopass.errors import WireError

log = structlog.get_logger()

_TOUCHES = 3
"""So often in the time that the broker waits for an acknowledgement."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """
    Attributes:
        room: How many utterances to take at most that are not answered: enough for batches, but what is taken cannot
            be heard by a worker that has nothing to do.
        most_deliveries: An utterance that was delivered so often without an answer goes to the dead letters.
        drain_seconds: How long draining may take. What is not acknowledged by then goes to another worker: the broker
            may be away, and nobody waits for ever for this process to end.
        name: A name that no other worker has.
    """

    room: int = 16
    most_deliveries: int = 3
    drain_seconds: float = 60.0
    name: str = field(default_factory=lambda: f"worker-{secrets.token_hex(8)}")


class Worker:
    """
    One process that hears. `run` it; `drain` ends that.

    Args:
        broker: An open connection. The worker closes it.
    """

    def __init__(
        self, broker: Broker, hearers: Mapping[str, Hearer], settings: WorkerSettings, metrics: WorkerMetrics
    ) -> None:
        self._broker = broker
        self._set = settings
        self._queues = {id(hearer.queue): hearer.queue for hearer in hearers.values()}
        self._hearing = hearing = Hearing(
            hearers, Replies(broker, settings.name), settings.most_deliveries, metrics.outcomes
        )
        self._working: dict[asyncio.Task[None], Delivery] = {}
        self._draining = asyncio.Event()
        self._ready = metrics.ready
        metrics.watch(lambda: len(hearing.held), lambda: hearing.age)

    async def run(self) -> None:
        """Until `drain` was called, and everything is answered or given back as far as there is time."""
        inboxes: list[Inbox] = []
        try:
            inboxes.append(wishes := await self._broker.wishes())
            inboxes.append(utterances := await self._broker.utterances(self._set.room))
        except BaseException:
            await parted(self._broker, *inboxes)
            raise
        lasting = [queue.run() for queue in self._queues.values()]
        lasting += [self._take(utterances), self._hear_wishes(wishes), self._touch()]
        background = [asyncio.create_task(work) for work in lasting]
        try:
            with self._ready.track_inprogress():
                await self._draining.wait()
            await self._finish(utterances)
        finally:
            tasks = [*background, *self._working, *self._hearing.telling]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await parted(self._broker, utterances, wishes)

    def drain(self) -> None:
        """Take nothing more, give back what is not being decoded, answer what is."""
        self._draining.set()

    async def _finish(self, utterances: Inbox) -> None:
        try:
            async with asyncio.timeout(self._set.drain_seconds):
                await utterances.close()
                self._hearing.end()
                while self._working or self._hearing.telling:
                    await asyncio.wait((*self._working, *self._hearing.telling))
        except TimeoutError:
            log.warning("draining took too long: other workers get what is left", utterances=len(self._working))

    async def _take(self, utterances: Inbox) -> None:
        async for delivery in utterances:
            task = asyncio.create_task(self._hearing.hear(delivery))
            self._working[task] = delivery
            task.add_done_callback(self._working.pop)

    async def _hear_wishes(self, wishes: Inbox) -> None:
        async for delivery in wishes:
            await delivery.ack()
            try:
                self._hearing.wish(decode(Wish, delivery.body))
            except WireError as error:
                log.warning("a wish cannot be read", reason=error.code)

    async def _touch(self) -> None:
        """Tell the broker again and again that we are alive and have not forgotten."""
        while True:
            await asyncio.sleep(self._broker.ack_seconds / _TOUCHES)
            held = [delivery for each in self._hearing.held.values() for delivery in each.deliveries]
            for delivery in {*held, *self._working.values()}:
                await delivery.touch()
