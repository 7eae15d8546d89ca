"""A vendor's stand-in in a process of its own, so that its work is not ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import yaml

from twopass.errors import RecognizerUnavailable

_END_SECONDS = 10.0
_READY_SECONDS = 120.0


@asynccontextmanager
async def stand_in(vendor: str, settings: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
    """
    Run `twopass standin VENDOR`; gives the settings of a first pass that lead to it.

    Args:
        settings: Options of that command: ear, latency_ms, max_stream_seconds, …

    Raises RecognizerUnavailable if it does not start.
    """
    options = [text for name, value in settings.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "twopass.cli", "standin", vendor, "--json", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us: what it says at its end is of use
    )
    assert process.stdout is not None
    assert process.stderr is not None
    draining: set[asyncio.Task[bytes]] = set()
    try:
        line = await _first_line(process.stdout)
        if not line:
            with contextlib.suppress(ProcessLookupError):
                process.kill()  # it may hang
            why = (await process.stderr.read()).decode(errors="replace").strip() or "it says nothing"
            fix = f"Try it alone: twopass standin {vendor}"
            raise RecognizerUnavailable(f"The stand-in did not start: {why}.", provider=vendor, fix=fix)
        draining |= {asyncio.create_task(process.stdout.read()), asyncio.create_task(process.stderr.read())}
        yield yaml.safe_load(json.loads(line)["first_pass"])
    finally:
        await _ended(process)
        await asyncio.gather(*draining)


async def _first_line(output: asyncio.StreamReader) -> bytes:
    """Empty if none comes."""
    try:
        async with asyncio.timeout(_READY_SECONDS):
            return await output.readline()
    except TimeoutError:
        return b""


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(_END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
