"""
One process of a crowd: a gateway with many simulated sessions, or a worker that knows its answers beforehand.

    python -m tests.bench.cluster.crowd '{"role": "gateway", "broker": {"url": …}, …}'
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from tests import speech
from tests.bench.cluster.processes import say, told

from twopass.cluster.broker import BrokerSettings
from twopass.cluster.dispatch import Dispatch, RemoteSecondPass
from twopass.cluster.hearing import Hearer
from twopass.cluster.reaching import reached
from twopass.cluster.worker import Worker, WorkerSettings
from twopass.cluster.worker_metrics import Observed, WorkerMetrics
from twopass.recognizers import Capabilities, Recognition, StreamOptions, UtteranceAudio
from twopass.second_pass import SecondPass, SecondPassSettings
from twopass.types import BYTES_PER_SAMPLE, SAMPLE_RATE, Clock, Hypothesis, Pass, Usage, Word

PROFILE = "scripted"
CAPABILITIES = Capabilities("scripted", "scripted", "Nothing.", max_batch=8)
_WORDS_PER_SECOND = 2.5
_BYTES_PER_SECOND = SAMPLE_RATE * BYTES_PER_SAMPLE


@dataclass(frozen=True)
class Wishes:
    """
    Attributes:
        sessions: Of this gateway.
        warm_seconds, seconds: How long they speak before it counts, and while it does.
        shortest, longest: Seconds of an utterance.
        pause: Seconds between an answer and the next utterance, on average.
        answer_seconds: What a worker's recognizer takes for a batch.
        profile_to: A file for the profiler's figures.
    """

    role: str
    broker: BrokerSettings
    seed: int = 0
    sessions: int = 500
    warm_seconds: float = 5.0
    seconds: float = 30.0
    shortest: float = 1.0
    longest: float = 6.0
    pause: float = 3.0
    answer_seconds: float = 0.0
    profile_to: str = ""


class Scripted:
    """An utterance recognizer that takes a known time, whatever it hears."""

    capabilities = CAPABILITIES

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def recognize(self, batch: Sequence[UtteranceAudio]) -> Sequence[Recognition]:
        began = time.perf_counter()
        if self._seconds:
            await asyncio.sleep(self._seconds)
        hypotheses = [_hypothesis(len(each.pcm) / _BYTES_PER_SECOND) for each in batch]
        took = time.perf_counter() - began
        usage = (Usage("scripted", "cpu", Clock.CPU_BUSY, took, Pass.SECOND),)
        return [Recognition(each, usage) for each in hypotheses]


def _hypothesis(seconds: float) -> Hypothesis:
    count = round(seconds * _WORDS_PER_SECOND)
    words = tuple(Word(f"word{i}", i * 400, i * 400 + 300, 0.9) for i in range(count))
    return Hypothesis(0, round(seconds * 1000), words, final=True, stable=count)


class Crowd:
    """The sessions of one gateway."""

    def __init__(self, second: RemoteSecondPass, wishes: Wishes) -> None:
        self._second = second
        self._set = wishes
        self._speech = speech.load("nopause_300s").pcm
        self._overheads: list[float] = []
        self._counts_from = 0.0

    async def speak(self) -> dict[str, Any]:
        """Until the time is over: the overheads in ms, and how much was asked in all."""
        loop = asyncio.get_running_loop()
        self._counts_from = loop.time() + self._set.warm_seconds
        until = self._counts_from + self._set.seconds
        asked = await asyncio.gather(*(self._session(number, until) for number in range(self._set.sessions)))
        return {"overheads_ms": [round(each * 1000, 2) for each in self._overheads], "asked": sum(asked)}

    async def _session(self, number: int, until: float) -> int:
        """One that speaks, pauses, and waits for its answer; how many utterances it had."""
        dice, loop = random.Random(f"{self._set.seed}/{number}"), asyncio.get_running_loop()
        name, count = f"{self._set.seed}-{number}", 0
        await asyncio.sleep(dice.uniform(0, (self._set.shortest + self._set.longest) / 2 + self._set.pause))
        while True:
            seconds = dice.uniform(self._set.shortest, self._set.longest)
            await asyncio.sleep(seconds)
            if loop.time() >= until:
                return count
            count += 1
            await self._ask(name, self._piece(dice, seconds))
            await asyncio.sleep(dice.expovariate(1 / self._set.pause))

    def _piece(self, dice: random.Random, seconds: float) -> bytes:
        size = round(seconds * SAMPLE_RATE) * BYTES_PER_SAMPLE
        start = dice.randrange((len(self._speech) - size) // BYTES_PER_SAMPLE) * BYTES_PER_SAMPLE
        return self._speech[start : start + size]

    async def _ask(self, session: str, pcm: bytes) -> None:
        usage: list[Usage] = []
        loop = asyncio.get_running_loop()
        began = loop.time()
        audio = UtteranceAudio(pcm, StreamOptions("en-US", session=session))
        await self._second.submit(audio, used=usage.append, deadline=began + 60).answer
        if began >= self._counts_from:
            self._overheads.append(loop.time() - began - sum(each.seconds for each in usage))


async def gateway(wishes: Wishes) -> None:
    """Sessions that speak when they are told to; it ends when it is told to."""
    dispatch = Dispatch(partial(reached, wishes.broker))
    await dispatch.open()
    crowd = Crowd(RemoteSecondPass(dispatch, PROFILE, CAPABILITIES, SecondPassSettings()), wishes)
    say("ready")
    await told()
    say(await crowd.speak())
    await told()
    await dispatch.close()


async def worker(wishes: Wishes) -> None:
    """Answers until it is told to end."""
    metrics = WorkerMetrics()
    recognizer = Observed(Scripted(wishes.answer_seconds), metrics)
    hearer = Hearer(SecondPass(recognizer, SecondPassSettings()), recognizer)
    working = Worker(await reached(wishes.broker), {PROFILE: hearer}, WorkerSettings(), metrics)
    running = asyncio.create_task(working.run())
    say("ready")
    await told()
    working.drain()
    await running
    say("drained")


_ROLES: dict[str, Callable[[Wishes], Awaitable[None]]] = {"gateway": gateway, "worker": worker}


def main(text: str) -> None:
    """Play a role."""
    wishes = TypeAdapter(Wishes).validate_json(text)
    work = partial(_ROLES[wishes.role], wishes)

    async def run() -> None:
        await work()

    if not wishes.profile_to:
        asyncio.run(run())
        return
    import cProfile

    profiler = cProfile.Profile(time.thread_time)
    profiler.runcall(asyncio.run, run())
    profiler.dump_stats(Path(wishes.profile_to))


if __name__ == "__main__":
    main(sys.argv[1])
