"""What a gateway does with jobs, answers and troubles, over a real broker; the test itself is the worker."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from tests.cluster.asking import CAPABILITIES, PATIENCE, all_answered, gateway, working
from tests.cluster.servers import Server, nats_server, redis_server
from tests.scripted import ScriptedUtterances
from tests.waiting import until

from twopass.cluster.broker import Broker, BrokerSettings, Topic, broker_for
from twopass.cluster.dispatch import RemoteSecondPass
from twopass.cluster.flac import from_flac
from twopass.cluster.inbox import Inbox
from twopass.cluster.wire import DeadLetter, Failure, Result, Utterance, Wish, decode, encode
from twopass.errors import BrokerUnavailable, ConfigError, RecognizerTimeout
from twopass.second_pass import SecondPassSettings
from twopass.types import Clock, Hypothesis, Pass, Reason, Usage, Word

USAGE = Usage("scripted", "cpu", Clock.CPU_BUSY, 0.1, Pass.SECOND)


@pytest.fixture(params=[nats_server, redis_server], ids=["nats", "redis"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """An empty broker, of two kinds."""
    with request.param() as running:
        yield running


@pytest.fixture
async def broker(server: Server) -> AsyncIterator[Broker]:
    """The worker's connection."""
    connection = await server.connected()
    yield connection
    await connection.close()


async def taken(inbox: Inbox) -> Utterance:
    """The next utterance."""
    delivery = await asyncio.wait_for(anext(inbox), PATIENCE)
    await delivery.ack()
    return decode(Utterance, delivery.body)


def said(utterance: Utterance, text: str, *, worker: str = "w") -> Result:
    """An answer."""
    hypothesis = Hypothesis(0, 100, (Word(text, 0, 100),), final=True, stable=1)
    return Result(utterance.id, utterance.attempt, worker, 1, hypothesis=hypothesis, usage=(USAGE,))


async def give(broker: Broker, *results: Result) -> None:
    """Publish results."""
    for result in results:
        await broker.publish(Topic.FINALS, encode(result), key=result.id.gateway)


async def test_a_worker_gets_all_that_it_needs(server: Server, broker: Broker) -> None:
    """Audio, options, deadline and speculation, as the session gave them."""
    inbox = await broker.utterances(4)
    async with gateway(server) as asking:
        loop = asyncio.get_running_loop()
        asked = asking.ask("session/0", deadline=loop.time() + 50, speculative=True)
        pcm = asked.job.audio.pcm
        utterance = await taken(inbox)
        assert pcm == from_flac(utterance.audio, utterance.samples)
        assert ("session/0", "numbers", 1, True) == (
            utterance.options.session,
            utterance.profile,
            utterance.attempt,
            utterance.speculative,
        )
        assert utterance.deadline_ms is not None
        assert utterance.deadline_ms - utterance.sent_ms == pytest.approx(50_000, abs=PATIENCE * 1000)
    await inbox.close()


async def test_the_first_answer_wins_and_all_costs_are_told(server: Server, broker: Broker) -> None:
    """Two workers answer the same, one of them twice: one text; the second worker's cost is told as a repetition."""
    inbox = await broker.utterances(4)
    async with gateway(server) as asking:
        asked = asking.ask("session/0")
        first = said(await taken(inbox), "first")
        other = replace(first, worker="other", hypothesis=Hypothesis(0, 9, final=True))
        later = asking.ask("session/0")
        last = said(await taken(inbox), "last")
        await give(broker, first, first, other, other, last)
        assert "first" == (await asyncio.wait_for(asked.job.answer, PATIENCE)).text
        await asyncio.wait_for(later.job.answer, PATIENCE)  # what was published before was read before
    assert [Reason.WORK, Reason.REPLAY] == [usage.reason for usage in asked.usage]
    await inbox.close()


async def test_an_error_is_what_it_was(server: Server, broker: Broker) -> None:
    """A worker's timeout is one for the session, too."""
    inbox = await broker.utterances(4)
    async with gateway(server) as asking:
        asked = asking.ask("session/0")
        utterance = await taken(inbox)
        failure = Failure.of(RecognizerTimeout("Too slow.", provider="scripted"))
        await give(broker, Result(utterance.id, 1, "w", 1, failure=failure, usage=(USAGE,)))
        with pytest.raises(RecognizerTimeout, match="Too slow"):
            await asyncio.wait_for(asked.job.answer, PATIENCE)
        assert [USAGE] == asked.usage
    await inbox.close()


async def test_garbage_and_strangers_among_the_results_do_no_harm(server: Server, broker: Broker) -> None:
    """What cannot be read is a dead letter, results of jobs that are not known are skipped, and the next is taken."""
    inbox, letters = await broker.utterances(4), await broker.dead_letters()
    async with gateway(server) as asking:
        asked = asking.ask("session/0")
        utterance = await taken(inbox)
        unknown = replace(utterance, id=replace(utterance.id, number=99))
        await broker.publish(Topic.FINALS, b"garbage", key=utterance.id.gateway)
        await give(broker, said(unknown, "unknown"), said(utterance, "known"))
        assert "known" == (await asyncio.wait_for(asked.job.answer, PATIENCE)).text
        letter = decode(DeadLetter, (await asyncio.wait_for(anext(letters), PATIENCE)).body)
    assert (Topic.FINALS, "garbage", b"garbage") == (letter.topic, letter.reason, letter.original)
    await inbox.close()
    await letters.close()


async def test_workers_are_told_what_becomes_of_guesses(server: Server, broker: Broker) -> None:
    """Confirmed with a deadline, or dropped; and a job whose deadline has passed is dropped as well."""
    wishes = await broker.wishes()
    async with gateway(server) as asking:
        now = asyncio.get_running_loop().time()
        guess = asking.ask("session/0", speculative=True, deadline=now + 300)
        guess.job.confirm(now + 400)
        confirmed = decode(Wish, (await asyncio.wait_for(anext(wishes), PATIENCE)).body)
        guess.job.drop()
        dropped = decode(Wish, (await asyncio.wait_for(anext(wishes), PATIENCE)).body)
    assert confirmed.deadline_ms is not None
    assert Wish(confirmed.id, None) == dropped
    await wishes.close()


async def test_the_load_is_how_long_the_oldest_waits(server: Server, broker: Broker) -> None:
    """Idle is 0; a job that waits raises it, and recordings do not; answers bring it down again."""
    inbox = await broker.utterances(4)
    async with gateway(server) as asking:
        second = RemoteSecondPass(asking.dispatch, "numbers", CAPABILITIES, SecondPassSettings(deadline_ms=100))
        recording = asking.ask("session/0")
        assert second.load == 0
        asked = asking.ask("session/0", deadline=asyncio.get_running_loop().time() + 300)
        await until(lambda: second.load > 1)
        for _ in range(2):
            await give(broker, said(await taken(inbox), "x"))
        await asyncio.wait_for(asyncio.gather(recording.job.answer, asked.job.answer), PATIENCE)
        assert second.load == 0
    await inbox.close()


async def test_jobs_wait_for_a_broker_that_is_away(server: Server) -> None:
    """It is killed before the jobs and comes back after them: all are answered."""
    recognizer = ScriptedUtterances(max_batch=4)
    async with gateway(server) as asking, working(server, recognizer):
        await all_answered([asking.ask("session/0")])
        server.kill()
        asked = [asking.ask(f"session-{n}/0") for n in range(5)]
        await asyncio.sleep(0.2)
        assert not any(each.job.answer.done() for each in asked)
        server.start()
        await all_answered(asked)


async def test_jobs_survive_a_broker_that_loses_everything(server: Server) -> None:
    """It comes back with an empty disk: what it had taken is sent again, and its queues are made again."""
    gate = asyncio.Event()
    recognizer = ScriptedUtterances(gate=gate)
    async with gateway(server) as asking, working(server, recognizer, room=1):
        asked = [asking.ask(f"session-{n}/0") for n in range(5)]
        await until(lambda: recognizer.calls == [1])
        await until(lambda: all(each.job.audio.pcm == b"" for each in asked))
        server.kill()
        for path in server.home.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        server.start()
        gate.set()
        await all_answered(asked)


async def test_a_broker_that_is_not_there_is_said(server: Server) -> None:
    """The error says where it was looked for, without the password."""
    server.kill()
    scheme, _, rest = server.url.partition("://")
    broker = await broker_for(BrokerSettings(f"{scheme}://user:secret@{rest}", connect_seconds=1))
    with pytest.raises(BrokerUnavailable) as caught:
        await broker.open()
    assert server.url in caught.value.message
    assert "secret" not in str(caught.value)
    await broker.close()
    server.start()


@pytest.mark.parametrize("url", ["inprocess", "http://127.0.0.1", ""])
async def test_an_address_of_no_broker_is_refused(url: str) -> None:
    """With those that there are."""
    with pytest.raises(ConfigError, match="kafka://"):
        await broker_for(BrokerSettings(url))


async def test_a_client_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    monkeypatch.delitem(sys.modules, "twopass.cluster.brokers.redis", raising=False)
    with pytest.raises(ConfigError, match=r"twopass\[cluster\]"):
        await broker_for(BrokerSettings("redis://127.0.0.1"))
