"""How long somebody has been waiting for a second pass, here or at workers that may not be there."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

import pytest
from tests.scripted import ScriptedUtterances, numbered, spoken
from tests.virtual_time import virtually

from twopass.cluster.broker import Broker
from twopass.cluster.dispatch import Dispatch, RemoteSecondPass
from twopass.gateway.metrics import Metrics
from twopass.recognizers import Capabilities, UtteranceAudio
from twopass.second_pass import Job, Rewrites, SecondPass, SecondPassSettings
from twopass.second_pass_watch import Watch
from twopass.types import Usage

SETTINGS = SecondPassSettings(deadline_ms=10_000)
CAPABILITIES = Capabilities("scripted", "scripted", "Only numbers.")


def ignore(usage: Usage) -> None:
    """Nobody counts."""


def ask(second: Rewrites, deadline: float = math.inf, *, speculative: bool = False) -> Job:
    """An utterance."""
    audio = UtteranceAudio(spoken(numbered(2), 500))
    return second.submit(audio, used=ignore, deadline=deadline, speculative=speculative)


def shown(metrics: Metrics) -> Mapping[str, float]:
    """What Prometheus reads, by name and labels."""
    samples = (line.rsplit(" ", 1) for line in metrics.exposition().decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


async def never() -> Broker:
    """A broker that never comes."""
    await asyncio.Event().wait()
    raise AssertionError


async def unheard() -> RemoteSecondPass:
    """A second pass without workers, and without a broker."""
    return RemoteSecondPass(Dispatch(never), "live", CAPABILITIES, SETTINGS)


async def unserved() -> SecondPass:
    """A queue that nobody serves."""
    return SecondPass(ScriptedUtterances(), SETTINGS)


@pytest.mark.parametrize(("make", "place"), [(unheard, "workers"), (unserved, "here")])
def test_the_oldest_wait_is_seen_wherever_the_second_pass_is(make: object, place: str) -> None:
    """Its age grows with nobody at work, live speech and recordings apart; the load says that it is too late."""
    labels = f'place="{place}",profile="live"'

    async def test() -> None:
        loop = asyncio.get_running_loop()
        watch, metrics = Watch(here=place == "here"), Metrics()
        metrics.watch({"live": watch})
        before = shown(metrics)
        assert 0 == before[f'twopass_second_pass_waiting_seconds{{audio="live",{labels}}}']
        assert 0 == before[f"twopass_second_pass_load{{{labels}}}"]
        assert callable(make)
        second = watch.over(await make())
        jobs = [ask(second)]
        await asyncio.sleep(3)
        jobs += [ask(second, loop.time() + 20) for _ in range(2)]
        await asyncio.sleep(11)
        now = shown(metrics)
        assert 11 == pytest.approx(now[f'twopass_second_pass_waiting_seconds{{audio="live",{labels}}}'])
        assert 14 == pytest.approx(now[f'twopass_second_pass_waiting_seconds{{audio="recording",{labels}}}'])
        assert 2 == now[f'twopass_second_pass_waiting{{audio="live",{labels}}}']
        assert 1 == now[f'twopass_second_pass_waiting{{audio="recording",{labels}}}']
        if place == "workers":
            assert 1.1 == pytest.approx(now[f"twopass_second_pass_load{{{labels}}}"])
        for job in jobs:
            job.drop()
        await asyncio.sleep(0.1)
        after = shown(metrics)
        assert 0 == after[f'twopass_second_pass_waiting_seconds{{audio="live",{labels}}}']
        assert 0 == after[f'twopass_second_pass_waiting{{audio="recording",{labels}}}']

    virtually(test())


def test_what_is_being_decoded_still_waits() -> None:
    """An utterance that left the queue has no answer yet; with its answer the wait is over, and its length is known."""

    async def test() -> None:
        loop, gate = asyncio.get_running_loop(), asyncio.Event()
        queue, watch, metrics = SecondPass(ScriptedUtterances(gate=gate), SETTINGS), Watch(here=True), Metrics()
        metrics.watch({"live": watch})
        serving = asyncio.create_task(queue.run())
        job = ask(watch.over(queue), loop.time() + 10)
        await asyncio.sleep(2)
        assert 0 == queue.depth
        name = 'twopass_second_pass_waiting_seconds{audio="live",place="here",profile="live"}'
        assert 2 == pytest.approx(shown(metrics)[name])
        gate.set()
        await job.answer
        await asyncio.sleep(0.1)
        labels = 'place="here",profile="live"'
        assert 0 == shown(metrics)[name]
        assert 2 == pytest.approx(shown(metrics)[f"twopass_second_pass_answer_seconds_sum{{{labels}}}"])
        serving.cancel()

    virtually(test())


def test_waits_that_nobody_minds_are_not_measured() -> None:
    """Guesses that were wrong and recordings do not count among the waits; what was too late does."""

    async def test() -> None:
        loop, watch, waits = asyncio.get_running_loop(), Watch(here=False), list[float]()
        watch.waited = waits.append
        second = watch.over(await unserved())
        guess, right = (ask(second, loop.time() + 10, speculative=True) for _ in range(2))
        recording, late = ask(second), ask(second, loop.time() + 10)
        await asyncio.sleep(1)
        right.confirm(loop.time() + 10)
        for job in (guess, recording, right):
            job.drop()
        await asyncio.sleep(9)
        late.drop()
        await asyncio.sleep(0)
        assert [1, 10] == pytest.approx(waits)

    virtually(test())


def test_the_load_is_that_of_the_newest() -> None:
    """When a profile is opened anew, sessions keep what they began with; the load is the new one's."""

    async def test() -> None:
        watch = Watch(here=False)
        old, new = await unheard(), await unserved()
        session = watch.over(old)
        ask(session, asyncio.get_running_loop().time() + 10)
        await asyncio.sleep(5)
        assert 0.5 == pytest.approx(watch.load)
        watch.over(new)
        assert 0 == watch.load
        assert 0.5 == pytest.approx(session.load)

    virtually(test())
