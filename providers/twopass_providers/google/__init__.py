"""
Google Cloud Speech-to-Text, v2 or v1: the vendor's streaming recognizer as a first pass.

    pip install "twopass[google]"

Words come while they are spoken, with true times once they are settled (chirp models: without). A stream lasts five
minutes at most; the first pass opens the next one in time.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from twopass.errors import RecognizerError, RecognizerUnavailable
from twopass.recognizers import Finding, Profanity, Progress, Settings, StreamOptions, parse_settings
from twopass.types import Clock, Hypothesis, Usage
from twopass_providers.google import credentials, messages
from twopass_providers.google.call import Call
from twopass_providers.google.connection import Connection
from twopass_providers.google.hearing import Hearing
from twopass_providers.google.messages import Reply
from twopass_providers.google.settings import NAME, GoogleSettings

_DISTRIBUTION = "google-cloud-speech"
_INSTALL = 'pip install "twopass[google]"'


class StreamingGoogle:
    """
    First pass: one gRPC stream per stream, all over one connection.

    Args:
        project: The Google Cloud project that pays.
    """

    def __init__(self, settings: GoogleSettings, project: str) -> None:
        self.capabilities = settings.capabilities
        self._set = settings
        self._project = project
        self._connection = Connection(settings)

    async def open(self) -> None:
        """Load the SDK and the credentials. Raises RecognizerUnavailable."""
        try:
            await self._connection.open()
        except ImportError as error:
            raise _not_installed() from error

    async def close(self) -> None:
        await self._connection.close()

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        opening = messages.opening(self._set, self._project, options)
        # Google gives up a stream that gets no audio for some seconds, so there is none before there is audio.
        first = await anext(audio, None)
        if first is None:
            yield Hypothesis(0, 0, final=True)
            return
        call, hearing, bill = Call(self._connection, self._set, opening), self._hearing(options), _Bill()
        try:
            async with aclosing(call.replies(_again(first, audio))) as replies:  # type: ignore[type-var]
                async for reply in replies:
                    bill.reads(reply)
                    for hypothesis in hearing.hears(reply, call.heard):
                        yield hypothesis
            for usage in bill.pay(self._set.sku):
                yield usage
            last = hearing.ends(call.heard)
            if last is not None:
                yield last
        except RecognizerError:
            for usage in bill.pay(self._set.sku):
                yield usage
            raise
        finally:
            for usage in bill.pay(self._set.sku):  # nobody takes answers any more
                options.used(usage)

    def _hearing(self, options: StreamOptions) -> Hearing:
        return Hearing(
            repeats=options.diarization and self._set.api == "v1",
            unmasks=options.profanity is Profanity.REMOVED,
        )


class _Bill:
    """What Google says that a stream costs: a total, which grows."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def reads(self, reply: Reply) -> None:
        self._seconds = max(self._seconds, reply.billed_seconds or 0.0)

    def pay(self, sku: str) -> Sequence[Usage]:
        """The total, once."""
        seconds, self._seconds = self._seconds, 0.0
        return [Usage(NAME, sku, Clock.VENDOR_REPORTED, seconds)] if seconds else []


async def _again(first: bytes, audio: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in audio:
        yield chunk


class Google:
    """The provider."""

    name = NAME
    summary = "Google Cloud Speech-to-Text, v2 or v1: more than 100 languages, words while they are spoken; needs a key"

    def streaming(self, settings: Settings) -> StreamingGoogle:
        parsed = parse_settings(GoogleSettings, NAME, settings)
        if not _installed():
            raise _not_installed()
        file = None if parsed.endpoint else credentials.located(parsed, os.environ)
        return StreamingGoogle(parsed, credentials.project(parsed, os.environ, file))

    def utterance(self, settings: Settings) -> StreamingGoogle:
        """There is none. Raises ConfigError for wrong settings, and else RecognizerUnavailable."""
        parse_settings(GoogleSettings, NAME, settings)
        raise RecognizerUnavailable(
            "Google is a first pass only.",
            provider=NAME,
            code="no_second_pass",
            fix="Use `provider: whisper` in `second_pass`.",
        )

    def fetch(self, settings: Settings, progress: Progress) -> None:
        """Nothing to fetch: the models are at Google."""

    def diagnose(self) -> Sequence[Finding]:
        return [_sdk_finding(), _key_finding()]


def _installed() -> bool:
    try:
        return find_spec("google.cloud.speech_v2") is not None and find_spec("grpc") is not None
    except ModuleNotFoundError:  # not even google.cloud
        return False


def _not_installed() -> RecognizerUnavailable:
    return RecognizerUnavailable("Google's SDK is not installed.", provider=NAME, code="not_installed", fix=_INSTALL)


def _sdk_finding() -> Finding:
    try:
        return Finding(_DISTRIBUTION, True, f"version {version(_DISTRIBUTION)}")
    except PackageNotFoundError:
        return Finding(_DISTRIBUTION, False, "not installed: needed only for Google", _INSTALL)


def _key_finding() -> Finding:
    settings = parse_settings(GoogleSettings, NAME, {})
    try:
        file = credentials.located(settings, os.environ)
        project = credentials.project(settings, os.environ, file)
    except RecognizerUnavailable as error:
        return Finding("Google credentials", False, error.message, error.fix)
    return Finding("Google credentials", True, f"{file or 'those of this machine'}, project {project}")


provider = Google()
