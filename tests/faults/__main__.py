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
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tests.faults import report, runner
from tests.faults.runner import Outcome
from tests.faults.scenarios import SCENARIOS, shared_out
from tests.faults.serving import ROOT

SHORT = ("cut", "disorder", "server_kill", "model_kill", "first_crashed", "disk_full")
_SHORT_RUNS = 4
_TABLE_WIDTH = 150


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
    console = Console()
    console.width = max(console.width, _TABLE_WIDTH)
    unknown = set(scenario or ()) - set(SCENARIOS)
    if unknown:
        raise typer.BadParameter(f"no such scenario: {', '.join(unknown)}")
    plan = _plan(runs, scenario, seed, first_seed, short)
    outcomes = asyncio.run(_run(plan, console, by_hand))
    report.write(outcomes, output)
    console.print(report.table(outcomes))
    for line in report.failures(outcomes):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(report.last_line(outcomes), highlight=False, soft_wrap=True)
    raise typer.Exit(0 if all(outcome.verdict.good for outcome in outcomes) else 1)


def _plan(runs: int, only: list[str] | None, seed: int | None, first_seed: int, short: bool) -> dict[str, list[int]]:
    """Which seeds each scenario gets."""
    names = only or (SHORT if short else tuple(SCENARIOS))
    if seed is not None:
        return {name: [seed] for name in names}
    counts = dict.fromkeys(names, _SHORT_RUNS) if short else shared_out(runs, names)
    return {name: [first_seed + i for i in range(counts[name])] for name in names}


async def _run(plan: dict[str, list[int]], console: Console, by_hand: bool) -> list[Outcome]:
    outcomes: list[Outcome] = []
    columns = (TextColumn("{task.description:18}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=sum(map(len, plan.values())))
        for name, seeds in plan.items():
            progress.update(task, description=name)
            found, log = await runner.run(name, seeds, lambda _: progress.advance(task), by_hand=by_hand)
            outcomes += found
            if not all(outcome.verdict.good for outcome in found):
                progress.console.print(f"{name}: the server's last lines:", *log[-40:], sep="\n  ", markup=False)
    return outcomes


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
