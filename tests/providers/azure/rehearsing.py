"""Azure's SDK against Azure's stand-in, for the tests beside this."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.providers.rehearsal import transcript
from tests.waiting import until

from twopass.errors import RecognizerError
from twopass.recognizers import StreamOptions
from twopass.types import Hypothesis, Usage
from twopass_providers.azure import StreamingAzure, provider
from twopass_providers.azure.session import THREAD
from twopass_providers.azure.standin import LIMITS, AzureStandIn, Limits, stand_in
from twopass_providers.azure.standin_faults import KINDS
from twopass_providers.standins import StandInSettings
from twopass_providers.standins.ears import CodedEar, Ear
from twopass_providers.standins.faults import parsed


def _missing() -> str:
    """Why the SDK cannot be used here; empty if it can."""
    try:
        import_module("azure.cognitiveservices.speech")
    except ImportError:
        return "Azure's SDK is not installed"
    except OSError as error:
        return f"Azure's SDK cannot be loaded: {error}"
    return ""


needs_sdk = pytest.mark.skipif(bool(_missing()), reason=_missing() or "it is there")
ENGLISH = StreamOptions(language="en-US")
USUAL: Mapping[str, Any] = {
    "connect_seconds": 60,  # a loaded machine is no outage
    "finish_seconds": 60,
    "burst_seconds": 600,  # tests have no time for the SDK's pace
}


@dataclass
class Rehearsal:
    """A running stand-in and an open recognizer that leads to it."""

    stand_in: AzureStandIn
    recognizer: StreamingAzure


@asynccontextmanager
async def rehearsal(
    *faults: str,
    limits: Limits = LIMITS,
    settings: Mapping[str, Any] | None = None,
    ear: Ear | None = None,
    **standin: Any,
) -> AsyncIterator[Rehearsal]:
    """Both, with these faults (see `standins.faults`), settings of the recognizer and of the stand-in."""
    wanted = StandInSettings(ear or CodedEar(), tuple(parsed(fault, KINDS) for fault in faults), **standin)
    async with stand_in(wanted, limits) as running, opened(running.address, **(settings or {})) as recognizer:
        yield Rehearsal(running, recognizer)


@asynccontextmanager
async def opened(endpoint: str, **settings: Any) -> AsyncIterator[StreamingAzure]:
    """A recognizer, opened and closed."""
    recognizer = provider.streaming({"endpoint": endpoint, **USUAL, **settings})
    await recognizer.open()
    try:
        yield recognizer
    finally:
        await recognizer.close()


@dataclass
class Heard:
    """What one stream said."""

    hypotheses: list[Hypothesis] = field(default_factory=list)
    usage: list[Usage] = field(default_factory=list)
    error: RecognizerError | None = None

    @property
    def finals(self) -> list[Hypothesis]:
        return [hypothesis for hypothesis in self.hypotheses if hypothesis.final]

    @property
    def interims(self) -> list[Hypothesis]:
        return [hypothesis for hypothesis in self.hypotheses if not hypothesis.final]

    @property
    def words(self) -> list[tuple[str, int, int]]:
        """What was settled: text, start and end of each word."""
        return transcript(tuple(word for final in self.finals for word in final.words))


async def pieces(pcm: bytes, size: int = 3_200) -> AsyncIterator[bytes]:
    """Audio as a microphone gives it, only faster."""
    for at in range(0, len(pcm), size):
        yield pcm[at : at + size]
        await asyncio.sleep(0.001)


async def endless() -> AsyncIterator[bytes]:
    """Somebody who never stops being quiet."""
    while True:
        yield bytes(3_200)
        await asyncio.sleep(0.05)


async def hear(
    recognizer: StreamingAzure, audio: AsyncIterator[bytes] | bytes, options: StreamOptions = ENGLISH
) -> Heard:
    """All that one stream says, until it ends or breaks."""
    heard = Heard()
    answers = recognizer.stream(pieces(audio) if isinstance(audio, bytes) else audio, options)
    try:
        async with aclosing(answers):  # type: ignore[type-var]
            async for answer in answers:
                (heard.usage if isinstance(answer, Usage) else heard.hypotheses).append(answer)  # type: ignore[arg-type]
    except RecognizerError as error:
        heard.error = error
    return heard


async def quiet() -> int:
    """The number of threads, when those of earlier streams are gone."""
    await until(lambda: not any(thread.name == THREAD for thread in threading.enumerate()))
    return threads()


def threads() -> int:
    """All of this process, the SDK's own included."""
    return len(list(Path("/proc/self/task").iterdir()))
