"""
One channel's use of the second pass: speculation on short silences, answers and failures as facts.
"""

from __future__ import annotations

import asyncio
import math
from typing import Protocol

from twopass.errors import RecognizerError, RecognizerTimeout
from twopass.guard import GuardSettings, Verdict, judge
from twopass.reconciler import SecondPass, SecondPassFailed
from twopass.second_pass import Job, SecondPassSettings
from twopass.types import Cut, Hypothesis, Pass, Utterance


class Host(Protocol):
    """What the rewriter needs of the lane it belongs to."""

    @property
    def rewriting(self) -> SecondPassSettings: ...

    @property
    def guard(self) -> GuardSettings: ...

    @property
    def realtime(self) -> bool: ...

    def submit(self, window: tuple[int, int], *, deadline: float, speculative: bool = False) -> Job:
        """Send a piece of the tape (ms) to the second pass."""

    def fact(self, fact: SecondPass | SecondPassFailed) -> None: ...

    def failed(self, pass_: Pass, error: RecognizerError, *, retrying: bool = False) -> None: ...


class Rewriter:
    """A lane's second pass: speculation on short silences, answers and failures as facts."""

    def __init__(self, lane: Host) -> None:
        self._lane = lane
        self._guess: tuple[int, int, Job] | None = None
        self._waiting: set[asyncio.Task[None]] = set()

    def paused(self, start: int, end: int) -> None:
        """A short silence: begin, in case the utterance ends here."""
        if self._lane.rewriting.speculate and self._lane.realtime:
            self._guess = (start, end, self._lane.submit((start, end), deadline=self._deadline(), speculative=True))

    def resumed(self) -> None:
        """It did not end."""
        if self._guess is not None:
            self._guess[2].drop()
        self._guess = None

    def ended(self, utterance: Utterance) -> None:
        """It ended: take the guess if it was right, else submit."""
        assert utterance.end is not None
        low = utterance.start - self._context(utterance.cut_left)
        high = utterance.end + self._context(utterance.cut_right)
        guess, self._guess = self._guess, None
        if guess is not None and guess[:2] == (low, high):
            job = guess[2]
            job.confirm(self._deadline())
        else:
            if guess is not None:
                guess[2].drop()
            job = self._lane.submit((low, high), deadline=self._deadline())
        task = asyncio.create_task(self._answer(utterance, max(0, low), job))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    def _context(self, cut: Cut) -> int:
        """How much (ms) is decoded on the far side of a border."""
        settings = self._lane.rewriting
        return {Cut.NONE: 0, Cut.PAUSE: settings.pause_context_ms, Cut.SPEECH: settings.context_ms}[cut]

    async def finish(self) -> None:
        """Wait for all answers."""
        while self._waiting:
            await asyncio.wait(self._waiting)

    async def _answer(self, utterance: Utterance, origin: int, job: Job) -> None:
        """Wait for the answer. One that is rejected is asked for again without context, which may have misled."""
        try:
            hypothesis = (await self._in_time(job)).shifted(origin)
            plain = (utterance.start, utterance.end or utterance.start)
            if origin < utterance.start and judge(hypothesis, utterance, self._lane.guard).verdict is Verdict.REJECT:
                job = self._lane.submit(plain, deadline=job.deadline)
                hypothesis = (await self._in_time(job)).shifted(utterance.start)
        except TimeoutError:
            error = RecognizerTimeout("The second pass was too slow.", provider="")
            self._failed(utterance, error, "timeout")
        except RecognizerError as error:
            self._failed(utterance, error, f"failed: {error.code}")
        else:
            self._lane.fact(SecondPass(utterance, hypothesis))

    async def _in_time(self, job: Job) -> Hypothesis:
        """The answer of a job, or TimeoutError."""
        async with asyncio.timeout_at(None if math.isinf(job.deadline) else job.deadline):
            return await job.answer

    def _failed(self, utterance: Utterance, error: RecognizerError, reason: str) -> None:
        self._lane.failed(Pass.SECOND, error)
        self._lane.fact(SecondPassFailed(utterance, reason))

    def _deadline(self) -> float:
        if not self._lane.realtime:
            return math.inf
        return asyncio.get_running_loop().time() + self._lane.rewriting.deadline_ms / 1000
