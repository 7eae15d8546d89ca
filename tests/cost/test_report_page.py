"""The reports' page in a real browser: nothing is loaded, everything can be read, in light, dark and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="the playwright package is missing: pip install playwright")

from playwright.sync_api import Browser, sync_playwright
from tests.cost.small_ledger import ASKED, EVIL, charged
from tests.gateway.page_driver import CHROMIUM, FLAGS
from tests.gateway.test_page import CONTRAST

from twopass.cost.reports.rendering import Output, render
from twopass.cost.reports.report import run
from twopass.cost.usage.budgets import Budget, Period
from twopass.report_cli import NAMES

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All reports of the small ledger in one page."""
    folder = tmp_path_factory.mktemp("page")
    asked = replace(ASKED, budgets=(Budget(Period.MONTH, Decimal(8), tenant="news"),))
    with charged(f"sqlite:///{folder}/l.db") as ledger:
        reports = [run(name, ledger, asked) for name in NAMES]
    path = folder / "all.html"
    path.write_bytes(render(reports, Output.HTML, reports[-1]))
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.mark.parametrize("look", ["light", "dark", "paper", "phone"])
def test_page_can_be_read(browser: Browser, page_file: Path, look: str) -> None:
    """Nothing but the file is loaded, nothing complains, text stands out from its ground, nothing is too wide."""
    tab = browser.new_page(
        color_scheme="light" if look == "light" else "dark",  # on paper it is light, whatever the screen is
        viewport={"width": 360 if look == "phone" else 1200, "height": 900},
        java_script_enabled=True,
    )
    loaded: list[str] = []
    said: list[str] = []
    tab.on("request", lambda request: loaded.append(request.url))
    tab.on("console", lambda line: said.append(line.text))
    if look == "paper":
        tab.emulate_media(media="print", color_scheme="dark")
    tab.goto(page_file.as_uri())
    assert loaded == [page_file.as_uri()]
    assert said == []
    assert tab.evaluate(CONTRAST) == []
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (look == "paper")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.get_by_role("heading", level=2).count() == len(NAMES)
    assert tab.get_by_role("img").count() == tab.locator("figcaption").count() >= 8
    assert tab.get_by_role("cell", name=EVIL, exact=True).count() > 1
    numbers = tab.locator("td.number").evaluate_all("all => all.map(one => getComputedStyle(one).textAlign)")
    assert set(numbers) == {"right"}
    if look == "paper":
        assert tab.pdf().startswith(b"%PDF")
    tab.close()
