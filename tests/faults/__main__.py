"""
`python -m tests.faults`: seeded runs in which something fails, each compared with the run where nothing failed.

The last line says how many runs there were, and what was lost. A run that failed can be had again by itself:
`python -m tests.faults --scenario NAME --seed N`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from tests.faults import runner, suite
from tests.faults.runner import Outcome
from tests.faults.scenarios import SCENARIOS
from tests.faults.serving import ROOT
from tests.faults.suite import Wanted

SHORT = ("cut", "disorder", "server_kill", "model_kill", "first_crashed", "disk_full")
_SHORT_RUNS = 4


def main(
    runs: Annotated[int, typer.Option(help="How many, shared out over the scenarios.")] = 330,
    scenario: Annotated[list[str] | None, typer.Option(help=f"Only these: {', '.join(SCENARIOS)}.")] = None,
    seed: Annotated[int | None, typer.Option(help="Only the run with this seed, of each scenario.")] = None,
    first_seed: Annotated[int, typer.Option(help="Seeds count from here.")] = 0,
    short: Annotated[bool, typer.Option("--short", help="A few runs of the most telling scenarios.")] = False,
    by_hand: Annotated[
        bool, typer.Option("--by-hand", help="Not by the real client: tells whose mistake it is.")
    ] = False,
    output: Annotated[Path, typer.Option(help="Where the JSON goes.")] = ROOT / "bench" / "faults.json",
) -> None:
    """Run them; exits with 1 if anything is wrong."""
    console = suite.console()
    plan = suite.plan(Wanted(runs, scenario or (), seed, first_seed), SCENARIOS)
    if short and not scenario:
        plan = {name: [first_seed + i for i in range(_SHORT_RUNS)] for name in SHORT}
    outcomes = asyncio.run(_run(plan, console, by_hand))
    raise typer.Exit(suite.finish(console, outcomes, SCENARIOS, output, "python -m tests.faults"))


async def _run(plan: dict[str, list[int]], console: Console, by_hand: bool) -> list[Outcome]:
    outcomes: list[Outcome] = []
    with suite.progress(console, sum(map(len, plan.values()))) as (working_at, done):
        for name, seeds in plan.items():
            working_at(name)
            found, log = await runner.run(name, seeds, done, by_hand=by_hand)
            outcomes += found
            suite.show_log(console, name, found, log)
    return outcomes


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
