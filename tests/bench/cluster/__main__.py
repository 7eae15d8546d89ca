"""
`python -m tests.bench.cluster`: what a cluster costs and gains, one table and one JSON.

    workers    how much more two workers hear than one, with a core each
    batching   what batches across sessions gain, against the engine itself on the same batches (`tests.bench.batching`)
    overhead   what the way over each broker adds to an answer, with a thousand sessions at two gateways on two cores

Where others use the machine, the figures are theirs too: each table says how much of the processors was had.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from tests.bench.cluster import overhead, scaling
from tests.bench.cluster.processes import cores
from tests.cluster.servers import SERVERS

ROOT = Path(__file__).parents[3]
PARTS = ("workers", "batching", "overhead")


def main(
    brokers: Annotated[
        str, typer.Option(help="For the overhead: nats, redis, rabbit, kafka, several, or all.")
    ] = "nats",
    only: Annotated[str, typer.Option(help="Parts to measure: workers, batching, overhead.")] = ",".join(PARTS),
    sessions: Annotated[int, typer.Option(min=2, help="At both gateways together.")] = 1_000,
    seconds: Annotated[float, typer.Option(min=1, help="How long they speak.")] = 30.0,
    rounds: Annotated[int, typer.Option(min=1, help="How often workers and batches are measured.")] = 3,
    utterances: Annotated[int, typer.Option(min=16, help="That the workers hear each time.")] = 96,
    output: Annotated[Path, typer.Option(help="Where the JSON goes.")] = ROOT / "bench" / "cluster.json",
) -> None:
    """Measure; takes about five minutes on two cores, a minute more for each further broker."""
    parts, console = only.split(","), Console()
    report: dict[str, Any] = json.loads(output.read_text()) if output.is_file() else {}
    report["machine"] = {"cores": len(cores()), "date": datetime.now(UTC).date().isoformat()}
    if "workers" in parts:
        report["workers"] = _workers(rounds, utterances)
        console.print(_workers_table(report["workers"]))
    if "batching" in parts:
        report["batching"] = _batching(rounds)
        console.print(_batching_table(report["batching"]))
    if "overhead" in parts:
        crowd = overhead.Crowd(sessions, seconds=seconds)
        names = list(SERVERS) if brokers == "all" else brokers.split(",")
        measured = {each["broker"]: each for each in report.get("overhead", ())}
        measured |= {name: _overhead(name, crowd) for name in names}
        report["overhead"] = list(measured.values())
        console.print(_overhead_table(report["overhead"]))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {output}")


def _workers(rounds: int, count: int) -> dict[str, Any]:
    with SERVERS["nats"]() as server:
        return asyncio.run(scaling.measure(server, rounds, count))


def _batching(rounds: int) -> dict[str, Any]:
    """As batches fill by themselves, and kept full; in processes of their own, which keep to one core."""
    found = {}
    for name, more in {"as it decides": (), "full": ("--keep",)}.items():
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            command = [sys.executable, "-m", "tests.bench.batching", "--rounds", str(rounds), "--output", file.name]
            subprocess.run([*command, *more], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
            found[name] = json.loads(Path(file.name).read_text())
    return found


def _overhead(name: str, crowd: overhead.Crowd) -> dict[str, Any]:
    with SERVERS[name]() as server:
        return asyncio.run(overhead.measure(name, server, crowd))


def _workers_table(report: dict[str, Any]) -> Table:
    table = Table("workers", "utterances/s", "cores they had", "utterances per CPU second", title="Two workers and one")
    for run in report["runs"]:
        table.add_row(*(str(run[key]) for key in ("workers", "per_s", "busy_cores", "per_cpu_s")))
    factors = ("median_factor", "best_factor", "factor_per_cpu_second")
    table.caption = ", ".join(f"{name.replace('_', ' ')} {report[name]}" for name in factors)
    return table


def _batching_table(report: dict[str, Any]) -> Table:
    table = Table("batches", "clock", "queue", "engine", "queue over engine", title="Times as quick as one by one")
    for name, found in report.items():
        for clock in ("wall", "cpu"):
            each = found[clock]
            table.add_row(name, clock, *(str(each[key]) for key in ("queue", "engine", "queue_over_engine")))
    return table


def _overhead_table(rows: list[dict[str, Any]]) -> Table:
    percentiles = ("p50_ms", "p90_ms", "p99_ms", "max_ms")
    kinds = ("gateways", "workers", "broker")
    title = "What the broker's way adds to an answer (ms), and the cores that each part used"
    table = Table("broker", "sessions", "per s", *(key.removesuffix("_ms") for key in percentiles), *kinds, title=title)
    for row in rows:
        figures = (row["sessions"], row["utterances_per_s"], *(row[each] for each in percentiles))
        table.add_row(row["broker"], *map(str, figures), *(str(row["cores"][kind]) for kind in kinds))
    return table


if __name__ == "__main__":
    typer.run(main)
