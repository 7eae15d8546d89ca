"""Sarvam's SDK against Sarvam's stand-in, for the tests beside this."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import pytest

from twopass.errors import RecognizerError
from twopass.recognizers import StreamOptions
from twopass.types import Hypothesis, Usage, Word
from twopass_providers.sarvam import StreamingSarvam, provider
from twopass_providers.sarvam.standin import LIMITS, SarvamStandIn, stand_in
from twopass_providers.sarvam.standin_faults import KINDS
from twopass_providers.sarvam.standin_stream import Limits
from twopass_providers.standins import StandInSettings
from twopass_providers.standins.ears import CodedEar
from twopass_providers.standins.faults import parsed

needs_sdk = pytest.mark.skipif(find_spec("sarvamai") is None, reason="Sarvam's SDK is not installed")
ENGLISH = StreamOptions(language="en-US")


@dataclass
class Rehearsal:
    """A running stand-in and an open recognizer that leads to it."""

    stand_in: SarvamStandIn
    recognizer: StreamingSarvam


@asynccontextmanager
async def rehearsal(
    *faults: str, limits: Limits = LIMITS, settings: Mapping[str, Any] | None = None, **standin: Any
) -> AsyncIterator[Rehearsal]:
    """Both, with these faults (see `standins.faults`), settings of the recognizer and of the stand-in."""
    wanted = StandInSettings(CodedEar(), tuple(parsed(fault, KINDS) for fault in faults), **standin)
    usual = {"finish_seconds": 30, "connect_seconds": 30, **(settings or {})}
    async with stand_in(wanted, limits) as running, opened({"endpoint": running.address, **usual}) as recognizer:
        yield Rehearsal(running, recognizer)


@asynccontextmanager
async def opened(settings: Mapping[str, Any]) -> AsyncIterator[StreamingSarvam]:
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
    def words(self) -> list[Word]:
        """What was settled."""
        return [word for final in self.finals for word in final.words]

    @property
    def texts(self) -> list[str]:
        """The settled words' texts."""
        return [word.text for word in self.words]


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
    recognizer: StreamingSarvam, audio: AsyncIterator[bytes] | bytes, options: StreamOptions = ENGLISH
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
