"""
The provider `scripted` for real servers under test: its recognizers hear numbers, and break as a session orders.

Settings: `interim_ms` of audio between interims at least, `hosted` for a second pass in a process of its own (one
that can be killed), `slow_seconds` a slow chunk takes, `batch_seconds` each batch takes, `max_batch`, `name` to have
several of one kind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from twopass.errors import RecognizerCrashed
from twopass.modelhost import HostedModel, ModelHost
from twopass.recognizers import (
    Capabilities,
    Feature,
    Finding,
    Progress,
    Recognition,
    Settings,
    StreamOptions,
    UtteranceAudio,
    parse_settings,
)
from twopass.types import Clock, Hypothesis, Pass, Usage, Words

from .faults import Counted, Kind
from .hearing import Ear, heard

_FOREVER = 3_600.0


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = "scripted"
    interim_ms: int = 100
    slow_seconds: float = 0.3
    batch_seconds: float = 0.0
    max_batch: int = 4
    hosted: bool = False

    @property
    def capabilities(self) -> Capabilities:
        phrases = frozenset({Feature.PHRASES})
        return Capabilities("scripted", self.name, "Only numbers.", max_batch=self.max_batch, features=phrases)


async def _suffer(kind: Kind | None, slow_seconds: float) -> None:
    """Break as ordered."""
    if kind == "crash":
        raise RecognizerCrashed("It was told to crash.", provider="scripted")
    if kind == "bug":
        raise ZeroDivisionError("It was told to have a bug.")
    if kind is not None:
        await asyncio.sleep(_FOREVER if kind == "hang" else slow_seconds)


@dataclass
class Streaming:
    """Hears one utterance per stream. A fault strikes at its first word."""

    settings: _Settings
    counted: Counted = field(default_factory=lambda: Counted("first"))

    @property
    def capabilities(self) -> Capabilities:
        return self.settings.capabilities

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        fault = self.counted.next(options.session, options.phrases)
        ear, told, changed = Ear(), 0, False
        async for chunk in audio:
            changed = ear.hear(chunk) or changed
            if fault is not None and len(ear.words) > 1:
                await _suffer(fault, self.settings.slow_seconds)
            if changed and ear.ms - told >= self.settings.interim_ms:
                told, changed = ear.ms, False
                yield Hypothesis(0, ear.ms, tuple(ear.words), stable=max(0, len(ear.words) - 2))
        yield Usage("scripted", "cpu", Clock.AUDIO_SENT, ear.ms / 1000)
        yield Hypothesis(0, ear.ms, tuple(ear.words), final=True, stable=len(ear.words))


@dataclass
class Utterances:
    """Hears whole utterances, here or in a process of its own."""

    settings: _Settings
    counted: Counted = field(default_factory=lambda: Counted("second"))
    host: ModelHost = field(init=False)

    def __post_init__(self) -> None:
        self.host = ModelHost(HostedModel(self.settings.name, f"{__name__}.hosted:ear", {}))

    @property
    def capabilities(self) -> Capabilities:
        return self.settings.capabilities

    async def open(self) -> None:
        if self.settings.hosted:
            await self.host.start()

    async def close(self) -> None:
        await self.host.close()

    async def recognize(self, batch: Sequence[UtteranceAudio]) -> Sequence[Recognition]:
        for audio in batch:
            fault = self.counted.next(audio.options.session, audio.options.phrases)
            await _suffer(fault, self.settings.slow_seconds)
        if self.settings.batch_seconds:
            await asyncio.sleep(self.settings.batch_seconds)
        return [_recognition(await self._words(audio.pcm), audio.pcm) for audio in batch]

    async def _words(self, pcm: bytes) -> Words:
        if not self.settings.hosted:
            return heard(pcm)
        async with self.host.channel() as channel:
            await channel.send(pcm)
            words: Words = await channel.receive()
            return words


def _recognition(words: Words, pcm: bytes) -> Recognition:
    hypothesis = Hypothesis(0, len(pcm) // 32, words, final=True, stable=len(words))
    return Recognition(hypothesis, (Usage("scripted", "cpu", Clock.CPU_BUSY, 0.1, Pass.SECOND),))


class ScriptedProvider:
    """The object behind the entry point."""

    name = "scripted"
    summary = "Hears numbers and breaks when it is told to; for tests."

    def streaming(self, settings: Settings) -> Streaming:
        """A first pass."""
        return Streaming(parse_settings(_Settings, self.name, settings))

    def utterance(self, settings: Settings) -> Utterances:
        """A second pass."""
        return Utterances(parse_settings(_Settings, self.name, settings))

    def fetch(self, settings: Settings, progress: Progress) -> None:
        """There is nothing to download."""

    def diagnose(self) -> Sequence[Finding]:
        """It always works."""
        return (Finding("scripted", True, "for tests"),)


provider = ScriptedProvider()
