"""The page in a real browser: against the real server where speech is at stake, against a scripted one for mishaps."""

from __future__ import annotations

import io
import json
import math
import random
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import av
import jiwer
import pytest

pytest.importorskip("playwright", reason="the playwright package is missing: pip install playwright")

from playwright.sync_api import Browser, Route, expect, sync_playwright
from tests.conftest import running_server
from tests.gateway.page_driver import (
    CHROMIUM,
    FLAGS,
    CaptionsPage,
    CuttingProxy,
    ScriptedServer,
    until,
    utterance,
    wav,
    words,
)
from tests.speech import load
from tests.standin import patient_server

from twopass.gateway.keys import KeyFile

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium")

ASSETS = Path(__file__).parents[2] / "src" / "twopass" / "assets"
SAMPLE = ASSETS / "sample.wav"
REFERENCE: str = json.loads((ASSETS / "sample.json").read_text())["text"]
QUIET = wav(bytes(2 * 16_000 * 20))
Open: TypeAlias = Callable[..., CaptionsPage]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium whose microphone hears the sample once. Its event loop ends with the module and disturbs nobody."""
    expect.set_options(timeout=15_000)  # a machine that is busy with other tests is slow, not wrong
    flags = [*FLAGS, f"--use-file-for-fake-audio-capture={SAMPLE}%noloop"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def patient_url(
    tmp_path_factory: pytest.TempPathFactory, small_config: Path, environment: dict[str, str]
) -> Iterator[str]:
    """A server that waits long for clients that have gone."""
    with patient_server(tmp_path_factory.mktemp("patient"), small_config, environment) as url:
        yield url


@pytest.fixture
def open_page(browser: Browser, server_url: str) -> Iterator[Open]:
    """Open the page in a fresh profile; scripts that failed and requests that were refused fail the test."""
    opened: list[CaptionsPage] = []

    def make(scripted: ScriptedServer | None = None, **context: Any) -> CaptionsPage:
        tab = browser.new_context(**context).new_page()
        if scripted:
            scripted.attach(tab)
        opened.append(CaptionsPage(tab, server_url))
        return opened[-1]

    yield make
    for page in opened:
        page.tab.context.close()
    assert [problem for page in opened for problem in page.problems] == []


@pytest.fixture
def scripted() -> ScriptedServer:
    """A server that says what the test tells it."""
    return ScriptedServer()


@pytest.fixture(scope="module")
def modules(browser: Browser, server_url: str) -> Iterator[CaptionsPage]:
    """A tab in which the page's modules can be called."""
    context = browser.new_context()
    yield CaptionsPage(context.new_page(), server_url)
    context.close()


def errors(said: str, reference: str = REFERENCE) -> int:
    """How many words differ, not counting capitals and punctuation."""
    truth, heard = (re.sub(r"[^\w' ]", "", text).lower() for text in (reference, said))
    counted = jiwer.process_words(truth, heard)
    return counted.substitutions + counted.deletions + counted.insertions


def talking(page: CaptionsPage, scripted: ScriptedServer) -> None:
    """Begin a session with the scripted server."""
    page.drop("quiet.wav", QUIET)
    expect(page.status).to_contain_text("Connected")
    assert scripted.route is not None


# Speech, from the sound card to the file


def test_microphone_words_appear_are_rewritten_and_can_be_kept(open_page: Open) -> None:
    """Spoken words show grey, are rewritten and final, and every download says what the page says."""
    page = open_page()
    page.choose_profile("demo")
    page.press("Microphone")
    expect(page.utterances("interim").first).to_contain_text(re.compile(r"\w"), timeout=30_000)
    mark = page.tab.locator("mark.rewritten").first
    expect(mark).to_be_visible(timeout=30_000)
    expect(mark).to_have_attribute("title", re.compile("Rewritten by the second pass"))
    until(page.tab, lambda: page.utterances("final").count() >= 2, 30)
    page.press("Stop")
    page.wait_finished(30)

    shown = page.lines()
    assert page.utterances("final").count() == len(shown) >= 2
    said = " ".join(shown)
    assert errors(said, " ".join(REFERENCE.split()[: len(said.split())])) <= 3
    assert page.download("txt").splitlines() == shown
    segments = json.loads(page.download("json"))
    assert [segment["text"] for segment in segments] == shown
    assert [segment["status"] for segment in segments] == ["final"] * len(shown)
    for kind in ("srt", "vtt"):
        cues = parsed(page.download(kind), kind)
        assert " ".join(text.replace("\n", " ") for _, _, text in cues) == " ".join(shown)
    assert re.fullmatch(r"[\d.]+ m?s", page.tab.locator("#final-median").inner_text())


def test_sample_ends_as_it_was_spoken(open_page: Open) -> None:
    """The bundled sample, played aloud in real time, ends with at most two words wrong."""
    page = open_page()
    page.press("Play sample")
    page.wait_finished(60)
    assert errors(" ".join(page.lines())) <= 2
    expect(page.tab.locator("#audio")).to_have_text("0:28")
    assert int(page.tab.locator("#words").inner_text()) == len(" ".join(page.lines()).split())
    assert page.tab.locator("#cost").inner_text().count("–") == 0, "every pass has a price or says that it has none"


def test_dropped_file_is_read_faster_than_it_was_spoken(open_page: Open) -> None:
    """A recording of 28 s that is sent “as fast as possible” is final in less time than it takes to hear."""
    page = open_page()
    page.choose_profile("demo")
    page.tick("Files as fast as possible")
    began = time.monotonic()
    page.drop("meeting.wav", SAMPLE.read_bytes())
    page.wait_finished(60)
    assert time.monotonic() - began < 25
    assert errors(" ".join(page.lines())) <= 2


def test_channels_of_a_file_are_kept_apart(open_page: Open) -> None:
    """With “separate channels” each utterance says on which channel it was spoken."""
    recording = load("two_channels")
    page = open_page()
    page.choose_profile("demo")
    page.tick("Files as fast as possible")
    page.tick("Separate channels")
    page.drop("call.wav", wav(recording.pcm[: 4 * 16_000 * 12], channels=2))
    page.wait_finished(60)
    labels = page.tab.locator(".label").all_inner_texts()
    assert set(labels) == {"Channel 1", "Channel 2"}
    assert page.download("txt").splitlines() == [
        f"{label}: {line}" for label, line in zip(labels, page.lines(), strict=True)
    ]


def test_keyboard_alone_starts_and_stops(open_page: Open) -> None:
    """Tab and Enter reach the sample and Stop, and the focus is never lost on the way."""
    page = open_page()
    focused = page.tab.locator(":focus")
    page.tab.keyboard.press("Tab")
    expect(focused).to_have_text("Skip to the transcript")
    for _ in range(4):
        page.tab.keyboard.press("Tab")
    expect(focused).to_contain_text("Play sample")
    page.tab.keyboard.press("Enter")
    expect(focused).to_contain_text("Stop")
    expect(page.utterances().first).to_contain_text(re.compile(r"\w"), timeout=30_000)
    page.tab.keyboard.press("Enter")
    page.wait_finished(30)
    expect(focused).to_contain_text("Play sample")
    assert page.utterances("final").count() == len(page.lines()) >= 1
    page.tab.keyboard.press("Control+Shift+Enter")
    expect(page.status).to_contain_text("Connected")
    page.tab.keyboard.press("Control+Enter")
    page.wait_finished(30)
    page.tab.keyboard.press("Control+/")
    expect(page.tab.get_by_role("dialog")).to_be_visible()
    page.tab.keyboard.press("Escape")
    expect(page.tab.get_by_role("dialog")).to_be_hidden()


# What goes wrong


def test_server_error_is_shown_with_its_fix(open_page: Open) -> None:
    """A profile that the server does not know: its error and its fix stand on the page, and one may try again."""

    def with_stranger(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        body["profiles"].append(body["profiles"][0] | {"name": "stranger", "title": "Stranger"})
        route.fulfill(response=answer, json=body)

    page = open_page()
    page.tab.route("**/v1/profiles", with_stranger)
    page.tab.reload()
    page.choose_profile("stranger")
    page.drop("quiet.wav", QUIET)
    problem = page.tab.get_by_role("alert").locator(".problem")
    expect(problem).to_contain_text("stranger", timeout=10_000)
    expect(problem).to_contain_text("demo")
    expect(page.status).to_contain_text("Ended by an error")
    page.press("Dismiss")
    expect(problem).to_have_count(0)
    expect(page.tab.get_by_role("button", name="Microphone")).to_be_enabled()


def test_file_that_is_no_recording(open_page: Open) -> None:
    """A file that the browser cannot read is named, with what to choose instead."""
    page = open_page()
    page.drop("letter.pdf", b"%PDF-1.7 not sound")
    expect(page.tab.get_by_role("alert")).to_contain_text("cannot read “letter.pdf”. Choose a recording as WAV")


def test_lost_connection_keeps_the_transcript(open_page: Open, scripted: ScriptedServer) -> None:
    """If the session cannot go on, the page says so, keeps what it has, and lets one save it."""
    page = open_page(scripted)
    talking(page, scripted)
    scripted.segment("Good morning.")
    scripted.segment("and then", status="interim", start=2000)
    expect(page.utterances()).to_have_count(2)
    scripted.resumes = False
    scripted.cut(1011, "the server stops")
    expect(page.status).to_have_attribute("data-health", "bad")
    expect(page.tab.get_by_role("alert")).to_contain_text("lost: the server stops. The transcript so far is kept.")
    assert page.lines() == ["Good morning.", "and then"]
    assert page.download("txt") == "Good morning.\n"


def test_failing_recognizers_and_degraded_words_are_told(open_page: Open, scripted: ScriptedServer) -> None:
    """A recognizer that is tried again turns the dot yellow; a final without second pass says why, also to ears."""
    page = open_page(scripted)
    talking(page, scripted)
    trouble = {"pass": "second", "provider": "whisper", "reason": "no answer in 2 s.", "channel": 0}
    scripted.say("provider", state="retrying", **trouble)
    expect(page.status).to_have_attribute("data-health", "warn")
    expect(page.status).to_contain_text("Second pass (whisper) is being tried again: no answer in 2 s.")
    scripted.segment("good morning", degraded="the second pass was too late")
    mark = page.tab.get_by_role("button", name="first pass only")
    expect(mark).to_have_accessible_description("The first pass’s words, not rewritten: the second pass was too late")
    mark.focus()
    expect(page.tab.get_by_text("too late")).to_be_visible()
    page.tab.keyboard.press("Escape")
    expect(page.tab.get_by_text("too late")).to_be_hidden()
    scripted.say("provider", state="recovered", **trouble)
    expect(page.status).to_have_attribute("data-health", "good")


def test_unknown_price_is_never_zero(open_page: Open, scripted: ScriptedServer) -> None:
    """A pass without a price is “unknown” and named; the other keeps its amount."""
    page = open_page(scripted)
    talking(page, scripted)
    first = {"pass": "first", "provider": "google", "sku": "stt", "clock": "audio_sent", "seconds": 4.0}
    second = {"pass": "second", "provider": "whisper", "sku": "gpu", "clock": "gpu_busy", "seconds": 0.5}
    priced, unpriced = first | {"amount": "0.0016", "currency": "USD"}, second | {"amount": None, "currency": None}
    scripted.say("cost", audio_ms=4000, lines=[priced, unpriced], totals={"USD": "0.0016"}, unpriced=["whisper gpu"])
    cost = page.tab.locator("#cost")
    expect(cost).to_contain_text("$0.0016 + unknown")
    expect(page.tab.get_by_text("not counted: whisper gpu")).to_be_visible()
    assert not re.search(r"\$0(\.0+)?(\s|$)", cost.inner_text())
    assert "for an hour" not in cost.inner_text()
    scripted.say("cost", audio_ms=18_000, lines=[priced], totals={"USD": "0.0016"}, unpriced=[])
    expect(cost).to_contain_text("at this rate $0.32 for an hour of sound")


@pytest.mark.parametrize("shadow", [None, "<b>vendor</b>"])
def test_who_else_hears_is_told(open_page: Open, scripted: ScriptedServer, shadow: str | None) -> None:
    """A provider that hears the session for comparison is named under those who listen; nobody is not."""
    scripted.shadow = shadow
    page = open_page(scripted)
    talking(page, scripted)
    expect(page.tab.locator("#models")).to_contain_text("scripted")  # told by the session, not by the list of profiles
    also = page.tab.locator("#shadow").all_inner_texts()
    assert also == ([f"Also heard by {shadow}, for comparison."] if shadow else [])


def test_words_are_text_and_never_markup(open_page: Open, scripted: ScriptedServer) -> None:
    """What a model or an error says is shown as it is, even if it looks like HTML."""
    page = open_page(scripted)
    talking(page, scripted)
    scripted.segment("<img src=x> &amp; <b>bold</b>", degraded="<i>why</i>")
    scripted.say("error", code="odd", message="<u>odd</u>", fix="Try `<s>`.", retryable=False, fatal=False)
    expect(page.utterances().first).to_have_text("<img src=x> &amp; <b>bold</b>")
    expect(page.tab.get_by_role("alert")).to_contain_text("<u>odd</u> Try <s>.")
    assert page.tab.locator("#utterances :is(img, b, i), .problem :is(u, s)").count() == 0


# Going on after a break


def words_and_events(page: CaptionsPage, scripted: ScriptedServer) -> None:
    """Every word that was told is shown, once."""
    told = sum(len(said["words"]) for said in scripted.said if said["type"] == "segment")
    expect(page.tab.locator("#words")).to_have_text(str(told))


def test_break_loses_no_sound_and_doubles_no_word(open_page: Open, scripted: ScriptedServer) -> None:
    """What is played while nobody is connected arrives later; what the server said meanwhile, too; each of it once."""
    page = open_page(scripted)
    sound = random.Random(2).randbytes(2 * 16_000 * 6)
    page.drop("speech.wav", wav(sound))
    expect(page.status).to_contain_text("Connected, listening")
    for begin in (0, 1000, 2000):
        until(page.tab, lambda: bool(scripted.frames) and len(scripted.sound) > 32 * (begin + 500), 60)  # noqa: B023
        scripted.segment("Good morning.", start=begin)
        scripted.away = True
        scripted.cut(1011 if begin else 1012)
        expect(page.status).to_contain_text("Connection lost, resuming…")
        expect(page.status).to_have_attribute("data-health", "warn")
        scripted.segment("Said while nobody listened.", start=begin + 500)
        scripted.away = False
        expect(page.status).to_have_attribute("data-health", "good")
    page.wait_finished(60)
    assert page.lines() == ["Good morning.", "Said while nobody listened."] * 3
    words_and_events(page, scripted)
    assert sound in scripted.sound
    assert len([said for said in scripted.heard if said["type"] == "start"]) == 1
    assert page.tab.get_by_role("alert").locator(".problem").count() == 0


def test_recording_goes_on_after_breaks(open_page: Open, scripted: ScriptedServer) -> None:
    """A recording that is sent at full speed waits for the connection, also with its end."""
    sound = random.Random(3).randbytes(2 * 16_000 * 50)
    page = open_page(scripted)
    scripted.answer_end = False
    page.tick("Files as fast as possible")
    page.drop("speech.wav", wav(sound))
    until(page.tab, lambda: len(scripted.frames) > 40)
    scripted.cut()
    until(page.tab, lambda: scripted.heard[-1]["type"] == "end")
    scripted.answer_end = True
    scripted.cut()
    page.wait_finished(60)
    assert scripted.sound == sound


def test_sound_that_is_not_durable_is_sent_again(open_page: Open, scripted: ScriptedServer) -> None:
    """A server that crashed wants sound again that it had acknowledged, and gets it."""
    sound = random.Random(4).randbytes(2 * 16_000 * 4)
    scripted.durable = False
    page = open_page(scripted)
    page.drop("speech.wav", wav(sound))
    until(page.tab, lambda: len(scripted.frames) > 30)
    del scripted.frames[5:]
    scripted.cut(1001)
    page.wait_finished(60)
    assert sound in scripted.sound


def test_session_in_another_window(open_page: Open, scripted: ScriptedServer) -> None:
    """When somebody else takes the session over, the page says so and does not fight for it."""
    page = open_page(scripted)
    talking(page, scripted)
    scripted.segment("Good morning.")
    scripted.part("taken_over", 4409)
    expect(page.status).to_contain_text("This session goes on in another window")
    expect(page.status).to_have_attribute("data-health", "warn")
    expect(page.tab.get_by_role("button", name="Microphone")).to_be_visible()
    assert page.lines() == ["Good morning."]
    assert "session_resume" not in [said["type"] for said in scripted.heard]


def test_stop_while_the_connection_is_lost(open_page: Open, scripted: ScriptedServer) -> None:
    """Stop waits for the connection, says what was spoken, and ends; pressed again, it waits no longer."""
    page = open_page(scripted)
    for patient in (True, False):
        talking(page, scripted)
        scripted.away = True
        scripted.cut()
        page.press("Stop")
        expect(page.status).to_contain_text("Connection lost, resuming…")
        if patient:
            scripted.away = False
            page.wait_finished(30)
        else:
            page.press("Stop waiting")
            expect(page.status).to_contain_text("Stopped before the last words were final")
            expect(page.tab.get_by_role("button", name="Microphone")).to_be_visible()


def test_what_the_server_tells_about_sound(open_page: Open, scripted: ScriptedServer) -> None:
    """Skipped, missing and absent sound, a full disk and the coming end are told, each in its place."""
    page = open_page(scripted)
    scripted.acknowledges = False
    talking(page, scripted)
    skipped = {"from": 1000, "to": 3000, "depth_ms": 4000, "channel": 0}
    scripted.say("backpressure", state="skipping", **skipped)
    expect(page.status).to_contain_text("The first pass is behind: words come late, finals are complete")
    expect(page.status).to_have_attribute("data-health", "warn")
    scripted.say("backpressure", state="over", **skipped)
    expect(page.status).to_contain_text("Connected")
    scripted.say("error", code="no_audio", message="None.", fix="Send.", retryable=False, fatal=False)
    expect(page.status).to_contain_text("No sound arrives")
    scripted.say("ack", samples=800, bytes=0, durable=True)
    expect(page.status).to_contain_text("Connected")
    scripted.segment("Later.", start=9000)
    scripted.segment("Before.", start=1000)
    scripted.say("gap", **{"from": 4000, "to": 5200})
    mark = page.tab.locator(".gap")
    expect(mark).to_have_text("0:041.2 s of sound did not arrive")
    assert page.tab.locator("#utterances > *").evaluate_all("(rows) => rows.map((row) => row.className)") == [
        "utterance",
        "gap",
        "utterance",
    ]
    expect(page.tab.locator("[aria-live=polite]:not([role])")).to_contain_text("1.2 s of sound did not arrive")
    alert = page.tab.get_by_role("alert")
    expect(alert.locator(".problem")).to_have_count(0)
    scripted.say("expiring", in_seconds=60.0)
    expect(alert).to_contain_text("The server ends this session in 60 s.")
    scripted.say("error", code="not_durable", message="Not kept.", fix="Go on.", retryable=False, fatal=False)
    expect(alert).to_contain_text("Not kept. Go on.")


def test_microphone_through_a_network_that_breaks(browser: Browser, patient_url: str) -> None:
    """Spoken into outages and silent connections, with the real server: the transcript has everything, once."""
    with CuttingProxy(patient_url) as proxy:
        page = CaptionsPage(browser.new_context().new_page(), proxy.url)
        page.choose_profile("demo")
        page.press("Play sample")
        for seconds in (3, 8):
            page.wait_sound(seconds)
            with proxy.outage():
                expect(page.status).to_contain_text("Connection lost, resuming…")
                page.tab.wait_for_timeout(1500)
            expect(page.status).to_contain_text("Connected, listening", timeout=60_000)
        page.wait_sound(11)
        proxy.silence()
        expect(page.status).to_contain_text("The server has not answered", timeout=60_000)
        page.wait_finished(120)
        assert errors(" ".join(page.lines())) <= 2
        expect(page.tab.locator("#audio")).to_have_text("0:28")
        page.tab.context.close()
        assert [problem for problem in page.problems if "WebSocket" not in problem] == []


def test_token_from_the_address_opens_the_door(
    browser: Browser, tmp_path: Path, small_config: Path, environment: dict[str, str]
) -> None:
    """A server with keys lets the page in with a token from its address, which is then no longer there to be seen."""
    keys = tmp_path / "keys.json"
    _, key = KeyFile(keys).add(name="page", tenant="t", now=datetime.now(UTC))
    config = tmp_path / "config.yaml"
    config.write_text(f"{small_config.read_text()}doors: {{keys: {keys}}}\n")
    with running_server(tmp_path, config, environment) as server:
        request = urllib.request.Request(f"{server.url}/v1/tokens", method="POST")
        request.add_header("Authorization", f"Bearer {key}")
        with urllib.request.urlopen(request) as answer:
            token = json.load(answer)["token"]
        tab = browser.new_context().new_page()
        page = CaptionsPage(tab, f"{server.url}/#token={token}")
        assert token not in tab.url
        page.drop("quiet.wav", QUIET)
        expect(page.status).to_contain_text("Connected, listening")
        page.press("Stop")
        page.wait_finished(30)
        tab.goto(f"{server.url}/")
        page.drop("quiet.wav", QUIET)
        expect(tab.get_by_role("alert")).to_contain_text("This server wants an API key.")
        tab.context.close()


# Reading


def test_scrolling_up_stays_there_until_one_jumps(open_page: Open, scripted: ScriptedServer) -> None:
    """The transcript follows speech, lets go when one scrolls up, and follows again after “Jump to latest”."""
    page = open_page(scripted, viewport={"width": 1000, "height": 640})
    talking(page, scripted)
    pane = page.tab.get_by_role("region", name="Transcript")

    def at_end() -> bool:
        return bool(pane.evaluate("(p) => p.scrollHeight - p.clientHeight - p.scrollTop < 4"))

    for second in range(40):
        scripted.segment("Some words were said.", start=1000 * second)
    expect(page.utterances()).to_have_count(40)
    until(page.tab, at_end)
    pane.hover()
    page.tab.mouse.wheel(0, -600)
    jump = page.tab.get_by_role("button", name="Jump to latest")
    expect(jump).to_be_visible()
    scripted.segment("One more.", start=41_000)
    expect(page.utterances()).to_have_count(41)
    assert not at_end()
    jump.click()
    until(page.tab, at_end)
    expect(jump).to_be_hidden()


def test_screen_readers_hear_finals_only(open_page: Open, scripted: ScriptedServer) -> None:
    """The live region gets each utterance once, when it is final."""
    page = open_page(scripted)
    talking(page, scripted)
    heard = page.tab.locator("[aria-live=polite]:not([role])")
    scripted.segment("good", status="interim")
    scripted.segment("good morning", status="provisional", revision=2)
    expect(page.utterances("provisional")).to_have_text("good morning")
    expect(heard).to_have_text("")
    scripted.segment("Good morning.", revision=3)
    expect(heard).to_have_text("Good morning.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(open_page: Open, scripted: ScriptedServer, scheme: str) -> None:
    """All text that is shown reaches WCAG AA, 4.5 to 1, in light and in dark mode."""
    page = open_page(scripted, color_scheme=scheme)
    talking(page, scripted)
    scripted.segment("Final words.", rewritten=[0], degraded="late", revision=2)
    scripted.segment("provisional words", status="provisional", start=1000)
    scripted.segment("stable and new words", status="interim", start=2000, stable=2)
    scripted.say("error", code="odd", message="Odd.", fix="Try `that`.", retryable=False, fatal=False)
    expect(page.utterances()).to_have_count(3)
    page.tab.wait_for_timeout(200)
    assert page.tab.evaluate(CONTRAST) == []


@pytest.mark.parametrize("width", [360, 800])
def test_narrow_screens_need_no_sideways_scrolling(open_page: Open, scripted: ScriptedServer, width: int) -> None:
    """At phone width nothing lies outside, before, during and after a session, nor in the help."""
    page = open_page(scripted, viewport={"width": width, "height": 740}, has_touch=True)

    def fits() -> bool:
        return bool(page.tab.evaluate("document.documentElement.scrollWidth <= innerWidth"))

    assert fits()
    talking(page, scripted)
    scripted.segment("https://example.org/" + "a-long-address/" * 12 + " and words", degraded="reason " * 20)
    scripted.say("error", code="odd", message="m" * 120, fix="f" * 120, retryable=False, fatal=False)
    expect(page.utterances()).to_have_count(1)
    assert fits()
    page.press("Stop")
    page.wait_finished(15)
    assert fits()
    page.press("Help")
    assert fits()


def test_second_session_leaves_the_first_one_to_be_saved(open_page: Open, scripted: ScriptedServer) -> None:
    """A new session begins with an empty sheet; the transcript before it can still be saved."""
    page = open_page(scripted)
    talking(page, scripted)
    scripted.segment("The first one.")
    page.press("Stop")
    page.wait_finished(15)
    talking(page, scripted)
    assert page.lines() == []
    with page.tab.expect_download() as waiting:
        page.press("Save the one before")
    assert Path(waiting.value.path()).read_text() == "The first one.\n"


def test_sound_arrives_bit_for_bit(open_page: Open, scripted: ScriptedServer) -> None:
    """A 16 kHz recording reaches the server unchanged, in real time and at full speed, with its sample indexes."""
    sound = random.Random(1).randbytes(2 * 16_000 * 2)
    for fast in (False, True):
        page = open_page(scripted)
        if fast:
            page.tick("Files as fast as possible")
        page.drop("speech.wav", wav(sound))
        page.wait_finished(30)
        assert scripted.heard[-1] == {"type": "seen", "event": scripted.last_event}
        received = b"".join(frame[8:] for frame in scripted.frames)
        before, heard, after = received.partition(sound)
        assert heard == sound
        assert not any(before), "nothing but silence may come before: a player that starts late"
        assert not any(after), "nothing but silence may follow"
        indexes = [int.from_bytes(frame[:8]) for frame in scripted.frames]
        lengths = [len(frame[8:]) // 2 for frame in scripted.frames]
        assert indexes == [sum(lengths[:at]) for at in range(len(lengths))]
        start = [said for said in scripted.heard if said["type"] == "start"][-1]
        assert start["realtime"] is not fast


# The formats


def cues_of(modules: CaptionsPage, segments: list[dict[str, Any]], **options: bool) -> list[tuple[int, int, str]]:
    """The SRT as PyAV reads it, after it was compared with the VTT."""
    srt, vtt = modules.call("formats", "[m.toSrt(x[0], x[1]), m.toVtt(x[0], x[1])]", [segments, options])
    found = parsed(srt, "srt")
    assert [cue[:2] for cue in parsed(vtt, "vtt")] == [cue[:2] for cue in found]
    return found


def parsed(subtitles: str, kind: str) -> list[tuple[int, int, str]]:
    """(start, end, text) in ms, read by FFmpeg, which knows nothing of how the page writes."""
    demuxer = {"srt": "srt", "vtt": "webvtt"}[kind]
    with av.open(io.BytesIO(subtitles.encode()), mode="r", format=demuxer) as container:
        return [
            (packet.pts, packet.pts + (packet.duration or 0), bytes(packet).decode())
            for packet in container.demux(subtitles=0)
            if packet.pts is not None
        ]


def test_long_utterance_becomes_readable_cues(modules: CaptionsPage) -> None:
    """Cues have two lines of 42 characters and 7 s at most, follow one another, and hold every word once."""
    spoken = words(" ".join(["We", "spent", "eight", "thousand", "dollars,", "didn't", "we?"] * 12), each=310)
    cues = cues_of(modules, [utterance(spoken)])
    assert len(cues) > 4
    for start, end, text in cues:
        assert 1000 <= end - start <= 7000
        assert len(text.splitlines()) <= 2
        assert max(map(len, text.splitlines())) <= 42
    assert all(before[1] <= after[0] for before, after in pairwise(cues))
    assert " ".join(text for _, _, text in cues).split() == [word["text"] for word in spoken]


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [
        pytest.param([("Yes.", 500, 700)], [(500, 1500, "Yes.")], id="a short cue stays for a second"),
        pytest.param(
            [("Well", 0, 9000), ("yes.", 9000, 9300)], [(0, 7000, "Well"), (9000, 10_000, "yes.")], id="slow words"
        ),
        pytest.param([("Oh", 400, 400)], [(400, 1400, "Oh")], id="no duration"),
        pytest.param(
            [("x" * 100, 0, 3000)],
            [(0, 2520, "x" * 42 + "\n" + "x" * 42), (2520, 3520, "x" * 16)],
            id="a word longer than two lines",
        ),
        pytest.param([("a", 0, 300), ("  ", 300, 400), ("b\n\nc", 400, 900)], [(0, 1000, "a b c")], id="odd spaces"),
        pytest.param(
            [("Late", 3_723_004, 3_724_004), ("one", 3_724_004, 3_725_000)],
            [(3_723_004, 3_725_000, "Late one")],
            id="hours",
        ),
    ],
)
def test_cue_edges(
    modules: CaptionsPage, spoken: list[tuple[str, int, int]], expected: list[tuple[int, int, str]]
) -> None:
    """Short, slow, long and odd words make cues that players can show."""
    segment = utterance([{"text": text, "start": start, "end": end} for text, start, end in spoken])
    assert cues_of(modules, [segment]) == expected


def test_short_cue_makes_way_for_the_next_one(modules: CaptionsPage) -> None:
    """The second that a short cue stays ends where the next utterance of its channel begins."""
    short = [utterance(words("Yes.")), utterance(words("No.", 500), id="v")]
    assert cues_of(modules, short) == [(0, 500, "Yes."), (500, 1500, "No.")]


def test_glued_words_have_no_spaces(modules: CaptionsPage) -> None:
    """Japanese is written and cut without spaces."""
    spoken = [word | {"glued": True} for word in words(" ".join("今日は会議を始めます" * 12), each=100)]
    whole = "今日は会議を始めます" * 12
    assert modules.call("formats", "m.toText(x)", [utterance(spoken)]) == whole + "\n"
    cues = cues_of(modules, [utterance(spoken)])
    assert "".join(text.replace("\n", "") for _, _, text in cues) == whole
    assert max(len(line) for _, _, text in cues for line in text.splitlines()) <= 42


def test_what_looks_like_syntax_is_escaped(modules: CaptionsPage) -> None:
    """Arrows and tags in speech stay speech: escaped in VTT, harmless in SRT."""
    segments = [utterance(words("a --> b <i> & c"))]
    srt, vtt = modules.call("formats", "[m.toSrt(x), m.toVtt(x)]", segments)
    assert vtt == "WEBVTT\n\n00:00:00.000 --> 00:00:01.800\na --&gt; b &lt;i&gt; &amp; c\n"
    assert srt == "1\n00:00:00,000 --> 00:00:01,800\na → b <i> & c\n"


def test_speakers_and_channels_are_named(modules: CaptionsPage) -> None:
    """A change of speaker begins a new line and a new cue; channels may overlap and are named when asked for."""
    ann, ben = words("Is it ready?"), words("Almost, yes.", 900)
    spoken = [word | {"speaker": "Ann"} for word in ann] + [word | {"speaker": "Ben"} for word in ben]
    assert modules.call("formats", "m.toText(x)", [utterance(spoken)]) == "Ann: Is it ready?\nBen: Almost, yes.\n"
    assert "<v Ben>Almost, yes." in modules.call("formats", "m.toVtt(x)", [utterance(spoken)])
    assert [text for _, _, text in cues_of(modules, [utterance(spoken)])] == ["Ann: Is it ready?", "Ben: Almost, yes."]
    both = [utterance(words("Hello there")), utterance(words("Yes hello", 100), id="v", channel=1)]
    first, second = cues_of(modules, both, separate=True)
    assert first == (0, 1000, "Channel 1: Hello there")
    assert second == (100, 1100, "Channel 2: Yes hello")


def test_nothing_said_makes_valid_empty_files(modules: CaptionsPage) -> None:
    """Silence gives an empty txt and srt, a vtt with its header only, and an empty list."""
    silent = utterance(words("x")) | {"words": []}
    files = modules.call("formats", "[m.toText(x), m.toSrt(x), m.toVtt(x), m.toJson([])]", [silent])
    assert files == ["", "", "WEBVTT\n", "[]\n"]


# The other pure modules


@pytest.mark.parametrize("seed", range(5))
def test_ring_keeps_what_may_be_wanted_again(modules: CaptionsPage, seed: int) -> None:
    """Whatever is pushed and acknowledged: what is not durable is there, sample for sample, up to 30 s of it."""
    script = """(() => {
        const ring = new m.AudioRing(2);
        const gather = (at) => {
            const found = [];
            for (let piece = ring.read(at); piece; piece = ring.read(piece.end)) found.push(...piece.pcm);
            return found;
        };
        let said = 0;
        return x.map(([length, acknowledged, durable]) => {
            ring.push(Int16Array.from({ length: 2 * length }, () => said++));
            ring.acknowledge(acknowledged, durable);
            const kept = gather(acknowledged);
            const same = kept.every((value, i) => value === ((2 * acknowledged + i) << 16) >> 16);
            return [ring.start, ring.end, kept.length, same];
        });
    })()"""
    chance = random.Random(seed)
    steps, end, acknowledged, durable = [], 0, 0, 0
    expected = []
    for _ in range(30):
        length = chance.randrange(1, 40_000)
        end += length
        acknowledged = chance.randrange(acknowledged, end + 1)
        safe = chance.random() < 0.2
        durable = acknowledged if safe else durable
        steps.append((length, acknowledged, safe))
        expected.append((end, acknowledged, durable))
    found = modules.call("ring", script, steps)
    for (start, said, kept, same), (last, acked, on_disk) in zip(found, expected, strict=True):
        assert (said, kept, same) == (last, 2 * (last - acked), True)
        needed = max(on_disk, min(acked, last - 30 * 16_000))
        assert needed - 40_000 <= start <= needed, "in whole chunks, and no more"


def test_ring_without_room_leaves_a_hole(modules: CaptionsPage) -> None:
    """What there is no room for is skipped, and what comes after it keeps its place."""
    script = """(() => {
        const ring = new m.AudioRing(1, { most: 10 });
        const taken = [4, 4, 4, 4].map((length) => ring.push(new Int16Array(length)));
        ring.acknowledge(4, true);
        taken.push(ring.push(new Int16Array(2)));
        const next = ring.read(8);
        return [taken, next?.at ?? null, ring.end, ring.rewind(0), ring.unacknowledged];
    })()"""
    assert modules.call("ring", script) == [[True, True, False, False, False], None, 18, 4, 14]


def test_any_order_of_revisions_gives_the_same_transcript(modules: CaptionsPage) -> None:
    """Late, early and repeated revisions end in the same text and the same counts, and no state is ever changed."""
    texts = {1: ("interim", "god"), 2: ("provisional", "god morning"), 3: ("final", "Good morning.")}
    messages = [
        utterance(words(text, start), type="segment", id=f"u{start}", revision=revision, status=status, start=start)
        | {"rewritten": [0] if status == "final" else []}
        for start in (0, 2000)
        for revision, (status, text) in texts.items()
    ]
    script = """x.map((order) => {
        const freeze = (state) => Object.freeze(state);
        const end = order.reduce((state, message) => m.reduce(freeze(state), message), m.EMPTY);
        return [m.transcript(end).map((s) => m.textOf(s.words)).join(" "), end.words, end.rewritten, end.open.size];
    })"""
    orders = [messages, messages[::-1], messages[3:] + messages[:3] + messages, messages[::2] + messages[1::2]]
    assert modules.call("protocol", script, orders) == [["Good morning. Good morning.", 4, 2, 0]] * 4
    assert modules.call("protocol", "m.reduce(m.EMPTY, x) === m.EMPTY", {"type": "from the future", "event": 1})


def test_latency_is_counted_from_the_captured_sample(modules: CaptionsPage) -> None:
    """First words count from the end of the first word, finals from the end of the last; each once."""
    script = """(() => {
        const clock = new m.CaptureClock();
        for (let chunk = 1; chunk <= 40; chunk++) clock.mark(chunk * 800, 10_000 + chunk * 50);
        const latencies = new m.Latencies(clock);
        for (const [segment, now] of x) latencies.observe(segment, now);
        return [latencies.partial, latencies.final, clock.momentOf(25), clock.momentOf(99_000)];
    })()"""
    seen = [
        (utterance(words("good", 0), status="interim"), 10_500),  # its first word ended at 10 300
        (utterance(words("good morning", 0), status="interim"), 10_700),
        (utterance(words("Good morning.", 0)), 11_000),  # its last word ended at 10 600
        (utterance(words("yes", 1000), id="v", status="interim"), 11_400),  # 11 300
        (utterance(words("Yes.", 1000), id="v"), 11_500),
        (utterance(words("x"), id="w") | {"words": []}, 99_000),
    ]
    partial, final, moment, ahead = modules.call("latency", script, seen)
    assert partial == {"last": 100, "median": 150}
    assert final == {"last": 200, "median": 300}
    assert moment == 10_025
    assert ahead == 12_000


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000, 96_000])
def test_resampling_keeps_speech_and_nothing_else(modules: CaptionsPage, rate: int) -> None:
    """A 1 kHz tone keeps its height and place, one above 8 kHz goes away, and chunks leave no seams."""
    script = """((rate) => {
        const sine = (hertz, n) => Math.sin((2 * Math.PI * hertz * n) / rate);
        const tone = (hertz) => Float32Array.from({ length: rate / 2 }, (_, n) => sine(hertz, n));
        const whole = (input) => {
            const resampler = new m.Resampler(rate, 16_000);
            return [...resampler.push(input), ...resampler.flush()];
        };
        const chunked = (input) => {
            const resampler = new m.Resampler(rate, 16_000);
            const output = [];
            for (let at = 0; at < input.length; at += 128) output.push(...resampler.push(input.subarray(at, at + 128)));
            return [...output, ...resampler.flush()];
        };
        return [whole(tone(1000)), chunked(tone(1000)), rate > 23_000 ? whole(tone(11_000)) : []];
    })(x)"""
    whole, chunked, high = modules.call("resample", script, rate)
    assert chunked == whole
    assert abs(len(whole) - 8000) <= 1
    inner = range(200, 7800)
    assert max(abs(whole[n] - math.sin(2 * math.pi * 1000 * n / 16_000)) for n in inner) < 0.01
    assert max((abs(high[n]) for n in inner if high), default=0) < 0.01


CONTRAST = """() => {
    // Colours by way of a canvas, which understands every notation that a style may have.
    const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const over = (...layers) => {
        for (const layer of layers) { pen.fillStyle = layer; pen.fillRect(0, 0, 1, 1); }
        return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = (rgb) => rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        if (!walker.currentNode.textContent.trim() || !node.checkVisibility({ visibilityProperty: true })) continue;
        if (node.closest(":disabled, .unseen, option")) continue;
        const layers = [];
        for (let up = node; up; up = up.parentElement) layers.unshift(getComputedStyle(up).backgroundColor);
        const ground = light(over("white", ...layers));
        const ink = light(over("white", ...layers, getComputedStyle(node).color));
        const ratio = (Math.max(ground, ink) + 0.05) / (Math.min(ground, ink) + 0.05);
        if (ratio < 4.5) found.push(`${walker.currentNode.textContent.trim()}: ${ratio.toFixed(2)}`);
    }
    return found;
}"""
