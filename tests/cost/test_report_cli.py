"""`twopass report`: as it is typed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from tests.cost.small_ledger import charged
from typer.testing import CliRunner, Result

from twopass.cost.ledger.book import Ledger
from twopass.errors import ConfigError
from twopass.report_cli import NAMES, app

CONFIG = """\
profiles: {demo: {first_pass: {provider: pocketsphinx}, second_pass: {provider: whisper, model: demo}}}
default: demo
prices: {cpu_core: 0.04 USD, gpu: 1.20 USD}
"""
MONTH = ("--month", "2026-10")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration without a ledger."""
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a simulated ledger."""
    folder = tmp_path_factory.mktemp("simulated")
    (folder / "c.yaml").write_text(CONFIG)
    address = f"sqlite:///{folder}/l.db"
    done = typed("simulate", *MONTH, "--entries", "3000", "--ledger", address, "--config", str(folder / "c.yaml"))
    assert "3000 new entries" in done.stderr
    return address


def typed(*arguments: str, **environment: str) -> Result:
    """What the command says. Errors of ours are raised, as they are where `twopass` catches them."""
    bare = {"COLUMNS": "200", "TWOPASS_LEDGER": None}
    return CliRunner().invoke(app, arguments, env=bare | environment, catch_exceptions=False)


def refused(*arguments: str, **environment: str) -> ConfigError:
    """The error that the command ends with."""
    with pytest.raises(ConfigError) as caught:
        typed(*arguments, **environment)
    return caught.value


def test_help_teaches() -> None:
    """The help names a first command, the formats, where the ledger is, and how to try it without one."""
    text = typed("--help").stdout
    assert all(word in text for word in ("overview", "FOCUS", "TWOPASS_LEDGER", "simulate", "csv", *NAMES))
    assert "--month" in typed("waste", "--help").stdout


def test_list_names_all_reports() -> None:
    """Each report has a line that says what it is about."""
    text = typed("list").stdout
    assert all(name in text for name in NAMES)


def test_simulate_says_what_the_ledger_and_the_oracle_say(tmp_path: Path, config: Path) -> None:
    """A made-up month is written, charged and checked; again, it adds nothing."""
    arguments = ("simulate", *MONTH, "--entries", "800", "--ledger", f"sqlite:///{tmp_path}/l.db", "-c", str(config))
    first = typed(*arguments).stderr
    assert "800 new entries of 800" in first
    ours, theirs = first.split("The ledger says ")[1].rstrip(".\n").split(" USD; worked out independently: ")
    assert ours == theirs != "0.00"
    assert "0 new entries of 800" in typed(*arguments, "--no-check").stderr


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_report_in_every_format(name: str, simulated: str, config: Path, tmp_path: Path) -> None:
    """Each can be had as page, CSV, workbook and JSON; the file's name says which."""
    for suffix, begins in (("html", b"<!doctype html>"), ("csv", b""), ("xlsx", b"PK"), ("json", b"{")):
        path = tmp_path / f"r.{suffix}"
        typed(name, *MONTH, "--ledger", simulated, "-c", str(config), "-o", str(path))
        assert path.read_bytes().startswith(begins)
        assert path.stat().st_size > 30


def test_output_is_standard_output_and_the_ledger_from_the_environment(simulated: str, config: Path) -> None:
    """Without --output it goes to standard output, alone; the ledger may be in TWOPASS_LEDGER."""
    done = typed("overview", *MONTH, "-f", "csv", "-c", str(config), TWOPASS_LEDGER=simulated)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {"unknown", "total", "provider", "pass", "tenant"} == {row["section"] for row in rows}


def test_ledger_from_the_configuration(simulated: str, config: Path) -> None:
    """The configuration's ledger is used if no other is named."""
    config.write_text(f"{CONFIG}ledger: {{url: '{simulated}'}}\n")
    done = typed("overview", *MONTH, "-f", "json", "-c", str(config))
    assert json.loads(done.stdout)["reports"][0]["month"] == "2026-10"


def test_all_in_one_page(simulated: str, config: Path, tmp_path: Path) -> None:
    """`all` has every report once, the prices at the end; in another language if wanted."""
    path = tmp_path / "all.html"
    typed("all", *MONTH, "--ledger", simulated, "-c", str(config), "-o", str(path), "--language", "de")
    page = path.read_text()
    assert page.count('class="chapter"') == len(NAMES)
    assert page.rindex('class="chapter"') == page.index('id="prices"') - len('class="chapter" ')
    assert "Oktober 2026" in page


def test_budgets_from_a_file(simulated: str, config: Path, tmp_path: Path) -> None:
    """Budgets in YAML or JSON; a wrong one is refused with its place and an example."""
    base = ("budgets", *MONTH, "--ledger", simulated, "-c", str(config), "-f", "json", "--budgets")
    path = tmp_path / "b.yaml"
    path.write_text("- {tenant: newsroom, period: month, limit: 0.01, currency: USD}\n")
    (row,) = json.loads(typed(*base, str(path)).stdout)["reports"][0]["tables"][0]["rows"]
    assert (row["tenant"], row["limit"], row["state"]) == ("newsroom", "0.01", "spent")
    path.write_text('[{"period": "year", "limit": 1}]')
    wrong = refused(*base, str(path))
    assert "0.period" in wrong.message
    assert "period: month" in wrong.fix
    path.write_text("- {period: month, limit: 1, currency: EUR}")
    assert "EUR" in refused(*base, str(path)).message
    assert "cannot be read" in refused(*base, str(tmp_path / "none")).message


def test_forecast_from_a_day(simulated: str, config: Path) -> None:
    """--today makes the forecast the one of that day."""
    done = typed("forecast", *MONTH, "--ledger", simulated, "-c", str(config), "-f", "json", "--today", "2026-10-16")
    row = json.loads(done.stdout)["reports"][0]["tables"][0]["rows"][0]
    assert row["days_left_count"] == 16
    assert float(row["forecast"]) > float(row["spent"])


def test_what_is_refused(simulated: str, config: Path, tmp_path: Path) -> None:
    """No ledger, a mistyped ledger (none is made), no month, no folder to write to: each with what to do."""
    base = ("-c", str(config))
    assert refused("overview", *base).code == "no_ledger"
    assert "--ledger" in refused("simulate", *base).fix
    mistyped = refused("overview", *base, "--ledger", f"sqlite:///{tmp_path}/none.db")
    assert mistyped.code == "no_ledger"
    assert not (tmp_path / "none.db").exists()
    assert refused("overview", *base, "--ledger", simulated, "--month", "x").code == "bad_month"
    nowhere = ("--output", f"{tmp_path}/no/where.html")
    assert refused("overview", *base, "--ledger", simulated, *MONTH, *nowhere).code == "no_output"
    assert refused("all", *base, "--ledger", simulated, *MONTH, "-f", "csv").code == "one_report"


def test_nothing_is_made_up_in_a_real_ledger(config: Path, tmp_path: Path) -> None:
    """A ledger with real usage takes none that is made up."""
    address = f"sqlite:///{tmp_path}/l.db"
    with charged(address):
        pass
    assert refused("simulate", "--ledger", address, "-c", str(config)).code == "real_ledger"
    ledger = Ledger.open(address)
    assert not ledger.rows("SELECT id FROM usage WHERE session LIKE 'sim-%'")
    ledger.close()
