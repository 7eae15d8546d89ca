"""
What a worker does with one utterance, from its delivery to its acknowledgement.

It is acknowledged when its result was published, and not sooner: if this process dies, another worker gets it. What
cannot be read, and what was delivered several times without an answer, goes to the dead letters; whoever asked is told
as far as that is known.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from prometheus_client import Counter

from twopass.cluster.flac import from_flac
from twopass.cluster.inbox import Delivery
from twopass.cluster.recent import Recent
from twopass.cluster.replies import Replies
from twopass.cluster.wire import Failure, JobId, Result, Utterance, Wish, decode
from twopass.cluster.worker_metrics import Observed
from twopass.errors import RecognizerCrashed, RecognizerError, RecognizerRejected, RecognizerUnavailable, WireError
from twopass.recognizers import UtteranceAudio
from twopass.second_pass import Job, SecondPass
from twopass.types import Usage

log = structlog.get_logger()

_REMEMBERED = 2_048
_AGAIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Hearer:
    """A second pass that utterances can be given to. Profiles whose recognizer is the same share one."""

    queue: SecondPass
    recognizer: Observed


@dataclass(eq=False, slots=True)
class Held:
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

    @property
    def decoding(self) -> bool:
        """Whether it is being decoded now."""
        return bool(self.hearer and self.job and self.hearer.recognizer.decodes(self.job.audio))

    def grant(self, wish: Wish) -> None:
        """Do what a gateway wants of it."""
        if wish.deadline_ms is None:
            self.let_go("dropped")
        elif self.job is not None:
            self.job.confirm(_loop_time(wish.deadline_ms))

    def let_go(self, fate: str) -> None:
        """Nobody here waits for its answer any more."""
        if self.job is not None and not self.job.answer.done():
            self.fate = fate
            self.job.drop()


class Hearing:
    """
    The utterances that one worker has.

    Args:
        hearers: By profile.
        most_deliveries: An utterance that was delivered so often without an answer goes to the dead letters.
        outcomes: Counts how they ended.

    Attributes:
        held: Those that can be read and are not answered.
        telling: Tasks that tell what was spent in vain.
    """

    def __init__(
        self, hearers: Mapping[str, Hearer], replies: Replies, most_deliveries: int, outcomes: Counter
    ) -> None:
        self.held: dict[JobId, Held] = {}
        self.telling: set[asyncio.Task[None]] = set()
        self._hearers = hearers
        self._replies = replies
        self._most_deliveries = most_deliveries
        self._outcomes = outcomes
        self._wishes: Recent[JobId, Wish] = Recent(_REMEMBERED)
        self._ending = False

    async def hear(self, delivery: Delivery) -> None:
        """From its delivery to its acknowledgement. Whatever happens, it is answered."""
        try:
            await self._read(delivery)
        except Exception:
            log.exception("an utterance could not be dealt with")
            await delivery.nack()

    def wish(self, wish: Wish) -> None:
        """A gateway wants something of an utterance, which may come later."""
        self._wishes.remember(wish.id, wish)
        if wish.id in self.held:
            self.held[wish.id].grant(wish)

    def end(self) -> None:
        """Give back what is not being decoded, also what comes later."""
        self._ending = True
        for held in list(self.held.values()):
            if not held.decoding:
                held.let_go("given_back")

    @property
    def age(self) -> float:
        """Seconds since the oldest was sent; 0 if there is none. From any thread."""
        sent = min((held.utterance.sent_ms for held in list(self.held.values())), default=None)
        return 0.0 if sent is None else max(0.0, time.time() - sent / 1000)

    # -- one utterance ----------------------------------------------------------------------------------------------

    async def _read(self, delivery: Delivery) -> None:
        try:
            utterance = decode(Utterance, delivery.body)
        except WireError as error:
            await self._replies.bury(delivery, error.code, str(error))
            await delivery.ack()
            self._outcomes.labels("unreadable").inc()
            return
        known = self.held.get(utterance.id)
        if known is not None:  # sent again while we are at it: answered together
            known.deliveries.append(delivery)
        elif await self._replies.give_again(utterance.id):  # we answered, but that we did was lost
            await delivery.ack()
        else:
            await self._hold(Held(utterance, [delivery], delivery.count))

    async def _hold(self, held: Held) -> None:
        self.held[held.utterance.id] = held
        try:
            await self._hear(held)
        finally:
            del self.held[held.utterance.id]

    async def _hear(self, held: Held) -> None:
        wish = self._wishes.get(held.utterance.id)
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
        wish = self._wishes.get(held.utterance.id)  # it may have come meanwhile
        if wish is not None:
            held.grant(wish)
        await asyncio.wait({job.answer})
        await self._answered(held, job)

    async def _submit(self, held: Held) -> Job | None:
        """Queue it; None if it is to be given back. Raises RecognizerError for what never can be heard."""
        utterance = held.utterance
        hearer = self._hearer(held)
        try:
            pcm = await asyncio.to_thread(from_flac, utterance.audio, utterance.samples)
        except WireError as error:
            provider = hearer.recognizer.capabilities.provider
            raise RecognizerRejected(error.message, provider=provider, code=error.code, fix=error.fix) from None
        if self._ending:
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

    def _hearer(self, held: Held) -> Hearer:
        """Who is to hear it. Raises RecognizerError if nobody is."""
        hearer = self._hearers.get(held.utterance.profile)
        if hearer is None:
            message = f"The workers have no profile {held.utterance.profile!r}."
            fix = "Start gateways and workers with the same configuration."
            raise RecognizerUnavailable(message, provider="worker", code="unknown_profile", fix=fix)
        if held.count > self._most_deliveries:
            message = f"The utterance was delivered {held.count - 1} times, and no worker lived to answer."
            raise RecognizerCrashed(message, provider=hearer.recognizer.capabilities.provider, code="undeliverable")
        return hearer

    async def _answered(self, held: Held, job: Job) -> None:
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
        elif held.count >= self._most_deliveries:
            await self._give_up(held, error)
        else:
            # Another worker may be well. Not at once: if there is none, this one gets it again.
            await asyncio.sleep(_AGAIN_SECONDS)
            await self._end(held, "given_back")

    async def _give_up(self, held: Held, error: RecognizerError) -> None:
        await self._replies.bury(held.deliveries[0], error.code, str(error))
        await self._replies.give(self._result(held, failure=Failure.of(error)))
        await self._end(held, "dead")

    async def _end(self, held: Held, outcome: str) -> None:
        self._outcomes.labels(outcome).inc()
        back = outcome == "given_back"
        while held.deliveries:
            delivery = held.deliveries.pop()
            await (delivery.nack() if back else delivery.ack())

    # -- what it cost -----------------------------------------------------------------------------------------------

    def _result(self, held: Held, **answer: Any) -> Result:
        utterance, usage = held.utterance, tuple(held.usage)
        return Result(utterance.id, utterance.attempt, self._replies.name, held.count, usage=usage, **answer)

    def _used(self, held: Held, usage: Usage) -> None:
        if not held.fate:
            held.usage.append(usage)
            return
        # It was being decoded when it was dropped: nobody waits for more than its cost.
        held.usage = [usage]
        self._tell(self._replies.give(self._result(held)))

    def _tell(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.telling.add(task)
        task.add_done_callback(self.telling.discard)


def _loop_time(epoch_ms: int) -> float:
    """The same moment on the loop's clock."""
    return asyncio.get_running_loop().time() + epoch_ms / 1000 - time.time()
