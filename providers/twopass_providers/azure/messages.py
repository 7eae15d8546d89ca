"""Azure's messages and ours. Pure: no SDK is needed to import this."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from twopass.errors import RecognizerRejected
from twopass.recognizers import Profanity, StreamOptions
from twopass_providers.azure.settings import NAME, AzureSettings
from twopass_providers.azure.writing import Spoken

MOST_LANGUAGES = 10
"""Among which Azure finds out continuously which one is spoken."""
RETRY_MS = 100
"""So long the SDK waits before it connects again; its own default is 250."""
_TICKS_PER_MS = 10_000
_PROFANITY = {Profanity.RAW: "Raw", Profanity.MASKED: "Masked", Profanity.REMOVED: "Removed"}
_NOBODY = {"", "Unknown"}


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What the SDK is to be told for one stream.

    Attributes:
        languages: The only one, or those among which it is to find out.
        profanity: The name of the SDK's option; empty for its default.
        properties: By the names of the SDK's PropertyId.
        internals: By names that the SDK does not document.
    """

    languages: tuple[str, ...]
    phrases: tuple[str, ...] = ()
    profanity: str = ""
    diarization: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)
    internals: Mapping[str, str] = field(default_factory=dict)


def plan(settings: AzureSettings, options: StreamOptions) -> Plan:
    """Raises RecognizerRejected for wishes that Azure cannot fulfil."""
    tags = languages(settings, options)
    properties = {
        "SpeechServiceResponse_RequestDetailedResultTrueFalse": "true",
        "SpeechServiceResponse_RequestWordLevelTimestamps": "true",
        "SpeechServiceConnection_LanguageIdMode": "Continuous" if len(tags) > 1 else None,
        "SpeechServiceConnection_EndpointId": settings.endpoint_id or None,
        "SpeechServiceConnection_RecoMode": "DICTATION" if settings.dictation else None,
        "SpeechServiceConnection_InitialSilenceTimeoutMs": settings.initial_silence_ms,
        "Speech_SegmentationSilenceTimeoutMs": settings.segmentation_silence_ms,
        "SpeechServiceResponse_StablePartialResultThreshold": settings.stable_threshold,
        "SpeechServiceResponse_DiarizeIntermediateResults": "true" if options.diarization else None,
    }
    return Plan(
        languages=tags,
        phrases=options.phrases,
        profanity=_PROFANITY[options.profanity] if options.profanity is not None else "",
        diarization=options.diarization,
        properties={name: str(value) for name, value in properties.items() if value is not None},
        internals=_internals(settings),
    )


def _internals(settings: AzureSettings) -> dict[str, str]:
    """
    Properties that the SDK reads and nobody documents: their names were found in its library, and their effect was
    measured with version 1.53. Another version may know them no more; then an outage is seen later, and nothing else.
    """
    internals = {
        "SPEECH-Error-MaxRetryCount": settings.sdk_retries,
        "SPEECH-Error-RetryDurationMS": RETRY_MS,
        "SPEECH-StopRecognitionTimeoutInSeconds": 0,  # stopped is what nobody listens to any more
        "SPEECH-TransmitLengthBeforThrottleMs": round(settings.burst_seconds * 1000),
    }
    if settings.max_waiting_seconds is not None:
        internals["SPEECH-MaxBufferSizeMs"] = round(settings.max_waiting_seconds * 1000)
    return {name: str(value) for name, value in internals.items()}


def languages(settings: AzureSettings, options: StreamOptions) -> tuple[str, ...]:
    """What may be spoken, the likeliest first. Raises RecognizerRejected if these are too many for Azure."""
    named = dict.fromkeys(tag.replace("_", "-") for tag in (options.language, *options.languages) if tag)
    if len(named) > MOST_LANGUAGES:
        raise RecognizerRejected(
            f"Azure finds out which of at most {MOST_LANGUAGES} languages is spoken, not of {len(named)}.",
            provider=NAME,
            code="too_many_languages",
            fix=f"Name {MOST_LANGUAGES} or fewer.",
        )
    return tuple(named) or (settings.language,)


# -- what the SDK tells -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ready:
    """It takes audio."""


@dataclass(frozen=True, slots=True)
class Connected:
    """It has reached Azure, for the first time or again."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection broke; it tries again by itself."""


@dataclass(frozen=True, slots=True)
class Said:
    """
    Azure said something.

    Attributes:
        body: The JSON.
        final: It is a phrase, not a hypothesis.
    """

    body: str
    final: bool


@dataclass(frozen=True, slots=True)
class Cancelled:
    """It has given up, or the audio has ended. The names are those of the SDK's CancellationReason and ...ErrorCode."""

    reason: str
    code: str
    details: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """It has said everything."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It could not be started."""

    error: Exception


Event: TypeAlias = Ready | Connected | Disconnected | Said | Cancelled | Stopped | Failed


@dataclass(frozen=True, slots=True)
class Phrase:
    """
    What Azure said; ms on the stream clock.

    Attributes:
        matched: Something was said; if not, Azure heard up to `end` and nobody spoke.
        text: As it is written.
        spoken: As it was spoken, with times; of a hypothesis there are none.
    """

    matched: bool
    text: str
    start: int
    end: int
    spoken: tuple[Spoken, ...] = ()
    language: str | None = None
    speaker: str | None = None


def phrase(said: Said) -> Phrase:
    """Read the JSON. What is missing in it is taken for empty."""
    data = _object(said.body)
    start, end = _times(data)
    nbest = data.get("NBest")
    best = nbest[0] if isinstance(nbest, list) and nbest and isinstance(nbest[0], dict) else {}
    text = data.get("DisplayText") or best.get("Display") or "" if said.final else data.get("Text") or ""
    words = best.get("Words") if said.final else None
    speaker = data.get("SpeakerId") or ""
    language = data.get("PrimaryLanguage")
    return Phrase(
        matched=data.get("RecognitionStatus", "Success") == "Success",
        text=str(text),
        start=start,
        end=end,
        spoken=tuple(_spoken(word) for word in words or () if isinstance(word, dict)),
        language=language.get("Language") or None if isinstance(language, dict) else None,
        speaker=None if speaker in _NOBODY else str(speaker),
    )


def _spoken(word: dict[str, Any]) -> Spoken:
    start, end = _times(word)
    confidence = word.get("Confidence")
    return Spoken(str(word.get("Word", "")), start, end, confidence if isinstance(confidence, int | float) else None)


def _times(data: dict[str, Any]) -> tuple[int, int]:
    offset, duration = (data.get(name) for name in ("Offset", "Duration"))
    start = offset if isinstance(offset, int) else 0
    end = start + (duration if isinstance(duration, int) else 0)
    return round(start / _TICKS_PER_MS), round(end / _TICKS_PER_MS)


def _object(body: str) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except ValueError:
        return {"RecognitionStatus": "Unreadable"}
    return data if isinstance(data, dict) else {"RecognitionStatus": "Unreadable"}
