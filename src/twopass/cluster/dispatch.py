"""
The gateway's side: what looks to sessions like a second pass, and sends their utterances to workers.

A job stays here until its answer has come or nobody wants it any more. If the broker was away, what has no answer is
sent again, since it may be lost; so an answer can come twice, and the first one wins. What each cost is told all the
same.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from twopass.cluster.broker import Broker, Topic
from twopass.cluster.flac import to_flac
from twopass.cluster.inbox import Delivery, Inbox
from twopass.cluster.reaching import parted
from twopass.cluster.wire import DeadLetter, JobId, Options, Result, Utterance, Wish, decode, encode
from twopass.errors import BrokerUnavailable, WireError
from twopass.recognizers import Capabilities, UtteranceAudio
from twopass.second_pass import Job, SecondPassSettings
from twopass.types import BYTES_PER_SAMPLE, Hypothesis, Reason, Usage

log = structlog.get_logger()

_AGAIN_SECONDS = 0.5
_LATE_SECONDS = 60.0
"""So long after its end a job's cost may still come."""


@dataclass(eq=False, slots=True)
class RemoteJob(Job):
    """A job whose worker is told when a guess was right."""

    confirmed: Callable[[float], None] = field(kw_only=True)

    def confirm(self, deadline: float) -> None:
        """The speculation was right: the answer is wanted by `deadline`."""
        Job.confirm(self, deadline)
        self.confirmed(deadline)


@dataclass(eq=False, slots=True)
class _Sent:
    """
    A job on its way.

    Attributes:
        since: Loop time when it was given to us.
        message: As it was sent last; None as long as it was not.
        sending: It is about to be sent, for as long as it takes.
        told: Which results have come.
    """

    job: RemoteJob
    id: JobId
    profile: str
    since: float
    message: Utterance | None = None
    sending: asyncio.Task[None] | None = None
    told: set[Result] = field(default_factory=set)


class Dispatch:
    """
    One gateway's connection to its workers, which all its second passes share.

    Args:
        reach: Gives an open connection to the broker, however long that takes.
    """

    def __init__(self, reach: Callable[[], Awaitable[Broker]], name: str | None = None) -> None:
        self._reach = reach
        self._broker: Broker | None = None
        self._opened = asyncio.Event()
        self._name = name or f"gateway-{secrets.token_hex(8)}"
        self._jobs: dict[int, _Sent] = {}
        self._unanswered: dict[int, _Sent] = {}
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._finals: Inbox | None = None

    async def open(self) -> None:
        """Connect, as soon as the broker is there. Jobs may be given before: they wait for it, too."""
        while not self._opened.is_set():
            self._broker = broker = await self._reach()
            try:
                self._finals = await broker.finals(self._name)
            except Exception as error:  # clients raise many kinds
                log.warning("the broker has gone again", error=type(error).__name__)
                await parted(broker)
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                broker.returned = self._send_again
                self._opened.set()
                self._spawn(self._read(self._finals))

    async def close(self) -> None:
        """Forget what is on its way, and disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._broker is not None:
            await parted(self._broker, *([self._finals] if self._finals else []))

    def ask(
        self, profile: str, audio: UtteranceAudio, used: Callable[[Usage], None], deadline: float, *, speculative: bool
    ) -> RemoteJob:
        """Send an utterance to the workers; see `RemoteSecondPass.submit`."""
        self._count += 1
        id_ = JobId(self._name, self._count)
        job = RemoteJob(audio, deadline, speculative, used, confirmed=lambda until: self._wish(id_, until))
        sent = _Sent(job, id_, profile, asyncio.get_running_loop().time())
        self._jobs[id_.number] = self._unanswered[id_.number] = sent
        job.answer.add_done_callback(lambda answer: self._over(sent, dropped=answer.cancelled()))
        sent.sending = self._spawn(self._send(sent))
        return job

    @property
    def sending(self) -> bool:
        """Whether there is a job that the broker does not have."""
        return any(sent.sending is not None and not sent.sending.done() for sent in self._unanswered.values())

    def waiting_since(self, profile: str) -> float:
        """Since when (loop time) the oldest unanswered job with a deadline waits; infinity if there is none."""
        waiting = (s for s in self._unanswered.values() if s.profile == profile and not s.job.answer.done())
        return min((sent.since for sent in waiting if sent.job.deadline < math.inf), default=math.inf)

    # -- to the workers ---------------------------------------------------------------------------------------------

    async def _send(self, sent: _Sent) -> None:
        """Until the broker has it, or nobody wants it any more."""
        if sent.message is None:
            sent.message = await self._message(sent)
        await self._opened.wait()
        while not sent.job.answer.done():
            message = self._stamped(sent, sent.message)
            try:
                await self._publish(Topic.UTTERANCES, encode(message), key=sent.job.audio.options.session)
                return
            except BrokerUnavailable as error:
                log.warning("an utterance could not be sent", attempt=message.attempt, error=error.code)
                sent.message = replace(message, attempt=message.attempt + 1)
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _message(self, sent: _Sent) -> Utterance:
        audio = sent.job.audio
        options, samples = Options.of(audio.options), len(audio.pcm) // BYTES_PER_SAMPLE
        flac = await asyncio.to_thread(to_flac, audio.pcm)
        sent.job.audio = replace(audio, pcm=b"")  # it may be many that wait
        return Utterance(sent.id, 1, sent.profile, options, 0, None, speculative=False, samples=samples, audio=flac)

    def _stamped(self, sent: _Sent, message: Utterance) -> Utterance:
        """As it is now."""
        job = sent.job
        return replace(message, sent_ms=_epoch_ms(), deadline_ms=_wall(job.deadline), speculative=job.speculative)

    def _send_again(self) -> None:
        """The broker is there again: what has no answer may be lost."""
        for sent in self._unanswered.values():
            idle = sent.sending is None or sent.sending.done()
            if idle and sent.message is not None and not sent.job.answer.done():
                sent.message = replace(sent.message, attempt=sent.message.attempt + 1)
                sent.sending = self._spawn(self._send(sent))

    def _over(self, sent: _Sent, *, dropped: bool) -> None:
        """It was answered or dropped. Its cost may still come."""
        del self._unanswered[sent.id.number]
        if dropped:
            self._wish(sent.id, None)
        if sent.message is not None:
            sent.message = replace(sent.message, audio=b"")
        asyncio.get_running_loop().call_later(_LATE_SECONDS, self._jobs.pop, sent.id.number, None)

    def _wish(self, id_: JobId, deadline: float | None) -> None:
        wish = Wish(id_, None if deadline is None else _wall(deadline))
        self._spawn(self._publish_wish(wish))

    async def _publish_wish(self, wish: Wish) -> None:
        try:
            await self._publish(Topic.WISHES, encode(wish))
        except BrokerUnavailable:
            log.debug("a wish was not sent")  # it only saves work

    async def _publish(self, topic: Topic, body: bytes, *, key: str = "") -> None:
        """Raises BrokerUnavailable."""
        if self._broker is None or not self._opened.is_set():
            raise BrokerUnavailable("The broker was never there yet.")
        await self._broker.publish(topic, body, key=key)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- from the workers -------------------------------------------------------------------------------------------

    async def _read(self, finals: Inbox) -> None:
        async for delivery in finals:
            try:
                self._take(decode(Result, delivery.body))
            except WireError as error:
                await self._bury(delivery, error)
            except Exception:
                log.exception("a result could not be taken")
            await delivery.ack()

    def _take(self, result: Result) -> None:
        sent = self._jobs.get(result.id.number) if result.id.gateway == self._name else None
        if sent is None or result in sent.told:
            return
        job, again = sent.job, bool(sent.told)
        sent.told.add(result)
        for usage in result.usage:
            job.used(_charged(usage, again=again, dropped=job.speculative and job.answer.cancelled()))
        if job.answer.done():
            return
        if result.failure is not None:
            job.answer.set_exception(result.failure.error)
        elif result.hypothesis is not None:
            job.answer.set_result(result.hypothesis)

    async def _bury(self, delivery: Delivery, error: WireError) -> None:
        log.warning("a result cannot be read", reason=error.code)
        letter = DeadLetter(Topic.FINALS, error.code, error.message, self._name, _epoch_ms(), delivery.body)
        try:
            await self._publish(Topic.DEAD, encode(letter))
        except BrokerUnavailable:
            log.warning("a dead letter is lost", reason=error.code)


def _charged(usage: Usage, *, again: bool, dropped: bool) -> Usage:
    """With what it was for: two workers may have heard the same."""
    reason = Reason.REPLAY if again else Reason.SPECULATION if dropped else usage.reason
    return replace(usage, reason=reason)


def _epoch_ms() -> int:
    return round(time.time() * 1000)


def _wall(deadline: float) -> int | None:
    """Loop time as ms since 1970; None if it is infinite."""
    if math.isinf(deadline):
        return None
    return _epoch_ms() + round((deadline - asyncio.get_running_loop().time()) * 1000)


class RemoteSecondPass:
    """The second pass of one profile, heard by workers. To sessions it is what `second_pass.SecondPass` is."""

    def __init__(
        self, dispatch: Dispatch, profile: str, capabilities: Capabilities, settings: SecondPassSettings
    ) -> None:
        self.capabilities = capabilities
        self._dispatch = dispatch
        self._profile = profile
        self._set = settings
        self._mean = 0.0  # seconds until an answer, lately

    @property
    def load(self) -> float:
        """
        How long a new job is expected to wait for its answer, as a share of the deadline; 0 if none is waiting now.

        Nobody here knows how long the queue is; but those who wait know how long they have been waiting.
        """
        oldest = self._dispatch.waiting_since(self._profile)
        if math.isinf(oldest):
            return 0.0
        wait = max(self._mean, asyncio.get_running_loop().time() - oldest)
        return wait * 1000 / max(1, self._set.deadline_ms)

    def submit(
        self,
        audio: UtteranceAudio,
        *,
        used: Callable[[Usage], None],
        deadline: float = math.inf,
        speculative: bool = False,
    ) -> Job:
        """Send an utterance to the workers. The job's answer comes from whoever is first."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        job = self._dispatch.ask(self._profile, audio, used, deadline, speculative=speculative)

        def over(answer: asyncio.Future[Hypothesis]) -> None:
            if not (answer.cancelled() and job.speculative):  # else it says nothing of the workers
                self._measured(loop.time() - began)

        job.answer.add_done_callback(over)
        return job

    def _measured(self, seconds: float) -> None:
        """Put a wait into the mean. Good news count more, as in `second_pass.SecondPass`."""
        step = seconds - self._mean
        self._mean += step / (8 if step > 0 else 2)
