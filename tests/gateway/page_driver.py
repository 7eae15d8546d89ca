"""The page as a person uses it: what can be pressed, dropped and read. This knows where things are; tests need not."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import threading
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
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

    def wait_sound(self, seconds: int) -> None:
        """Wait until the server has so much sound."""
        for _ in range(1200):
            minutes, rest = map(int, self.tab.locator("#audio").inner_text().split(":"))
            if 60 * minutes + rest >= seconds:
                return
            self.tab.wait_for_timeout(50)
        raise AssertionError(f"{minutes}:{rest:02} of sound, {self.status.inner_text()}")

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
        said: Everything that this session was told.
        heard: What the page said: the text messages, and the binary frames.
        away: It closes every new connection at once.
        resumes: It knows its session when it is asked to go on.
        shadow: Who also hears its sessions.
    """

    route: WebSocketRoute | None = None
    heard: list[dict[str, Any]] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    answer_end: bool = True
    acknowledges: bool = True
    durable: bool = True
    away: bool = False
    resumes: bool = True
    shadow: str | None = None
    said: list[dict[str, Any]] = field(default_factory=list)

    @property
    def last_event(self) -> int:
        """The number of the last message."""
        return len(self.said)

    def attach(self, page: Page) -> None:
        """Stand where the real server would be. To be called before the page connects."""
        page.route_web_socket("**/v1/stream", self._accept)

    def say(self, kind: str, **fields: object) -> None:
        """Send a message, or keep it until somebody is there to hear it."""
        self.said.append({"type": kind, "event": len(self.said) + 1, **fields})
        if self.route is not None:
            self.route.send(json.dumps(self.said[-1]))

    def part(self, kind: str, code: int, **fields: object) -> None:
        """Send a fatal error about the connection, and close it."""
        assert self.route is not None
        error = {"type": "error", "event": 1, "code": kind, "message": f"It is {kind}.", "fix": "Mend it."}
        self.route.send(json.dumps(error | {"retryable": False, "fatal": True} | fields))
        self.cut(code)

    def cut(self, code: int = 1012, reason: str = "") -> None:
        """Close the connection."""
        assert self.route is not None
        route, self.route = self.route, None
        route.on_message(lambda message: None)
        route.close(code=code, reason=reason)

    @property
    def sound(self) -> bytes:
        """What came, put together by the indexes; zeros where nothing came."""
        together = bytearray()
        for frame in self.frames:
            at = 2 * int.from_bytes(frame[:8])
            together += bytes(max(0, at - len(together)))
            together[at : at + len(frame) - 8] = frame[8:]
        return bytes(together)

    def segment(self, text: str, *, status: str = "final", start: int = 0, revision: int = 1, **fields: object) -> None:
        """Send a revision of the utterance that begins at `start`; its words last 300 ms each."""
        spoken = words(text, start)
        base: dict[str, Any] = {"id": f"u{start}", "source": "first", "channel": 0, "stable": 0, "rewritten": []}
        shown = {"revision": revision, "status": status, "start": start, "text": text, "words": spoken}
        self.say("segment", end=spoken[-1]["end"] if spoken else start, **(base | shown | fields))

    def _accept(self, route: WebSocketRoute) -> None:
        if self.away:
            route.close(code=1012)
            return
        self.route = route
        route.on_message(self._hear)

    def _resume(self, last: int) -> None:
        assert self.route is not None
        if not self.resumes:
            self.part("unknown_session", 4404)
            return
        self.route.send(
            json.dumps(
                {"type": "resumed", "event": last, "session": "s", "next_sample": len(self.sound) // 2, "next_byte": 0}
            )
        )
        # One more than was missed: whoever resumes must know what it has.
        for message in self.said[max(0, last - 1) :]:
            self.route.send(json.dumps(message))

    def _hear(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.frames.append(message)
            if self.acknowledges:
                end = int.from_bytes(message[:8]) + (len(message) - 8) // 2
                self.say("ack", samples=end, bytes=0, durable=self.durable)
            return
        said = json.loads(message)
        self.heard.append(said)
        if said["type"] == "start":
            description = {"provider": "scripted", "model": "script", "understands": "Nothing.", "notice": None}
            passes = {"first_pass": description, "second_pass": description, "shadow": self.shadow}
            self.said.clear()
            self.frames.clear()
            self.say("session", session="s", token="t", resume_seconds=240, profile="p", **passes)
        elif said["type"] == "session_resume":
            self._resume(said["last_event"])
        elif said["type"] == "end" and self.answer_end:
            self.say("end", audio_ms=1000, utterances=1, words=1, degraded=0)


class CuttingProxy:
    """A network between a browser and a server that breaks when a test says so. Runs in a thread of its own."""

    def __init__(self, url: str) -> None:
        self._port = int(url.rpartition(":")[2])
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._muted: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._listening = threading.Event()
        self._stop = asyncio.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listens}"

    def __enter__(self) -> CuttingProxy:
        self._thread.start()
        assert self._listening.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Break everything; new connections break at once as long as the context lasts."""
        self._open = False
        self._loop.call_soon_threadsafe(self._cut)
        try:
            yield
        finally:
            self._open = True

    def silence(self) -> None:
        """From now on the connections there are carry nothing any more, and stay open."""
        self._loop.call_soon_threadsafe(self._mute)

    def _mute(self) -> None:
        self._muted |= self._writers

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._listens = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stop.wait()
        server.close()
        self._cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
            self._writers |= {writer, back}
            if not self._open:
                self._cut()
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        finally:
            for end in (writer, back):
                self._writers.discard(end)
                self._muted.discard(end)
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if writer not in self._muted:
                    writer.write(data)
                    await writer.drain()
        writer.close()


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
