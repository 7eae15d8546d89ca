"""A file in, its transcript out: over HTTP, through the real models."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import av
import httpx
import numpy as np
import pytest
from tests.conftest import PATIENCE, Server
from tests.gateway.stream_driver import RATE, REFERENCE, SAMPLE, begun, encoded, folded
from tests.speech import Recording, load

SHORT = load("short_slt")


def post(url: str, content: bytes, **fields: object) -> httpx.Response:
    """Upload a file."""
    data = {name: str(value) for name, value in fields.items()}
    return httpx.post(f"{url}/v1/transcriptions", files={"file": ("recording", content)}, data=data, timeout=PATIENCE)


def film(recording: Recording | None) -> bytes:
    """A black picture, with sound or without."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        picture = output.add_stream("mpeg4", rate=10)
        assert isinstance(picture, av.VideoStream)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        sound = output.add_stream("pcm_s16le", rate=RATE) if recording else None
        black = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        output.mux([*picture.encode(black), *picture.encode(None)])
        if recording and sound:
            samples = np.frombuffer(recording.pcm, np.int16).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate = RATE
            output.mux([*sound.encode(frame), *sound.encode(None)])
    return file.getvalue()


def refused(response: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal, which also says why and what to do."""
    problem = response.json()
    assert set(problem) == {"code", "message", "fix", "retryable"}
    assert problem["message"].endswith(".")
    assert problem["fix"]
    assert "Traceback" not in response.text
    return response.status_code, problem["code"]


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("wav", "pcm_s16le", RATE), ("mp3", "libmp3lame", RATE), ("flac", "flac", RATE), ("ogg", "libopus", 48_000)],
)
def test_any_kind_of_file_is_transcribed(server_url: str, container: str, codec: str, rate: int) -> None:
    """Files of the usual kinds say the same."""
    response = post(server_url, encoded(SHORT, container, codec, rate), format="txt")
    assert (200, folded(SHORT.text)) == (response.status_code, folded(response.text))


def test_video_is_heard(server_url: str) -> None:
    """Of a film, the sound is transcribed."""
    response = post(server_url, film(SHORT), format="txt")
    assert folded(SHORT.text) == folded(response.text)


def _from_json(text: str) -> str:
    data: Mapping[str, Any] = json.loads(text)
    spans = [(segment["start"], segment["end"]) for segment in data["segments"]]
    assert sorted(spans) == spans
    assert data["text"] == " ".join(segment["text"] for segment in data["segments"])
    return str(data["text"])


def _from_cues(text: str) -> str:
    return re.sub(r"WEBVTT|^\d+$|^.* --> .*$", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("style", "media", "read"),
    [
        ("txt", "text/plain; charset=utf-8", str),
        ("srt", "application/x-subrip", _from_cues),
        ("vtt", "text/vtt; charset=utf-8", _from_cues),
        ("json", "application/json", _from_json),
    ],
)
def test_every_format_says_what_was_spoken(server_url: str, style: str, media: str, read: Callable[[str], str]) -> None:
    """Every format holds every word, under its media type."""
    response = post(server_url, encoded(SHORT, "flac", "flac"), format=style)
    assert media == response.headers["content-type"]
    assert folded(SHORT.text) == folded(read(response.text))


def test_sample_is_transcribed_word_for_word(server_url: str) -> None:
    """The bundled sample comes out as it was spoken, in utterances that follow each other."""
    assert folded(REFERENCE) == folded(_from_json(post(server_url, SAMPLE.read_bytes()).text))


def test_separate_channels_tell_who_speaks_where(server_url: str) -> None:
    """With separate channels each segment names its channel, and has only what was said there."""
    recording = begun(load("two_channels"), 2)
    response = post(server_url, encoded(recording, "flac", "flac"), separate_channels=True)
    said = {segment["channel"]: folded(segment["text"]) for segment in response.json()["segments"]}
    assert {sentence.channel: folded(sentence.text) for sentence in recording.sentences} == said


def test_silence_has_an_empty_transcript(server_url: str) -> None:
    """A file in which nobody speaks is no error."""
    response = post(server_url, encoded(load("silence_5s"), "wav", "pcm_s16le"))
    assert (200, {"text": "", "segments": []}) == (response.status_code, response.json())


@pytest.mark.parametrize(
    ("status", "code", "content", "fields"),
    [
        (400, "bad_audio", b"", {}),
        (400, "bad_audio", bytes(range(256)) * 20, {}),
        (400, "bad_audio", b"This is a text, not a recording.\n" * 9, {}),
        (400, "bad_audio", encoded(SHORT, "flac", "flac")[:60], {}),
        (400, "no_audio_stream", film(None), {}),
        (413, "too_large", bytes((4 << 20) + 1), {}),
        (413, "too_large", bytes(20 << 20), {}),
        (400, "unknown_profile", SHORT.pcm, {"profile": "nonsense"}),
        (400, "unknown_language", SHORT.pcm, {"profile": "live", "language": "de-DE"}),
        (422, "bad_request", SHORT.pcm, {"language": "not a language"}),
        (422, "bad_request", SHORT.pcm, {"format": "doc"}),
        (422, "bad_request", SHORT.pcm, {"separate_channels": "perhaps"}),
    ],
)
def test_what_cannot_be_done_says_why(
    server_url: str, status: int, code: str, content: bytes, fields: dict[str, str]
) -> None:
    """Every bad upload is refused with a code, a reason and what to do."""
    assert (status, code) == refused(post(server_url, content, **fields))


@pytest.mark.parametrize(
    ("status", "code", "request_"),
    [
        (422, "bad_request", {"method": "POST", "url": "/v1/transcriptions"}),
        (422, "bad_request", {"method": "POST", "url": "/v1/transcriptions", "data": {"file": "a name only"}}),
        (
            400,
            "bad_request",
            {
                "method": "POST",
                "url": "/v1/transcriptions",
                "content": b"no boundary",
                "headers": {"content-type": "multipart/form-data; boundary=x"},
            },
        ),
        (405, "method_not_allowed", {"method": "GET", "url": "/v1/transcriptions"}),
        (404, "not_found", {"method": "GET", "url": "/v1/transcription"}),
    ],
)
def test_malformed_requests_get_the_same_shape(
    server_url: str, status: int, code: str, request_: dict[str, Any]
) -> None:
    """Requests that reach no code of ours are answered like those that do."""
    with httpx.Client(base_url=server_url, timeout=PATIENCE) as client:
        assert (status, code) == refused(client.request(**request_))


def test_nothing_of_an_upload_stays(server: Server) -> None:
    """The server keeps no file of what was sent, whether it could be read or not."""
    post(server.url, bytes(100))
    post(server.url, encoded(SHORT, "flac", "flac"))
    assert [] == [path for path in server.temporary.rglob("*") if path.is_file() and path.name.startswith("twopass")]
