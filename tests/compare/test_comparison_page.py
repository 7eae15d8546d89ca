"""The comparison's page in a real browser: readable everywhere, without script too; a moment moves through it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="the playwright package is missing: pip install playwright")

from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.compare.comparisons import EVIL, audio, comparison
from tests.gateway.page_driver import CHROMIUM, FLAGS
from tests.gateway.test_page import CONTRAST

from twopass.compare.page.files import PAGE, write

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium")

WIDTHS = {"laptop": 1280, "dark": 1280, "phone": 390, "paper": 700}
PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixture's page, with sound."""
    folder = tmp_path_factory.mktemp("page")
    write(comparison(), folder, audio())
    return folder / PAGE


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; sound may be played without a gesture."""
    with sync_playwright() as playwright:
        flags = [*FLAGS, "--autoplay-policy=no-user-gesture-required"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


def opened(browser: Browser, page_file: Path, number: int, **how: bool) -> Page:
    """The page, with that recording opened by the link in the table."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900}, **how)  # type: ignore[arg-type]
    tab.goto(page_file.as_uri())
    tab.locator(".heat tbody a").nth(number - 1).click()
    expect(tab.locator(f"#r{number}")).to_have_attribute("open", "", timeout=PATIENCE_MS)
    return tab


def move(tab: Page, number: int, ms: int) -> None:
    """Pull the slider there."""
    tab.locator(f"#r{number} input").evaluate(
        "(slider, ms) => { slider.value = ms; slider.dispatchEvent(new Event('input')); }", ms
    )


@pytest.mark.parametrize("look", WIDTHS)
def test_page_can_be_read(browser: Browser, page_file: Path, look: str) -> None:
    """Nothing but the file is loaded, nothing complains, text stands out, nothing is too wide, all opened."""
    tab = browser.new_page(
        color_scheme="dark" if look in ("dark", "paper") else "light",  # on paper it is light whatever the screen is
        viewport={"width": WIDTHS[look], "height": 900},
    )
    loaded: list[str] = []
    said: list[str] = []
    tab.on("request", lambda request: loaded.append(request.url))
    tab.on("console", lambda line: said.append(line.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: said.append(dialog.message))
    tab.goto(page_file.as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    expect(tab.locator(".stage.live")).to_have_count(6, timeout=PATIENCE_MS)
    move(tab, 3, 3_000)
    if look == "paper":
        tab.emulate_media(media="print", color_scheme="dark")
    assert [url for url in loaded if not url.startswith("data:")] == [page_file.as_uri()]
    assert said == []
    assert tab.evaluate(CONTRAST) == []
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (look == "paper")
    if look == "paper":
        assert tab.pdf().startswith(b"%PDF")
    tab.close()


def test_page_says_everything_without_script(browser: Browser, page_file: Path) -> None:
    """Differences, transcripts and players are there, controls that would do nothing are not."""
    tab = opened(browser, page_file, 3, java_script_enabled=False)
    stage = tab.locator("#r3-stage")
    assert ["spent"] == stage.locator(".take").nth(0).locator("del").all_inner_texts()
    assert ["spend"] == stage.locator(".take").nth(0).locator("ins").all_inner_texts()
    expect(stage.locator("audio")).to_be_visible()
    expect(stage.locator(".controls")).to_be_hidden()
    shown = stage.locator(".screen").nth(0).inner_text()
    assert shown == "How much did we spend on the roadmap? We spend eight thousand dollars on the roadmap."
    tab.close()


def test_slider_shows_what_a_reader_saw(browser: Browser, page_file: Path) -> None:
    """At each moment every system shows its last revision until then, and the words spoken then are marked."""
    tab = opened(browser, page_file, 3)
    made = comparison()
    seen = {cell.system: cell.seen for cell in made.cells if cell.recording == "roadmap"}
    systems = [score.system for score in made.scores]
    for ms in (0, 1_500, 3_200, 6_500):
        move(tab, 3, ms)
        for system, screen in zip(systems, tab.locator("#r3-stage .screen").all(), strict=True):
            shown = [one.revision.text for one in seen[system] if one.at <= ms]
            assert screen.inner_text().strip() == (shown[-1] if shown else "")
    move(tab, 3, 3_200)
    now = tab.locator("#r3-stage .truth .w.now")
    assert ["we"] == now.all_inner_texts()
    move(tab, 3, 60_000)
    assert now.count() == 0
    assert ["As written"] == sorted(set(tab.locator("#r3-stage .tag").all_inner_texts()))
    tab.close()


def test_a_word_plays_from_where_it_was_spoken(browser: Browser, page_file: Path) -> None:
    """A click on a word starts the sound there; time goes on past the sound's end until everything is shown."""
    tab = opened(browser, page_file, 3)
    expect(tab.locator("#r3 audio")).to_be_hidden()
    tab.locator("#r3-stage .truth .w").nth(14).click()
    expect(tab.locator("#r3 .play")).to_have_text("Pause")
    start = 500 + 310 * 14
    tab.wait_for_function("document.querySelector('#r3 audio').currentTime > 0", timeout=PATIENCE_MS)
    assert tab.evaluate("document.querySelector('#r3 audio').currentTime") * 1000 >= start
    expect(tab.locator("#r3 .play")).to_have_text("Play", timeout=PATIENCE_MS)
    assert tab.locator("#r3 input").input_value() == tab.locator("#r3 input").get_attribute("max")
    tab.close()


def test_hostile_words_are_words(browser: Browser, page_file: Path) -> None:
    """What somebody said as markup is shown as it was said, in the transcript and on the moving screen."""
    tab = opened(browser, page_file, 6)
    alerts: list[str] = []
    tab.on("dialog", lambda dialog: alerts.append(dialog.message))
    move(tab, 6, 4_000)
    assert EVIL in tab.locator("#r6-stage .screen").nth(2).inner_text()
    assert alerts == []
    tab.close()
