"""
`python -m tests.bench.vendors`: what twopass adds to a vendor's own SDK.

The bare SDK and a twopass session hear the same audio at the same moments in one run, from one stand-in in a process
of its own (a stand-in, not the vendor: only what lies on our side of the wire is measured). The audio says itself
which word is spoken (see `tests.scripted`), so each word's two delays can be compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import psutil
import structlog
import typer
from rich.console import Console
from rich.table import Table
from tests.bench import sdks
from tests.providers.rehearsal import Watched, no_second_pass
from tests.scripted import numbered, scripted_parts, spoken

from twopass import recognizers
from twopass.compare.measures.timeline import percentile
from twopass.lineup import alone

ROOT = Path(__file__).parent.parent.parent
_PIECE_MS = 100
_PIECE = _PIECE_MS * 32
_SETTLING_SECONDS = 3.0
VENDORS = ("google", "azure", "sarvam")


def main(
    vendors: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(VENDORS)}; default: all.")] = None,
    seconds: Annotated[int, typer.Option(help="How long somebody speaks, in real time.")] = 60,
    streams: Annotated[int, typer.Option(help="At once, each way, when CPU time is measured.")] = 10,
    output: Annotated[Path, typer.Option(help="Where the JSON goes.")] = ROOT / "bench" / "vendors.json",
) -> None:
    """Measure; takes three times as long as somebody speaks, for each vendor."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    report = {name: asyncio.run(_measure(name, seconds, streams)) for name in vendors or VENDORS}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    table = Table("measure", *report)
    for key in next(iter(report.values())):
        table.add_row(key.replace("_", " "), *(str(figures[key]) for figures in report.values()))
    Console().print(table)


async def _measure(name: str, seconds: int, streams: int) -> dict[str, Any]:
    words = numbered(seconds * 3, length=250, gap=80)
    pcm = spoken(words, seconds * 1000)
    async with standing_in(name) as address:
        bare, ours = await _delays(name, address, pcm)
        both = [(bare[word.text], ours[word.text]) for word in words if word.text in bare and word.text in ours]
        bare_cores = await _cores(_bare_streams(name, address, pcm, streams))
        our_cores = await _cores(_our_streams(name, address, pcm, streams))
    added = [our - plain for plain, our in both]
    return {
        "words": len(both),
        **_percentiles("bare_ms", [plain for plain, _ in both]),
        **_percentiles("twopass_ms", [our for _, our in both]),
        **_percentiles("added_ms", added),
        "bare_cores_per_stream": round(bare_cores / streams, 4),
        "twopass_cores_per_stream": round(our_cores / streams, 4),
        "added_cores_per_stream": round((our_cores - bare_cores) / streams, 4),
    }


def _percentiles(name: str, values: Sequence[float]) -> dict[str, float | None]:
    found = {f"{name}_p{percent}": percentile(values, percent) for percent in (50, 95)}
    return {key: None if value is None else round(value, 1) for key, value in found.items()}


# -- delays -----------------------------------------------------------------------------------------------------------


async def _delays(name: str, address: str, pcm: bytes) -> tuple[dict[str, float], dict[str, float]]:
    """Milliseconds from the moment at which a word's first audio is there to its first interim: bare, and ours."""
    bare, ours = sdks.BARE[name](address), _session(name, address)
    began = asyncio.get_running_loop().time() + 1.0
    async with bare as (write, shown), ours as session:
        await asyncio.gather(_speak(pcm, began, write), _speak(pcm, began, lambda piece: session.write([piece])))
        session.end()
        await asyncio.sleep(_SETTLING_SECONDS)
    return _since(shown, began, pcm), _since(session.seen.shown, began, pcm)


def _since(shown: dict[str, float], began: float, pcm: bytes) -> dict[str, float]:
    starts = {word.text: word.start for word in numbered(len(pcm) // 32 // 330, length=250, gap=80)}
    delays = {}
    for text, at in shown.items():
        if text in starts:
            sent = began + starts[text] // _PIECE_MS * _PIECE_MS / 1000
            delays[text] = (at - sent) * 1000
    return delays


async def _speak(pcm: bytes, began: float, write: Any) -> None:
    """Each piece at its moment."""
    clock = asyncio.get_running_loop().time
    for at in range(0, len(pcm), _PIECE):
        await asyncio.sleep(max(0.0, began + at / 32_000 - clock()))
        write(pcm[at : at + _PIECE])


@asynccontextmanager
async def _session(name: str, address: str) -> AsyncIterator[Watched]:
    """A session whose first pass is the vendor's, with no second pass."""
    recognizer = recognizers.find(name).streaming({"endpoint": address})
    await recognizer.open()
    second = no_second_pass()
    session = Watched(replace(scripted_parts(second, realtime=True), first_pass=alone(recognizer)))
    tasks = [asyncio.create_task(second.run()), asyncio.create_task(session.run())]
    try:
        yield session
        session.end()
        await tasks[1]
    finally:
        for task in tasks:
            task.cancel()
        await recognizer.close()


# -- CPU --------------------------------------------------------------------------------------------------------------


async def _cores(work: Any) -> float:
    """CPU seconds of this process per second while it works."""
    process, clock = psutil.Process(), asyncio.get_running_loop().time
    before, began = sum(process.cpu_times()[:2]), clock()
    await work
    return (sum(process.cpu_times()[:2]) - before) / (clock() - began)


async def _bare_streams(name: str, address: str, pcm: bytes, streams: int) -> None:
    async def one() -> None:
        async with sdks.BARE[name](address) as (write, _):
            await _speak(pcm, asyncio.get_running_loop().time(), write)

    await asyncio.gather(*(one() for _ in range(streams)))


async def _our_streams(name: str, address: str, pcm: bytes, streams: int) -> None:
    async def one() -> None:
        async with _session(name, address) as session:
            await _speak(pcm, asyncio.get_running_loop().time(), lambda piece: session.write([piece]))

    await asyncio.gather(*(one() for _ in range(streams)))


# -- the stand-in -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def standing_in(name: str, *arguments: str) -> AsyncIterator[str]:
    """`twopass standin` in a process of its own; gives its address."""
    command = ("-m", "twopass.cli", "standin", name, "--ear", "coded", "--port", "0", "--json", *arguments)
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    try:
        while line := (await process.stdout.readline()).decode():
            if found := re.search(r"(?:ws://)?127\.0\.0\.1:\d+", line):
                break
        else:
            raise RuntimeError(f"no stand-in for {name}")
        reading = asyncio.create_task(process.stdout.read())
        yield found[0]
        reading.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


if __name__ == "__main__":
    typer.run(main)
