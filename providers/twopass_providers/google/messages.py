"""
Google's messages and ours. Pure: requests are built as plain mappings, responses are read by their attributes, so no
SDK is needed to import this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from twopass.errors import RecognizerRejected
from twopass.recognizers import Profanity, StreamOptions
from twopass.types import Word, Words
from twopass_providers.google.settings import NAME, GoogleSettings

MAX_CHUNK_BYTES = 25_600
"""Of audio in one request; Google refuses larger ones."""
_RATE = 16_000
_MOST_LANGUAGES = {"v2": 3, "v1": 4}
_LANGUAGE = re.compile(r"^([A-Za-z]{2,3})((?:-[A-Za-z0-9]{1,8})*)$")


@dataclass(frozen=True, slots=True)
class Result:
    """
    One result of a response.

    Attributes:
        words: With true times, on the stream clock; empty where Google gave none.
        end: Where the result ends, ms of the stream clock; None where Google did not say.
    """

    text: str
    words: Words = ()
    final: bool = False
    stability: float = 0.0
    end: int | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """
    One response.

    Attributes:
        speech_begins: Google hears that somebody begins to speak, ms of the stream clock.
        billed_seconds: What Google says that the stream costs so far.
        error: A `google.rpc.Status` in the place of results (v1).
    """

    results: tuple[Result, ...] = ()
    speech_begins: int | None = None
    billed_seconds: float | None = None
    error: Any = None


def opening(settings: GoogleSettings, project: str, options: StreamOptions) -> dict[str, Any]:
    """The first request of a stream. Raises RecognizerRejected for wishes that Google cannot fulfil."""
    tags = languages(settings, options)
    return (
        _opening_v1(settings, tags, options) if settings.api == "v1" else _opening_v2(settings, project, tags, options)
    )


def audio(api: str, pcm: bytes) -> dict[str, bytes]:
    """A request with audio."""
    return {"audio" if api == "v2" else "audio_content": pcm}


def pieces(pcm: bytes) -> Iterator[bytes]:
    """Audio cut as Google takes it."""
    for at in range(0, len(pcm), MAX_CHUNK_BYTES):
        yield pcm[at : at + MAX_CHUNK_BYTES]


def languages(settings: GoogleSettings, options: StreamOptions) -> list[str]:
    """What may be spoken, the likeliest first. Raises RecognizerRejected if these are too many for Google."""
    named = dict.fromkeys(tag.replace("_", "-") for tag in (options.language, *options.languages) if tag)
    if not named:
        return ["auto"] if settings.is_chirp else [settings.language]
    most = _MOST_LANGUAGES[settings.api]
    if len(named) > most:
        raise RecognizerRejected(
            f"Google finds out which of at most {most} languages is spoken, not of {len(named)}.",
            provider=NAME,
            code="too_many_languages",
            fix=f"Name {most} or fewer.",
        )
    return list(named)


def _opening_v2(settings: GoogleSettings, project: str, tags: list[str], options: StreamOptions) -> dict[str, Any]:
    features: dict[str, Any] = _features(settings, options)
    if options.diarization:
        features["diarization_config"] = {}
    config: dict[str, Any] = {
        "explicit_decoding_config": {"encoding": "LINEAR16", "sample_rate_hertz": _RATE, "audio_channel_count": 1},
        "language_codes": tags,
        "model": settings.chosen_model,
        "features": features,
    }
    if options.phrases:
        phrases = [{"value": phrase} for phrase in options.phrases]
        config["adaptation"] = {"phrase_sets": [{"inline_phrase_set": {"phrases": phrases}}]}
    sensitivity = f"ENDPOINTING_SENSITIVITY_{settings.endpointing_sensitivity.upper()}"
    streaming: dict[str, Any] = {"interim_results": True, "enable_voice_activity_events": True}
    if settings.endpointing_sensitivity != "standard":
        streaming["endpointing_sensitivity"] = sensitivity
    return {
        "recognizer": f"projects/{project}/locations/{settings.region}/recognizers/{settings.recognizer}",
        "streaming_config": {"config": config, "streaming_features": streaming},
    }


def _opening_v1(settings: GoogleSettings, tags: list[str], options: StreamOptions) -> dict[str, Any]:
    config: dict[str, Any] = {
        "encoding": "LINEAR16",
        "sample_rate_hertz": _RATE,
        "audio_channel_count": 1,
        "language_code": tags[0],
        "alternative_language_codes": tags[1:],
        "model": settings.chosen_model,
        **_features(settings, options),
    }
    if options.diarization:
        config["diarization_config"] = {"enable_speaker_diarization": True}
    if options.phrases:
        config["speech_contexts"] = [{"phrases": list(options.phrases)}]
    return {"streaming_config": {"config": config, "interim_results": True, "enable_voice_activity_events": True}}


def _features(settings: GoogleSettings, options: StreamOptions) -> dict[str, Any]:
    """What both versions call the same."""
    asked: dict[str, Any] = {}
    if settings.asks_for_word_times:
        asked["enable_word_time_offsets"] = True
    if options.punctuation is not None:
        asked["enable_automatic_punctuation"] = options.punctuation
    if options.profanity is not None:
        asked["profanity_filter"] = options.profanity is not Profanity.RAW  # it masks; what is masked can be removed
    return asked


def read_v2(response: Any) -> Reply:
    """A v2 response."""
    billed = response.metadata.total_billed_duration
    results = tuple(_result(r, r.result_end_offset, "start_offset", "end_offset") for r in response.results)
    return Reply(results, _begins(response, response.speech_event_offset), _seconds(billed))


def read_v1(response: Any) -> Reply:
    """A v1 response."""
    results = tuple(_result(r, r.result_end_time, "start_time", "end_time") for r in response.results)
    error = response.error if response.error.code else None
    return Reply(results, _begins(response, response.speech_event_time), _seconds(response.total_billed_time), error)


def _begins(response: Any, offset: timedelta | None) -> int | None:
    return _ms(offset) or 0 if response.speech_event_type.name == "SPEECH_ACTIVITY_BEGIN" else None


def _result(result: Any, end: timedelta | None, start_name: str, end_name: str) -> Result:
    best = result.alternatives[0] if result.alternatives else None
    text = best.transcript if best is not None else ""
    timed = best.words if best is not None else ()
    return Result(
        text=text,
        words=glued(text, tuple(_word(word, start_name, end_name) for word in timed)),
        final=result.is_final,
        stability=result.stability,
        end=_ms(end),
        language=tag(result.language_code),
    )


def _word(info: Any, start_name: str, end_name: str) -> Word:
    start, end = _ms(getattr(info, start_name)) or 0, _ms(getattr(info, end_name)) or 0
    text = info.word.removeprefix("▁").split("|")[0]  # word pieces, and Japanese readings, as some models write them
    speaker = info.speaker_label or None
    return Word(text, start, max(start, end), confidence=info.confidence or None, speaker=speaker)


def glued(text: str, words: Words) -> Words:
    """The words, each marked that stands in the text without a space before it."""
    at = 0
    marked: list[Word] = []
    for word in words:
        found = text.find(word.text, at)
        touching = found > 0 and bool(marked) and not text[found - 1].isspace()
        marked.append(Word(word.text, word.start, word.end, word.confidence, glued=touching, speaker=word.speaker))
        at = found + len(word.text) if found >= 0 else at
    return tuple(marked)


def tag(code: str) -> str | None:
    """Google's language code (en-us) as a BCP-47 tag (en-US)."""
    found = _LANGUAGE.match(code)
    if found is None:
        return None
    parts = [part for part in found[2].split("-") if part]
    return "-".join([found[1].lower(), *(part.upper() if len(part) == 2 else part for part in parts)])


def _ms(offset: timedelta | None) -> int | None:
    return None if offset is None else round(offset.total_seconds() * 1000)


def _seconds(billed: timedelta | None) -> float | None:
    return billed.total_seconds() if billed else None
