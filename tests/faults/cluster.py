"""
`python -m tests.faults.cluster`: seeded runs in which a part of a cluster fails, each compared with the run where
nothing failed. Real gateways, workers, brokers and Redis; a broker that is not installed is skipped by name.

The last line says how many runs there were, and what was lost. A run that failed can be had again by itself:
`python -m tests.faults.cluster --broker NAME --scenario NAME --seed N`.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from rich.console import Console
from tests.cluster.servers import SERVERS
from tests.faults import cluster_troubles, runner, suite
from tests.faults.clustering import Cluster, clustered
from tests.faults.runner import Outcome, Stage
from tests.faults.scenarios import CLUSTER_SCENARIOS, Scenario
from tests.faults.serving import ROOT
from tests.faults.suite import Wanted

SHORT = ("kill_worker", "kill_gateway", "kill_broker")
_SHORT_RUNS = 4
_CLUSTERS_AT_ONCE = 2
"""They wait most of the time."""


def main(
    runs: Annotated[int, typer.Option(help="How many, shared out over brokers and scenarios.")] = 160,
    broker: Annotated[list[str] | None, typer.Option(help=f"Only these: {', '.join(SERVERS)}.")] = None,
    scenario: Annotated[list[str] | None, typer.Option(help=f"Only these: {', '.join(CLUSTER_SCENARIOS)}.")] = None,
    seed: Annotated[int | None, typer.Option(help="Only the run with this seed, of each scenario.")] = None,
    first_seed: Annotated[int, typer.Option(help="Seeds count from here.")] = 0,
    short: Annotated[bool, typer.Option("--short", help="A few runs of the most telling scenarios, on NATS.")] = False,
    output: Annotated[Path, typer.Option(help="Where the JSON goes.")] = ROOT / "bench" / "faults_cluster.json",
) -> None:
    """Run them; exits with 1 if anything is wrong."""
    console = suite.console()
    brokers = broker or (["nats"] if short else list(SERVERS))
    unknown = set(brokers) - set(SERVERS)
    if unknown:
        raise typer.BadParameter(f"no such broker: {', '.join(unknown)}")
    plan = suite.plan(Wanted(-(-runs // len(brokers)), scenario or (), seed, first_seed), CLUSTER_SCENARIOS)
    if short and not scenario:
        plan = {name: [first_seed + i for i in range(_SHORT_RUNS)] for name in SHORT}
    outcomes = asyncio.run(_run(brokers, plan, console))
    raise typer.Exit(suite.finish(console, outcomes, CLUSTER_SCENARIOS, output, "python -m tests.faults.cluster"))


@dataclass(frozen=True)
class _Playing:
    """What all clusters have in common: what is played, and who is told."""

    plan: Mapping[str, Sequence[int]]
    console: Console
    working_at: Callable[[str], None]
    done: Callable[[Outcome], None]
    gate: asyncio.Semaphore

    async def on(self, broker: str, cluster: Cluster) -> list[Outcome]:
        """All runs of the plan on one cluster, one scenario after the other."""
        stage = Stage(cluster, CLUSTER_SCENARIOS, _trouble(cluster), broker)
        outcomes: list[Outcome] = []
        async with self.gate:
            for name, seeds in self.plan.items():
                self.working_at(f"{broker}: {name}")
                found = await runner.played(stage, name, seeds, self.done)
                suite.show_log(self.console, f"{broker}: {name}", found, cluster.log)
                outcomes += found
        return outcomes


async def _run(brokers: Sequence[str], plan: Mapping[str, Sequence[int]], console: Console) -> list[Outcome]:
    async with AsyncExitStack() as stack:
        # All of them first: some take their time to start, and the loop with them.
        started = {broker: await _started(broker, stack, console) for broker in brokers}
        clusters = {broker: cluster for broker, cluster in started.items() if cluster is not None}
        with suite.progress(console, len(clusters) * sum(map(len, plan.values()))) as (working_at, done):
            playing = _Playing(plan, console, working_at, done, asyncio.Semaphore(_CLUSTERS_AT_ONCE))
            outcomes = await asyncio.gather(*(playing.on(*each) for each in clusters.items()))
    return [outcome for some in outcomes for outcome in some]


async def _started(broker: str, stack: AsyncExitStack, console: Console) -> Cluster | None:
    """None if the broker is not installed."""
    directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-"))
    try:
        return await stack.enter_async_context(clustered(broker, Path(directory)))
    except pytest.skip.Exception as skipped:
        console.print(f"{broker} is skipped: {skipped.msg}")
        return None


def _trouble(cluster: Cluster) -> runner.Trouble:
    async def make(scenario: Scenario, rng: random.Random) -> int:
        return await cluster_troubles.make(*scenario.doing, cluster, rng) if scenario.doing else 0

    return make


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
