"""Google's SDK against Google's stand-in, for the tests beside this."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import pytest
from tests.providers.rehearsal import transcript
from tests.scripted import spoken

from twopass.errors import RecognizerError
from twopass.recognizers import StreamOptions
from twopass.types import Hypothesis, Usage, Words
from twopass_providers.google import StreamingGoogle, provider
from twopass_providers.google.standin import LIMITS, GoogleStandIn, stand_in
from twopass_providers.google.standin_faults import KINDS
from twopass_providers.google.standin_stream import Limits
from twopass_providers.standins import StandInSettings
from twopass_providers.standins.ears import CodedEar
from twopass_providers.standins.faults import parsed

needs_sdk = pytest.mark.skipif(find_spec("grpc") is None, reason="Google's SDK is not installed")
ENGLISH = StreamOptions(language="en-US")


@dataclass
class Rehearsal:
    """A running stand-in and an open recognizer that leads to it."""

    stand_in: GoogleStandIn
    recognizer: StreamingGoogle


@asynccontextmanager
async def rehearsal(
    *faults: str, limits: Mapping[str, Limits] = LIMITS, settings: Mapping[str, Any] | None = None, **standin: Any
) -> AsyncIterator[Rehearsal]:
    """Both, with these faults (see `standins.faults`), settings of the recognizer and of the stand-in."""
    wanted = StandInSettings(CodedEar(), tuple(parsed(fault, KINDS) for fault in faults), **standin)
    usual = {"finish_seconds": 30, **(settings or {})}
    async with stand_in(wanted, limits) as running, opened({"endpoint": running.address, **usual}) as recognizer:
        yield Rehearsal(running, recognizer)


@asynccontextmanager
async def opened(settings: Mapping[str, Any]) -> AsyncIterator[StreamingGoogle]:
    """A recognizer, opened and closed."""
    recognizer = provider.streaming(settings)
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
    recognizer: StreamingGoogle, audio: AsyncIterator[bytes] | bytes, options: StreamOptions = ENGLISH
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


def speech(words: Words, ms: int) -> bytes:
    """Coded audio, see `tests.scripted`."""
    return spoken(words, ms)


def others(before: Sequence[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    """Tasks that were not there before, without those by which the stand-in waits for its next call."""
    new = (task for task in asyncio.all_tasks() if task not in before and task is not asyncio.current_task())
    return [task for task in new if not getattr(task.get_coro(), "__qualname__", "").startswith("AioServer")]
