"""
The second pass: utterances of all sessions to one utterance recognizer.

Jobs wait in one queue, the earliest deadline first and speculation last; which are decoded together says `batching`,
with what `decode_time` has learned of the recognizer. A job whose process crashed is tried once more; a job that nobody
wants any more is dropped, or, if it is being decoded already, its result is thrown away and its cost told as
speculation.

The queue knows its load: how long a new job will have to wait, as a share of the deadline. Under load speculation goes
first, then context, then jobs that cannot be done in time. One job is always tried, so that the queue notices when
its recognizer has become quick again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from twopass import batching
from twopass.batching import Situation, Waiting
from twopass.decode_time import DecodeTime
from twopass.errors import RecognizerCrashed, RecognizerError, RecognizerTimeout, RecognizerUnavailable
from twopass.recognizers import Capabilities, Recognition, UtteranceAudio, UtteranceRecognizer
from twopass.served import Served
from twopass.types import BYTES_PER_SAMPLE, SAMPLE_RATE, Hypothesis, Reason, Usage

log = structlog.get_logger()

_TURN = 8
"""Every so manieth batch is led by who waits longest, if that is longer than a deadline: recordings, mostly."""
_LONGEST_GAP = 1.0
"""Seconds between two arrivals from which on it does not matter how many more."""


@dataclass(frozen=True, slots=True)
class SecondPassSettings:
    """
    Attributes:
        deadline_ms: An utterance whose answer is not there so long after its end keeps the first pass's words.
        hang_ms: A batch that takes longer is taken for hung: the model's process is restarted.
        batch_wait_ms: How long a batch waits for company at most, for recognizers that profit from it, while so much
            comes that company is likely.
        context_ms: Audio decoded on the far side of a cut that was forced in running speech.
        pause_context_ms: The same for a cut in a pause between words. Whisper does best with whole sentences.
        speculate: Begin on short silences.
        speculation_load: No more of that from this load on: a share of the deadline, see `SecondPass.load`.
        context_load: From this load on every cut gets the small context of a pause, and nothing is decoded twice.
    """

    deadline_ms: int = 10_000
    hang_ms: int = 60_000
    batch_wait_ms: int = 15
    context_ms: int = 1_500
    pause_context_ms: int = 250
    speculate: bool = True
    speculation_load: float = 0.3
    context_load: float = 0.6


@dataclass(eq=False, slots=True)
class Job:
    """
    One utterance on its way. Await `answer`.

    Attributes:
        deadline: Loop time by which the answer is wanted; infinity for recordings.
        speculative: Begun on a short silence; not wanted for sure.
        used: Told what it cost, also when nobody waits any more.
        since: Loop time at which it came.
    """

    audio: UtteranceAudio
    deadline: float
    speculative: bool
    used: Callable[[Usage], None]
    answer: asyncio.Future[Hypothesis] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    attempts: int = 0
    since: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    kind: Hashable = field(init=False)

    def __post_init__(self) -> None:
        self.kind = batching.kind_of(self.audio.options)

    @property
    def seconds(self) -> float:
        """Length of the audio."""
        return len(self.audio.pcm) / BYTES_PER_SAMPLE / SAMPLE_RATE

    @property
    def waiting(self) -> Waiting:
        """As a value."""
        return Waiting(self.seconds, self.kind, self.deadline, self.speculative, self.since, alone=self.attempts > 0)

    def confirm(self, deadline: float) -> None:
        """The speculation was right: the answer is wanted by `deadline`."""
        self.speculative, self.deadline = False, deadline

    def drop(self) -> None:
        """Nobody wants the answer any more."""
        self.answer.cancel()


class Rewrites(Protocol):
    """What a session needs of a second pass, wherever that is."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def load(self) -> float:
        """How long a new job is expected to wait, as a share of the deadline: 0 = idle, 1 = until it is too late."""

    def submit(
        self,
        audio: UtteranceAudio,
        *,
        used: Callable[[Usage], None],
        deadline: float = math.inf,
        speculative: bool = False,
    ) -> Job:
        """Ask for an utterance. The answer comes to the job."""


class SecondPass:
    """
    The queue in front of one recognizer. `submit` from anywhere in the loop, `run` in one task.

    Attributes:
        served: What it has done.
    """

    def __init__(self, recognizer: UtteranceRecognizer, settings: SecondPassSettings) -> None:
        self.served = Served()
        self._recognizer = recognizer
        self._set = settings
        self._jobs: list[Job] = []
        self._arrived = asyncio.Event()
        self._time = DecodeTime()
        self._taken = 0  # batches
        self._decoding: tuple[float, float] | None = None  # loop time at which the batch began, seconds expected
        self._last: float | None = None  # loop time of the last arrival
        self._gap = math.inf  # seconds between arrivals, running mean

    @property
    def capabilities(self) -> Capabilities:
        return self._recognizer.capabilities

    @property
    def depth(self) -> int:
        """Jobs waiting."""
        return len(self._jobs)

    @property
    def age(self) -> float:
        """How long the oldest job that is still wanted has waited, in seconds; 0 if none waits."""
        now = asyncio.get_running_loop().time()
        return max((now - job.since for job in self._jobs if not job.answer.done()), default=0.0)

    @property
    def load(self) -> float:
        """How long a new job is expected to wait, as a share of the deadline: 0 = idle, 1 = until it is too late."""
        lengths = [job.seconds for job in self._jobs if job.deadline < math.inf and not job.answer.done()]
        began, expected = self._decoding or (0.0, 0.0)
        running = 0.0 if self._decoding is None else asyncio.get_running_loop().time() - began
        wait = 0.0 if self._decoding is None else max(expected - running, max(expected, running) / 8)
        if lengths:
            size = min(len(lengths), self.capabilities.max_batch)
            batch = self._time.seconds(size, sum(lengths) / len(lengths))
            wait += math.ceil(len(lengths) / size) * max(batch, running)
        return wait * 1000 / max(1, self._set.deadline_ms)

    def submit(
        self,
        audio: UtteranceAudio,
        *,
        used: Callable[[Usage], None],
        deadline: float = math.inf,
        speculative: bool = False,
    ) -> Job:
        """Queue an utterance."""
        job = Job(audio, deadline, speculative, used)
        self._jobs.append(job)
        self._note_arrival(job.since)
        self._arrived.set()
        return job

    async def run(self) -> None:
        """Serve for ever. Recognizers' failures go to the jobs, never out of here."""
        while True:
            await self._arrived.wait()
            await self._hold()
            batch = self._take()
            if batch:
                await self._decode(batch)

    def _note_arrival(self, now: float) -> None:
        gap = _LONGEST_GAP if self._last is None else min(_LONGEST_GAP, now - self._last)
        self._gap = gap if self._gap == math.inf else self._gap + (gap - self._gap) / 4
        self._last = now

    async def _hold(self) -> None:
        """Wait for company as long as that pays; each arrival may change it."""
        while (rest := self._seconds_to_hold()) > 0:
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._arrived.wait()
        self._arrived.set()

    def _seconds_to_hold(self) -> float:
        if self.capabilities.max_batch == 1:
            return 0.0
        waiting = [job.waiting for job in self._jobs if not job.answer.done()]
        return batching.hold(waiting, self._situation(), longest=self._set.batch_wait_ms / 1000, gap=self._gap)

    def _situation(self) -> Situation:
        now = asyncio.get_running_loop().time()
        return Situation(now, self._time, self.capabilities.max_batch, patience=self._set.deadline_ms / 1000)

    def _take(self) -> list[Job]:
        """The next batch, out of the queue; nothing if nobody wants anything any more."""
        self._give_up_hopeless()
        wanted = [job for job in self._jobs if not job.answer.done()]
        self._taken += bool(wanted)
        chosen = batching.choose(
            [job.waiting for job in wanted], self._situation(), longest_waiting=self._taken % _TURN == 0
        )
        batch = [wanted[i] for i in chosen]
        self._jobs = [job for job in wanted if job not in batch]
        if not self._jobs:
            self._arrived.clear()
        return batch

    def _give_up_hopeless(self) -> None:
        """
        Fail what cannot be done in time: its first-pass words become final sooner, and the others get their turn.

        Without this, an overloaded queue that serves the earliest deadline first serves only what expires meanwhile.
        """
        wanted = [job for job in self._jobs if not job.answer.done()]
        for i in batching.hopeless([job.waiting for job in wanted], self._situation()):
            wanted[i].answer.set_exception(self._too_late("The second pass is overloaded."))

    def _too_late(self, message: str) -> RecognizerTimeout:
        return RecognizerTimeout(message, provider=self.capabilities.provider)

    async def _decode(self, batch: list[Job]) -> None:
        loop = asyncio.get_running_loop()
        try:
            await self._recognizer.open()  # starting a model anew may take longer than a hang may last
            began = loop.time()
            longest = max(job.seconds for job in batch)
            self._decoding = began, self._time.seconds(len(batch), longest)
            async with asyncio.timeout(self._set.hang_ms / 1000):
                answers = await self._recognizer.recognize([job.audio for job in batch])
            self._deliver(batch, answers)
        except TimeoutError:
            self._fail(batch, self._too_late("The second pass did not answer."))
        except RecognizerError as error:
            self._fail(batch, error)
        except Exception as error:
            log.exception("the second pass's provider has a bug")
            provider = self.capabilities.provider
            self._fail(batch, RecognizerCrashed(f"The provider failed: {error!r}.", provider=provider, code="bug"))
        else:
            seconds = loop.time() - began
            self._time = self._time.learned(len(batch), longest, seconds)
            lengths = [job.seconds for job in batch]
            self.served = self.served.also(self.capabilities.max_batch, lengths, seconds)
        finally:
            self._decoding = None

    def _deliver(self, batch: list[Job], answers: Sequence[Recognition]) -> None:
        for job, answer in zip(batch, answers, strict=True):
            for usage in answer.usage:
                dropped = job.speculative and job.answer.cancelled()
                job.used(replace(usage, reason=Reason.SPECULATION if dropped else usage.reason))
            if not job.answer.done():
                job.answer.set_result(answer.hypothesis)

    def _fail(self, batch: list[Job], error: RecognizerError) -> None:
        again = isinstance(error, RecognizerCrashed | RecognizerUnavailable)
        for job in batch:
            job.attempts += 1
            if job.answer.done():
                continue
            if again and job.attempts < 2:
                self._jobs.append(job)
                self._arrived.set()
            else:
                job.answer.set_exception(error)
