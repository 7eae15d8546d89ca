"""Sarvam's protocol as plain values, checked against the SDK's own types."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.providers.sarvam.rehearsing import needs_sdk

from twopass.recognizers import StreamOptions
from twopass_providers.sarvam import messages
from twopass_providers.sarvam.connection import load
from twopass_providers.sarvam.messages import Failure, Final, Partial, SessionEnds, SpeechBegins
from twopass_providers.sarvam.settings import AUTO, LANGUAGES, MODELS, MODES, STREAM_TYPES, SarvamSettings


@given(st.binary(max_size=200_000))
def test_pieces_are_the_audio(pcm: bytes) -> None:
    """Nothing is lost, and none is larger than a second or empty."""
    pieces = list(messages.pieces(pcm))
    assert pcm == b"".join(pieces)
    assert all(0 < len(piece) <= 32_000 for piece in pieces)


@needs_sdk
@pytest.mark.parametrize(
    ("kind", "fields", "event"),
    [
        ("RealtimeVadSpeechStart", {"utterance_idx": 2}, SpeechBegins(2)),
        ("RealtimeTranscriptPartial", {"utterance_idx": 2, "text": "a b"}, Partial(2, "a b")),
        (
            "RealtimeTranscriptFinal",
            {"utterance_idx": 2, "text": "A b.", "start_s": 0.5, "end_s": 1.2345, "language": "gu-IN"},
            Final(2, "A b.", 500, 1_234, "gu-IN"),
        ),
        ("RealtimeTranscriptFinal", {"utterance_idx": 2, "text": "A b."}, Final(2, "A b.")),
        (
            "RealtimeError",
            {"code": "c", "is_fatal": True, "message": "m", "status_code": 503},
            Failure("c", "m", fatal=True, status=503),
        ),
        ("RealtimeSessionEnd", {"request_id": "r", "audio_duration_s": 7.5}, SessionEnds(7.5)),
        ("RealtimeSessionEnd", {"request_id": "r"}, SessionEnds(None)),
        ("RealtimeSessionBegin", {"request_id": "r"}, None),
        ("RealtimeVadSpeechEnd", {"utterance_idx": 2}, None),
        ("RealtimeConfigUpdated", {"applied": []}, None),
        ("RealtimePong", {}, None),
    ],
)
def test_events_of_the_sdk_are_read(kind: str, fields: dict[str, Any], event: object) -> None:
    """Each of the SDK's types says what it means, or nothing."""
    assert event == messages.read(getattr(load().types, kind)(**fields))


@needs_sdk
def test_every_event_that_the_sdk_knows_is_tested() -> None:
    """A version of the SDK that adds one fails here."""
    load()
    from sarvamai.speech_to_text_realtime_streaming import socket_client

    known = get_args(socket_client.SpeechToTextRealtimeStreamingSocketClientResponse)
    tested = (
        "SessionBegin VadSpeechStart VadSpeechEnd TranscriptPartial TranscriptFinal ConfigUpdated Pong SessionEnd Error"
    )
    assert {f"Realtime{name}" for name in tested.split()} == {each.__name__ for each in known}


def test_bytes_say_nothing() -> None:
    """The SDK passes on binary messages as they are."""
    assert messages.read(b"\x00") is None


@needs_sdk
@pytest.mark.parametrize(
    ("name", "ours"),
    [("language_code", (AUTO, *LANGUAGES)), ("model", MODELS), ("mode", MODES), ("stream_type", STREAM_TYPES)],
)
def test_what_can_be_chosen_is_what_the_sdk_names(name: str, ours: tuple[str, ...]) -> None:
    """A version of the SDK that adds a language or a model fails here."""
    load()
    from sarvamai.speech_to_text_realtime_streaming import types

    title = "".join(part.title() for part in name.split("_"))
    named = get_args(getattr(types, f"SpeechToTextRealtimeStreaming{title}"))[0]
    assert set(get_args(named)) == set(ours)
    if name in SarvamSettings.model_fields:
        assert set(ours) == set(get_args(SarvamSettings.model_fields[name].annotation))


@given(st.sampled_from(LANGUAGES), st.sampled_from(["", "-IN", "_in", "-US", "-Deva-IN"]))
def test_any_tag_of_a_language_is_its_code(code: str, region: str) -> None:
    """Region and script do not matter: Sarvam has one code for each language."""
    tag = code.removesuffix("-IN") + region
    assert code == messages.language_code(StreamOptions(language=tag))
    assert AUTO == messages.language_code(StreamOptions(language=tag, languages=("en-IN",)))
