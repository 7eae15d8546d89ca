"""Reports: every figure of a ledger that can be worked out by hand, on both databases, in every format."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from openpyxl import load_workbook
from tests.cost.postgres import empty_database, postgres_server
from tests.cost.small_ledger import ASKED, EVIL, MONTH, cards, charged
from typer.testing import CliRunner

from twopass.cost.ledger.book import Ledger
from twopass.cost.prices.fees import Fee
from twopass.cost.reports import drawing as plots
from twopass.cost.reports import rendering
from twopass.cost.reports.calculating import evaluate
from twopass.cost.reports.files import Column, Kind, available, folder, parse, read
from twopass.cost.reports.formats import Formats
from twopass.cost.reports.plots import plots_of
from twopass.cost.reports.report import Asked, Missing, Month, Report, Row, query, run
from twopass.cost.reports.simulation import simulate
from twopass.cost.usage.budgets import Budget, Period
from twopass.cost.usage.entries import Account
from twopass.errors import ConfigError
from twopass.report_cli import NAMES, app
from twopass.types import Clock

UNKNOWN, NONE = Missing.UNKNOWN, Missing.NOT_APPLICABLE
D = Decimal


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """The small ledger in SQLite."""
    with charged(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/l.db") as ledger:
        yield ledger


@pytest.fixture(scope="module")
def everything(ledger: Ledger) -> list[Report]:
    """All reports of it, with two budgets."""
    budgets = (Budget(Period.MONTH, D(8), tenant="news"), Budget(Period.DAY, D(5)))
    return [run(name, ledger, replace(ASKED, budgets=budgets)) for name in NAMES]


def rows(report: Report, table: str) -> dict[Any, Row]:
    """A table's rows by their first cell."""
    columns = report.table(table).columns
    return {row[columns[0].key]: row for row in report.table(table).rows}


# -- the files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(NAMES))
def test_files_say_what_they_take_and_give(name: str, ledger: Ledger) -> None:
    """Every report has its words, names its parameters, and describes every column that its query gives."""
    text = (folder() / f"{name}.sql").read_text()
    file = parse(name, text)
    assert file.title
    assert file.says
    assert all(section.title and section.says for section in file.sections)
    parameters = re.search(r"parameters:(.*?)\n-- sections", text, re.DOTALL)
    assert parameters
    assert all(used in parameters[1] for used in re.findall(r":(\w+)\b", file.sql))
    if name not in ("focus", "forecast", "budgets"):  # those make their columns of the query's
        given = query(file, ledger, ASKED)[0].keys()
        assert set(given) - {"section"} <= set(file.columns)
        shown = {column for section in file.sections for column in section.columns if not column.formula}
        assert {column.raw for column in shown} - {"fee"} <= set(given)


def test_all_files_are_known() -> None:
    """There is a command for every file."""
    offered = CliRunner().invoke(app, ["list"]).stdout
    assert [name for name in available() if name.replace("_", "-") not in offered] == []
    assert set(NAMES) <= set(available())
    with pytest.raises(ConfigError, match="There is no report x") as caught:
        read("x")
    assert "overview" in caught.value.fix


def test_files_without_words_are_refused() -> None:
    """SQL without the comment, or with an unknown word in it, is a mistake that is told."""
    with pytest.raises(ValueError, match="comment"):
        parse("x", "SELECT 1")
    with pytest.raises(ValueError, match="colour"):
        parse(
            "x", "-- title: a\n-- says: b\n-- colour: c\n-- parameters: {}\n-- sections: {}\n-- columns: {}\nSELECT 1"
        )


def test_columns_get_their_units_from_their_names() -> None:
    """Money, hours, counts and days are known by the names of the query's columns; quotients by what they divide."""
    columns = read("hours").columns
    kinds = {columns[name].key: columns[name].kind for name in ("cost_nanos", "used_micros", "day", "unpriced_count")}
    assert kinds == {"cost": Kind.MONEY, "used_hours": Kind.HOURS, "day": Kind.DAY, "unpriced_count": Kind.COUNT}
    assert columns["cost_per_used_hour"].kind is Kind.PRICE
    assert columns["share"].kind is Kind.SHARE


# -- figures --------------------------------------------------------------------------------------------------------


def test_overview_adds_up(ledger: Ledger) -> None:
    """Totals, vendors, machines, providers, passes and tenants, to the last digit, with prices of an hour."""
    report = run("overview", ledger, ASKED)
    total = rows(report, "total")
    assert total["All work"]["cost"] == D("9.06")
    assert total["All work"]["cost_per_audio_hour"] == D("3.02")
    assert total["All work"]["cost_per_final_hour"] == D("7.248")
    assert total["Vendors"]["cost"] == D("8.70")
    assert total["Own machines, busy"]["cost"] == D("0.36")
    assert total["Own machines, idle included"]["cost"] == D("28.80")
    assert total["Vendors and own machines, idle included"]["cost"] == D("37.50")
    assert {name: row["cost"] for name, row in rows(report, "provider").items()} == {
        "vendor": D("8.40"),
        "own": D("0.36"),
        "rupee": D("0.30"),
    }
    assert {name: row["cost"] for name, row in rows(report, "pass").items()} == {
        "first": D("8.70"),
        "second": D("0.36"),
    }
    news = rows(report, "tenant")["news"]
    assert (news["cost"], news["audio_hours"], news["cost_per_audio_hour"]) == (D("8.76"), D(2), D("4.38"))
    assert news["share"] == D("0.966887")


def test_unknown_comes_first_and_is_never_nothing(ledger: Ledger) -> None:
    """What has no price is the first table; it is in no sum, and every sum that lacks it says so."""
    report = run("overview", ledger, ASKED)
    assert report.tables[0].name == "unknown"
    (gap,) = report.tables[0].rows
    assert gap["name"] == "vendor beta"
    assert gap["cost"] is UNKNOWN
    assert gap["used_hours"] == D("0.5")
    assert rows(report, "total")["All work"]["unpriced_count"] == 1
    assert rows(report, "tenant")["news"]["unpriced_count"] == 0
    assert rows(report, "tenant")[EVIL]["unpriced_count"] == 1


def test_unknown_exchange_is_unknown_cost(tmp_path: Path) -> None:
    """Without an exchange rate a cost in another currency is unknown, and the reason is told; nothing counts as 0."""
    with charged(f"sqlite:///{tmp_path}/l.db") as ledger:
        bare = cards()
        ledger.charge(replace(bare, exchange=type(bare.exchange)(), fingerprint="other"), "USD")
        report = run("overview", ledger, ASKED)
        vendors = run("vendors", ledger, ASKED)
    assert rows(report, "unknown")["rupee live"]["detail"] == "an exchange rate for INR"
    assert rows(report, "provider")["rupee"]["cost"] is UNKNOWN
    assert rows(report, "provider")["rupee"]["cost_per_used_hour"] is UNKNOWN
    assert rows(vendors, "card")["Rupee live"]["would_cost"] is UNKNOWN


def test_a_tenant_who_used_nothing_that_costs_paid_nothing(tmp_path: Path) -> None:
    """Audio without any work costs 0, which is known, and not unknown; a price per speech hour does not apply."""
    from tests.cost.small_ledger import entries

    received = replace(entries()[4], id="c/1", account=Account("quiet", ""))
    ledger = Ledger.open(f"sqlite:///{tmp_path}/l.db")
    ledger.write([received])
    ledger.charge(cards(), "USD")
    report = run("overview", ledger, ASKED)
    ledger.close()
    assert rows(report, "tenant")["quiet"]["cost"] == 0
    assert rows(report, "tenant")["quiet"]["cost_per_final_hour"] is NONE
    assert rows(report, "total")["All work"]["cost"] == 0


def test_fees_are_beside_the_sums(ledger: Ledger) -> None:
    """A commitment's fee is on the first page in its own currency, and in no sum."""
    fee = Fee("vendor", "live", Clock.AUDIO_SENT, "2026-11", D("1600"), "EUR")
    report = run("overview", ledger, replace(ASKED, fees=(fee,)))
    assert rows(report, "fee")["vendor live"]["fee"] == D(1600)
    assert rows(report, "fee")["vendor live"]["currency"] == "EUR"
    assert rows(report, "total")["All work"]["cost"] == D("9.06")


def test_hours_by_day_hour_provider_and_tenant(ledger: Ledger) -> None:
    """Cost and price of an hour by day, hour of the day, provider and pass, tenant and pass."""
    report = run("hours", ledger, ASKED)
    days = rows(report, "day")
    assert {day: row["cost"] for day, row in days.items()} == {
        date(2026, 11, 2): D("8.76"),
        date(2026, 11, 3): D("0.30"),
    }
    assert days[date(2026, 11, 3)]["cost_per_final_hour"] == D("1.2")
    assert {hour: row["cost"] for hour, row in rows(report, "hour").items()} == {"10": D("8.76"), "14": D("0.30")}
    assert rows(report, "provider")["vendor"]["cost_per_used_hour"] == D("2.8")
    costs = {(row["tenant"], row["pass"]): row["cost_per_audio_hour"] for row in report.table("tenant").rows}
    assert costs == {("news", "first"): D("4.2"), ("news", "second"): D("0.18"), (EVIL, "first"): D("0.3")}
    assert len(report.table("detail").rows) == 4


def test_silence_and_what_it_cost(ledger: Ledger) -> None:
    """The share of audio without speech, and that share of what listening cost."""
    total = rows(run("silence", ledger, ASKED), "total")["All"]
    assert (total["audio_hours"], total["speech_hours"], total["silence_hours"]) == (D(3), D("1.25"), D("1.75"))
    assert total["listening"] == D("8.70")
    assert total["silence_cost"] == total["saving"] == D("5.075")
    news = rows(run("silence", ledger, ASKED), "tenant")["news"]
    assert news["silence_cost"] == D("4.2")


def test_waste_by_reason(ledger: Ledger) -> None:
    """What replays and thrown-away work cost, and where."""
    report = run("waste", ledger, ASKED)
    assert {reason: row["cost"] for reason, row in rows(report, "reason").items()} == {
        "work": D("7.20"),
        "replay": D("1.80"),
        "speculation": D("0.06"),
    }
    assert rows(report, "reason")["replay"]["share"] == D("0.198675")
    assert [(row["name"], row["reason"]) for row in report.table("provider").rows] == [
        ("own", "speculation"),
        ("vendor", "replay"),
    ]


def test_vendors_compared_with_what_was_paid(ledger: Ledger) -> None:
    """The month's three hours at every card's first price, in the ledger's currency, and what was paid."""
    report = run("vendors", ledger, ASKED)
    found = rows(report, "card")
    assert [row["would_cost"] for row in report.table("card").rows] == [D("0.90"), D("1.50"), D("10.80")]
    assert found["Rupee live"]["price_per_hour"] == D(30)
    assert found["Rupee live"]["currency"] == "INR"
    assert rows(report, "paid")["Own machines, idle included"]["cost"] == D("28.80")


def test_prices_carry_their_doubt(ledger: Ledger) -> None:
    """The appendix names confidence and doubt of every price."""
    found = {row["provider"]: row for row in run("prices", ledger, ASKED).table("price").rows}
    assert found["Shop"]["doubt"] == "Read once."
    assert found["Vendor"]["confidence"] == "stated"
    assert found["Vendor"]["price"] == D("0.06")
    assert found["Vendor"]["sku"] == "live (V-1)"


def test_month_without_anything(ledger: Ledger) -> None:
    """A month in which nothing happened gives empty tables, no error, and a page."""
    empty = [run(name, ledger, Asked(Month.parse("2026-09"), date(2026, 11, 20))) for name in NAMES]
    assert rows(empty[0], "total")["All work"]["cost"] == 0
    assert "Everything that was used has a price." in rendering.render(empty, rendering.Output.HTML).decode()


def test_ledger_without_charges_is_told(tmp_path: Path) -> None:
    """A ledger in which nothing was charged yet is an error that says so."""
    ledger = Ledger.open(f"sqlite:///{tmp_path}/l.db")
    with pytest.raises(ConfigError, match="no charges"):
        run("overview", ledger, ASKED)
    ledger.close()


# -- forecast and budgets -------------------------------------------------------------------------------------------


def test_forecast_goes_on_as_the_last_days(ledger: Ledger) -> None:
    """On the 4th, two days cost 9.06; the 27 days that are left are expected to cost as much on average."""
    report = run("forecast", ledger, Asked(MONTH, date(2026, 11, 4)))
    total = rows(report, "total")["All"]
    assert (total["spent"], total["days_left_count"], total["per_day"]) == (D("9.06"), 27, D("4.53"))
    assert total["forecast"] == D("131.37")
    news = rows(report, "tenant")["news"]
    assert news["forecast"] == D("8.76") + 27 * D("4.38")
    days = report.table("day").rows
    assert [row["is"] for row in days] == ["spent"] * 3 + ["expected"] * 27
    assert sum(row["amount"] for row in days if isinstance(row["amount"], Decimal)) == D("131.37")


def test_forecast_averages_seven_days_once_there_are_seven(ledger: Ledger) -> None:
    """A week and a day later the average is of the last seven days: the second day of usage, and six without any."""
    total = rows(run("forecast", ledger, Asked(MONTH, date(2026, 11, 10))), "total")["All"]
    assert total["per_day"] == (D("0.30") / 7).quantize(D("1e-9"))
    assert total["forecast"] == (D("9.06") + D("0.30") / 7 * 21).quantize(D("1e-9"))


def test_forecast_of_a_month_that_is_over_is_its_sum(ledger: Ledger) -> None:
    """Nothing is left, nothing is averaged."""
    total = rows(run("forecast", ledger, ASKED), "total")["All"]
    assert (total["spent"], total["forecast"], total["per_day"]) == (D("9.06"), D("9.06"), NONE)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(Period.MONTH, D(8), tenant="news"), ("news", D("8.76"), D("1.095"), 1, "spent")),
        (Budget(Period.MONTH, D(10)), ("all", D("9.06"), D("0.906"), 0, "near")),
        (Budget(Period.MONTH, D(100), tenant="news", key="k1"), ("news", D("8.76"), D("0.0876"), 0, "well")),
        (Budget(Period.MONTH, D(100), key="k9"), ("all", D(0), D(0), 0, "well")),
        (Budget(Period.DAY, D("0.2")), ("all", D("8.76"), D("43.8"), 2, "spent")),
    ],
)
def test_budgets(ledger: Ledger, budget: Budget, expected: tuple[object, ...]) -> None:
    """Whose, what was spent of it, and how often it was used up; a day's budget shows the dearest day."""
    (row,) = run("budgets", ledger, replace(ASKED, budgets=(budget,))).table("budget").rows
    assert tuple(row[name] for name in ("tenant", "spent", "share", "over_count", "state")) == expected
    assert row["dearest_day"] == (date(2026, 11, 2) if budget.period is Period.DAY else NONE)


# -- both databases -------------------------------------------------------------------------------------------------


def test_both_databases_say_the_same(tmp_path: Path) -> None:
    """All reports of a simulated month are the same from SQLite and from PostgreSQL, row by row."""
    asked = Asked(Month.parse("2026-10"), date(2026, 10, 20), (Budget(Period.DAY, D(1)),))
    made = list(simulate(asked.month, 3000, seed=3))
    with postgres_server() as server, empty_database(server) as address:
        books = [Ledger.open(url) for url in (f"sqlite:///{tmp_path}/l.db", address)]
        for book in books:
            book.write(made)
            book.charge(cards(), "USD")
        for name in NAMES:
            one, other = (run(name, book, asked) for book in books)
            assert one.tables
            for mine, theirs in zip(one.tables, other.tables, strict=True):
                assert sorted(map(str, mine.rows)) == sorted(map(str, theirs.rows)), (name, mine.name)
            assert one.whole == other.whole
        for book in books:
            book.close()


# -- calculating ----------------------------------------------------------------------------------------------------


def test_formulas_are_exact_and_nothing_else() -> None:
    """Sums and quotients of figures in fractions; a missing figure or a 0 below the line gives none; no calls."""
    row = {"a": 1, "b": 3, "none": None, "zero": 0}
    assert evaluate("a / b", row) == Fraction(1, 3)
    assert evaluate("a + b * b - a / b", row) == 10 - Fraction(1, 3)
    assert evaluate("a / none", row) is None
    assert evaluate("a / zero", row) is None
    for wrong in ("max(a, b)", "a ** b", "'a'"):
        with pytest.raises(ValueError, match="is no figure"):
            evaluate(wrong, row | {"max": 1})


@pytest.mark.parametrize("text", ["2026-13", "november", "2026", ""])
def test_months_that_are_none(text: str) -> None:
    """A month is written as 2026-11, and the error says so."""
    with pytest.raises(ConfigError) as caught:
        Month.parse(text)
    assert "2026-11" in caught.value.fix


# -- formats --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (D("1234.567"), Kind.MONEY, "$1,234.57"),
        (D("0.0049"), Kind.MONEY, "$0.0049"),
        (D("0.000001"), Kind.MONEY, "< $0.0001"),
        (D(0), Kind.MONEY, "$0.00"),
        (D("-3"), Kind.MONEY, "-$3.00"),
        (D("0.016"), Kind.PRICE, "$0.0160"),
        (D("12.345"), Kind.HOURS, "12.34 h"),
        (D("0.001"), Kind.HOURS, "0.0010 h"),
        (D("0.1234"), Kind.SHARE, "12.3 %"),
        (12345, Kind.COUNT, "12,345"),
        (date(2026, 11, 2), Kind.DAY, "Nov 2, 2026"),
        (UNKNOWN, Kind.MONEY, "unknown"),
        (NONE, Kind.HOURS, "–"),
    ],
)
def test_figures_as_people_read_them(value: Any, kind: Kind, expected: str) -> None:
    """Rounded for the eye, but what is not 0 never shows as 0, and what is unknown shows as unknown."""
    assert Formats.of("en").cell(value, kind, "USD") == expected


def test_figures_in_another_language() -> None:
    """German figures have a comma, and the sign behind."""
    assert Formats.of("de").cell(D("1234.5"), Kind.MONEY, "EUR").replace("\xa0", " ") == "1.234,50 €"
    assert Formats.of("de").cell(D("0.016"), Kind.PRICE, "EUR").replace("\xa0", " ") == "0,0160 €"


def test_csv_is_plain_and_harmless(everything: list[Report]) -> None:
    """Decimals have a dot and no exponent, unknown is a word, and no name is a formula."""
    overview = list(csv.DictReader(io.StringIO(rendering.as_csv(everything[0]))))
    assert overview[0]["section"] == "unknown"
    assert overview[0]["cost"] == "unknown"
    tenants = {row["name"]: row for row in overview if row["section"] == "tenant"}
    assert set(tenants) == {"news", f"'{EVIL}"}
    assert tenants["news"]["cost"] == "8.76"
    assert tenants["news"]["ledger_currency"] == "USD"
    for report in everything:
        cells = [cell for row in csv.reader(io.StringIO(rendering.as_csv(report))) for cell in row]
        assert not [cell for cell in cells if re.match(r"[=+@\t\r]|-(?![\d.]+$)", cell)]
        assert not [cell for cell in cells if re.fullmatch(r"-?[\d.]+E[-+]?\d+", cell)]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_formulas_are_disarmed(text: str) -> None:
    """Whatever a spreadsheet takes for a formula gets an apostrophe; other text stays as it is."""
    assert rendering.harmless(text) == f"'{text}"
    assert rendering.harmless(f"a{text}") == f"a{text}"


def test_one_csv_has_room_for_one_report(everything: list[Report]) -> None:
    """Several reports as CSV are refused, with what to do instead."""
    with pytest.raises(ConfigError, match="one report") as caught:
        rendering.render(everything, rendering.Output.CSV)
    assert "xlsx" in caught.value.fix


def test_json_keeps_every_digit(everything: list[Report]) -> None:
    """Numbers are text, counts are numbers, unknown is a word and what does not apply is null."""
    document = json.loads(rendering.as_json(everything))
    overview = next(report for report in document["reports"] if report["name"] == "overview")
    tables = {table["name"]: table["rows"] for table in overview["tables"]}
    assert tables["total"][0]["cost"] == "9.06"
    assert tables["total"][0]["unpriced_count"] == 1
    assert tables["unknown"][0]["cost"] == "unknown"
    budgets = next(report for report in document["reports"] if report["name"] == "budgets")
    assert {row["period"]: row["dearest_day"] for row in budgets["tables"][0]["rows"]} == {
        "month": None,
        "day": "2026-11-02",
    }


def test_workbook_has_numbers_that_add_up(everything: list[Report]) -> None:
    """A sheet for each table, its head frozen; costs are numbers with their currency; a name is never a formula."""
    book = load_workbook(io.BytesIO(rendering.render(everything, rendering.Output.XLSX)))
    assert len(book.sheetnames) == len({name.lower() for name in book.sheetnames})
    sheet = book["overview tenant"]
    assert sheet.freeze_panes == "A2"
    head = [cell.value for cell in sheet[1]]
    cost = head.index("Cost")
    column = [row[cost] for row in sheet.iter_rows(min_row=2)]
    assert sum(D(str(cell.value)) for cell in column) == D("9.06")
    assert {cell.data_type for cell in column} == {"n"}
    assert column[0].number_format == '#,##0.00 "USD"'
    names = {row[0].value: row[0].data_type for row in sheet.iter_rows(min_row=2)}
    assert names == {"news": "s", EVIL: "s"}
    assert book["overview unknown"].cell(2, 5).value == "unknown"
    assert sheet.column_dimensions["A"].width > len(EVIL)


def test_workbook_opens_in_libreoffice(everything: list[Report], tmp_path: Path) -> None:
    """LibreOffice reads every sheet of it, and says the same as the CSV."""
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("LibreOffice is missing: apt-get install libreoffice-calc-nogui")
    (tmp_path / "all.xlsx").write_bytes(rendering.render(everything, rendering.Output.XLSX))
    every_sheet = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,false,false,false,false,-1"
    command = [office, f"-env:UserInstallation=file://{tmp_path}/profile", "--headless", "--convert-to", every_sheet]
    done = subprocess.run(
        [*command, "all.xlsx"], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    table = list(csv.DictReader(io.StringIO((tmp_path / "all-overview tenant.csv").read_text())))
    assert {row["Name"]: D(row["Cost"]) for row in table} == {"news": D("8.76"), EVIL: D("0.3")}
    sheets = sum(len(report.tables) + (report.whole is not None) for report in everything)
    assert len(list(tmp_path.glob("all-*.csv"))) == sheets


def test_page_needs_nothing_else(everything: list[Report]) -> None:
    """One file: no script, nothing to load, names are text, every table explained, unknown marked."""
    appendix = next(report for report in everything if report.name == "prices")
    page = rendering.render(everything, rendering.Output.HTML, appendix).decode()
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=\"(?!#)", page)
    assert not re.search(r"url\((?!#)|@import", page)
    assert EVIL not in page
    assert str(escape(EVIL)) in page
    assert '<td class="number money cost unknown">unknown</td>' in page
    assert "<p><b>What is not sure:</b> Read once.</p>" in page
    assert page.count("<h2>") == len(NAMES)
    assert page.index("Without a price</h3>") < page.index("In all</h3>")
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert all(f'id="{name}"' in page for name in re.findall(r'href="#([^"]+)"', page))


def test_pages_are_the_same_each_time(everything: list[Report]) -> None:
    """The same figures make the same bytes: no date, no chance."""
    first, second = (rendering.render(everything, rendering.Output.HTML) for _ in range(2))
    assert first == second


def test_plots_have_words_and_the_pages_colours(everything: list[Report]) -> None:
    """Every plot says in words what it shows, and leaves its colours to the page; a name cannot break out of it."""
    drawn = [plot for report in everything for plot in plots_of(report, Formats.of())]
    assert {plot.svg.split('aria-label="')[1][:7] for plot in drawn} >= {"Cost of", "How muc", "Hours o"}
    for plot in drawn:
        assert plot.svg.startswith('<svg role="img" aria-label="')
        assert "var(--" in plot.svg
        assert not re.search(r"#0[0-9][0-9a-f]{4}", plot.svg)
    svg = plots.draw("x", 1, plots.across(["<b>$x$ & 東"], [plots.Bars("", [1.0], plots.COLOURS[0])], ["1"]), '"><b>')
    assert "<b>" not in svg
    assert "&lt;b>$x$ &amp; 東" in svg or "&lt;b&gt;$x$ &amp; 東" in svg


def test_plain_cells() -> None:
    """What programs read: no exponent for small or large, a day as ISO."""
    assert rendering.plain(D("1E-9")) == "0.000000001"
    assert rendering.plain(D("1E+3")) == "1000"
    assert rendering.plain(D("0E-9")) == "0"
    assert rendering.plain(datetime(2026, 11, 2, tzinfo=UTC).date()) == "2026-11-02"


def test_companions_are_shown_once() -> None:
    """A CSV's columns are those of all tables, each once, the gaps last."""
    report = rendering.csv_columns(_two_tables())
    assert report == ["name", "cost", "currency", "unpriced_count"]


def _two_tables() -> Report:
    from twopass.cost.reports.report import Table

    name, cost = (Column(key, key, key, "", Kind.TEXT) for key in ("name", "cost"))
    row: Row = {"name": "a", "cost": D(1), "currency": "EUR", "unpriced_count": 0}
    tables = (Table("x", "", "", (name, cost), (row,)), Table("y", "", "", (name,), (row,)))
    return Report("r", "", "", MONTH, "USD", tables)
