"""Batches of runs: sessions that share a server and its troubles, each compared with its own run without any."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from tests import speech
from tests.faults import configs, script, troubles
from tests.faults.comparison import Verdict, compared, transcript
from tests.faults.handmade import Handmade
from tests.faults.proxy import Door, Weather
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.serving import served
from tests.faults.talking import Manner, Talk, by_client

from twopass.gateway.messages import SessionStarted

BATCH = 15
MOST_GROWN_MB = 64 + 6 * BATCH
"""More than this, a batch's sessions were not bounded in memory."""
_WATCH_SECONDS = 0.2
_REFERENCES_AT_ONCE = 5
_REAL_PAUSE = bytes(32 * 1_200)


@dataclass(frozen=True)
class Outcome:
    """
    A run and what came of it.

    Attributes:
        faults: How often something went wrong on purpose.
        words: How many there were to recognize.
        grown_mb: How much the server's memory grew at most while its batch ran.
        moves: How often the session went on at another server.
        broker: What was between gateways and workers, if there were any.
        session: Its name, as it stands in the logs.
    """

    scenario: str
    seed: int
    verdict: Verdict
    faults: int
    words: int
    seconds: float
    grown_mb: float = 0.0
    moves: int = 0
    broker: str = ""
    session: str = ""


class Place(Protocol):
    """
    What sessions run on: a server, or several that look like one.

    Attributes:
        peak_mb: The most memory that it ever had, as far as anybody asked.
    """

    peak_mb: float

    def door(self, weather: Weather | None, seed: object) -> Door:
        """Where a client connects."""

    def memory_mb(self) -> float:
        """What it has now."""

    def lift_limit(self) -> None:
        """There is room on the disk again."""


Trouble: TypeAlias = Callable[[Scenario, random.Random], Coroutine[Any, Any, int]]
"""Does to a place what the scenario says; returns how often."""


@dataclass(frozen=True)
class Stage:
    """
    Where scenarios are played.

    Attributes:
        name: Sets its troubles apart from those of other stages.
    """

    place: Place
    scenarios: Mapping[str, Scenario]
    trouble: Trouble
    name: str = ""


@dataclass(frozen=True)
class _Job:
    """A run to do: its recording, and what its transcript must say."""

    scenario: Scenario
    name: str
    seed: int
    pcm: bytes
    expected: list[str]
    doubts: list[str]
    by_hand: bool


async def run(
    name: str, seeds: Sequence[int], done: Callable[[Outcome], None], *, by_hand: bool = False
) -> tuple[list[Outcome], list[str]]:
    """
    All runs of a scenario on a server of their own, and the last lines of the server's log. `by_hand`: not by the
    real client.
    """
    config = configs.TEXTS[SCENARIOS[name].config]
    with tempfile.TemporaryDirectory(prefix="faults-") as directory:
        async with served(config, Path(directory)) as server:

            async def trouble(scenario: Scenario, rng: random.Random) -> int:
                return await troubles.make(*scenario.doing, server, rng) if scenario.doing else 0

            outcomes = await played(Stage(server, SCENARIOS, trouble), name, seeds, done, by_hand=by_hand)
    return outcomes, list(server.log)


async def played(
    stage: Stage, name: str, seeds: Sequence[int], done: Callable[[Outcome], None], *, by_hand: bool = False
) -> list[Outcome]:
    """
    All runs of a scenario.

    Runs of one batch share what happens to the place. What that is depends on the batch's number, and that on the
    seed alone, so a single run again sees the same.
    """
    outcomes = []
    for batch in batches(seeds, stage.scenarios[name].most):
        outcomes += await _batch(stage, name, batch, done, by_hand)
    return outcomes


def batches(seeds: Iterable[int], most: int = BATCH) -> list[list[int]]:
    """Seeds that run together: of the same fifteen, at most so many."""
    same: dict[int, list[int]] = {}
    for seed in seeds:
        same.setdefault(seed // BATCH, []).append(seed)
    return [together[at : at + most] for together in same.values() for at in range(0, len(together), most)]


async def _batch(
    stage: Stage, name: str, seeds: Sequence[int], done: Callable[[Outcome], None], by_hand: bool
) -> list[Outcome]:
    jobs = [replace(job, by_hand=by_hand) for job in await _prepared(stage, name, seeds)]
    scenario, number = stage.scenarios[name], seeds[0] // BATCH
    rng = random.Random(f"trouble {stage.name}{scenario.doing and scenario.doing[0]} {number}")
    async with _watched(stage.place) as grown, asyncio.TaskGroup() as group:
        runs = [group.create_task(_one(job, stage.place, done)) for job in jobs]
        troubled = group.create_task(stage.trouble(scenario, rng))
    stage.place.lift_limit()
    return [replace(judged(run.result(), troubled.result(), grown[0]), broker=stage.name) for run in runs]


def judged(outcome: Outcome, troubles: int, grown: float) -> Outcome:
    """The outcome together with what is known of its whole batch."""
    faults, problems = outcome.faults + troubles, list(outcome.verdict.problems)
    if grown > MOST_GROWN_MB:
        problems.append(f"the server's memory grew by {grown:.0f} MB")
    if not faults:
        problems.append("nothing went wrong in this run, so it shows nothing")
    verdict = replace(outcome.verdict, problems=tuple(problems))
    return replace(outcome, verdict=verdict, faults=faults, grown_mb=round(grown, 1))


async def _one(job: _Job, place: Place, done: Callable[[Outcome], None]) -> Outcome:
    began, scenario = time.monotonic(), job.scenario
    rng = random.Random(f"run {job.name} {job.seed}")
    weather, orders = scenario.weather(rng, scenario.speed), scenario.orders(rng)
    manner = Manner(scenario.profile, scenario.speed, orders)
    door = place.door(weather, job.seed)
    async with door.running():
        talk = await _talk(job, door.url, manner)
    faults = len(orders) + scenario.disorder + door.faults
    verdict = compared(job.expected, talk.messages, (*job.doubts, *talk.trouble))
    seconds = round(time.monotonic() - began, 1)
    outcome = Outcome(job.name, job.seed, verdict, faults, len(job.expected), seconds, moves=door.moves)
    outcome = replace(outcome, session=next((m.session for m in talk.messages if isinstance(m, SessionStarted)), ""))
    done(outcome)
    return outcome


async def _talk(job: _Job, url: str, manner: Manner) -> Talk:
    if job.doubts:
        return Talk()  # what goes wrong without any fault need not be tried with one
    if job.scenario.disorder or job.by_hand:
        return await Handmade(job.pcm, manner, job.seed, disorder=job.scenario.disorder).session(url)
    return await by_client(url, job.pcm, manner)


async def _prepared(stage: Stage, name: str, seeds: Sequence[int]) -> list[_Job]:
    """The runs, each with the transcript of its unfaulted run."""
    gate = asyncio.Semaphore(_REFERENCES_AT_ONCE)

    async def one(seed: int) -> _Job:
        async with gate:
            return await _unfaulted(stage, name, seed)

    return await asyncio.gather(*(one(seed) for seed in seeds))


async def _unfaulted(stage: Stage, name: str, seed: int) -> _Job:
    scenario = stage.scenarios[name]
    pcm, said = _recording(scenario, seed)
    door = stage.place.door(None, seed)
    async with door.running():
        talk = await by_client(door.url, pcm, Manner(scenario.profile, 1.0 if scenario.config == "real" else None))
    heard = transcript(talk.messages)
    right = compared(heard if said is None else said, talk.messages, talk.trouble)
    doubts = [] if right.good and heard else [f"the unfaulted run is wrong: {right}"]
    return _Job(scenario, name, seed, pcm, heard if said is None else said, doubts, False)


def _recording(scenario: Scenario, seed: int) -> tuple[bytes, list[str] | None]:
    """Audio, and the words in it where they are known."""
    if scenario.config == "scripted":
        written = script.written(seed, scenario.ms)
        return written.pcm, written.texts
    names = random.Random(f"recording {seed}").sample(speech.names("short"), 3)
    return b"".join(speech.load(name).pcm + _REAL_PAUSE for name in names), None


@asynccontextmanager
async def _watched(place: Place) -> AsyncIterator[list[float]]:
    """Watch its memory; the list's only element is the most that it grew, MB, once the context is over."""
    before, grown = place.memory_mb(), [0.0]
    place.peak_mb = before

    async def watch() -> None:
        while True:
            place.memory_mb()
            await asyncio.sleep(_WATCH_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield grown
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        grown[0] = place.peak_mb - before
