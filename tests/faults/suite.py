"""What the commands of the fault suite share: which seeds are run, how far it is, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tests.faults import report
from tests.faults.runner import Outcome
from tests.faults.scenarios import Scenario, shared_out

_TABLE_WIDTH = 160
_MOST_LINES = 60


@dataclass(frozen=True)
class Wanted:
    """
    What is to be run.

    Attributes:
        runs: How many, shared out over the scenarios.
        scenarios: Only these; all if there are none.
        seed: Only this one, of each scenario.
        first: Seeds count from here.
    """

    runs: int
    scenarios: Sequence[str] = ()
    seed: int | None = None
    first: int = 0


def plan(wanted: Wanted, scenarios: Mapping[str, Scenario]) -> dict[str, list[int]]:
    """Which seeds each scenario gets. Raises BadParameter for scenarios that there are not."""
    unknown = set(wanted.scenarios) - set(scenarios)
    if unknown:
        raise typer.BadParameter(f"no such scenario: {', '.join(unknown)}")
    names: Collection[str] = wanted.scenarios or scenarios
    if wanted.seed is not None:
        return {name: [wanted.seed] for name in names}
    counts = shared_out(wanted.runs, names, scenarios)
    return {name: [wanted.first + i for i in range(counts[name])] for name in names}


def console() -> Console:
    """One that is wide enough for the table."""
    made = Console()
    made.width = max(made.width, _TABLE_WIDTH)
    return made


@contextmanager
def progress(on: Console, runs: int) -> Iterator[tuple[Callable[[str], None], Callable[[Outcome], None]]]:
    """Shows how far it is: what is at work, and that a run is over."""
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=on) as shown:
        task = shown.add_task("", total=runs)
        yield lambda name: shown.update(task, description=name), lambda _: shown.advance(task)


def show_log(on: Console, name: str, found: Sequence[Outcome], log: Iterable[str]) -> None:
    """What the servers said lately of the runs that failed, and of none."""
    failed = [outcome.session for outcome in found if not outcome.verdict.good]
    if failed:
        told = [line for line in log if '"session": ' not in line or any(session in line for session in failed)]
        last = told[-_MOST_LINES * len(failed) :]
        on.print(
            f"{name}: the last lines of what ran:", *last, sep="\n  ", markup=False, highlight=False, soft_wrap=True
        )


def finish(
    on: Console, outcomes: Sequence[Outcome], scenarios: Mapping[str, Scenario], output: Path, again: str
) -> int:
    """Say and write what came of it; returns the exit status. `again`: the command that repeats one run."""
    titles = {name: scenario.title for name, scenario in scenarios.items()}
    report.write(outcomes, titles, output)
    on.print(report.table(outcomes, titles))
    for line in report.failures(outcomes, again):
        on.print(line, highlight=False, markup=False, soft_wrap=True)
    on.print(report.last_line(outcomes), highlight=False, soft_wrap=True)
    return 0 if all(outcome.verdict.good for outcome in outcomes) else 1
