"""`twopass standin`: a vendor's protocol on a port of this machine, and what it tells of its connections."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from tests.scripted import numbered, spoken

from twopass import recognizers
from twopass.recognizers import StreamOptions
from twopass.types import Hypothesis

WORDS = numbered(8)
VENDOR = "google"


@asynccontextmanager
async def command(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`twopass standin` in a process of its own, ended by SIGTERM."""
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "twopass.cli",
        "standin",
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


async def text_of(*arguments: str) -> tuple[int | None, str]:
    """What a command that ends by itself says."""
    async with command(*arguments) as process:
        out, err = await process.communicate()
    return process.returncode, (out + err).decode()


async def heard(profile: str) -> str:
    """What the vendor's SDK hears there of eight words, with the settings that the command wrote."""
    settings = yaml.safe_load(profile)
    recognizer = recognizers.find(settings.pop("provider")).streaming(settings)
    await recognizer.open()

    async def audio() -> AsyncIterator[bytes]:
        pcm = spoken(WORDS, 2_500)
        for at in range(0, len(pcm), 3_200):
            yield pcm[at : at + 3_200]

    try:
        answers = [a async for a in recognizer.stream(audio(), StreamOptions()) if isinstance(a, Hypothesis)]
    finally:
        await recognizer.close()
    return " ".join(answer.text for answer in answers if answer.final).strip()


async def test_it_says_how_to_reach_it_and_reports_each_connection() -> None:
    """The settings that it writes lead the vendor's own SDK to it; what came and what it would bill is told."""
    async with command(VENDOR, "--ear", "coded", "--json") as process:
        assert process.stdout is not None
        introduction = json.loads(await process.stdout.readline())
        text = await heard(introduction["first_pass"])
        report = json.loads(await process.stdout.readline())
    assert "1 2 3 4 5 6 7 8" == text
    assert (1, 2_500, "ok") == (report["number"], report["audio_ms"], report["ended"])
    assert report["billed_ms"] >= 2_500
    assert 0 == process.returncode


async def test_for_people_it_writes_a_profile_and_lines() -> None:
    """Without --json the same can be read and copied."""
    async with command(VENDOR, "--ear", "coded") as process:
        assert process.stdout is not None
        said = ""
        while (found := re.search(r"provider: \w+\n +endpoint: \S+", said)) is None:
            said += (await process.stdout.readline()).decode()
        await heard("\n".join(line.strip() for line in found[0].splitlines()))
        line = ""
        while "connection" not in line:
            line = (await process.stdout.readline()).decode()
    assert line.startswith("connection 1: 2.5 s of audio, bills 3.0 s; ok")


async def test_faults_are_listed() -> None:
    """What can go wrong there, with a line for each."""
    status, text = await text_of(VENDOR, "--list-faults")
    assert 0 == status
    assert "unavailable" in text


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["nobody"], "There are: "),
        ([VENDOR, "--fault", "1:nonsense"], "There are: "),
        ([VENDOR, "--fault", "nonsense"], "CONNECTION:KIND@SECONDS"),
        ([VENDOR, "--ear", "script:missing.txt"], "Name a text file"),
        ([VENDOR, "--ear", "nobody"], "Installed: "),
    ],
)
async def test_what_is_wrong_is_said_with_what_would_be_right(
    arguments: list[str], answer: str, tmp_path: Path
) -> None:
    """A vendor, a fault or an ear that there is not."""
    status, text = await text_of(*arguments)
    assert 1 == status
    assert answer in text
