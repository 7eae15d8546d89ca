"""Exports of bills: each vendor's columns, and what cannot be read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass.cost.invoices.reading import InvoiceLine, LineKind, read_invoice
from twopass.errors import ConfigError

GOOGLE = (
    "billing_account_id,service.id,service.description,sku.id,sku.description,usage_start_time,usage_end_time,"
    "project.id,cost,currency,usage.amount,usage.unit,usage.amount_in_pricing_units,usage.pricing_unit,credits,cost_type"
)
# As in the schemas; the MCA's names begin small but for some.
AZURE_EA = (
    "InvoiceSectionName,SubscriptionId,ResourceGroup,Date,ProductName,MeterCategory,MeterSubCategory,MeterId,MeterName,"
    "UnitOfMeasure,Quantity,EffectivePrice,CostInBillingCurrency,ResourceId,ChargeType,BillingCurrencyCode"
)
AZURE_MCA = (
    "invoiceId,date,meterId,meterName,meterCategory,meterSubCategory,ProductName,ResourceId,effectivePrice,quantity,"
    "unitOfMeasure,chargeType,billingCurrency,costInBillingCurrency,pricingCurrency,costInPricingCurrency"
)
AZURE_OLD = (
    "SubscriptionGuid,UsageDateTime,MeterCategory,MeterId,MeterName,UsageQuantity,ResourceRate,PreTaxCost,Currency,"
    "UnitOfMeasure"
)
PLAIN = "day,sku,quantity,unit,cost,currency"


def lines_of(*rows: str, ending: str = "\n") -> list[InvoiceLine]:
    """The lines of a file with these rows."""
    return list(read_invoice((f"{row}{ending}" for row in rows), "bill.csv"))


def refused(*rows: str) -> ConfigError:
    """The error about a file with these rows."""
    with pytest.raises(ConfigError) as caught:
        lines_of(*rows)
    assert "bill.csv" in caught.value.message
    assert caught.value.fix
    return caught.value


def google(start: str = "2026-11-03 22:00:00 UTC", cost: str = "1.6", credit: str = "[]", kind: str = "regular") -> str:
    """A row of Google's export: a hundred minutes."""
    end = "2026-11-03 23:00:00 UTC"
    quoted = '"' + credit.replace('"', '""') + '"'
    return (
        f"0A-1,ABC,Cloud Speech API,3099-B70F-0949,Recognition,{start},{end},p,{cost},USD,6000,seconds,100,minute,"
        f"{quoted},{kind}"
    )


def test_google_rows_are_read_in_utc_with_their_seconds() -> None:
    """A row of Google's export has its SKU, day, seconds, cost and line."""
    (line,) = lines_of(GOOGLE, google())
    assert (
        InvoiceLine(
            date(2026, 11, 3),
            "3099-B70F-0949",
            Decimal(6000),
            "seconds",
            Decimal("1.6"),
            "USD",
            2,
            LineKind.USAGE,
            "Recognition",
            "Cloud Speech API",
        )
        == line
    )
    assert Decimal(6000) == line.seconds


@pytest.mark.parametrize(
    ("start", "day"),
    [
        ("2026-11-03T23:30:00-08:00", 4),
        ("2026-11-03 23:30:00+00", 3),
        ("2026-11-03T23:30:00Z", 3),
        ("2026-11-03 23:30:00.5 UTC", 3),
        ("2026-11-03", 3),
    ],
)
def test_days_are_utc(start: str, day: int) -> None:
    """A time with another zone counts on its day in UTC."""
    assert date(2026, 11, day) == lines_of(GOOGLE, google(start))[0].day


def test_underscored_columns_of_bigquery_are_the_same_columns() -> None:
    """What BigQuery itself writes for a flattened column is read like the documented name."""
    assert lines_of(GOOGLE, google()) == lines_of(GOOGLE.replace(".", "_"), google())


def test_a_row_over_two_utc_days_says_so() -> None:
    """A row of a day in US Pacific time is not of one day in UTC; an hour that ends at midnight is."""
    pacific = google("2026-11-02 08:00:00 UTC").replace("2026-11-03 23:00:00 UTC", "2026-11-03 08:00:00 UTC")
    last_hour = google("2026-11-02 23:00:00 UTC").replace("2026-11-03 23:00:00 UTC", "2026-11-03 00:00:00 UTC")
    assert [date(2026, 11, 3), date(2026, 11, 2)] == [line.last_day for line in lines_of(GOOGLE, pacific, last_hour)]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("", []),
        ("[]", []),
        ("null", []),
        ("{}", []),
        ("0", []),
        ("-0.25", [("credit", "-0.25")]),
        ('[{"name": "Free", "amount": -0.25, "type": "FREE_TIER"}]', [("FREE_TIER", "-0.25")]),
        ('{"name": "Trial", "amount": -2.5e-05}', [("Trial", "-0.000025")]),
        (
            '[{"amount": -1, "type": "PROMOTION"}, {"amount": -2, "type": "DISCOUNT"}]',
            [("PROMOTION", "-1"), ("DISCOUNT", "-2")],
        ),
    ],
)
def test_credits_are_lines_of_their_own(cell: str, expected: list[tuple[str, str]]) -> None:
    """However the credits are written, each is a negative line without seconds beside the full cost."""
    usage, *found = lines_of(GOOGLE, google(credit=cell))
    assert Decimal("1.6") == usage.cost
    assert [(name, Decimal(amount)) for name, amount in expected] == [(line.name, line.cost) for line in found]
    assert all(line.kind is LineKind.CREDIT and line.seconds is None and line.line == 2 for line in found)


def test_taxes_and_adjustments_are_told_from_usage() -> None:
    """Google's cost types say what is no usage."""
    kinds = ("regular", "tax", "adjustment", "rounding_error")
    found = [line.kind for line in lines_of(GOOGLE, *(google(kind=kind) for kind in kinds))]
    assert [LineKind.USAGE, LineKind.TAX, LineKind.ADJUSTMENT, LineKind.ADJUSTMENT] == found


def test_google_amounts_in_pricing_units_serve_if_the_usage_unit_is_no_time() -> None:
    """A usage unit that is no time gives way to the pricing unit that is."""
    (line,) = lines_of(GOOGLE, google().replace("6000,seconds", "17,requests"))
    assert Decimal(6000) == line.seconds


def test_the_console_s_cost_table_is_read() -> None:
    """Rows before the columns, grouped thousands, credits as rows and a total at the end are no trouble."""
    columns = (
        "Billing account name,Project ID,Service description,SKU description,SKU ID,Credit type,Cost type,"
        "Usage start date,Usage end date,Usage amount,Usage unit,Unrounded cost ($),Cost ($)"
    )
    usage, credit, tax = lines_of(
        "Invoice number,1234567890",
        "Currency,USD",
        'Total amount due,"$1,000.00"',
        columns,
        'a,p,Cloud Speech API,Recognition,3099-B70F-0949,,Usage,2026-11-01,2026-11-30,"1,234",minute,19.744012,19.74',
        "a,p,Cloud Speech API,Recognition,3099-B70F-0949,PROMOTION,Usage,2026-11-01,2026-11-30,0,minute,-5.0,-5.00",
        "a,p,Invoice,Sales tax (4 %),,,Tax,2026-11-01,2026-11-30,,,0.59,0.59",
        ",,,,,,Total,,,,,,15.33",
        "Total,15.33",
    )
    assert (Decimal(1234 * 60), Decimal("19.744012"), "USD") == (usage.seconds, usage.cost, usage.currency)
    assert (date(2026, 11, 1), date(2026, 11, 30)) == (usage.day, usage.last_day)
    assert (LineKind.CREDIT, "PROMOTION", Decimal(-5)) == (credit.kind, credit.name, credit.cost)
    assert LineKind.TAX is tax.kind


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        (
            AZURE_EA,
            "s,1,g,11/03/2026,Azure Speech - S1,Cognitive Services,Speech,6f2a,S1 Speech To Text,1 Hour,1.5,1,1.5,/r,"
            "Usage,USD",
        ),
        (
            AZURE_MCA,
            "i,2026-11-03,6f2a,S1 Speech To Text,Foundry Tools,Speech,Azure Speech - S1,/r,1,1.5,1 Hour,Usage,USD,1.5,"
            "EUR,1.4",
        ),
        (AZURE_OLD, "g,2026-11-03T00:00:00,Cognitive Services,6f2a,S1 Speech To Text,1.5,1,1.5,USD,Hours"),
    ],
)
def test_azure_spellings_are_one(columns: str, row: str) -> None:
    """An enterprise's, a customer agreement's and an old export say the same."""
    (line,) = lines_of(columns, row)
    assert (date(2026, 11, 3), "6f2a", "S1 Speech To Text") == (line.day, line.sku, line.name)
    assert (Decimal(5400), Decimal("1.5"), "USD") == (line.seconds, line.cost, line.currency)


def test_localized_azure_columns_keep_their_english_names() -> None:
    """A Spanish file has the English names in parentheses."""
    spanish = ",".join(f"Nombre ({column})" for column in AZURE_OLD.split(","))
    row = "g,2026-11-03,Cognitive Services,6f2a,S1 Speech To Text,1.5,1,1.5,USD,Hours"
    assert lines_of(AZURE_OLD, row) == lines_of(spanish, row)


def test_azure_units_of_several_hours_do_not_multiply() -> None:
    """ "100 Hours" is what a price is for; the quantity is in hours."""
    row = "g,2026-11-03,Cognitive Services,6f2a,S1 Speech To Text,1.5,1,1.5,USD,100 Hours"
    assert Decimal(5400) == lines_of(AZURE_OLD, row)[0].seconds


def test_azure_refunds_are_adjustments() -> None:
    """What is not usage has its own kind, and may be negative."""
    row = "s,1,g,11/03/2026,P,Cognitive Services,Speech,6f2a,S1,1 Hour,-1,1,-1,/r,Refund,USD"
    (line,) = lines_of(AZURE_EA, row)
    assert (LineKind.ADJUSTMENT, Decimal(-1)) == (line.kind, line.cost)


def test_a_byte_order_mark_carriage_returns_and_empty_rows_do_not_matter() -> None:
    """What Windows and spreadsheets add is no content."""
    row = "2026-11-03,x,1,hour,2,EUR"
    plain = lines_of(PLAIN, row)
    assert [line.cost for line in plain] == [
        line.cost for line in lines_of(f"\ufeff{PLAIN}", "", row, ",,,,,", ending="\r\n")
    ]


def test_a_line_break_in_a_field_does_not_move_the_line_numbers() -> None:
    """The number of a line is its place in the file as an editor counts."""
    found = list(
        read_invoice([f"{PLAIN},name\n", '2026-11-03,x,1,h,2,EUR,"a\n', 'b"\n', "2026-11-03,x,1,h,2,EUR,c\n"], "f")
    )
    assert [3, 4] == [line.line for line in found]


@pytest.mark.parametrize("text", ["1,234,567.5", "1234567.5", "1,234,567.50", "+1234567.5", "1.2345675E+6"])
def test_thousands_are_read_if_they_cannot_be_a_decimal_comma(text: str) -> None:
    """Two groups, or a group and a decimal point, leave no doubt."""
    assert Decimal("1234567.5") == lines_of(PLAIN, f'2026-11-03,x,1,hour,"{text}",EUR')[0].cost


@pytest.mark.parametrize(
    "text", ["1,234", "1.234,50", "1,5", "12,34,567.0", "NaN", "Infinity", "1e999", "€5", "0x10", "--1"]
)
def test_doubtful_numbers_are_refused(text: str) -> None:
    """A number that may be read in two ways, or in none, is an error with its line."""
    assert "line 2" in refused(PLAIN, f'2026-11-03,x,1,hour,"{text}",EUR').message


@pytest.mark.parametrize("text", ["03.11.2026", "31/11/2026", "2026-13-01", "yesterday", "", "11/31/2026"])
def test_days_that_are_none_are_refused(text: str) -> None:
    """A day in another order, or that does not exist, is an error with its line."""
    assert "line 3" in refused(PLAIN, "2026-11-03,x,1,hour,1,EUR", f"{text},x,1,hour,1,EUR").message


def test_a_file_that_is_cut_off_is_refused() -> None:
    """A last line with fewer cells than columns is an error, not a smaller cost."""
    assert "cut off" in refused(PLAIN, "2026-11-03,x,1,hour,1,EUR", "2026-11-03,x,1").fix


def test_what_is_no_invoice_is_refused_with_what_would_be_one() -> None:
    """Other columns, semicolons, nothing, a missing column and an open quote are told apart."""
    assert "day,sku" in refused("name,age", "Ann,7").fix
    assert "decimal points" in refused(PLAIN.replace(",", ";"), "2026-11-03;x;1;h;1;EUR").fix
    assert "empty" in refused().message
    assert "lacks currency" in refused("day,sku,quantity,unit,cost", "2026-11-03,x,1,h,1").message
    assert "no CSV" in refused(PLAIN, '2026-11-03,"x"y,1,h,1,EUR').message
    assert "TO_JSON_STRING" in refused(GOOGLE, google(credit="[{'amount': -1}]")).fix
    assert "USD" in refused(PLAIN, "2026-11-03,x,1,h,1,$").fix
    assert "kind" in refused(f"{PLAIN},kind", "2026-11-03,x,1,h,1,EUR,gift").message


amounts = st.decimals(-(10**9), 10**9, places=6).map(lambda amount: amount + 0)  # no -0
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20).map(str.strip)


@given(st.lists(st.tuples(st.dates(date(2020, 1, 1)), texts, amounts, amounts), max_size=8))
def test_every_plain_file_is_read_as_it_was_written(rows: Sequence[tuple[date, str, Decimal, Decimal]]) -> None:
    """Whatever names and amounts a plain CSV has, they come back, with quotes, commas and line breaks."""

    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    file = "".join(f"{day},{quoted(sku)},{quantity},hour,{cost},EUR\n" for day, sku, quantity, cost in rows)
    found = list(read_invoice(f"{PLAIN}\n{file}".splitlines(keepends=True), "f"))
    assert list(rows) == [(line.day, line.sku, line.quantity, line.cost) for line in found]


@given(st.lists(amounts, max_size=4), st.integers(0, 700))
def test_google_s_credits_come_back_to_the_last_digit(credits_: list[Decimal], days: int) -> None:
    """Amounts in JSON are read as decimals, never as binary fractions."""
    cell = json.dumps([{"type": "PROMOTION", "amount": float(amount)} for amount in credits_])
    start = (date(2025, 1, 1) + timedelta(days=days)).isoformat()
    _, *found = lines_of(GOOGLE, google(start, credit=cell))
    assert [Decimal(str(float(amount))) for amount in credits_] == [line.cost for line in found]
