"""`twopass report reconcile` and `twopass report self-hosting`, from the command line to the file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from tests.cost.vendor_bills import VENDOR_SKU, Habits, a_month, bill_of, entries_of
from typer.testing import CliRunner, Result

from twopass.cli import app
from twopass.cost.ledger.book import Ledger
from twopass.cost.usage.entries import Account, Entry
from twopass.errors import ConfigError
from twopass.types import Clock, Pass

RIGHT = Habits(price=Decimal("0.016"))
"""As Google's card of version 2 says."""
HOUR = 3_600_000_000

Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs a report on a ledger with a month at Google, and an hour of a core for ten hours of audio."""
    heard = [replace(entry, provider="google", sku="v2-standard") for entry in entries_of(a_month())]
    core = Entry("own/1", heard[0].at, "own", "own/1", Account(), "whisper", "cpu", Clock.CPU_BUSY, HOUR, Pass.SECOND)
    audio = replace(core, id="own/2", request="own/2", provider="gateway", sku="audio", clock=Clock.RECEIVED)
    address = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    book = Ledger.open(address)
    book.write([*heard, core, replace(audio, micros=10 * HOUR)])
    book.close()
    config = tmp_path / "config.yaml"
    passes = "first_pass: {provider: pocketsphinx}, second_pass: {provider: pocketsphinx}"
    profiles = f"profiles: {{p: {{title: P, language: en-US, {passes}}}}}"
    config.write_text(f"prices: {{cpu_core: 0.04 USD}}\n{profiles}\ndefault: p\n", encoding="utf-8")

    def run(name: str, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["report", name, "--ledger", address, "--config", str(config), *arguments])

    return run


def google(habits: Habits = RIGHT) -> list[str]:
    """Google's bill of that month."""
    lines = bill_of(a_month(), habits).lines()
    return [line.replace(VENDOR_SKU, "3099-B70F-0949").replace("Acme Speech", "Cloud Speech API") for line in lines]


def invoice(folder: Path, lines: Sequence[str]) -> tuple[str, ...]:
    """The arguments for an invoice of these lines."""
    path = folder / "export.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return "--provider", "google", "--invoice", str(path)


def refusal(result: Result) -> ConfigError:
    """The error with which it ended."""
    assert isinstance(result.exception, ConfigError), result.output
    assert result.exception.fix
    return result.exception


def test_an_invoice_is_checked_from_the_command_line(command: Command, tmp_path: Path) -> None:
    """A right invoice agrees with the shipped card on all days, and one sentence says so."""
    output = tmp_path / "check.json"
    result = command("reconcile", *invoice(tmp_path, google()), "-o", str(output))
    assert 0 == result.exit_code, result.output
    assert "2026-11, lines that agree to the cent: 30." in " ".join(result.output.split())
    tables = {table["name"]: table["rows"] for table in json.loads(output.read_text())["reports"][0]["tables"]}
    assert (30, 0) == (tables["total"][0]["agreeing_count"], tables["total"][0]["differing_count"])
    assert not tables["differing"]
    assert 30 == len(tables["line"])


@pytest.mark.parametrize("suffix", ["html", "csv", "xlsx"])
def test_every_format_has_the_differences(command: Command, tmp_path: Path, suffix: str) -> None:
    """A vendor that rounds to 15 seconds is found out, in whatever format that is wanted."""
    output = tmp_path / f"check.{suffix}"
    arguments = invoice(tmp_path, google(replace(RIGHT, block=15)))
    result = command("reconcile", *arguments, "--month", "2026-11", "-o", str(output))
    assert 0 == result.exit_code, result.output
    assert "differ for known reasons: 30." in " ".join(result.output.split())
    if suffix == "csv":
        rows = list(csv.DictReader(output.read_text(encoding="utf-8").splitlines()))
        assert 30 == sum("15 seconds" in row["reason"] for row in rows if row["section"] == "line")
    elif suffix == "html":
        assert "rounded up to 15 seconds" in output.read_text(encoding="utf-8")
    else:
        assert output.read_bytes().startswith(b"PK")


def test_what_cannot_be_checked_is_refused_with_a_way_out(command: Command, tmp_path: Path) -> None:
    """Unknown vendors, months, names and files are errors that say what there is."""
    right = invoice(tmp_path, google())
    assert "google" in refusal(command("reconcile", *right, "--provider", "whisper")).fix
    assert "v2-standard" in refusal(command("reconcile", *right, "--sku", "X=nothing")).fix
    assert "v2-standard" in refusal(command("reconcile", *right, "--sku", "X=v2-standard:more")).fix
    assert "cannot be read" in refusal(command("reconcile", *right, "--invoice", str(tmp_path / "none.csv"))).message
    december = [google()[-1].replace("2026-11", "2026-12")]
    both = invoice(tmp_path, [*google(), *december])
    assert "--month 2026-12" in refusal(command("reconcile", *both)).fix
    others = invoice(tmp_path, [line.replace("3099-B70F-0949", "1111") for line in google()])
    assert "1111" in refusal(command("reconcile", *others)).fix
    (tmp_path / "latin.csv").write_bytes(b"day,sku\n\xe9,1\n")
    assert "UTF-8" in refusal(command("reconcile", *right, "--invoice", str(tmp_path / "latin.csv"))).message
    bad = invoice(tmp_path, [*google(), google()[-1].replace("USD", "dollars")])
    assert "export.csv, line 32" in refusal(command("reconcile", *bad)).message


def test_another_name_for_a_sku_can_be_given(command: Command, tmp_path: Path) -> None:
    """--sku makes what no card knows one of ours."""
    lines = [line.replace("3099-B70F-0949", "1111") for line in google()]
    result = command("reconcile", *invoice(tmp_path, lines), "--sku", "1111=v2-standard")
    assert "agree to the cent: 30." in " ".join(result.output.split())


def test_self_hosting_is_compared_from_the_command_line(command: Command, tmp_path: Path) -> None:
    """A core that needs a tenth of the time takes seven streams, and pays against every vendor with a price."""
    output = tmp_path / "own.json"
    result = command("self-hosting", "--month", "2026-11", "-o", str(output))
    assert 0 == result.exit_code, result.output
    report = json.loads(output.read_text())["reports"][0]
    assert "One cpu_core takes 7 streams at once." in report["notes"]
    rows = {table["name"]: table["rows"] for table in report["tables"]}
    (core,) = (row for row in rows["machine"] if row["machine"] == "cpu_core")
    assert ("0.1", "0.004") == (core["busy_per_audio"], core["per_audio_hour_busy"])
    known = [row for row in rows["break_even"] if row["hours_one_machine"]]
    assert {"Google Cloud", "Microsoft Azure", "Deepgram"} <= {row["vendor"] for row in known}


def test_the_page_has_the_plot(command: Command, tmp_path: Path) -> None:
    """The comparison's page draws the costs, with the streams that were given."""
    output = tmp_path / "own.html"
    command("self-hosting", "--month", "2026-11", "--streams", "cpu_core=2", "--load", "0.5", "-o", str(output))
    page = output.read_text(encoding="utf-8")
    assert "One cpu_core takes 2 streams at once." in page
    assert "<svg " in page


@pytest.mark.parametrize("text", ["8", "gpu=", "gpu=0", "gpu=-1", "gpu=NaN", "=4", "gpu=1e9"])
def test_streams_that_cannot_be_read_are_refused(command: Command, text: str) -> None:
    """A machine's streams are a name and a number above 0."""
    assert "gpu=8" in refusal(command("self-hosting", "--month", "2026-11", "--streams", text)).fix
