"""
Sarvam: the vendor's realtime recognizer for the languages of India, as a first pass.

    pip install "twopass[sarvam]"

Words come while they are spoken. Sarvam gives the times of utterances only: those of words are estimated.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from twopass.errors import RecognizerError, RecognizerUnavailable
from twopass.recognizers import Finding, Progress, Settings, StreamOptions, parse_settings
from twopass.types import Clock, Hypothesis, Usage
from twopass_providers.sarvam import messages
from twopass_providers.sarvam.call import Call
from twopass_providers.sarvam.connection import Client
from twopass_providers.sarvam.hearing import Hearing
from twopass_providers.sarvam.messages import Event, SessionEnds
from twopass_providers.sarvam.settings import KEY_VARIABLE, NAME, SKU, SarvamSettings

_DISTRIBUTION = "sarvamai"
_INSTALL = 'pip install "twopass[sarvam]"'
_KEYS = "https://dashboard.sarvam.ai"


class StreamingSarvam:
    """
    First pass: one socket per stream.

    Args:
        key: Sarvam's API key; empty at a stand-in.
    """

    def __init__(self, settings: SarvamSettings, key: str) -> None:
        self.capabilities = settings.capabilities
        self._set = settings
        self._client = Client(settings, key)

    async def open(self) -> None:
        """Load the SDK. Raises RecognizerUnavailable."""
        try:
            await self._client.open()
        except ImportError as error:
            raise _not_installed() from error

    async def close(self) -> None:
        await self._client.close()

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        query = messages.query(self._set, options)
        first = await anext(audio, None)
        if first is None:  # so nobody takes one of the few sockets for nothing
            yield Hypothesis(0, 0, final=True)
            return
        call, hearing, bill = Call(self._client, self._set, query), Hearing(), _Bill()
        try:
            async with aclosing(call.events(_again(first, audio))) as events:  # type: ignore[type-var]
                async for event in events:
                    bill.reads(event)
                    for hypothesis in hearing.hears(event, call.heard):
                        yield hypothesis
            for usage in bill.pay():
                yield usage
            last = hearing.ends(call.heard)
            if last is not None:
                yield last
        except RecognizerError:
            for usage in bill.pay():
                yield usage
            raise
        finally:
            for usage in bill.pay():  # nobody takes answers any more
                options.used(usage)


class _Bill:
    """What Sarvam says that a stream costs, at its end."""

    def __init__(self) -> None:
        self._seconds: float | None = None

    def reads(self, event: Event) -> None:
        if isinstance(event, SessionEnds):
            self._seconds = event.billed_seconds

    def pay(self) -> Sequence[Usage]:
        """The total, once."""
        seconds, self._seconds = self._seconds, None
        return [] if seconds is None else [Usage(NAME, SKU, Clock.VENDOR_REPORTED, seconds)]


async def _again(first: bytes, audio: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in audio:
        yield chunk


class Sarvam:
    """The provider."""

    name = NAME
    summary = "Sarvam realtime: English of India and 22 Indian languages, words while they are spoken; needs a key"

    def streaming(self, settings: Settings) -> StreamingSarvam:
        parsed = parse_settings(SarvamSettings, NAME, settings)
        if not _installed():
            raise _not_installed()
        return StreamingSarvam(parsed, "" if parsed.endpoint else _key(parsed, os.environ))

    def utterance(self, settings: Settings) -> StreamingSarvam:
        """There is none. Raises ConfigError for wrong settings, and else RecognizerUnavailable."""
        parse_settings(SarvamSettings, NAME, settings)
        raise RecognizerUnavailable(
            "Sarvam is a first pass only.",
            provider=NAME,
            code="no_second_pass",
            fix="Use `provider: whisper` in `second_pass`.",
        )

    def fetch(self, settings: Settings, progress: Progress) -> None:
        """Nothing to fetch: the models are at Sarvam."""

    def diagnose(self) -> Sequence[Finding]:
        return [_sdk_finding(), _key_finding()]


def _installed() -> bool:
    return find_spec("sarvamai") is not None


def _not_installed() -> RecognizerUnavailable:
    return RecognizerUnavailable("Sarvam's SDK is not installed.", provider=NAME, code="not_installed", fix=_INSTALL)


def _key(settings: SarvamSettings, environment: Mapping[str, str]) -> str:
    """Raises RecognizerUnavailable if there is none."""
    key = environment.get(settings.key_variable, "").strip()
    if not key:
        raise RecognizerUnavailable(
            f"There is no key for Sarvam: {settings.key_variable} is not set.",
            provider=NAME,
            code="no_key",
            fix=f"export {settings.key_variable}=… (from {_KEYS})",
        )
    return key


def _sdk_finding() -> Finding:
    try:
        return Finding(_DISTRIBUTION, True, f"version {version(_DISTRIBUTION)}")
    except PackageNotFoundError:
        return Finding(_DISTRIBUTION, False, "not installed: needed only for Sarvam", _INSTALL)


def _key_finding() -> Finding:
    try:
        _key(parse_settings(SarvamSettings, NAME, {}), os.environ)
    except RecognizerUnavailable as error:
        return Finding("Sarvam key", False, error.message, error.fix)
    return Finding("Sarvam key", True, f"{KEY_VARIABLE} is set")


provider = Sarvam()
