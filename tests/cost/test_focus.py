"""FOCUS 1.4: the rows say what the ledger says, a validator finds nothing in them, and finds what is put into them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.cost.small_ledger import ASKED, EVIL, cards, charged

from twopass.cost.ledger.book import Ledger
from twopass.cost.reports import rendering
from twopass.cost.reports.focus import COLUMNS, MANDATORY
from twopass.cost.reports.focus_validator import validate
from twopass.cost.reports.report import Asked, Month, Report, run
from twopass.cost.reports.simulation import simulate

D = Decimal


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    """The small ledger's FOCUS report."""
    with charged(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/l.db") as ledger:
        yield run("focus", ledger, ASKED)


def read_back(report: Report) -> list[dict[str, str]]:
    """The CSV's rows as somebody else reads them."""
    return list(csv.DictReader(io.StringIO(rendering.as_csv(report))))


def test_rows_are_valid_and_complete(report: Report) -> None:
    """The validator is content; all 21 mandatory columns are there; columns of our own come last."""
    rows = read_back(report)
    assert validate(rows) == []
    assert len(MANDATORY) == 21
    assert list(rows[0]) == list(COLUMNS)


def test_sums_are_the_ledgers(report: Report) -> None:
    """What is billed, credits taken off, is what the ledger says in each currency; provisioned time is not in it."""
    sums: dict[str, Decimal] = {}
    for row in read_back(report):
        sums[row["BillingCurrency"]] = sums.get(row["BillingCurrency"], D(0)) + D(row["BilledCost"])
    assert sums == {"USD": D("8.76"), "INR": D(30)}
    shown = {(row["currency"], row["category"]): row["billed"] for row in report.table("sum").rows}
    assert shown == {("USD", "Usage"): D("9.36"), ("USD", "Credit"): D("-0.60"), ("INR", "Usage"): D(30)}


def test_one_row_for_each_day_tenant_and_price(report: Report) -> None:
    """Both of the vendor's requests are one row in minutes, with what was used before rounding beside it."""
    row = next(r for r in read_back(report) if r["x_Provider"] == "vendor" and r["ChargeCategory"] == "Usage")
    assert (row["PricingQuantity"], row["PricingUnit"]) == ("150", "Minutes")
    assert (row["ConsumedQuantity"], row["ConsumedUnit"]) == ("2.5", "Hours")
    assert (row["ListUnitPrice"], row["ListCost"], row["BilledCost"]) == ("0.06", "9", "9")
    assert (row["ServiceName"], row["ServiceProviderName"], row["SkuId"]) == ("Live", "Vendor", "V-1")
    assert row["SubAccountId"] == "news"
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == ("2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z")
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    assert row["ChargeClass"] == row["BillingAccountName"] == row["RegionId"] == ""


def test_free_minutes_are_a_credit(report: Report) -> None:
    """Ten free minutes are a row of their own with a negative amount, without quantity."""
    (row,) = (row for row in read_back(report) if row["ChargeCategory"] == "Credit")
    assert row["BilledCost"] == row["ListCost"] == row["EffectiveCost"] == "-0.6"
    assert row["PricingQuantity"] == row["PricingUnit"] == row["ConsumedQuantity"] == ""


def test_own_machines_are_compute(report: Report) -> None:
    """Own machines are a service of the category Compute, by the hours that they were busy."""
    (row,) = (row for row in read_back(report) if row["x_Provider"] == "own")
    assert (row["ServiceCategory"], row["ServiceProviderName"]) == ("Compute", "Own machines")
    assert (row["PricingQuantity"], row["PricingUnit"], row["BilledCost"]) == ("0.3", "Hours", "0.36")


def test_unknown_prices_are_left_out_and_told(report: Report) -> None:
    """No row has a cost that is not known; how many lines are missing is on the page."""
    assert not [row for row in read_back(report) if row["x_Sku"] == "beta"]
    assert report.notes == (
        "Lines of the bill without a known price: 1. FOCUS has no way to say so, so they are left out.",
    )
    assert "without a known price: 1." in rendering.render([report], rendering.Output.HTML).decode()


def test_names_are_no_formulas(report: Report) -> None:
    """A tenant's name cannot become a formula in the spreadsheet that the CSV is opened with."""
    assert {row["SubAccountId"] for row in read_back(report)} == {"news", f"'{EVIL}"}


def test_a_simulated_month_is_valid(tmp_path: Path) -> None:
    """Thousands of requests with all rules of billing: list cost is price times quantity in every row, exactly."""
    from twopass.cost.prices.cards import load_cards

    asked = Asked(Month.parse("2026-10"), ASKED.today)
    ledger = Ledger.open(f"sqlite:///{tmp_path}/l.db")
    ledger.write(simulate(asked.month, 4000, seed=11))
    ledger.charge(load_cards(None, None, cards().machines), "USD")
    rows = read_back(run("focus", ledger, asked))
    ledger.close()
    assert validate(rows) == []
    assert {"INR", "USD"} == {row["BillingCurrency"] for row in rows}
    assert {"Credit", "Usage"} == {row["ChargeCategory"] for row in rows}
    assert any(row["x_Feature"] == "diarization" for row in rows)
    assert any(len(row["PricingQuantity"]) > 10 for row in rows), "quantities that do not come out even"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"BilledCost": ""}, "BilledCost must not be null"),
        ({"BilledCost": "1,234.5"}, "BilledCost is not written"),
        ({"BilledCost": "+1"}, "BilledCost is not written"),
        ({"ListCost": "9.000000001"}, "ListCost 9.000000001 is not ListUnitPrice times PricingQuantity"),
        ({"ContractedCost": "8"}, "ContractedCost 8 is not"),
        ({"BillingCurrency": "XYZ"}, "not in ISO 4217"),
        ({"BillingCurrency": ""}, "BillingCurrency must not be null"),
        ({"ChargePeriodStart": "2026-11-02"}, "ChargePeriodStart is not written"),
        ({"ChargePeriodStart": "2026-11-04T00:00:00Z"}, "within the billing period"),
        ({"BillingPeriodEnd": "2026-11-02T00:00:00Z"}, "within the billing period"),
        ({"ChargeCategory": "Use"}, "ChargeCategory cannot be Use"),
        ({"ChargeCategory": "Credit", "ConsumedQuantity": "", "ConsumedUnit": ""}, "a credit must be negative"),
        ({"ChargeCategory": "Purchase"}, "ConsumedQuantity is for usage only"),
        ({"PricingUnit": ""}, "PricingQuantity and PricingUnit must be null together"),
        ({"PricingUnit": "minute"}, "PricingUnit cannot be minute"),
        ({"PricingQuantity": "", "PricingUnit": ""}, "PricingQuantity must not be null for usage"),
        ({"ListUnitPrice": "-0.06", "ListCost": "-9"}, "ListUnitPrice is negative"),
        ({"ServiceCategory": "Speech"}, "ServiceCategory cannot be Speech"),
        ({"HostProviderName": "N/A"}, "placeholder"),
        ({"Tags": "{"}, "flat JSON"),
        ({"Tags": '{"a": {"b": 1}}'}, "flat JSON"),
        ({"AfterOurOwn": "x"}, "must come after"),
    ],
)
def test_the_validator_finds_faults(report: Report, changes: dict[str, str], problem: str) -> None:
    """Each rule is broken once in a good row, and is found."""
    good = next(row for row in read_back(report) if row["x_Provider"] == "vendor")
    assert validate([good]) == []
    found = validate([good | changes])
    assert any(problem in line for line in found), found


def test_the_validator_misses_columns(report: Report) -> None:
    """A mandatory column that is not there is told by its name."""
    row = read_back(report)[0]
    for name in MANDATORY:
        assert validate([{key: value for key, value in row.items() if key != name}]) == [
            f"row 1: columns are missing: {name}"
        ]
