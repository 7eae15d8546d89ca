"""What a worker does with utterances, wishes and troubles, over a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from prometheus_client import generate_latest
from tests.cluster.asking import CAPABILITIES, PATIENCE, all_answered, gateway, working
from tests.cluster.servers import Server, nats_server
from tests.scripted import ScriptedUtterances, crash
from tests.waiting import until

from twopass.cluster.broker import Broker, Topic
from twopass.cluster.dispatch import RemoteSecondPass
from twopass.cluster.flac import to_flac
from twopass.cluster.inbox import Inbox
from twopass.cluster.wire import DeadLetter, JobId, Options, Result, Utterance, decode, encode
from twopass.cluster.worker_metrics import WorkerMetrics
from twopass.errors import RecognizerCrashed, RecognizerError, RecognizerRejected, RecognizerUnavailable
from twopass.recognizers import UtteranceAudio
from twopass.second_pass import Job, SecondPassSettings
from twopass.types import Reason


@pytest.fixture
def server() -> Iterator[Server]:
    """An empty broker."""
    with nats_server() as running:
        yield running


@pytest.fixture
async def broker(server: Server) -> AsyncIterator[Broker]:
    """A connection of the test's own."""
    connection = await server.connected()
    yield connection
    await connection.close()


async def failing(job: Job) -> BaseException:
    """What a job ends with."""
    async with asyncio.timeout(PATIENCE):
        (error,) = await asyncio.gather(job.answer, return_exceptions=True)
    assert isinstance(error, BaseException)
    return error


async def buried(broker: Broker) -> DeadLetter:
    """The first dead letter."""
    letters = await broker.dead_letters()
    delivery = await asyncio.wait_for(anext(letters), PATIENCE)
    await delivery.ack()
    await letters.close()
    return decode(DeadLetter, delivery.body)


async def results(inbox: Inbox, count: int) -> list[Result]:
    """So many results."""
    async with asyncio.timeout(PATIENCE):
        deliveries = [await anext(inbox) for _ in range(count)]
    for delivery in deliveries:
        await delivery.ack()
    return [decode(Result, delivery.body) for delivery in deliveries]


def in_flight(metrics: WorkerMetrics) -> float | None:
    """How many utterances the worker has."""
    return metrics.registry.get_sample_value("twopass_worker_in_flight")


async def test_batches_are_formed_across_sessions(server: Server) -> None:
    """What waits while a batch is decoded goes into the next ones together, whoever asked."""
    recognizer = ScriptedUtterances(max_batch=4, gate=asyncio.Event())
    async with gateway(server) as asking, working(server, recognizer, room=16) as (worker, _):
        first = asking.ask("session/0")
        await until(lambda: recognizer.calls == [1])
        rest = [asking.ask(f"session-{n}/0") for n in range(8)]
        await until(lambda: sum(each.job is not None for each in worker._hearing.held.values()) == 9)
        assert recognizer.gate is not None
        recognizer.gate.set()
        await all_answered([first, *rest])
    assert [1, 4, 4] == recognizer.calls


async def test_an_utterance_that_kills_its_recognizer_is_given_up(server: Server, broker: Broker) -> None:
    """After three deliveries it is a dead letter, and whoever asked is told; the others are answered."""

    def fault(call: int, ms: int) -> RecognizerError | None:
        return crash() if ms == 9_000 else None

    recognizer = ScriptedUtterances(fault=fault)
    async with gateway(server) as asking, working(server, recognizer):
        poison = asking.second.submit(UtteranceAudio(bytes(9_000 * 32)), used=lambda usage: None)
        good = [asking.ask("session/0") for _ in range(3)]
        await all_answered(good)
        error = await failing(poison)
        assert isinstance(error, RecognizerCrashed)
        letter = await buried(broker)
    assert (Topic.UTTERANCES, "recognizer_crashed") == (letter.topic, letter.reason)
    assert 9_000 * 16 == decode(Utterance, letter.original).samples
    assert 3 * 2 + 3 == len(recognizer.calls)  # each worker tries twice


async def test_a_worker_that_cannot_hear_leaves_it_to_another(server: Server) -> None:
    """Its model does not start: what it took is heard by the one that is well."""
    broken = ScriptedUtterances(fault=lambda call, ms: RecognizerUnavailable("No weights.", provider="scripted"))
    well = ScriptedUtterances()
    async with gateway(server) as asking, working(server, broken, most_deliveries=1_000):
        asked = [asking.ask(f"session-{n}/0") for n in range(6)]
        await until(lambda: bool(broken.calls))
        async with working(server, well, most_deliveries=1_000):
            await all_answered(asked)
    assert 6 == len(well.calls)


async def test_what_the_workers_cannot_know_is_told(server: Server, broker: Broker) -> None:
    """A profile that is not in their configuration: an error that names it, and a dead letter."""
    async with gateway(server) as asking, working(server, ScriptedUtterances()):
        stranger = RemoteSecondPass(asking.dispatch, "stranger", CAPABILITIES, SecondPassSettings())
        error = await failing(stranger.submit(UtteranceAudio(bytes(64)), used=lambda usage: None))
        assert isinstance(error, RecognizerUnavailable)
        assert "unknown_profile" == error.code == (await buried(broker)).reason


def utterance(number: int, pcm: bytes = bytes(3_200)) -> Utterance:
    """As a gateway sends it whose name is "hand"."""
    samples = len(pcm) // 2
    job = JobId("hand", number)
    return Utterance(job, 1, "numbers", Options(), 0, None, speculative=False, samples=samples, audio=to_flac(pcm))


async def test_audio_that_is_broken_is_told(server: Server, broker: Broker) -> None:
    """The header can be read, so whoever asked gets an error; the message is a dead letter."""
    finals = await broker.finals("hand")
    async with working(server, ScriptedUtterances()):
        await broker.publish(Topic.UTTERANCES, encode(replace(utterance(1), audio=b"noise")))
        (result,) = await results(finals, 1)
        assert result.failure is not None
        assert isinstance(result.failure.error, RecognizerRejected)
        assert "bad_audio" == result.failure.code == (await buried(broker)).reason
    await finals.close()


async def test_what_was_answered_is_not_heard_again(server: Server, broker: Broker) -> None:
    """The broker delivers again what was answered, and a gateway sends again what is being heard: one decoding."""
    recognizer = ScriptedUtterances(gate=asyncio.Event())
    finals = await broker.finals("hand")
    async with working(server, recognizer):
        await broker.publish(Topic.UTTERANCES, encode(utterance(1)))
        await until(lambda: recognizer.calls == [1])
        await broker.publish(Topic.UTTERANCES, encode(replace(utterance(1), attempt=2)))
        assert recognizer.gate is not None
        recognizer.gate.set()
        (first,) = await results(finals, 1)
        await broker.publish(Topic.UTTERANCES, encode(replace(utterance(1), attempt=3)))
        (again,) = await results(finals, 1)
    assert first == again
    assert [1] == recognizer.calls
    await finals.close()


async def test_a_guess_that_nobody_wants_is_not_heard(server: Server) -> None:
    """It is dropped while it waits behind another; what it would have cost is not spent."""
    recognizer = ScriptedUtterances(gate=asyncio.Event())
    async with gateway(server) as asking, working(server, recognizer) as (_, metrics):
        first = asking.ask("session/0")
        await until(lambda: recognizer.calls == [1])
        guess = asking.ask("session/0", speculative=True, deadline=asyncio.get_running_loop().time() + 300)
        await until(lambda: in_flight(metrics) == 2)
        guess.job.drop()
        await until(lambda: in_flight(metrics) == 1)
        assert recognizer.gate is not None
        recognizer.gate.set()
        await all_answered([first])
    assert ([1], []) == (recognizer.calls, guess.usage)


async def test_the_cost_of_a_guess_that_was_dropped_too_late_is_told(server: Server) -> None:
    """It is being decoded: the answer is thrown away, and what it cost is speculation."""
    recognizer = ScriptedUtterances(gate=asyncio.Event())
    async with gateway(server) as asking, working(server, recognizer) as (_, metrics):
        guess = asking.ask("session/0", speculative=True, deadline=asyncio.get_running_loop().time() + 300)
        await until(lambda: recognizer.calls == [1])
        guess.job.drop()
        await until(lambda: in_flight(metrics) == 0)
        assert recognizer.gate is not None
        recognizer.gate.set()
        await until(lambda: len(guess.usage) == 1, seconds=PATIENCE)
    assert [Reason.SPECULATION] == [usage.reason for usage in guess.usage]


async def test_a_guess_that_was_right_becomes_urgent(server: Server) -> None:
    """Confirmed with an early deadline, it overtakes a job that would have gone before it."""
    recognizer = ScriptedUtterances(gate=asyncio.Event())
    done: list[str] = []
    async with gateway(server) as asking, working(server, recognizer) as (worker, _):
        now = asyncio.get_running_loop().time()
        first = asking.ask("session/0")
        await until(lambda: recognizer.calls == [1])
        guess = asking.ask("session/0", speculative=True, deadline=now + 3_000)
        job = asking.ask("session/0", deadline=now + 2_000)
        guess.job.confirm(now + 1_000)
        guess.job.answer.add_done_callback(lambda _: done.append("guess"))
        job.job.answer.add_done_callback(lambda _: done.append("job"))
        held = worker._hearing.held
        await until(lambda: [False] * 3 == [each.job is None or each.job.speculative for each in held.values()])
        assert recognizer.gate is not None
        recognizer.gate.set()
        await all_answered([first, guess, job])
    assert ["guess", "job"] == done


async def test_draining_does_not_wait_for_ever_for_a_broker(server: Server) -> None:
    """It is away when the worker is to end: the worker ends, and another one hears what was not told."""
    gate, well = asyncio.Event(), ScriptedUtterances()
    recognizer = ScriptedUtterances(gate=gate)
    async with gateway(server) as asking:
        async with working(server, recognizer, drain_seconds=0.5):
            asked = asking.ask("session/0")
            await until(lambda: recognizer.calls == [1])
            server.kill()
            gate.set()
        server.start()
        async with working(server, well):
            await all_answered([asked])
    assert [1] == well.calls


async def test_the_metrics_say_what_is_done(server: Server) -> None:
    """Batches, their fill and the real-time factor, in Prometheus' format."""
    async with gateway(server) as asking, working(server, ScriptedUtterances(max_batch=4)) as (_, metrics):
        await all_answered([asking.ask("session/0")])
        await until(lambda: "twopass_worker_in_flight 0.0" in generate_latest(metrics.registry).decode())
        text = generate_latest(metrics.registry).decode()
    for line in (
        'twopass_worker_utterances_total{outcome="answered"} 1.0',
        'twopass_worker_batch_fill_bucket{le="0.25"} 1.0',
        "twopass_worker_batch_fill_count 1.0",
        "twopass_worker_audio_seconds_total 0.75",
        "twopass_worker_queue_age_seconds 0.0",
    ):
        assert line in text.splitlines()
    assert metrics.registry.get_sample_value("twopass_worker_realtime_factor") is not None
