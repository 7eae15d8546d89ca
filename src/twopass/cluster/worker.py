"""
The worker's side: takes utterances of all sessions from the broker, and gives them to a second pass like a server's.

An utterance is acknowledged when its result was published, and not sooner: if this process dies, another worker gets
it. What cannot be read, and what was delivered several times without an answer, goes to the dead letters; whoever
asked is told as far as that is known.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from twopass.cluster.broker import Broker
from twopass.cluster.flac import from_flac
from twopass.cluster.inbox import Delivery, Inbox
from twopass.cluster.recent import Recent
from twopass.cluster.replies import Replies
from twopass.cluster.wire import Failure, JobId, Result, Utterance, Wish, decode
from twopass.cluster.worker_metrics import Observed, WorkerMetrics
from twopass.errors import RecognizerCrashed, RecognizerError, RecognizerRejected, RecognizerUnavailable, WireError
from twopass.recognizers import UtteranceAudio
from twopass.second_pass import Job, SecondPass
from twopass.types import Usage

log = structlog.get_logger()

_REMEMBERED = 2_048
_AGAIN_SECONDS = 0.5
_TOUCHES = 3
"""So often in the time that the broker waits for an acknowledgement."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """
    Attributes:
        room: How many utterances to take at most that are not answered: enough for batches, but what is taken cannot
            be heard by a worker that has nothing to do.
        most_deliveries: An utterance that was delivered so often without an answer goes to the dead letters.
        name: A name that no other worker has.
    """

    room: int = 16
    most_deliveries: int = 3
    name: str = field(default_factory=lambda: f"worker-{secrets.token_hex(8)}")


@dataclass(frozen=True, slots=True)
class Hearer:
    """A second pass that utterances can be given to. Profiles whose recognizer is the same share one."""

    queue: SecondPass
    recognizer: Observed


@dataclass(eq=False, slots=True)
class _Held:
    """
    An utterance that was taken.

    Attributes:
        deliveries: Its own, and those of later attempts that came meanwhile.
        count: How often it was delivered.
        fate: Set when nobody here waits for its answer any more: "dropped", "given_back".
    """

    utterance: Utterance
    deliveries: list[Delivery]
    count: int
    hearer: Hearer | None = None
    job: Job | None = None
    usage: list[Usage] = field(default_factory=list)
    fate: str = ""


class Worker:
    """One process that hears. `run` it; `drain` ends that."""

    def __init__(
        self, broker: Broker, hearers: Mapping[str, Hearer], settings: WorkerSettings, metrics: WorkerMetrics
    ) -> None:
        self._broker = broker
        self._hearers = hearers
        self._set = settings
        self._metrics = metrics
        self._utterances: Inbox | None = None
        self._held: dict[JobId, _Held] = {}
        self._working: dict[asyncio.Task[None], Delivery] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._wishes: Recent[JobId, Wish] = Recent(_REMEMBERED)
        self._replies = Replies(broker, settings.name)
        self._draining = asyncio.Event()
        metrics.watch(lambda: len(self._held), self._queue_age)

    async def run(self) -> None:
        """Until `drain` was called and everything is answered or given back. Raises BrokerUnavailable at the start."""
        await self._broker.open()
        wishes = await self._broker.wishes()
        self._utterances = utterances = await self._broker.utterances(self._set.room)
        queues = {id(hearer.queue): hearer.queue for hearer in self._hearers.values()}
        lasting = [queue.run() for queue in queues.values()]
        lasting += [self._take(utterances), self._hear_wishes(wishes), self._touch()]
        background = [asyncio.create_task(work) for work in lasting]
        try:
            await self._draining.wait()
            await self._finish(utterances)
        finally:
            for task in (*background, *self._working):
                task.cancel()
            await asyncio.gather(*background, *self._working, return_exceptions=True)
            await wishes.abandon()
            await self._broker.close()

    def drain(self) -> None:
        """Take nothing more, give back what is not being decoded, answer what is."""
        self._draining.set()

    async def _finish(self, utterances: Inbox) -> None:
        await utterances.close()
        for held in list(self._held.values()):
            decoding = held.hearer and held.job and held.hearer.recognizer.decodes(held.job.audio)
            if held.job is not None and not decoding:
                self._let_go(held, "given_back")
        while self._working or self._telling:
            await asyncio.wait((*self._working, *self._telling))

    # -- from the broker --------------------------------------------------------------------------------------------

    async def _take(self, utterances: Inbox) -> None:
        async for delivery in utterances:
            task = asyncio.create_task(self._work(delivery))
            self._working[task] = delivery
            task.add_done_callback(self._working.pop)

    async def _hear_wishes(self, wishes: Inbox) -> None:
        async for delivery in wishes:
            await delivery.ack()
            try:
                wish = decode(Wish, delivery.body)
            except WireError as error:
                log.warning("a wish cannot be read", reason=error.code)
                continue
            self._wishes.remember(wish.id, wish)
            held = self._held.get(wish.id)
            if held is not None and held.job is not None:
                self._grant(held, held.job, wish)

    def _grant(self, held: _Held, job: Job, wish: Wish) -> None:
        if wish.deadline_ms is None:
            self._let_go(held, "dropped")
        else:
            job.confirm(_loop_time(wish.deadline_ms))

    def _let_go(self, held: _Held, fate: str) -> None:
        assert held.job is not None
        if not held.job.answer.done():
            held.fate = fate
            held.job.drop()

    async def _touch(self) -> None:
        """Tell the broker again and again that we are alive and have not forgotten."""
        while True:
            await asyncio.sleep(self._broker.ack_seconds / _TOUCHES)
            held = [delivery for each in self._held.values() for delivery in each.deliveries]
            for delivery in {*held, *self._working.values()}:
                await delivery.touch()

    # -- one utterance ----------------------------------------------------------------------------------------------

    async def _work(self, delivery: Delivery) -> None:
        """From its delivery to its acknowledgement. Whatever happens, it is answered."""
        try:
            await self._read(delivery)
        except Exception:
            log.exception("an utterance could not be dealt with")
            await delivery.nack()

    async def _read(self, delivery: Delivery) -> None:
        try:
            utterance = decode(Utterance, delivery.body)
        except WireError as error:
            await self._replies.bury(delivery, error.code, str(error))
            await delivery.ack()
            return
        known = self._held.get(utterance.id)
        if known is not None:  # sent again while we are at it: answered together
            known.deliveries.append(delivery)
        elif await self._replies.give_again(utterance.id):  # we answered, but that we did was lost
            await delivery.ack()
        else:
            await self._hold(_Held(utterance, [delivery], delivery.count))

    async def _hold(self, held: _Held) -> None:
        self._held[held.utterance.id] = held
        try:
            await self._hear(held)
        finally:
            del self._held[held.utterance.id]

    async def _hear(self, held: _Held) -> None:
        utterance = held.utterance
        wish = self._wishes.get(utterance.id)
        if wish is not None and wish.deadline_ms is None:
            await self._end(held, "dropped")
            return
        try:
            job = await self._submit(held)
        except RecognizerError as error:
            await self._give_up(held, error)
            return
        if job is None:
            await self._end(held, "given_back")
            return
        wish = self._wishes.get(utterance.id)  # it may have come meanwhile
        if wish is not None:
            self._grant(held, job, wish)
        await asyncio.wait({job.answer})
        await self._answered(held, job)

    async def _submit(self, held: _Held) -> Job | None:
        """Queue it; None if it is to be given back. Raises RecognizerError for what never can be heard."""
        utterance = held.utterance
        hearer = self._hearers.get(utterance.profile)
        if hearer is None:
            message = f"The workers have no profile {utterance.profile!r}."
            fix = "Start gateways and workers with the same configuration."
            raise RecognizerUnavailable(message, provider="worker", code="unknown_profile", fix=fix)
        if held.count > self._set.most_deliveries:
            message = f"The utterance was delivered {held.count - 1} times, and no worker lived to answer."
            raise RecognizerCrashed(message, provider=hearer.recognizer.capabilities.provider, code="undeliverable")
        try:
            pcm = await asyncio.to_thread(from_flac, utterance.audio, utterance.samples)
        except WireError as error:
            provider = hearer.recognizer.capabilities.provider
            raise RecognizerRejected(error.message, provider=provider, code=error.code, fix=error.fix) from None
        if self._draining.is_set():
            return None
        audio = UtteranceAudio(pcm, utterance.options.stream_options)
        deadline = math.inf if utterance.deadline_ms is None else _loop_time(utterance.deadline_ms)
        held.hearer = hearer
        held.job = hearer.queue.submit(
            audio,
            used=lambda usage: self._used(held, usage),
            deadline=deadline,
            speculative=utterance.speculative,
        )
        return held.job

    async def _answered(self, held: _Held, job: Job) -> None:
        error = None if job.answer.cancelled() else job.answer.exception()
        if job.answer.cancelled():
            await self._end(held, held.fate)
        elif error is None:
            await self._replies.give(self._result(held, hypothesis=job.answer.result()))
            await self._end(held, "answered")
        elif not isinstance(error, RecognizerCrashed | RecognizerUnavailable):
            assert isinstance(error, RecognizerError)
            await self._replies.give(self._result(held, failure=Failure.of(error)))
            await self._end(held, "failed")
        elif held.count >= self._set.most_deliveries:
            await self._give_up(held, error)
        else:
            # Another worker may be well. Not at once: if there is none, this one gets it again.
            await asyncio.sleep(_AGAIN_SECONDS)
            await self._end(held, "given_back")

    async def _give_up(self, held: _Held, error: RecognizerError) -> None:
        await self._replies.bury(held.deliveries[0], error.code, str(error))
        await self._replies.give(self._result(held, failure=Failure.of(error)))
        await self._end(held, "dead")

    async def _end(self, held: _Held, outcome: str) -> None:
        self._metrics.outcomes.labels(outcome).inc()
        back = outcome == "given_back"
        while held.deliveries:
            delivery = held.deliveries.pop()
            await (delivery.nack() if back else delivery.ack())

    # -- what it cost -----------------------------------------------------------------------------------------------

    def _result(self, held: _Held, **answer: Any) -> Result:
        utterance, usage = held.utterance, tuple(held.usage)
        return Result(utterance.id, utterance.attempt, self._set.name, held.count, usage=usage, **answer)

    def _used(self, held: _Held, usage: Usage) -> None:
        if not held.fate:
            held.usage.append(usage)
            return
        # It was being decoded when it was dropped: nobody waits for more than its cost.
        held.usage = [usage]
        self._spawn(self._replies.give(self._result(held)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def _queue_age(self) -> float:
        sent = min((held.utterance.sent_ms for held in list(self._held.values())), default=None)
        return 0.0 if sent is None else max(0.0, time.time() - sent / 1000)


def _loop_time(epoch_ms: int) -> float:
    """The same moment on the loop's clock."""
    return asyncio.get_running_loop().time() + epoch_ms / 1000 - time.time()
