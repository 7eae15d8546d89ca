"""Money at the gateway: sessions come to the ledger on their account, budgets close the door, reports want a key."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from tests.conftest import CONFIG, PATIENCE, running_server
from tests.gateway.doors_driver import SHORT, bearer, visit, well, whole_session
from tests.waiting import until

from twopass.gateway.keys import Key, KeyFile

POOR, RICH = "poor", "rich"


@dataclass(frozen=True)
class Till:
    """
    A server with a ledger and keys.

    Attributes:
        spender, poor, keeper: Keys with their ids: for sessions, with a budget that is spent, for reports.
    """

    url: str
    ledger: Path
    spender: tuple[Key, str]
    poor: tuple[Key, str]
    keeper: tuple[Key, str]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What is in the ledger's file."""
        with closing(sqlite3.connect(self.ledger)) as database:
            return database.execute(query).fetchall()


def new(file: KeyFile, tenant: str, *, reports: bool = False) -> tuple[Key, str]:
    """A key of that tenant."""
    return file.add(name="test", tenant=tenant, now=datetime.now(UTC), reports=reports)


@pytest.fixture(scope="module")
def till(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Till]:
    """`twopass serve` with a ledger in SQLite."""
    directory = tmp_path_factory.mktemp("till")
    keys, ledger, config = KeyFile(directory / "keys.json"), directory / "books" / "ledger.sqlite", directory / "t.yaml"
    config.write_text(
        re.sub(r"  live:.*?(?=prices)", "", CONFIG, flags=re.DOTALL)
        + f"""doors: {{keys: {keys.path}}}
ledger:
  url: sqlite:///{ledger}
  waiting: {directory / "waiting"}
  budgets:
    - {{tenant: {POOR}, period: month, limit: 0 USD, policy: refuse}}
    - {{tenant: {RICH}, period: day, limit: 0.000000001 USD, policy: warn}}
"""
    )
    people = new(keys, RICH), new(keys, POOR), new(keys, "finance", reports=True)
    ours = {name: value for name, value in environment.items() if name != "TWOPASS_LEDGER"}
    with running_server(directory, config, ours) as server:
        yield Till(server.url, ledger, *people)


async def test_a_session_comes_to_the_ledger_on_its_account(till: Till) -> None:
    """What both passes used, what came and what was said, under the tenant and key; the client hears of its budget."""
    key, secret = till.spender
    heard = await whole_session(visit(till.url, secret))
    well(heard)
    assert "budget" in {message.type for message in heard.messages}
    whose = f"tenant = '{RICH}' AND key_id = '{key.id}' AND session = '{heard.started.session}'"

    def used() -> dict[object, float]:
        rows = till.rows(f"SELECT clock, pass_, SUM(micros) FROM usage WHERE {whose} GROUP BY 1, 2")
        return {(clock, passing): float(str(micros)) / 1e6 for clock, passing, micros in rows}

    wanted = {("cpu_busy", "first"), ("cpu_busy", "second"), ("finalized", "first")}
    seconds = pytest.approx(len(SHORT.pcm) / 32_000, abs=0.01)
    await until(lambda: wanted <= used().keys() and used()["received", "first"] == seconds, seconds=PATIENCE)


async def test_who_has_spent_everything_stays_outside(till: Till) -> None:
    """A session and an upload are refused with the reason and what to do."""
    secret = till.poor[1]
    heard = await whole_session(visit(till.url, secret))
    assert (4402, "budget_spent", ["budget_spent"]) == (heard.code, heard.reason, heard.codes)
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        url, file = f"{till.url}/v1/transcriptions", {"file": ("a", SHORT.pcm)}
        upload = await client.post(url, files=file, headers=bearer(secret))
    assert (402, "budget_spent") == (upload.status_code, upload.json()["code"])


@pytest.mark.parametrize("path", ["/reports", "/reports/overview", "/reports/waste?format=csv"])
def test_reports_want_a_key_that_was_made_for_them(till: Till, path: str) -> None:
    """Nobody without a key, no key of a tenant; the right one as a password, as browsers send it, or as a bearer."""
    url = f"{till.url}{path}"
    nobody = httpx.get(url, timeout=PATIENCE)
    assert (401, True) == (nobody.status_code, nobody.headers["WWW-Authenticate"].startswith("Basic"))
    assert 401 == httpx.get(url, headers=bearer(till.spender[1]), timeout=PATIENCE).status_code
    assert 401 == httpx.get(url, auth=("", "tp_wrong"), timeout=PATIENCE).status_code
    for answer in (
        httpx.get(url, auth=("anybody", till.keeper[1]), timeout=PATIENCE),
        httpx.get(url, headers=bearer(till.keeper[1]), timeout=PATIENCE),
    ):
        assert 200 == answer.status_code
        assert "script-src" not in answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_every_listed_report_can_be_had_in_every_format(till: Till) -> None:
    """The list's links all lead somewhere."""
    keeper = ("", till.keeper[1])
    page = httpx.get(f"{till.url}/reports", auth=keeper, timeout=PATIENCE).text
    links = re.findall(r'href="(/reports/[^"]+)"', page)
    assert len(links) >= 4 * 9
    for link in links:
        answer = httpx.get(till.url + link.replace("&amp;", "&"), auth=keeper, timeout=PATIENCE)
        assert 200 == answer.status_code, link
        assert answer.content


def test_a_report_that_is_none_is_said_so(till: Till) -> None:
    """An unknown name and a month that is none: why, and what there is."""
    keeper = ("", till.keeper[1])
    unknown = httpx.get(f"{till.url}/reports/nothing", auth=keeper, timeout=PATIENCE)
    assert (404, True) == (unknown.status_code, "overview" in unknown.json()["fix"])
    assert 422 == httpx.get(f"{till.url}/reports/overview?month=13", auth=keeper, timeout=PATIENCE).status_code
