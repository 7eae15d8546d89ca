"""
Azure Speech (Microsoft): the vendor's streaming recognizer as a first pass.

    pip install "twopass[azure]"

Words come while they are spoken, with true times once they are settled. A stream may last as long as the session; the
SDK itself opens a connection again that broke, and sends again what was not settled.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from twopass.errors import RecognizerUnavailable
from twopass.recognizers import Finding, Progress, Settings, StreamOptions, parse_settings
from twopass.types import Hypothesis, Usage
from twopass_providers.azure import credentials, messages, refusals
from twopass_providers.azure.call import Call
from twopass_providers.azure.hearing import Hearing
from twopass_providers.azure.messages import Plan, Said
from twopass_providers.azure.session import Session, Tell
from twopass_providers.azure.settings import NAME, AzureSettings

_DISTRIBUTION = "azure-cognitiveservices-speech"
MODULE = "azure.cognitiveservices.speech"
_INSTALL = 'pip install "twopass[azure]"'


class StreamingAzure:
    """
    First pass: one connection per stream, and three threads of the SDK.

    Args:
        key: Of the Speech resource; empty for a stand-in.
        region: Of the resource; may be empty if there is an endpoint.
    """

    def __init__(self, settings: AzureSettings, region: str, key: str) -> None:
        self.capabilities = settings.capabilities(region)
        self._set = settings
        self._region = region
        self._key = key
        self._sdk: Any = None

    async def open(self) -> None:
        """Load the SDK. Raises RecognizerUnavailable."""
        try:
            self._sdk = self._sdk or await asyncio.to_thread(import_module, MODULE)
        except (ImportError, OSError) as error:
            raise refusals.raised(error) or error from error

    async def close(self) -> None:
        """Nothing stays between streams."""

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        plan = messages.plan(self._set, options)
        # Azure bills audio, but its quota counts connections: there is none before there is audio.
        first = await anext(audio, None)
        if first is None:
            yield Hypothesis(0, 0, final=True)
            return
        call = Call(self._set, lambda tell: self._session(plan, tell))
        hearing = Hearing(punctuated=options.punctuation is not False, settled=self._set.stable_threshold is not None)
        async with aclosing(call.said(_again(first, audio))) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Said):
                    for hypothesis in hearing.hears(event, call.heard):
                        yield hypothesis
                else:
                    hearing.reconnected()
        last = hearing.ends(call.heard)
        if last is not None:
            yield last

    def _session(self, plan: Plan, tell: Tell) -> Session:
        return Session(self._sdk, self._set, self._region, self._key, plan, tell)


async def _again(first: bytes, audio: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in audio:
        yield chunk


class Azure:
    """The provider."""

    name = NAME
    summary = "Azure Speech (Microsoft): more than 140 languages, words while they are spoken; needs a key"

    def streaming(self, settings: Settings) -> StreamingAzure:
        parsed = parse_settings(AzureSettings, NAME, settings)
        if not _installed():
            raise RecognizerUnavailable(
                "Azure's SDK is not installed.", provider=NAME, code="not_installed", fix=_INSTALL
            )
        key = credentials.key(parsed, os.environ)
        return StreamingAzure(parsed, credentials.region(parsed, os.environ), key)

    def utterance(self, settings: Settings) -> StreamingAzure:
        """There is none. Raises ConfigError for wrong settings, and else RecognizerUnavailable."""
        parse_settings(AzureSettings, NAME, settings)
        raise RecognizerUnavailable(
            "Azure is a first pass only.",
            provider=NAME,
            code="no_second_pass",
            fix="Use `provider: whisper` in `second_pass`.",
        )

    def fetch(self, settings: Settings, progress: Progress) -> None:
        """Nothing to fetch: the models are at Azure."""

    def diagnose(self) -> Sequence[Finding]:
        return [_sdk_finding(), _key_finding()]


def _installed() -> bool:
    try:
        return find_spec(MODULE) is not None
    except ModuleNotFoundError:  # not even azure
        return False


def _sdk_finding() -> Finding:
    try:
        return Finding(_DISTRIBUTION, True, f"version {version(_DISTRIBUTION)}")
    except PackageNotFoundError:
        return Finding(_DISTRIBUTION, False, "not installed: needed only for Azure", _INSTALL)


def _key_finding() -> Finding:
    settings = parse_settings(AzureSettings, NAME, {})
    try:
        credentials.key(settings, os.environ)
        region = credentials.region(settings, os.environ)
    except RecognizerUnavailable as error:
        return Finding("Azure credentials", False, error.message, error.fix)
    return Finding("Azure credentials", True, f"a key, region {region}")


provider = Azure()
