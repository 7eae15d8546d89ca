"""What the server tells about itself."""

from __future__ import annotations

import json

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import CONFIG, PATIENCE, Server
from tests.gateway.stream_driver import ASSETS, chunks, transcribed
from tests.speech import load

from twopass.config import parse
from twopass.gateway import messages
from twopass.gateway.app import create_app


def get(url: str) -> httpx.Response:
    """Ask, and wait as long as it takes."""
    return httpx.get(url, timeout=PATIENCE)


def values(server: Server) -> dict[str, float]:
    """All metrics, labels left out, summed up by name."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(get(f"{server.url}/metrics").text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def test_alive_and_ready(server_url: str) -> None:
    """A server that can begin a session says so at both places."""
    assert {"status": "ok"} == get(f"{server_url}/healthz").json()
    assert {"status": "ready"} == get(f"{server_url}/readyz").json()


async def test_alive_but_not_ready() -> None:
    """While models are loading the server lives, and says that it is not ready and to ask again."""
    transport = httpx.ASGITransport(app=create_app(parse(CONFIG)))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        assert (await client.get("/healthz")).is_success
        answer = await client.get("/readyz")
    assert (503, "not_ready", True) == (answer.status_code, answer.json()["code"], answer.json()["retryable"])


async def test_metrics_count_what_happened(server: Server) -> None:
    """Audio, revisions and the loop's lag are counted."""
    before = values(server)
    recording = load("short_kal")
    heard = await transcribed(server.url, chunks(recording.pcm))
    after = values(server)
    assert len(recording.pcm) / 32_000 == pytest.approx(
        after["twopass_audio_seconds_total"] - before["twopass_audio_seconds_total"], abs=0.01
    )
    sent = sum(len(revisions) for revisions in heard.revisions.values())
    assert sent == after["twopass_revisions_total"] - before.get("twopass_revisions_total", 0)
    assert after["twopass_event_loop_lag_seconds_count"] > 0


def test_profiles_say_who_speaks(server_url: str) -> None:
    """Each profile names its models and what they understand, and a stand-in says that it is one."""
    listed = get(f"{server_url}/v1/profiles").json()
    assert "demo" == listed["default"]
    demo, live = listed["profiles"]
    assert ("demo", "Demo", "whisper", None) == (
        demo["name"],
        demo["title"],
        demo["second_pass"]["provider"],
        demo["second_pass"]["notice"],
    )
    assert "300 English words" in demo["second_pass"]["understands"]
    assert ("pocketsphinx", True) == (
        live["second_pass"]["provider"],
        "twopass models pull base" in live["second_pass"]["notice"],
    )


def test_schema_is_published(server_url: str) -> None:
    """The schema of the socket is that of the messages, one for each direction."""
    published = get(f"{server_url}/v1/stream/schema.json").json()
    assert json.loads(json.dumps(messages.schema())) == published
    assert {"client", "server"} == set(published)


def test_openapi_is_published(server_url: str) -> None:
    """Every route for programs is described."""
    paths = get(f"{server_url}/openapi.json").json()["paths"]
    assert {
        "/healthz",
        "/readyz",
        "/metrics",
        "/reports/{name}",
        "/v1/profiles",
        "/v1/stream/schema.json",
        "/v1/tokens",
        "/v1/transcriptions",
    } == set(paths)


def test_page_and_sample_are_served(server_url: str) -> None:
    """The page, its scripts and the bundled sample come from this server, and may load nothing from another."""
    page = get(server_url)
    assert "text/html" in page.headers["content-type"]
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "nosniff" == page.headers["x-content-type-options"]
    for name in ("sample.wav", "sample.json"):
        assert (ASSETS / name).read_bytes() == get(f"{server_url}/static/{name}").content
    assert "javascript" in get(f"{server_url}/static/js/main.js").headers["content-type"]


@pytest.mark.parametrize(
    "path", ["/static/sample.mp3", "/static/nothing.js", "/static/../app.py", "/static/%2e%2e/app.py"]
)
def test_nothing_else_is_served(server_url: str, path: str) -> None:
    """There is no file besides those of the page."""
    answer = get(f"{server_url}{path}")
    assert (404, "not_found") == (answer.status_code, answer.json()["code"])
