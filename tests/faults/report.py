"""What the fault suite says in the end. Pure, but for writing the file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table
from tests.faults.runner import Outcome


def last_line(outcomes: Sequence[Outcome]) -> str:
    """The sum of everything."""
    lost = sum(len(outcome.verdict.lost) for outcome in outcomes)
    doubled = sum(len(outcome.verdict.doubled) for outcome in outcomes)
    not_final = sum(len(outcome.verdict.not_final) for outcome in outcomes)
    return f"runs {len(outcomes)}, words lost {lost}, words doubled {doubled}, utterances not final {not_final}"


def table(outcomes: Sequence[Outcome], titles: Mapping[str, str]) -> Table:
    """A row for each scenario."""
    columns = ("runs", "faults", "words", "lost", "doubled", "not final", "degraded", "moves", "memory +MB", "other")
    output = Table("scenario", *columns, "seconds")
    for broker, name in dict.fromkeys((outcome.broker, outcome.scenario) for outcome in outcomes):
        title = ", ".join(part for part in (broker, titles[name]) if part)
        output.add_row(title, *_row([o for o in outcomes if (o.broker, o.scenario) == (broker, name)]))
    return output


def _row(outcomes: Sequence[Outcome]) -> Iterator[str]:
    verdicts = [outcome.verdict for outcome in outcomes]
    yield str(len(outcomes))
    yield str(sum(outcome.faults for outcome in outcomes))
    yield str(sum(outcome.words for outcome in outcomes))
    for field in ("lost", "doubled", "not_final"):
        yield str(sum(len(getattr(verdict, field)) for verdict in verdicts))
    yield str(sum(verdict.degraded for verdict in verdicts))
    yield str(sum(outcome.moves for outcome in outcomes))
    yield f"{max(outcome.grown_mb for outcome in outcomes):.0f}"
    yield str(sum(len(v.problems) + len(v.changed_after_final) + len(v.repeated_events) for v in verdicts))
    yield f"{max(outcome.seconds for outcome in outcomes):.0f}"


def failures(outcomes: Sequence[Outcome], again: str) -> Iterator[str]:
    """What was wrong with each run that failed, and the command to have it again."""
    for outcome in outcomes:
        if not outcome.verdict.good:
            broker = f" --broker {outcome.broker}" if outcome.broker else ""
            where = f"{outcome.broker} {outcome.scenario}".lstrip()
            yield f"{where}, seed {outcome.seed} ({outcome.session}): {outcome.verdict}"
            yield f"  again: {again}{broker} --scenario {outcome.scenario} --seed {outcome.seed}"


def write(outcomes: Sequence[Outcome], titles: Mapping[str, str], path: Path) -> None:
    """Everything as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wrong = sum(not outcome.verdict.good for outcome in outcomes)
    document = {
        "summary": last_line(outcomes),
        "runs": len(outcomes),
        "runs_wrong": wrong,
        "scenarios": dict(titles),
        "outcomes": [asdict(outcome) for outcome in outcomes],
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
