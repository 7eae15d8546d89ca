"""
`python -m tests.faults.soak`: one session of three hours, time-compressed, whose memory must not grow.

Measured are the gateway's and its model processes' resident memory after the first ten minutes of audio and at the end.
Every word of the three hours is compared, too.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from tests.faults import configs, script
from tests.faults.comparison import Verdict, compared
from tests.faults.serving import ROOT, Server, served
from tests.faults.talking import chunks

from twopass.client import Client
from twopass.gateway.messages import Ack, AnyServerMessage, Ended, Segment
from twopass.types import SAMPLE_RATE

SETTLED_MINUTES = 10.0
MOST_GROWTH = 0.05
"""Of the memory at ten minutes. Allocators breathe by a few per cent; a leak of 5 kB per utterance would show."""
_PART_MS = 60_000
_CHUNK_MS = 500


@dataclass
class _Course:
    """Memory (MB) by minutes of audio."""

    words: list[str] = field(default_factory=list)
    points: list[tuple[float, float]] = field(default_factory=list)

    def at(self, minutes: float) -> float:
        """The most memory up to one minute before that point: what is freed soon is no growth."""
        return max(mb for minute, mb in self.points if minutes - 1.0 <= minute <= minutes)

    @property
    def end(self) -> float:
        """Minutes in all."""
        return self.points[-1][0]


def main(
    minutes: Annotated[float, typer.Option(help="How much audio.")] = 183.0,
    short: Annotated[bool, typer.Option("--short", help="Only 25 minutes of audio.")] = False,
    output: Annotated[Path, typer.Option(help="Where the JSON goes.")] = ROOT / "bench" / "soak.json",
) -> None:
    """Run it; exits with 1 if memory grew or a word is wrong."""
    console = Console()
    minutes = 25.0 if short else minutes
    course, verdict = asyncio.run(_soak(minutes, console))
    early, late = course.at(SETTLED_MINUTES), course.at(course.end)
    growth = late / early - 1
    points = [(round(minute, 1), round(mb, 1)) for minute, mb in course.points]
    document = {"minutes": course.end, "mb_at_10_minutes": early, "mb_at_end": late, "growth": growth, "curve": points}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(document | {"words": len(course.words), "verdict": str(verdict)}, indent=1) + "\n")
    console.soft_wrap = True
    step = max(1, len(points) // 12)
    console.print("minutes of audio -> MB:", ", ".join(f"{minute:.0f} -> {mb:.0f}" for minute, mb in points[::step]))
    console.print(
        f"{course.end:.0f} min, {len(course.words)} words ({verdict}); "
        f"memory {early:.1f} MB after {SETTLED_MINUTES:.0f} min, {late:.1f} MB at the end: {growth:+.1%}"
    )
    raise typer.Exit(0 if verdict.good and growth <= MOST_GROWTH else 1)


async def _soak(minutes: float, console: Console) -> tuple[_Course, Verdict]:
    course, kept = _Course(), list[AnyServerMessage]()
    with tempfile.TemporaryDirectory(prefix="soak-") as directory, Progress(console=console) as progress:
        task = progress.add_task("minutes of audio", total=minutes)
        async with (
            served(configs.TEXTS["scripted"], Path(directory)) as server,
            Client(server.url) as client,
            client.session(profile="steady", realtime=False) as session,
        ):
            session.feed(_audio(minutes, course))
            async for message in session:
                if isinstance(message, Ended) or (isinstance(message, Segment) and message.status == "final"):
                    kept.append(message)
                if isinstance(message, Ack):
                    _note(course, message, server)
                    progress.update(task, completed=message.samples / SAMPLE_RATE / 60)
    return course, compared(course.words, kept)


def _note(course: _Course, ack: Ack, server: Server) -> None:
    minute = ack.samples / SAMPLE_RATE / 60
    if not course.points or minute >= course.points[-1][0] + 0.25:
        children = sum(child.memory_info().rss for child in server.children()) / (1 << 20)
        course.points.append((minute, server.memory_mb() + children))


async def _audio(minutes: float, course: _Course) -> AsyncIterator[bytes]:
    for part in _parts(minutes):
        course.words += part.texts
        for chunk in chunks(part.pcm, _CHUNK_MS):
            yield chunk


def _parts(minutes: float) -> Iterator[script.Script]:
    """Scripts one after another, a minute or so each; their words count on."""
    said = ms = 0
    while ms < minutes * 60_000:
        part = script.written(f"soak {ms}", _PART_MS, first=said + 1)
        yield part
        said, ms = said + len(part.words), ms + part.ms


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
