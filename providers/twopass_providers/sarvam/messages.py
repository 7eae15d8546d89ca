"""Sarvam's realtime protocol as plain values: what we ask for, and what its events say. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from twopass.errors import RecognizerRejected
from twopass.recognizers import StreamOptions
from twopass.types import BYTES_PER_SAMPLE, SAMPLE_RATE
from twopass_providers.sarvam.settings import AUTO, LANGUAGES, NAME, SarvamSettings

MOST_BYTES = SAMPLE_RATE * BYTES_PER_SAMPLE
"""Of audio in one message: a second."""
MOST_KEYTERMS = 50
LONGEST_KEYTERM = 64


@dataclass(frozen=True, slots=True)
class SpeechBegins:
    """Somebody began to speak a moment ago."""

    utterance: int


@dataclass(frozen=True, slots=True)
class Partial:
    """What is believed of an utterance so far."""

    utterance: int
    text: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Final:
    """An utterance, settled; times in ms on the stream's clock where Sarvam gives them."""

    utterance: int
    text: str
    start: int | None = None
    end: int | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Something went wrong. `status` is like HTTP's."""

    code: str
    message: str
    fatal: bool
    status: int | None = None


@dataclass(frozen=True, slots=True)
class SessionEnds:
    """Nothing more will come. `billed_seconds` as Sarvam says it."""

    billed_seconds: float | None = None


Event: TypeAlias = SpeechBegins | Partial | Final | Failure | SessionEnds


def read(message: Any) -> Event | None:
    """What an event of the SDK says; None for those that say nothing of the audio."""
    match getattr(message, "event", None):
        case "vad.speech_start":
            return SpeechBegins(message.utterance_idx)
        case "transcript.partial":
            return Partial(message.utterance_idx, message.text, message.language)
        case "transcript.final":
            times = (_milliseconds(message.start_s), _milliseconds(message.end_s))
            return Final(message.utterance_idx, message.text, *times, message.language)
        case "error":
            return Failure(message.code, message.message, message.is_fatal, message.status_code)
        case "session.end":
            return SessionEnds(message.audio_duration_s)
    return None


def query(settings: SarvamSettings, options: StreamOptions) -> dict[str, str]:
    """What a stream is opened with. Raises RecognizerRejected for what Sarvam would not take."""
    fields: dict[str, object] = {
        "language_code": language_code(options),
        "model": settings.model,
        "mode": settings.mode,
        "stream_type": settings.stream_type,
        "prompt": _prompt(settings, options),
        "keyterms": _keyterms(options.phrases) if settings.takes_keyterms and options.phrases else None,
        "endpointing": "vad",
        "encoding": "linear16",
        "sample_rate": SAMPLE_RATE,
        "return_timestamps": "true",
        "threshold": settings.threshold,
        "silence_duration_ms": settings.silence_duration_ms,
        "min_speech_duration_ms": settings.min_speech_duration_ms,
        "prefix_padding_ms": settings.prefix_padding_ms,
    }
    return {name: str(value) for name, value in fields.items() if value is not None}


def language_code(options: StreamOptions) -> str:
    """Sarvam's code for what may be spoken. Any region will do: there is only India's. Raises RecognizerRejected."""
    if options.language is None or options.languages:
        return AUTO
    wanted = options.language.replace("_", "-").split("-")[0].lower()
    code = f"{wanted}-IN"
    if code not in LANGUAGES:
        raise RecognizerRejected(
            f"Sarvam does not understand {options.language}.", provider=NAME, fix=f"It understands {_tags()}."
        )
    return code


def pieces(pcm: bytes) -> Iterator[bytes]:
    """Audio in messages of a size that Sarvam takes."""
    for at in range(0, len(pcm), MOST_BYTES):
        yield pcm[at : at + MOST_BYTES]


def _prompt(settings: SarvamSettings, options: StreamOptions) -> str | None:
    expected = () if settings.takes_keyterms else options.phrases
    return ". ".join(filter(None, (settings.prompt.rstrip(". "), ", ".join(expected)))) or None


def _keyterms(phrases: tuple[str, ...]) -> str:
    if len(phrases) > MOST_KEYTERMS:
        raise RecognizerRejected(
            f"Sarvam takes {MOST_KEYTERMS} phrases to expect, not {len(phrases)}.", provider=NAME, fix="Name fewer."
        )
    long = next((phrase for phrase in phrases if len(phrase) > LONGEST_KEYTERM), None)
    if long is not None:
        raise RecognizerRejected(
            f"A phrase to expect has {len(long)} characters; Sarvam takes {LONGEST_KEYTERM}.",
            provider=NAME,
            fix="Shorten it.",
        )
    return json.dumps(phrases, ensure_ascii=False)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _tags() -> str:
    return ", ".join(LANGUAGES)
