"""
pocketsphinx: the recognizer that always works. Its wheel carries an English model; no key, no network, no GPU.

Fast and light, and often wrong: about 44 % of words on real speech. A first pass to see words while they are spoken,
and the second pass of last resort.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import PackageNotFoundError, version

from pydantic import BaseModel, ConfigDict, Field

from twopass.modelhost import Channel, HostedModel, ModelHost
from twopass.recognizers import (
    Capabilities,
    Finding,
    Progress,
    Recognition,
    Settings,
    StreamOptions,
    UtteranceAudio,
    parse_settings,
)
from twopass.types import Clock, Hypothesis, Pass, Usage
from twopass_providers.pocketsphinx import messages

NAME = "pocketsphinx"
_ENGINE = "twopass_providers.pocketsphinx.engine"
_UNDERSTANDS = "US English only, any subject, lower case without punctuation; gets roughly every second word wrong."
_REMEMBERED_SPEAKERS = 1000


class StreamingSettings(BaseModel):
    """Settings of the first pass. `max_states`: search width; 1000 costs half the CPU and 6 points of accuracy."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    max_states: int = Field(3000, ge=100, le=30_000)


class FullSearchSettings(BaseModel):
    """Settings of the full search."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    max_states: int = Field(5000, ge=100, le=30_000)


class StreamingPocketsphinx:
    """First pass: one forked decoder per stream, kept for the next stream when it ends in order."""

    def __init__(self, settings: StreamingSettings) -> None:
        self.capabilities = Capabilities(
            provider=NAME,
            model=f"pocketsphinx {_installed_version()} en-us",
            understands=_UNDERSTANDS,
            languages=("en", "en-US"),
        )
        self._host = ModelHost(HostedModel(NAME, f"{_ENGINE}:load_streaming", settings.model_dump(), fork=True))
        self._means: OrderedDict[str, str] = OrderedDict()

    async def open(self) -> None:
        await self._host.start()

    async def close(self) -> None:
        await self._host.close()

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        async with self._host.channel() as channel:
            sender = asyncio.create_task(self._send(channel, audio, options))
            try:
                result = messages.StreamResult((), 0)
                while not result.final:
                    result = await channel.receive()
                    if result.final:
                        self._remember(options.session, result.cepstral_mean)
                        yield Usage(NAME, "cpu", Clock.CPU_BUSY, result.busy_seconds)
                    yield messages.hypothesis(result)
            finally:
                sender.cancel()
                await asyncio.wait({sender})

    async def _send(self, channel: Channel, audio: AsyncIterator[bytes], options: StreamOptions) -> None:
        try:
            await channel.send(messages.StreamStart(self._means.get(options.session)))
            async for chunk in audio:
                if chunk:  # an empty message is the end
                    await channel.send(chunk)
            await channel.send(b"")
        except Exception:
            channel.close()  # so that the receiver does not wait for ever
            raise

    def _remember(self, session: str, cepstral_mean: str | None) -> None:
        if session and cepstral_mean:
            self._means[session] = cepstral_mean
            self._means.move_to_end(session)
            if len(self._means) > _REMEMBERED_SPEAKERS:
                self._means.popitem(last=False)


class FullSearchPocketsphinx:
    """Second pass of last resort: a slower, wider search over the whole utterance."""

    def __init__(self, settings: FullSearchSettings) -> None:
        self.capabilities = Capabilities(
            provider=NAME,
            model=f"pocketsphinx {_installed_version()} en-us, full search",
            understands=_UNDERSTANDS,
            languages=("en", "en-US"),
            max_utterance_seconds=8.0,
            max_batch=4,
        )
        self._host = ModelHost(HostedModel(NAME, f"{_ENGINE}:load_full_search", settings.model_dump(), fork=True))

    async def open(self) -> None:
        await self._host.start()

    async def close(self) -> None:
        await self._host.close()

    async def recognize(self, batch: Sequence[UtteranceAudio]) -> Sequence[Recognition]:
        results: Sequence[messages.UtteranceResult]
        async with self._host.channel() as channel:
            await channel.send(tuple(utterance.pcm for utterance in batch))
            results = await channel.receive()
        return [
            Recognition(
                messages.utterance_hypothesis(result),
                (Usage(NAME, "cpu", Clock.CPU_BUSY, result.busy_seconds, Pass.SECOND),),
            )
            for result in results
        ]


class Pocketsphinx:
    """The provider."""

    name = NAME
    summary = "CMU pocketsphinx, English, on the CPU; its model is in the package: always works, often wrong"

    def streaming(self, settings: Settings) -> StreamingPocketsphinx:
        return StreamingPocketsphinx(parse_settings(StreamingSettings, NAME, settings))

    def utterance(self, settings: Settings) -> FullSearchPocketsphinx:
        return FullSearchPocketsphinx(parse_settings(FullSearchSettings, NAME, settings))

    def fetch(self, settings: Settings, progress: Progress) -> None:
        """Nothing to fetch: the model is in the package."""

    def diagnose(self) -> Sequence[Finding]:
        found = _installed_version()
        detail = f"version {found}, English model included"
        return [Finding("pocketsphinx", found != "?", detail, "pip install pocketsphinx")]


def _installed_version() -> str:
    try:
        return version("pocketsphinx")
    except PackageNotFoundError:
        return "?"


provider = Pocketsphinx()
