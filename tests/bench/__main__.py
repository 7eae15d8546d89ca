"""
`python -m tests.bench`: one table, one JSON.

Everything runs on synthetic speech in the domain of the bundled Whisper (tests/speech), through the real server in a
process of its own, in real time.
"""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from tests import speech
from tests.bench import core, live, offline

ROOT = Path(__file__).parent.parent.parent
TITLES = {
    "first_partial_p50_ms": "first partial after the first word's end, p50 (ms)",
    "first_partial_p95_ms": "first partial, p95 (ms)",
    "word_lag_p50_ms": "word shown after its end, p50 (ms)",
    "word_lag_p95_ms": "word shown, p95 (ms)",
    "final_p50_ms": "final after speech end, p50 (ms)",
    "final_p95_ms": "final, p95 (ms)",
    "revisions_per_word": "revisions per word",
    "unstable_word_ratio": "unstable words per final word",
    "rewritten_ratio": "words rewritten by the second pass",
    "wer_interim": "WER of the last interim",
    "wer_first_pass": "WER of the first pass's final",
    "wer_final": "WER of the final (second pass)",
    "wer_offline": "WER of the same model offline",
    "cuts": "forced cuts",
    "words_lost_at_cuts": "words lost at cuts",
    "words_doubled_at_cuts": "words doubled at cuts",
    "degraded": "finals without the second pass",
    "cpu_cores_per_stream": "CPU per stream (cores)",
    "memory_mb_per_stream": "memory per stream, models included (MB)",
    "loop_lag_p99_ms": "event-loop lag, p99 (ms)",
}


def main(
    output: Annotated[Path, typer.Option(help="Where the JSON goes.")] = ROOT / "bench" / "latest.json",
    short: Annotated[bool, typer.Option("--short", help="Only the two-minute meeting, one stream.")] = False,
) -> None:
    """Measure; takes about 13 minutes, 3 with --short."""
    runs = [("meeting_120s", 1)] if short else [("meeting_120s", 1), ("meeting_120s", 4), ("nopause_300s", 1)]
    report: dict[str, Any] = {"machine": _machine(), "reconciler": core.measure(), "runs": []}
    console = Console()
    for name, streams in runs:
        recording = speech.load(name)
        console.print(f"{name}, {streams} at once, {recording.duration_ms / 1000:.0f} s in real time …")
        # A fresh server for each run, so that its histograms and its memory are of this run alone.
        with live.served(ROOT / "configs" / "local.yaml") as server:
            run = live.measure(server, recording, streams)
        report["runs"].append(run | offline.measure(recording))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    console.print(_table(report["runs"]))
    console.print("reconciler:", report["reconciler"])
    console.print(f"written to {output}")


def _machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "python": platform.python_version(), "date": datetime.now(UTC).date().isoformat()}


def _table(runs: list[dict[str, Any]]) -> Table:
    table = Table("measure", *(f"{run['recording']} x{run['streams']}" for run in runs))
    for key, title in TITLES.items():
        table.add_row(title, *(str(run.get(key, "-")) for run in runs))
    return table


if __name__ == "__main__":
    typer.run(main)
