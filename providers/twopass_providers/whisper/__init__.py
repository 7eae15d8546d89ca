"""
Whisper by faster-whisper (CTranslate2): the second pass, on this machine's CPU or GPU.

As a first pass it runs through `twopass.windowing`: the growing utterance is decoded again and again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from twopass.errors import RecognizerUnavailable
from twopass.modelhost import HostedModel, ModelHost
from twopass.recognizers import (
    Capabilities,
    Feature,
    Finding,
    Progress,
    Recognition,
    Settings,
    StreamingRecognizer,
    UtteranceAudio,
    parse_settings,
)
from twopass.types import Clock, Pass, Usage
from twopass.windowing import Windowed, WindowSettings
from twopass_providers.whisper import messages, models
from twopass_providers.whisper.models import NAME, Weights

_CPU_BATCH = 1  # measured: on a CPU a batch takes as long as its utterances one by one
_FEATURES = frozenset({Feature.DETECTION, Feature.PHRASES})
_GPU_BATCH = 16


class WhisperSettings(BaseModel):
    """
    Settings of the second pass.

    Attributes:
        model: auto, demo, a name such as base or large-v3-turbo, or the directory of a converted model.
        device: auto takes a CUDA GPU if there is one.
        compute_type: auto is int8 on the CPU and float16 on a GPU.
        threads: CPU threads; 0 leaves one core to the rest.
        batch: Utterances decoded at once; by default what pays on the device.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    model: str = models.AUTO
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute_type: str = "auto"
    threads: int = Field(0, ge=0, le=256)
    beam_size: int = Field(5, ge=1, le=20)
    batch: int | None = Field(None, ge=1, le=64)


class StreamingSettings(WhisperSettings):
    """Settings of the first pass: those of the model, and how often how much is decoded (milliseconds)."""

    window_ms: int = Field(20_000, ge=2_000, le=30_000)
    step_ms: int = Field(1_500, ge=200, le=10_000)


class UtteranceWhisper:
    """The second pass: batches of utterances to one process that holds the model."""

    def __init__(self, settings: WhisperSettings, weights: Weights) -> None:
        device = settings.device if settings.device != "auto" else ("cuda" if models.has_gpu() else "cpu")
        self._clock = Clock.GPU_BUSY if device == "cuda" else Clock.CPU_BUSY
        self._sku = "gpu" if device == "cuda" else "cpu"
        self.capabilities = Capabilities(
            provider=NAME,
            model=f"{weights.title} on {'GPU' if device == 'cuda' else 'CPU'}",
            understands=weights.understands,
            languages=weights.languages,
            max_utterance_seconds=30.0,
            max_batch=settings.batch or (_GPU_BATCH if device == "cuda" else _CPU_BATCH),
            features=_FEATURES if len(weights.languages) > 1 else _FEATURES - {Feature.DETECTION},
        )
        default_type = "float16" if device == "cuda" else "int8"
        self._host = ModelHost(
            HostedModel(
                NAME,
                "twopass_providers.whisper.engine:load",
                {
                    "directory": weights.directory,
                    "device": device,
                    "compute_type": default_type if settings.compute_type == "auto" else settings.compute_type,
                    "threads": settings.threads or max(1, min(8, (os.cpu_count() or 2) - 1)),
                    "beam_size": settings.beam_size,
                },
            )
        )

    async def open(self) -> None:
        await self._host.start()

    async def close(self) -> None:
        await self._host.close()

    async def recognize(self, batch: Sequence[UtteranceAudio]) -> Sequence[Recognition]:
        results: Sequence[messages.Result]
        try:
            async with self._host.channel() as channel:
                await channel.send([_request(utterance) for utterance in batch])
                results = await channel.receive()
        except asyncio.CancelledError:
            await self._host.restart()  # it hangs, and would keep the next batch waiting
            raise
        return [Recognition(messages.hypothesis(result), (self._usage(result),)) for result in results]

    def _usage(self, result: messages.Result) -> Usage:
        return Usage(NAME, self._sku, self._clock, result.busy_seconds, Pass.SECOND)


class Whisper:
    """The provider."""

    name = NAME
    summary = "OpenAI's Whisper by faster-whisper, self-hosted on CPU or GPU; about 100 languages"

    def streaming(self, settings: Settings) -> StreamingRecognizer:
        parsed = parse_settings(StreamingSettings, NAME, settings)
        plain = WhisperSettings(**parsed.model_dump(exclude={"window_ms", "step_ms"}))
        recognizer = UtteranceWhisper(plain, models.locate(plain.model))
        return Windowed(recognizer, WindowSettings(window_ms=parsed.window_ms, step_ms=parsed.step_ms))

    def utterance(self, settings: Settings) -> UtteranceWhisper:
        parsed = parse_settings(WhisperSettings, NAME, settings)
        return UtteranceWhisper(parsed, models.locate(parsed.model))

    def fetch(self, settings: Settings, progress: Progress) -> None:
        models.fetch(parse_settings(StreamingSettings, NAME, settings).model, progress)

    def diagnose(self) -> Sequence[Finding]:
        gpu = models.has_gpu()
        name = models.name_for(models.AUTO)
        versions = f"version {version('faster-whisper')}, CTranslate2 {version('ctranslate2')}"
        findings = [
            Finding("faster-whisper", True, versions),
            Finding("GPU", True, "CUDA device found" if gpu else "none: Whisper runs on the CPU"),
        ]
        try:
            weights = models.locate(models.AUTO)
        except RecognizerUnavailable as error:
            return [*findings, Finding(f"Whisper {name} weights", False, error.message, error.fix)]
        return [*findings, Finding(f"Whisper {name} weights", True, weights.directory)]


def _request(utterance: UtteranceAudio) -> messages.Request:
    options = utterance.options
    tags = (options.language, *options.languages)
    languages = tuple(code for tag in tags if (code := messages.language_code(tag)) is not None)
    return messages.Request(utterance.pcm, languages, options.phrases)


provider = Whisper()
