"""
Looking on at profiles' second passes: how much they have to do, and how long somebody has been waiting for them.

What waits is counted where it is awaited, so it is the same for a recognizer here and for workers elsewhere, and it is
true also when there is no worker at all: workers only know what they took.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from enum import StrEnum

from twopass.recognizers import Capabilities, UtteranceAudio
from twopass.second_pass import Job, Rewrites
from twopass.types import Hypothesis, Usage


class Audio(StrEnum):
    """Who waits: people who speak now, or whoever sent a recording, which has no deadline."""

    LIVE = "live"
    RECORDING = "recording"


def _ignored(seconds: float) -> None:
    del seconds


class Watch:
    """
    One profile's second pass, for as long as the server runs.

    Attributes:
        place: Where it works: here, or at workers.
        waited: Told how many seconds each live utterance has waited, when its wait is over: answered, failed or
            too late. Guesses that were dropped do not count.
    """

    def __init__(self, *, here: bool) -> None:
        self.place = "here" if here else "workers"
        self.waited: Callable[[float], None] = _ignored
        self._second: Rewrites | None = None
        self._jobs: set[Job] = set()

    @property
    def load(self) -> float:
        """See `second_pass.Rewrites`; 0 as long as the profile is not open."""
        return self._second.load if self._second else 0.0

    def age(self, audio: Audio) -> float:
        """For how many seconds the oldest utterance has waited that has no answer; 0 if none waits."""
        now = asyncio.get_running_loop().time()
        return max((now - job.since for job in self._jobs if _audio(job) is audio), default=0.0)

    def count(self, audio: Audio) -> int:
        """How many utterances wait for their answers."""
        return sum(_audio(job) is audio for job in self._jobs)

    def over(self, second: Rewrites) -> Rewrites:
        """The same second pass, watched. It is the one whose load counts from now on."""
        self._second = second
        return _Watched(second, self._submitted)

    def _submitted(self, job: Job) -> None:
        self._jobs.add(job)
        job.answer.add_done_callback(lambda answer: self._done(job, answer))

    def _done(self, job: Job, answer: asyncio.Future[Hypothesis]) -> None:
        self._jobs.discard(job)
        guess = job.speculative and answer.cancelled()
        if _audio(job) is Audio.LIVE and not guess:
            self.waited(asyncio.get_running_loop().time() - job.since)


class _Watched:
    """A second pass whose jobs somebody is told of."""

    def __init__(self, second: Rewrites, submitted: Callable[[Job], None]) -> None:
        self._second = second
        self._submitted = submitted

    @property
    def capabilities(self) -> Capabilities:
        return self._second.capabilities

    @property
    def load(self) -> float:
        return self._second.load

    def submit(
        self,
        audio: UtteranceAudio,
        *,
        used: Callable[[Usage], None],
        deadline: float = math.inf,
        speculative: bool = False,
    ) -> Job:
        job = self._second.submit(audio, used=used, deadline=deadline, speculative=speculative)
        self._submitted(job)
        return job


def _audio(job: Job) -> Audio:
    return Audio.LIVE if job.deadline < math.inf else Audio.RECORDING
