"""The page as a person uses it: what can be pressed, dropped and read. This knows where things are; tests need not."""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Locator, Page, WebSocketRoute, expect

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
Kind = Literal["txt", "srt", "vtt", "json"]


def wav(pcm: bytes, channels: int = 1) -> bytes:
    """A WAV file of 16 kHz s16 sound."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(pcm)
    return file.getvalue()


class CaptionsPage:
    """One open tab."""

    def __init__(self, page: Page, url: str) -> None:
        self.tab = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda line: self.problems.append(line.text) if line.type == "error" else None)
        page.goto(url)
        expect(page.get_by_role("heading", name="First pass")).to_be_visible()

    def press(self, name: str) -> None:
        """Press the button of that name."""
        self.tab.get_by_role("button", name=name, exact=True).click()

    def tick(self, label: str) -> None:
        """Tick a checkbox."""
        self.tab.get_by_label(label).check()

    def choose_profile(self, name: str) -> None:
        """Choose by the profile's name in the configuration."""
        self.tab.get_by_label("Profile").select_option(name)

    def drop(self, name: str, data: bytes) -> None:
        """Drag a file over the page and let go of it."""
        script = """([name, data]) => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], name));
            for (const type of ["dragover", "drop"]) {
                document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
            }
        }"""
        self.tab.evaluate(script, [name, base64.b64encode(data).decode()])

    def download(self, kind: Kind) -> str:
        """Save the transcript and read the file."""
        with self.tab.expect_download() as waiting:
            self.press(f"Save as {kind}")
        assert waiting.value.suggested_filename.endswith(f".{kind}")
        return Path(waiting.value.path()).read_text(encoding="utf-8")

    def utterances(self, status: str | None = None) -> Locator:
        """The paragraphs of the transcript, or those of one status."""
        rows = self.tab.locator(".utterance" if status is None else f'.utterance[data-status="{status}"]')
        return rows.locator("p")

    def lines(self) -> list[str]:
        """The transcript as it is read, a line for each utterance."""
        return self.utterances().all_inner_texts()

    @property
    def status(self) -> Locator:
        """The dot and its words."""
        return self.tab.locator("#status")

    def wait_finished(self, seconds: float) -> None:
        """Wait until the server has made every utterance final."""
        expect(self.status).to_contain_text("Finished", timeout=seconds * 1000)

    def call(self, module: str, expression: str, argument: object = None) -> Any:
        """Evaluate JavaScript with the exports of one of the page's modules as `m` and `argument` as `x`."""
        script = f"async (x) => {{ const m = await import('/static/js/{module}.js'); return {expression}; }}"
        return self.tab.evaluate(script, argument)


@dataclass
class ScriptedServer:
    """
    A server that says what the test tells it, for what a healthy one never does.

    Attributes:
        heard: What the page said: the text messages, and the binary frames.
    """

    route: WebSocketRoute | None = None
    heard: list[dict[str, Any]] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    answer_end: bool = True
    _event: int = 0

    def attach(self, page: Page) -> None:
        """Stand where the real server would be. To be called before the page connects."""
        page.route_web_socket("**/v1/stream", self._accept)

    def say(self, kind: str, **fields: object) -> None:
        """Send a message."""
        assert self.route is not None
        self._event += 1
        self.route.send(json.dumps({"type": kind, "event": self._event, **fields}))

    def segment(self, text: str, *, status: str = "final", start: int = 0, revision: int = 1, **fields: object) -> None:
        """Send a revision of the utterance that begins at `start`; its words last 300 ms each."""
        spoken = words(text, start)
        base: dict[str, Any] = {"id": f"u{start}", "source": "first", "channel": 0, "stable": 0, "rewritten": []}
        shown = {"revision": revision, "status": status, "start": start, "text": text, "words": spoken}
        self.say("segment", end=spoken[-1]["end"] if spoken else start, **(base | shown | fields))

    def _accept(self, route: WebSocketRoute) -> None:
        self.route = route
        route.on_message(self._hear)

    def _hear(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.frames.append(message)
            return
        said = json.loads(message)
        self.heard.append(said)
        if said["type"] == "start":
            description = {"provider": "scripted", "model": "script", "understands": "Nothing.", "notice": None}
            self.say("session", session="s", profile="p", first_pass=description, second_pass=description)
        elif said["type"] == "end" and self.answer_end:
            self.say("end", audio_ms=1000, utterances=1, words=1, degraded=0)


def words(text: str, start: int = 0, each: int = 300) -> list[dict[str, Any]]:
    """Words of equal length, as the protocol writes them."""
    return [
        {"text": word, "start": start + index * each, "end": start + (index + 1) * each}
        for index, word in enumerate(text.split())
    ]


def utterance(spoken: Sequence[Mapping[str, object]], **fields: object) -> dict[str, object]:
    """A final segment of these words."""
    base: dict[str, object] = {"id": "u", "revision": 1, "status": "final", "source": "second", "channel": 0}
    return base | {"start": spoken[0]["start"], "end": spoken[-1]["end"], "words": list(spoken)} | fields


def until(tab: Page, ready: Callable[[], bool], seconds: float = 15) -> None:
    """Let the browser work until `ready`, or fail."""
    for _ in range(round(seconds * 20)):
        if ready():
            return
        tab.wait_for_timeout(50)
    raise AssertionError(f"not within {seconds} s")
