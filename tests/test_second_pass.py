"""The second pass's queue: order, batches, speculation, failures."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from tests.scripted import ScriptedUtterances, crash, numbered, spoken

from twopass.errors import RecognizerCrashed, RecognizerError, RecognizerRejected, RecognizerTimeout
from twopass.recognizers import UtteranceAudio
from twopass.second_pass import Job, SecondPass, SecondPassSettings
from twopass.types import Hypothesis, Usage

SETTINGS = SecondPassSettings(hang_ms=200, batch_wait_ms=5)


@asynccontextmanager
async def running(recognizer: ScriptedUtterances) -> AsyncIterator[SecondPass]:
    """A queue that serves."""
    queue = SecondPass(recognizer, SETTINGS)
    task = asyncio.create_task(queue.run())
    yield queue
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def utterance(number: int) -> UtteranceAudio:
    """An utterance with so many words."""
    return UtteranceAudio(spoken(numbered(number), number * 250))


def ignore(usage: Usage) -> None:
    """Nobody counts."""


def noting(order: list[int], number: int) -> Callable[[asyncio.Future[Hypothesis]], None]:
    """Write down when a job is done."""
    return lambda future: order.append(number)


async def test_the_earliest_deadline_goes_first_and_speculation_last() -> None:
    """Jobs that wait are served by urgency, not by arrival."""
    recognizer = ScriptedUtterances(gate=asyncio.Event())
    order: list[int] = []
    async with running(recognizer) as queue:
        first = queue.submit(utterance(1), used=ignore)
        await asyncio.sleep(0.01)
        now = asyncio.get_running_loop().time()
        jobs = [
            queue.submit(utterance(1), used=ignore, deadline=now + 1, speculative=True),
            queue.submit(utterance(1), used=ignore, deadline=now + 30),
            queue.submit(utterance(1), used=ignore, deadline=now + 20),
        ]
        for number, job in enumerate([first, *jobs]):
            job.answer.add_done_callback(noting(order, number))
        assert recognizer.gate is not None
        recognizer.gate.set()
        await asyncio.gather(*(job.answer for job in jobs))
    assert [0, 3, 2, 1] == order


async def test_batches_are_as_large_as_the_recognizer_likes() -> None:
    """Ten utterances in batches of four."""
    recognizer = ScriptedUtterances(max_batch=4)
    async with running(recognizer) as queue:
        jobs = [queue.submit(utterance(n + 1), used=ignore) for n in range(10)]
        answers = await asyncio.gather(*(job.answer for job in jobs))
    assert [4, 4, 2] == recognizer.calls
    assert [n + 1 for n in range(10)] == [len(answer.words) for answer in answers]


async def test_a_guess_that_nobody_wants_is_not_decoded() -> None:
    """Speculation taken back while it waits costs nothing."""
    recognizer = ScriptedUtterances(gate=asyncio.Event())
    async with running(recognizer) as queue:
        first = queue.submit(utterance(1), used=ignore)
        await asyncio.sleep(0.01)
        queue.submit(utterance(2), used=ignore, speculative=True).drop()
        assert recognizer.gate is not None
        recognizer.gate.set()
        await first.answer
        await asyncio.sleep(0.01)
    assert [1] == recognizer.calls


@pytest.mark.parametrize("dropped", [True, False])
async def test_what_a_guess_cost_is_told_as_speculation_if_it_was_thrown_away(dropped: bool) -> None:
    """A guess that is being decoded already is metered, and marked when its result is not used."""
    recognizer = ScriptedUtterances(gate=asyncio.Event())
    usages: list[Usage] = []
    async with running(recognizer) as queue:
        job = queue.submit(utterance(1), used=usages.append, speculative=True)
        await asyncio.sleep(0.01)
        if dropped:
            job.drop()
        else:
            job.confirm(deadline=5.0)
        assert recognizer.gate is not None
        recognizer.gate.set()
        await asyncio.sleep(0.01)
    assert [dropped] == [usage.speculative for usage in usages]


async def test_a_crash_is_survived_once() -> None:
    """The process dies under a batch: its jobs are decoded again and nobody notices."""
    recognizer = ScriptedUtterances(max_batch=2, fault=lambda call, ms: crash() if call == 0 else None)
    async with running(recognizer) as queue:
        jobs = [queue.submit(utterance(n + 1), used=ignore) for n in range(2)]
        assert [1, 2] == [len(answer.words) for answer in await asyncio.gather(*(job.answer for job in jobs))]


async def failing(job: Job) -> BaseException:
    """What a job ends with."""
    (error,) = await asyncio.gather(job.answer, return_exceptions=True)
    assert isinstance(error, BaseException)
    return error


async def test_a_second_crash_fails_the_job_but_not_the_queue() -> None:
    """The utterance that kills the model twice is given up; the next one is served."""
    recognizer = ScriptedUtterances(fault=lambda call, ms: crash() if call < 2 else None)
    async with running(recognizer) as queue:
        assert isinstance(await failing(queue.submit(utterance(1), used=ignore)), RecognizerCrashed)
        assert 3 == len((await queue.submit(utterance(3), used=ignore).answer).words)


async def test_a_model_that_hangs_is_a_timeout() -> None:
    """After `hang_ms` the batch is given up, and the queue goes on."""
    recognizer = ScriptedUtterances(fault=lambda call, ms: 60.0 if call == 0 else None)
    async with running(recognizer) as queue:
        assert isinstance(await failing(queue.submit(utterance(1), used=ignore)), RecognizerTimeout)
        assert 1 == len((await queue.submit(utterance(1), used=ignore).answer).words)


async def test_a_refusal_is_not_tried_again() -> None:
    """What the recognizer refuses once it would refuse again."""
    refusal = RecognizerRejected("Too long.", provider="scripted")
    recognizer = ScriptedUtterances(fault=lambda call, ms: refusal)
    async with running(recognizer) as queue:
        assert isinstance(await failing(queue.submit(utterance(1), used=ignore)), RecognizerRejected)
    assert [1] == recognizer.calls


async def test_an_utterance_that_kills_its_batch_is_tried_alone() -> None:
    """One bad utterance among four: the other three are answered."""
    poison = utterance(9)

    def fault(call: int, ms: int) -> RecognizerError | None:
        return crash() if call == 0 or ms == 9 * 250 else None

    recognizer = ScriptedUtterances(max_batch=4, fault=fault)
    async with running(recognizer) as queue:
        good = [queue.submit(utterance(n + 1), used=ignore) for n in range(3)]
        bad = queue.submit(poison, used=ignore)
        assert [1, 2, 3] == [len(answer.words) for answer in await asyncio.gather(*(job.answer for job in good))]
        assert isinstance(await failing(bad), RecognizerCrashed)
    assert [4, 1, 1, 1, 1] == recognizer.calls


async def test_a_providers_bug_fails_its_batch_and_not_the_queue() -> None:
    """An exception that is none of ours is told as one, and the next utterance is served."""

    def fault(call: int, ms: int) -> None:
        if call == 0:
            raise ValueError("a bug")

    async with running(ScriptedUtterances(fault=fault)) as queue:
        assert 2 == len((await queue.submit(utterance(2), used=ignore).answer).words)


async def test_what_cannot_be_done_in_time_is_given_up_at_once() -> None:
    """Overload: a job whose deadline is nearer than a batch takes fails early, so that the next one is in time."""
    recognizer = ScriptedUtterances(fault=lambda call, ms: 0.08)
    async with running(recognizer) as queue:
        for _ in range(3):
            await queue.submit(utterance(1), used=ignore).answer
        now = asyncio.get_running_loop().time()
        late = queue.submit(utterance(1), used=ignore, deadline=now + 0.001)
        good = queue.submit(utterance(2), used=ignore, deadline=now + 5)
        assert isinstance(await failing(late), RecognizerTimeout)
        assert 2 == len((await good.answer).words)
    assert 4 == len(recognizer.calls)
