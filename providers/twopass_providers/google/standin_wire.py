"""
Google's protocol as its server speaks it, for both versions. Pure: requests are read by their attributes, responses
are built as plain mappings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from twopass.types import Hypothesis, Word, Words

Fields = dict[str, Any]

_RECOGNIZER = re.compile(r"projects/[^/]+/locations/[^/]+/recognizers/[^/]+")
_RATES = range(8_000, 48_001)
_STABLE = 0.9
_UNSTABLE = 0.01


class Refused(Exception):
    """
    A stream ends with this status.

    Attributes:
        code: gRPC's name of it.
        kind: For `Received.ended`.
    """

    def __init__(self, code: str, text: str, kind: str, *, detailed: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.kind = kind
        self.detailed = detailed


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What a client asked for.

    Attributes:
        options: All of it, as people read it.
    """

    rate: int
    language: str
    interims: bool
    word_times: bool
    events: bool
    diarization: bool
    options: Fields = field(default_factory=dict)


class WireV2:
    """Version 2. `bills_on_the_way`: what the stream costs so far stands beside each settled result."""

    version = "v2"
    service = "google.cloud.speech.v2.Speech"
    bills_on_the_way = True  # Assumption: in every response with a settled result, not only in the last response.

    def asked(self, first: Any) -> Asked:
        """The first request. Raises Refused."""
        if first.audio or not first.streaming_config:
            # Assumption: the text; that the first request has no audio is documented.
            raise invalid("The first request must contain a streaming_config and no audio.")
        if not _RECOGNIZER.fullmatch(first.recognizer):
            raise invalid(f"Invalid resource field value in the request: recognizer {first.recognizer!r}.")
        config, streaming = first.streaming_config.config, first.streaming_config.streaming_features
        decoding, features = config.explicit_decoding_config, config.features
        tags = list(config.language_codes)
        _check(decoding.encoding.name, decoding.sample_rate_hertz, tags, most=3)
        return Asked(
            rate=decoding.sample_rate_hertz,
            language=tags[0],
            interims=streaming.interim_results,
            # Assumption: what a model lacks is left out; Google may refuse the request instead.
            word_times=features.enable_word_time_offsets and not config.model.startswith("chirp"),
            events=streaming.enable_voice_activity_events,
            diarization="diarization_config" in features,
            options={
                "recognizer": first.recognizer,
                "model": config.model,
                "languages": tags,
                "phrases": [
                    phrase.value
                    for phrases in config.adaptation.phrase_sets
                    for phrase in phrases.inline_phrase_set.phrases
                ],
                "punctuation": features.enable_automatic_punctuation,
                "profanity_filter": features.profanity_filter,
                "diarization": "diarization_config" in features,
                "word_times": features.enable_word_time_offsets,
                "endpointing_sensitivity": streaming.endpointing_sensitivity.name,
            },
        )

    def audio(self, request: Any) -> bytes:
        """A later request. Raises Refused if it is none with audio."""
        if request.streaming_config or request.recognizer:
            raise invalid("All requests after the first must contain audio only.")  # Assumption: the text.
        return bytes(request.audio)

    def final(self, said: Hypothesis, words: Words, asked: Asked) -> Fields:
        """A settled result."""
        result: Fields = {
            "alternatives": [_alternative(said.words, words if asked.word_times else (), "offset")],
            "is_final": True,
            "result_end_offset": _duration(said.end),
            "language_code": asked.language,
        }
        return {"results": [result]}

    def interim(self, believed: Hypothesis, asked: Asked) -> Fields:
        """What is believed."""
        return {"results": _interims(believed, asked, "result_end_offset")}

    def event(self, name: str, at: int) -> Fields:
        """Somebody begins or ends to speak."""
        return {"speech_event_type": name, "speech_event_offset": _duration(at)}

    def bill(self, seconds: float) -> Fields:
        """What the stream costs."""
        return {"metadata": {"total_billed_duration": timedelta(seconds=seconds)}}

    def limit(self, seconds: float) -> Refused:
        """The stream has become too long."""
        if seconds % 60:
            return Refused("ABORTED", f"Max duration of {seconds:g} seconds reached for stream.", "stream_limit")
        return Refused("ABORTED", f"Max duration of {seconds / 60:g} minutes reached for stream.", "stream_limit")

    def starved(self) -> Refused:
        """No audio came for too long."""
        return Refused("ABORTED", "Stream timed out after receiving no more client requests.", "no_audio")


class WireV1:
    """Version 1."""

    version = "v1"
    service = "google.cloud.speech.v1.Speech"
    bills_on_the_way = False  # documented

    def asked(self, first: Any) -> Asked:
        """The first request. Raises Refused."""
        if first.audio_content or not first.streaming_config:
            raise invalid("The first request must contain a streaming_config and no audio.")  # Assumption: the text.
        streaming = first.streaming_config
        config = streaming.config
        tags = [config.language_code, *config.alternative_language_codes]
        _check(config.encoding.name, config.sample_rate_hertz, tags if tags[0] else [], most=4)
        diarization = config.diarization_config.enable_speaker_diarization
        return Asked(
            rate=config.sample_rate_hertz,
            language=tags[0],
            interims=streaming.interim_results,
            word_times=config.enable_word_time_offsets,
            events=streaming.enable_voice_activity_events,
            diarization=diarization,
            options={
                "model": config.model,
                "languages": tags,
                "phrases": [phrase for context in config.speech_contexts for phrase in context.phrases],
                "punctuation": config.enable_automatic_punctuation,
                "profanity_filter": config.profanity_filter,
                "diarization": diarization,
                "word_times": config.enable_word_time_offsets,
            },
        )

    def audio(self, request: Any) -> bytes:
        """A later request. Raises Refused if it is none with audio."""
        if request.streaming_config:
            raise invalid("All requests after the first must contain audio only.")  # Assumption: the text.
        return bytes(request.audio_content)

    def final(self, said: Hypothesis, words: Words, asked: Asked) -> Fields:
        """A settled result."""
        result: Fields = {
            "alternatives": [_alternative(said.words, words if asked.word_times else (), "time")],
            "is_final": True,
            "result_end_time": _duration(said.end),
            "language_code": asked.language.lower(),
        }
        return {"results": [result]}

    def interim(self, believed: Hypothesis, asked: Asked) -> Fields:
        """What is believed."""
        return {"results": _interims(believed, asked, "result_end_time")}

    def event(self, name: str, at: int) -> Fields:
        """Somebody begins or ends to speak."""
        return {"speech_event_type": name, "speech_event_time": _duration(at)}

    def bill(self, seconds: float) -> Fields:
        """What the stream costs."""
        return {"total_billed_time": timedelta(seconds=seconds)}

    def limit(self, seconds: float) -> Refused:
        """The stream has become too long."""
        text = f"Exceeded maximum allowed stream duration of {seconds:g} seconds."
        return Refused("OUT_OF_RANGE", text, "stream_limit")

    def starved(self) -> Refused:
        """No audio came for too long."""
        text = "Audio Timeout Error: Long duration elapsed without audio. Audio should be sent close to real time."
        return Refused("OUT_OF_RANGE", text, "no_audio")


Wire = WireV1 | WireV2


def invalid(text: str) -> Refused:
    """The request is not as it must be."""
    return Refused("INVALID_ARGUMENT", text, "invalid_argument")


def too_large(size: int, most: int) -> Refused:
    """A request with too much audio. Assumption: v1 says it in the same words as v2."""
    return invalid(f"Audio chunk can be of a maximum of {most} bytes. Received audio of {size} bytes instead.")


def too_fast() -> Refused:
    """Audio comes faster than in real time."""
    return Refused("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).", "too_fast")


def too_many(region: str = "global") -> Refused:
    """All streams of the quota are in use. Assumption: the metric's name."""
    text = (
        "Quota exceeded for quota metric 'Concurrent streaming sessions' and limit "
        f"'Concurrent streaming sessions per region' of service 'speech.googleapis.com' in region {region!r}."
    )
    return Refused("RESOURCE_EXHAUSTED", text, "too_many_streams")


def _check(encoding: str, rate: int, tags: Sequence[str], *, most: int) -> None:
    if encoding != "LINEAR16":
        raise invalid("The stand-in hears LINEAR16 only.")  # Google knows many more
    if rate not in _RATES:
        raise invalid(f"Invalid sample rate hertz {rate}: it must be from 8000 to 48000.")  # Assumption: the text.
    if not tags or len(tags) > most:
        raise invalid(f"Invalid recognition config: from 1 to {most} language codes.")  # Assumption: the text.


def _interims(believed: Hypothesis, asked: Asked, end_name: str) -> list[Fields]:
    """A stable head and an unstable tail, as far as there is either."""
    head, tail = believed.words[: believed.stable], believed.words[believed.stable :]
    parts = [(head, _STABLE, head[-1].end if tail else believed.end)] if head else []
    parts += [(tail, _UNSTABLE, believed.end)] if tail else []
    results = []
    for index, (words, stability, end) in enumerate(parts):
        text = " ".join(word.text for word in words)
        result: Fields = {"alternatives": [{"transcript": f" {text}" if index else text}], "stability": stability}
        results.append({**result, end_name: _duration(end), "language_code": asked.language.lower()})
    return results


def _alternative(said: Words, timed: Words, time_name: str) -> Fields:
    text = " ".join(word.text for word in said)
    # Assumption: the confidence.
    return {"transcript": text, "confidence": 0.9, "words": [_word(word, time_name) for word in timed]}


def _word(word: Word, time_name: str) -> Fields:
    fields = {"word": word.text, f"start_{time_name}": _duration(word.start), f"end_{time_name}": _duration(word.end)}
    return {**fields, **({"speaker_label": word.speaker} if word.speaker is not None else {})}


def _duration(ms: int) -> timedelta:
    return timedelta(milliseconds=ms)
