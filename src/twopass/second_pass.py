"""
The second pass: utterances of all sessions to one utterance recognizer.

Jobs wait in one queue, the earliest deadline first and speculation last; batches are as large as the recognizer
profits from. A job whose process crashed is tried once more; a job that nobody wants any more is dropped, or, if it is
being decoded already, its result is thrown away and its cost told as speculation.

The queue knows its load: how long a new job will have to wait, as a share of the deadline. Under load speculation goes
first, then context, then jobs that cannot be done in time. One job is always tried, so that the queue notices when
its recognizer has become quick again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from twopass.errors import RecognizerCrashed, RecognizerError, RecognizerTimeout, RecognizerUnavailable
from twopass.recognizers import Capabilities, Recognition, UtteranceAudio, UtteranceRecognizer
from twopass.types import Hypothesis, Reason, Usage

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SecondPassSettings:
    """
    Attributes:
        deadline_ms: An utterance whose answer is not there so long after its end keeps the first pass's words.
        hang_ms: A batch that takes longer is taken for hung: the model's process is restarted.
        batch_wait_ms: How long a batch waits for company, for recognizers that profit from it.
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
    """

    audio: UtteranceAudio
    deadline: float
    speculative: bool
    used: Callable[[Usage], None]
    answer: asyncio.Future[Hypothesis] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    attempts: int = 0

    @property
    def urgency(self) -> tuple[bool, float]:
        """Sort key: small goes first."""
        return self.speculative, self.deadline

    def confirm(self, deadline: float) -> None:
        """The speculation was right: the answer is wanted by `deadline`."""
        self.speculative, self.deadline = False, deadline

    def drop(self) -> None:
        """Nobody wants the answer any more."""
        self.answer.cancel()


class SecondPass:
    """The queue in front of one recognizer. `submit` from anywhere in the loop, `run` in one task."""

    def __init__(self, recognizer: UtteranceRecognizer, settings: SecondPassSettings) -> None:
        self._recognizer = recognizer
        self._set = settings
        self._jobs: list[Job] = []
        self._arrived = asyncio.Event()
        self._batch_seconds = 0.0  # running mean
        self._began: float | None = None  # loop time of the batch that is being decoded

    @property
    def capabilities(self) -> Capabilities:
        return self._recognizer.capabilities

    @property
    def depth(self) -> int:
        """Jobs waiting."""
        return len(self._jobs)

    @property
    def load(self) -> float:
        """How long a new job is expected to wait, as a share of the deadline: 0 = idle, 1 = until it is too late."""
        jobs = sum(1 for job in self._jobs if job.deadline < math.inf and not job.answer.done())
        running = 0.0 if self._began is None else asyncio.get_running_loop().time() - self._began
        batch = max(self._batch_seconds, running)
        rest = 0.0 if self._began is None else max(batch - running, batch / 8)
        wait = rest + math.ceil(jobs / self.capabilities.max_batch) * batch
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
        self._arrived.set()
        return job

    async def run(self) -> None:
        """Serve for ever. Recognizers' failures go to the jobs, never out of here."""
        while True:
            await self._arrived.wait()
            if self.capabilities.max_batch > 1:
                await asyncio.sleep(self._set.batch_wait_ms / 1000)
            batch = self._take()
            if batch:
                await self._decode(batch)

    def _take(self) -> list[Job]:
        """The most urgent jobs that are still wanted. One that failed before is tried alone, for the others' sake."""
        self._give_up_hopeless()
        wanted = sorted((job for job in self._jobs if not job.answer.done()), key=lambda job: job.urgency)
        size = 1 if wanted and wanted[0].attempts else self.capabilities.max_batch
        batch, self._jobs = wanted[:size], wanted[size:]
        if not self._jobs:
            self._arrived.clear()
        return batch

    def _give_up_hopeless(self) -> None:
        """
        Fail what cannot be done in time: its first-pass words become final sooner, and the others get their turn.

        Without this, an overloaded queue that serves the earliest deadline first serves only what expires meanwhile.
        But if that would be all, the job with the most time left is tried: what was slow may be quick again, and only
        a batch can tell.
        """
        now = asyncio.get_running_loop().time()
        wanted = [job for job in self._jobs if not job.speculative and not job.answer.done()]
        hopeless = sorted(
            (job for job in wanted if job.deadline < now + self._batch_seconds), key=lambda job: job.deadline
        )
        if hopeless and len(hopeless) == len(wanted) and hopeless[-1].deadline > now:
            hopeless.pop()
        for job in hopeless:
            job.answer.set_exception(self._too_late("The second pass is overloaded."))

    def _too_late(self, message: str) -> RecognizerTimeout:
        return RecognizerTimeout(message, provider=self.capabilities.provider)

    async def _decode(self, batch: list[Job]) -> None:
        loop = asyncio.get_running_loop()
        try:
            await self._recognizer.open()  # starting a model anew may take longer than a hang may last
            self._began = began = loop.time()
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
            self._measured(loop.time() - began)
        finally:
            self._began = None

    def _measured(self, seconds: float) -> None:
        """Put a batch into the mean. Good news count more: a mean that is too high turns away what could be done."""
        step = seconds - self._batch_seconds
        first = self._batch_seconds == 0
        self._batch_seconds += step / (1 if first else 8 if step > 0 else 2)

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
