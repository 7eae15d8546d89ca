"""The second pass's queue: order, batches, speculation, failures."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.scripted import ScriptedUtterances, crash, numbered, spoken
from tests.test_decode_time import accelerator
from tests.virtual_time import virtually
from tests.waiting import until

from twopass.decode_time import DecodeTime
from twopass.errors import RecognizerCrashed, RecognizerError, RecognizerRejected, RecognizerTimeout
from twopass.recognizers import Capabilities, Recognition, StreamOptions, UtteranceAudio, UtteranceRecognizer
from twopass.second_pass import Job, SecondPass, SecondPassSettings
from twopass.types import Hypothesis, Reason, Usage

SETTINGS = SecondPassSettings(batch_wait_ms=5)


@asynccontextmanager
async def running(
    recognizer: UtteranceRecognizer, settings: SecondPassSettings = SETTINGS
) -> AsyncIterator[SecondPass]:
    """A queue that serves."""
    queue = SecondPass(recognizer, settings)
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
        await until(lambda: recognizer.calls == [1])
        now = asyncio.get_running_loop().time()
        jobs = [
            queue.submit(utterance(1), used=ignore, deadline=now + 300, speculative=True),
            queue.submit(utterance(1), used=ignore, deadline=now + 600),
            queue.submit(utterance(1), used=ignore, deadline=now + 500),
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
        await until(lambda: recognizer.calls == [1])
        queue.submit(utterance(2), used=ignore, speculative=True).drop()
        last = queue.submit(utterance(3), used=ignore, speculative=True)
        assert recognizer.gate is not None
        recognizer.gate.set()
        await first.answer
        assert 3 == len((await last.answer).words)
    assert [1, 1] == recognizer.calls


@pytest.mark.parametrize("dropped", [True, False])
async def test_what_a_guess_cost_is_told_as_speculation_if_it_was_thrown_away(dropped: bool) -> None:
    """A guess that is being decoded already is metered, and marked when its result is not used."""
    recognizer = ScriptedUtterances(gate=asyncio.Event())
    usages: list[Usage] = []
    async with running(recognizer) as queue:
        job = queue.submit(utterance(1), used=usages.append, speculative=True)
        await until(lambda: recognizer.calls == [1])
        if dropped:
            job.drop()
        else:
            job.confirm(deadline=5.0)
        assert recognizer.gate is not None
        recognizer.gate.set()
        await until(lambda: len(usages) == 1)
    assert [dropped] == [usage.reason is Reason.SPECULATION for usage in usages]


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
    async with running(recognizer, replace(SETTINGS, hang_ms=500)) as queue:
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
        good = queue.submit(utterance(2), used=ignore, deadline=now + 300)
        assert isinstance(await failing(late), RecognizerTimeout)
        assert 2 == len((await good.answer).words)
    assert 4 == len(recognizer.calls)


async def test_after_a_slow_phase_the_queue_recovers_by_itself() -> None:
    """
    Batches once took longer than the deadline, so every job looks hopeless: one is tried all the same, answers in
    time, and soon all are served again.
    """
    slow = [True]
    recognizer = ScriptedUtterances(fault=lambda call, ms: 0.5 if slow[0] else None)
    async with running(recognizer, replace(SETTINGS, deadline_ms=400)) as queue:
        for _ in range(2):
            await queue.submit(utterance(1), used=ignore).answer
        await until(lambda: queue.load == 0)
        slow[0] = False
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(60):
            while True:
                jobs = [queue.submit(utterance(1), used=ignore, deadline=loop.time() + 0.4) for _ in range(4)]
                answers = await asyncio.gather(*(job.answer for job in jobs), return_exceptions=True)
                if all(isinstance(answer, Hypothesis) for answer in answers):
                    break
    assert len(recognizer.calls) > 2


async def test_if_all_are_hopeless_the_one_with_the_most_time_is_tried() -> None:
    """The others fail at once, and one whose time is over is not tried at all."""
    recognizer = ScriptedUtterances()
    queue = SecondPass(recognizer, SETTINGS)
    queue._time = DecodeTime().learned(1, 1.0, 1_000)
    now = asyncio.get_running_loop().time()
    over, near, far = (queue.submit(utterance(n), used=ignore, deadline=now + 300 * n) for n in range(3))
    task = asyncio.create_task(queue.run())
    assert 2 == len((await far.answer).words)
    task.cancel()
    assert isinstance(await failing(over), RecognizerTimeout)
    assert isinstance(await failing(near), RecognizerTimeout)
    assert ([1], 0) == (recognizer.calls, queue.depth)


async def test_load_is_the_expected_wait_as_a_share_of_the_deadline() -> None:
    """Idle is 0; a running batch and jobs with a deadline raise it; recordings wait behind and do not count."""
    recognizer = ScriptedUtterances(max_batch=2, gate=asyncio.Event())
    async with running(recognizer, replace(SETTINGS, deadline_ms=1_000)) as queue:
        assert queue.load == 0
        queue._time = DecodeTime().learned(2, 0.25, 100)
        running_one = queue.submit(utterance(1), used=ignore)
        assert queue.load == 0
        await until(lambda: recognizer.calls == [1])
        rest = queue.load
        assert 0 < rest <= 100
        later = [queue.submit(utterance(1), used=ignore, deadline=1e9) for _ in range(3)]
        assert 200 < queue.load <= rest + 200
        assert recognizer.gate is not None
        recognizer.gate.set()
        await asyncio.gather(running_one.answer, *(job.answer for job in later))
        await until(lambda: queue.load == 0)


async def test_a_batch_that_takes_longer_than_ever_raises_the_load_while_it_runs() -> None:
    """There need not be an answer before the queue notices that it is late."""
    recognizer = ScriptedUtterances(gate=asyncio.Event())
    async with running(recognizer, replace(SETTINGS, deadline_ms=40)) as queue:
        jobs = [queue.submit(utterance(1), used=ignore, deadline=1e9) for _ in range(2)]
        await until(lambda: queue.load > 1)
        assert recognizer.gate is not None
        recognizer.gate.set()
        await asyncio.gather(*(job.answer for job in jobs))


class Accelerator:
    """Takes for a batch about as long as for its longest utterance, and keeps what it was given."""

    def __init__(self, max_batch: int = 8, quicker: float = 1.0) -> None:
        self.capabilities = Capabilities("accelerator", "", "Nothing.", max_batch=max_batch)
        self.batches: list[list[UtteranceAudio]] = []
        self._quicker = quicker

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def recognize(self, batch: Sequence[UtteranceAudio]) -> Sequence[Recognition]:
        self.batches.append(list(batch))
        await asyncio.sleep(accelerator(len(batch), max(length(utterance) for utterance in batch)) / self._quicker)
        return [Recognition(Hypothesis(0, 0, (), final=True, stable=0)) for _ in batch]


def of(seconds: float, options: StreamOptions = StreamOptions()) -> UtteranceAudio:  # noqa: B008 - it is frozen
    """An utterance of this length."""
    return UtteranceAudio(bytes(round(seconds * 16_000) * 2), options)


def length(utterance: UtteranceAudio) -> float:
    """Seconds of it."""
    return len(utterance.pcm) / 32_000


def test_a_batch_is_of_one_language_whatever_session_it_came_from() -> None:
    """Utterances of many sessions are decoded together; those of another language or with other phrases are not."""
    kinds = [StreamOptions("en-US"), StreamOptions("de"), StreamOptions("en", phrases=("Tegel",))]

    async def work() -> list[set[tuple[str | None, tuple[str, ...]]]]:
        recognizer = Accelerator()
        async with running(recognizer) as queue:
            every = [of(2.0, replace(kind, session=str(n))) for n in range(4) for kind in kinds]
            await asyncio.gather(*(queue.submit(audio, used=ignore).answer for audio in every))
        assert 12 == sum(map(len, recognizer.batches))
        return [{(each.options.language, each.options.phrases) for each in batch} for batch in recognizer.batches]

    batches = virtually(work())
    assert len(batches) < 8
    assert all(1 == len(kinds) for kinds in batches)


async def pairs(batch_wait_ms: int) -> tuple[float, int]:
    """Lone utterances and then many pairs, 2 ms apart: how long the last lone one took, and how many batches in all."""
    recognizer = Accelerator(quicker=20)
    loop = asyncio.get_running_loop()
    async with running(recognizer, replace(SETTINGS, batch_wait_ms=batch_wait_ms)) as queue:
        for _ in range(5):
            began = loop.time()
            await queue.submit(of(2.0), used=ignore).answer
            lone = loop.time() - began
            await asyncio.sleep(2.0)
        jobs = []
        for _ in range(100):
            jobs.append(queue.submit(of(2.0), used=ignore))
            await asyncio.sleep(0.002)
            jobs.append(queue.submit(of(2.0), used=ignore))
            await asyncio.sleep(0.010)
        await asyncio.gather(*(job.answer for job in jobs))
    return lone, len(recognizer.batches)


def test_company_is_awaited_only_when_it_may_come() -> None:
    """A lone utterance is decoded at once; when many come in a row, they wait a moment for each other."""
    lone, batches = virtually(pairs(batch_wait_ms=15))
    assert accelerator(1, 2.0) / 20 == pytest.approx(lone)
    assert batches < 130
    assert 205 == virtually(pairs(batch_wait_ms=0))[1]


def test_a_recording_gets_its_turn_behind_live_speech_that_never_ends() -> None:
    """The queue always holds somebody with a nearer deadline; what has none is decoded all the same."""

    async def work() -> float:
        loop = asyncio.get_running_loop()
        recognizer = Accelerator(max_batch=1)

        async def live() -> None:
            while True:
                deadline = loop.time() + 5.0
                await asyncio.gather(queue.submit(of(4.0), used=ignore, deadline=deadline).answer)

        async with running(recognizer, replace(SETTINGS, deadline_ms=5_000)) as queue:
            talkers = [asyncio.create_task(live()) for _ in range(4)]
            recordings = [queue.submit(of(20.0), used=ignore) for _ in range(5)]
            await asyncio.wait({job.answer for job in recordings})
            for talker in talkers:
                talker.cancel()
            assert not any(talker.done() for talker in talkers)
        return loop.time()

    assert virtually(work()) < 5.0 + 5 * 8 * accelerator(1, 20.0)


def test_the_queue_tells_its_age_and_what_it_has_done() -> None:
    """How long the oldest waits, how full batches are, and how many seconds a second of audio takes."""

    async def work() -> None:
        recognizer = Accelerator(max_batch=4)
        async with running(recognizer) as queue:
            assert (0.0, 0.0, 0.0) == (queue.age, queue.served.batch_fill, queue.served.real_time_factor)
            first = queue.submit(of(10.0), used=ignore)
            await asyncio.sleep(0.01)
            dropped, waiting = queue.submit(of(1.0), used=ignore), queue.submit(of(10.0), used=ignore)
            await asyncio.sleep(0.1)
            assert 0.1 == pytest.approx(queue.age)
            dropped.drop()
            await first.answer
            await asyncio.sleep(0)
            before = queue.served
            await waiting.answer
            await until(lambda: queue.served.batches == 2)
            assert 0.0 == queue.age
            assert (2, 8, 20.0) == (queue.served.utterances, queue.served.places, queue.served.audio_seconds)
            assert 0.25 == queue.served.batch_fill
            assert accelerator(1, 10.0) / 10.0 == pytest.approx(queue.served.real_time_factor)
            assert (1, 10.0) == ((queue.served - before).batches, (queue.served - before).audio_seconds)

    virtually(work())


def test_batches_are_worth_their_while() -> None:
    """Two hundred utterances of mixed lengths at once: five times as quick as one by one on the same recognizer."""

    async def work(max_batch: int) -> float:
        async with running(Accelerator(max_batch)) as queue:
            lengths = (1 + 27 * (n * 0.618 % 1) for n in range(200))
            await asyncio.gather(*(queue.submit(of(seconds), used=ignore).answer for seconds in lengths))
        return asyncio.get_running_loop().time()

    assert 5 * virtually(work(16)) < virtually(work(1))


def test_batches_keep_deadlines_that_one_by_one_would_be_missed() -> None:
    """Sixty utterances at once, all wanted within a second: batches answer all, one by one only a few can be."""

    async def answered(max_batch: int) -> int:
        deadline = asyncio.get_running_loop().time() + 1.0
        async with running(Accelerator(max_batch)) as queue:
            jobs = [queue.submit(of(4.0), used=ignore, deadline=deadline) for _ in range(60)]
            answers = await asyncio.gather(*(job.answer for job in jobs), return_exceptions=True)
        assert asyncio.get_running_loop().time() < 1.0 + accelerator(1, 4.0)
        return sum(isinstance(answer, Hypothesis) for answer in answers)

    assert 60 == virtually(answered(16))
    assert 8 <= virtually(answered(1)) <= 12
