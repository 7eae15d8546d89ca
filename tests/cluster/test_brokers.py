"""
Two workers behind each real broker: kills, restarts, garbage, draining; nothing is lost, all is answered once.

TWOPASS_CLUSTER=long runs all of it with all brokers; otherwise only what is quick.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from collections.abc import Iterator, Sequence

import pytest
from tests.cluster.asking import PATIENCE, Asked, all_answered, gateway, worker
from tests.cluster.servers import SERVERS, Server
from tests.waiting import until

from twopass.cluster.broker import Topic
from twopass.cluster.wire import DeadLetter, decode
from twopass.types import Reason

SESSIONS = 50
LONG = os.environ.get("TWOPASS_CLUSTER") == "long"


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A real server of the kind that is asked for; it may be killed if it is started again."""
    with SERVERS[request.param]() as running:
        yield running


@pytest.fixture
def empty(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The same for one test alone: nothing that another one has left is delivered."""
    with SERVERS[request.param]() as running:
        yield running


def behind(*brokers: str, server: str = "server") -> pytest.MarkDecorator:
    """The test runs with these brokers, in the long form with all."""
    return pytest.mark.parametrize(server, list(SERVERS) if LONG else brokers, indirect=True)


async def answered(asked: Sequence[Asked], count: int) -> None:
    """Wait until so many have an answer."""
    await until(lambda: sum(each.job.answer.done() for each in asked) >= count, seconds=PATIENCE)


def costs(asked: Sequence[Asked]) -> list[int]:
    """How often each was paid for as work that was wanted."""
    return [[usage.reason for usage in each.usage].count(Reason.WORK) for each in asked]


@behind("nats", "redis")
async def test_nothing_is_lost_when_a_worker_is_killed(server: Server) -> None:
    """
    Fifty sessions, two workers, one of which is killed in the middle of a batch that it would never finish: every
    job has its own words and was paid for once.
    """
    async with gateway(server) as asking, worker(server, "stalling", stall_at=1) as stalling:
        asked = [asking.ask(f"session-{n}/0") for n in range(SESSIONS)]
        await until(lambda: stalling.said.count("batch") == 2, seconds=PATIENCE)
        async with worker(server, "steady"):
            await answered(asked, SESSIONS // 4)
            assert not all(each.job.answer.done() for each in asked)
            stalling.process.kill()
            asked += [asking.ask(f"session-{n}/0") for n in range(SESSIONS)]
            await all_answered(asked)
    assert [1] * len(asked) == costs(asked)


@behind("redis")
async def test_nothing_is_lost_when_the_broker_is_killed(server: Server) -> None:
    """It is killed and started again while utterances and results of fifty sessions are on their way."""
    async with gateway(server) as asking, worker(server, "one"), worker(server, "other"):
        asked = [asking.ask(f"session-{n}/0") for n in range(SESSIONS)]
        await answered(asked, SESSIONS // 2)
        server.kill()
        asked += [asking.ask(f"session-{n}/0") for n in range(SESSIONS)]
        server.start()
        await all_answered(asked)
        assert [1] * len(asked) == costs(asked)
        await all_answered([asking.ask(f"session-{n}/0") for n in range(4)])


@behind("nats")
async def test_garbage_goes_to_the_dead_letters(server: Server) -> None:
    """Bytes that are no message: with their reason, and the worker goes on."""
    broker = await server.connected()
    letters = await broker.dead_letters()
    async with gateway(server) as asking, worker(server, "w"):
        await broker.publish(Topic.UTTERANCES, b"garbage")
        first = await asyncio.wait_for(anext(letters), PATIENCE)
        letter = decode(DeadLetter, first.body)
        assert ("garbage", b"garbage", Topic.UTTERANCES) == (letter.reason, letter.original, letter.topic)
        await first.ack()
        await all_answered([asking.ask("session/0")])
    await letters.close()
    await broker.close()


@behind("nats", server="empty")
async def test_a_worker_drains(empty: Server) -> None:
    """SIGTERM: it answers what it decodes, gives back what it only holds, and ends by itself; nothing is lost."""
    async with gateway(empty) as asking, worker(empty, "leaving", batch_seconds=0.5, room=40) as leaving:
        asked = [asking.ask(f"session-{n}/0") for n in range(20)]
        await until(lambda: "batch" in leaving.said, seconds=PATIENCE)
        leaving.process.send_signal(signal.SIGTERM)
        assert 0 == await leaving.ended()
        await until(lambda: "drained" in leaving.said)
        await answered(asked, 1)
        assert not all(each.job.answer.done() for each in asked)
        async with worker(empty, "staying"):
            await all_answered(asked)
    assert [1] * len(asked) == costs(asked)


@pytest.mark.skipif(not LONG, reason="only in the long form: TWOPASS_CLUSTER=long")
@behind("nats")
async def test_a_message_that_kills_every_worker_is_given_up(server: Server) -> None:
    """Workers die of it without a word; after three deliveries one gives it up, tells its gateway, and hears on."""
    async with gateway(server) as asking:
        poison = asking.ask("session/0")
        died = 0
        while not poison.job.answer.done():
            async with worker(server, f"dying-{died}", stall_at=0) as dying:
                stalls = functools.partial(dying.said.__contains__, "batch")
                await until(lambda: stalls() or poison.job.answer.done(), seconds=PATIENCE)  # noqa: B023
            died += 1
        (error,) = await asyncio.gather(poison.job.answer, return_exceptions=True)
        assert "undeliverable" == getattr(error, "code", error)
        assert died > 3
        async with worker(server, "well"):
            await all_answered([asking.ask("session/0")])
