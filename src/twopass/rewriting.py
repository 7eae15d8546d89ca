"""
One channel's use of the second pass: speculation on short silences, answers and failures as facts.

When the second pass has too much to do, speculation is shed first and then context (see `SecondPassSettings`).
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
    def rewriter(self) -> str: ...

    @property
    def realtime(self) -> bool: ...

    @property
    def load(self) -> float:
        """See `second_pass.SecondPass.load`."""

    def submit(self, window: tuple[int, int], *, deadline: float, speculative: bool = False) -> Job:
        """Send a piece of the tape (ms) to the second pass."""

    def fact(self, fact: SecondPass | SecondPassFailed) -> None: ...

    def failed(self, pass_: Pass, error: RecognizerError, *, retrying: bool = False) -> None: ...


class Rewriter:
    """A lane's second pass: speculation on short silences, answers and failures as facts."""

    def __init__(self, lane: Host) -> None:
        self._lane = lane
        self._guess: tuple[tuple[int, int], Job] | None = None
        self._waiting: set[asyncio.Task[None]] = set()

    def paused(self, utterance: Utterance) -> None:
        """A short silence: begin, in case the utterance ends here."""
        settings = self._lane.rewriting
        if settings.speculate and self._lane.realtime and self._lane.load < settings.speculation_load:
            window = self._window(utterance)
            self._guess = (window, self._lane.submit(window, deadline=self._deadline(), speculative=True))

    def resumed(self) -> None:
        """It did not end."""
        if self._guess is not None:
            self._guess[1].drop()
        self._guess = None

    def ended(self, utterance: Utterance) -> None:
        """It ended: take the guess if it was right, else submit."""
        guess, window = self._guess, self._window(utterance)
        if guess is not None and guess[0] in (self._with_context(utterance, small=small) for small in (False, True)):
            window, job = guess  # perhaps begun under another load: better than to begin again
            job.confirm(self._deadline())
            self._guess = None
        else:
            self.resumed()
            job = self._lane.submit(window, deadline=self._deadline())
        task = asyncio.create_task(self._answer(utterance, window[0], job))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    @property
    def _overloaded(self) -> bool:
        """Whether there is no time for context."""
        return self._lane.realtime and self._lane.load >= self._lane.rewriting.context_load

    def _window(self, utterance: Utterance) -> tuple[int, int]:
        """What is decoded (ms): the utterance, with context on the far side of forced cuts."""
        return self._with_context(utterance, small=self._overloaded)

    def _with_context(self, utterance: Utterance, *, small: bool) -> tuple[int, int]:
        assert utterance.end is not None
        low = utterance.start - self._context(utterance.cut_left, small=small)
        return max(0, low), utterance.end + self._context(utterance.cut_right, small=small)

    def _context(self, cut: Cut, *, small: bool) -> int:
        settings = self._lane.rewriting
        least = min(settings.context_ms, settings.pause_context_ms)
        return {
            Cut.NONE: 0,
            Cut.PAUSE: settings.pause_context_ms,
            Cut.SPEECH: least if small else settings.context_ms,
        }[cut]

    def close(self) -> None:
        """Nobody waits any more: drop what is queued."""
        self.resumed()
        for task in self._waiting:
            task.cancel()

    async def finish(self) -> None:
        """Wait for all answers."""
        while self._waiting:
            await asyncio.wait(self._waiting)

    async def _answer(self, utterance: Utterance, origin: int, job: Job) -> None:
        """Wait for the answer. One that is rejected is asked for again without context, which may have misled."""
        try:
            hypothesis = (await self._in_time(job)).shifted(origin)
            plain = (utterance.start, utterance.end or utterance.start)
            rejected = judge(hypothesis, utterance, self._lane.guard).verdict is Verdict.REJECT
            if rejected and origin < utterance.start and not self._overloaded:
                job = self._lane.submit(plain, deadline=job.deadline)
                hypothesis = (await self._in_time(job)).shifted(utterance.start)
        except TimeoutError:
            error = RecognizerTimeout("The second pass was too slow.", provider=self._lane.rewriter)
            self._failed(utterance, error)
        except RecognizerError as error:
            self._failed(utterance, error)
        else:
            self._lane.fact(SecondPass(utterance, hypothesis))

    async def _in_time(self, job: Job) -> Hypothesis:
        """The answer of a job, or TimeoutError."""
        async with asyncio.timeout_at(None if math.isinf(job.deadline) else job.deadline):
            return await job.answer

    def _failed(self, utterance: Utterance, error: RecognizerError) -> None:
        reason = "timeout" if isinstance(error, RecognizerTimeout) else f"failed: {error.code}"
        self._lane.failed(Pass.SECOND, error)
        self._lane.fact(SecondPassFailed(utterance, reason))

    def _deadline(self) -> float:
        if not self._lane.realtime:
            return math.inf
        return asyncio.get_running_loop().time() + self._lane.rewriting.deadline_ms / 1000
