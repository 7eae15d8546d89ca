"""
`python -m tests.faults.load`: two hundred sessions in real time for three minutes.

The clients are a process of their own, so that their work is not counted as the server's. No session may be dropped,
no word may be wrong, and the server's memory must stay flat once all sessions are there.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console
from rich.progress import Progress
from tests.faults import callers, configs
from tests.faults.serving import ROOT, Server, served

MOST_GROWTH_MB_PER_SESSION = 0.5
_SAMPLE_SECONDS = 1.0
_SLACK_SECONDS = 120.0


def main(
    sessions: Annotated[int, typer.Option(help="How many at once.")] = 200,
    seconds: Annotated[float, typer.Option(help="How long each speaks.")] = 180.0,
    short: Annotated[bool, typer.Option("--short", help="40 sessions for 20 seconds.")] = False,
    output: Annotated[Path, typer.Option(help="Where the JSON goes.")] = ROOT / "bench" / "load.json",
) -> None:
    """Run it; exits with 1 if a session was dropped, a word was wrong, or memory grew."""
    console = Console()
    sessions, seconds = (40, 20.0) if short else (sessions, seconds)
    report = asyncio.run(_measure(sessions, seconds, console))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1) + "\n")
    for number, wrong in list(report["wrong"].items())[:5]:
        console.print(f"session {number}: {wrong}", markup=False)
    console.print(
        f"sessions {report['sessions']}, ended well {report['ended'] - len(report['wrong'])}, words {report['words']}; "
        f"word shown p50 {report['word_delays_p50']} ms, p99 {report['word_delays_p99']} ms after its sound; "
        f"final p50 {report['final_delays_p50']} ms, p99 {report['final_delays_p99']} ms after the utterance's end; "
        f"memory per session {report['mb_per_session_early']:.2f} MB early, "
        f"{report['mb_per_session_late']:.2f} MB late; "
        f"server {report['server_cores']:.2f} cores, clients {report['client_cores']:.2f} cores",
        soft_wrap=True,
    )
    raise typer.Exit(0 if _good(report) else 1)


def _good(report: dict[str, Any]) -> bool:
    grown = report["mb_per_session_late"] - report["mb_per_session_early"]
    return not report["wrong"] and report["ended"] == report["wanted"] and grown <= MOST_GROWTH_MB_PER_SESSION


async def _measure(sessions: int, seconds: float, console: Console) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="load-") as directory:
        async with served(configs.TEXTS["many"], Path(directory)) as server:
            before, cpu = server.memory_mb(), server.cpu_seconds()
            command = ("-m", "tests.faults.callers", server.url, str(sessions), str(seconds))
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE
            )
            watching = asyncio.create_task(_watch(server, process.pid, sessions, seconds, console))
            async with asyncio.timeout(seconds + _SLACK_SECONDS):
                answer, _ = await process.communicate()
            memory, client_cpu, took = await watching
            heard: dict[str, Any] = json.loads(answer)
            if heard["wrong"]:
                console.print("the server's last lines:", *list(server.log)[-5:], sep="\n  ", markup=False)
            used = server.cpu_seconds() - cpu
    return (
        heard
        | _figures(memory, before, sessions, seconds)
        | {
            "wanted": sessions,
            "seconds": seconds,
            "machine_cores": os.cpu_count(),
            "server_cores": round(used / took, 2),
            "client_cores": round(client_cpu / took, 2),
            "apart_ms": callers.APART_MS,
        }
    )


def _figures(memory: Sequence[tuple[float, float]], before: float, sessions: int, seconds: float) -> dict[str, Any]:
    """Memory per session when all have been there for a little while, and just before the first one ends."""
    ramp = sessions * callers.APART_MS / 1000
    middle = [mb for at, mb in memory if ramp < at < ramp + max(1.0, (seconds - ramp) / 4)]
    late = [mb for at, mb in memory if seconds - (seconds - ramp) / 4 < at < seconds]
    return {
        "mb_before": round(before, 1),
        "mb_per_session_early": (max(middle, default=before) - before) / sessions,
        "mb_per_session_late": (max(late, default=before) - before) / sessions,
        "memory": [(round(at, 1), round(mb, 1)) for at, mb in memory],
    }


async def _watch(
    server: Server, clients: int, sessions: int, seconds: float, console: Console
) -> tuple[list[tuple[float, float]], float, float]:
    """The server's memory by time, the clients' CPU seconds, and how long it all took."""
    memory, cpu, began = list[tuple[float, float]](), 0.0, time.monotonic()
    with Progress(console=console) as progress:
        task = progress.add_task(f"{sessions} sessions, seconds", total=seconds + sessions * callers.APART_MS / 1000)
        while True:
            at = time.monotonic() - began
            try:
                times = psutil.Process(clients).cpu_times()
            except psutil.NoSuchProcess:
                return memory, cpu, at
            if psutil.Process(clients).status() == psutil.STATUS_ZOMBIE:
                return memory, cpu, at
            cpu = times.user + times.system
            memory.append((at, server.memory_mb()))
            progress.update(task, completed=at)
            await asyncio.sleep(_SAMPLE_SECONDS)


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
