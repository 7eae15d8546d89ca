"""
Whose columns mean what. Pure.

Where it was read:

- Google's usage cost export (standard and detailed):
  docs.cloud.google.com/billing/docs/how-to/export-data-bigquery-tables/standard-usage and detailed-usage:
  service.description, sku.id, sku.description, usage_start_time (UTC), usage_end_time, cost (before credits), currency,
  usage.amount, usage.unit, usage.amount_in_pricing_units, usage.pricing_unit, credits (repeated: name, amount, type),
  cost_type (regular, tax, adjustment, rounding error).
  BigQuery writes no CSV with repeated columns: `credits` has to be written as text, TO_JSON_STRING(credits), or as its
  sum. A CSV test file with the dotted names is in a public repository; BigQuery itself makes underscores of dots.
- Google's cost table as the console downloads it: docs.cloud.google.com/billing/docs/how-to/cost-table (columns, credit
  types, cost types; "use Unrounded cost"); that eight rows about the invoice stand before the columns, that a row
  "Total" ends it and that commas stand between thousands was read in public importers' tests. It has one row for each
  SKU and month, so days cannot be compared.
- Azure's actual-cost export: learn.microsoft.com/azure/cost-management-billing/dataset-schema (cost-usage-details-ea,
  2024-08-01; -mca, 2023-12-01-preview) and .../automate/understand-usage-details-fields (`Cost` is
  CostInBillingCurrency, BillingCurrencyCode is BillingCurrency, costs are before credits and taxes). Subscriptions'
  older export (UsageDateTime, UsageQuantity, PreTaxCost, Currency) and localized names: public importers' test files.
  Days as MM/DD/YYYY: Azure/azure-powershell#20185; as YYYY-MM-DD: kubecost/kubecost#1988.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from twopass.cost.invoices.cells import Row
from twopass.cost.invoices.lines import InvoiceLine, LineKind

_NONE = Decimal(0)
_TIMES = ("second", "minute", "hour")
_GOOGLE_KINDS = {"": LineKind.USAGE, "regular": LineKind.USAGE, "usage": LineKind.USAGE, "tax": LineKind.TAX}
_AZURE_KINDS = {"": LineKind.USAGE, "usage": LineKind.USAGE, "credit": LineKind.CREDIT, "tax": LineKind.TAX}
_AZURE_DAY = ("date", "usagedatetime", "usagedate")
_AZURE_QUANTITY = ("quantity", "usagequantity", "consumedquantity")
_AZURE_COST = ("costinbillingcurrency", "pretaxcost", "cost")
_AZURE_CURRENCY = ("billingcurrency", "billingcurrencycode", "currency", "currencycode")


@dataclass(frozen=True, slots=True)
class Layout:
    """
    Attributes:
        name: For people.
        needs: Of each of these groups of columns it has to have one.
        lines: What a row says; a row with credits is several lines, a row of totals none.
        grouped: Whether its numbers have commas between thousands.
        ragged: Whether rows may have fewer cells than there are columns.
    """

    name: str
    needs: tuple[tuple[str, ...], ...]
    lines: Callable[[Row], Iterator[InvoiceLine]]
    grouped: bool = False
    ragged: bool = False

    def missing(self, columns: Collection[str]) -> list[str]:
        """Which columns are not there."""
        return [" or ".join(group) for group in self.needs if not any(column in columns for column in group)]


def _google(row: Row) -> Iterator[InvoiceLine]:
    day, kind = row.day("usagestarttime"), _GOOGLE_KINDS.get(row.text("costtype").lower(), LineKind.ADJUSTMENT)
    quantity, unit = _google_quantity(row)
    line = InvoiceLine(
        day=day,
        sku=row.text("skuid"),
        quantity=quantity,
        unit=unit,
        cost=row.amount("cost"),
        currency=row.currency("currency"),
        line=row.line,
        kind=kind,
        name=row.text("skudescription"),
        service=row.text("servicedescription"),
        last_day=row.day_before("usageendtime", day),
    )
    yield line
    for name, amount in _credits(row):
        yield replace(line, quantity=_NONE, unit="", cost=amount, kind=LineKind.CREDIT, name=name)


def _google_quantity(row: Row) -> tuple[Decimal, str]:
    """`usage.amount` if its unit is a time, else the amount in the unit that prices are for."""
    unit, pricing_unit = row.text("usageunit"), row.text("usagepricingunit")
    if row.text("usageamount") and (unit.lower().startswith(_TIMES) or not row.text("usageamountinpricingunits")):
        return row.amount_or_none("usageamount"), unit
    return row.amount_or_none("usageamountinpricingunits"), pricing_unit


def _credits(row: Row) -> Iterator[tuple[str, Decimal]]:
    cell = row.text("credits", "creditsamount")
    if not cell.startswith(("[", "{")):
        amount = row.amount_or_none("credits", "creditsamount") if cell != "null" else _NONE
        if amount:
            yield row.text("creditstype", "creditsname") or "credit", amount
        return
    for credit in _json(cell, row):
        if isinstance(credit, dict) and "amount" in credit:
            name = str(credit.get("type") or credit.get("name") or "credit")
            yield name, replace(row, cells={"credits": str(credit["amount"])}).amount("credits")


def _json(cell: str, row: Row) -> list[Any]:
    try:
        found = json.loads(cell, parse_float=Decimal)
    except ValueError:
        fix = "Export it with TO_JSON_STRING(credits) AS credits, or with the sum of their amounts."
        raise row.trouble("the credits are no JSON", fix) from None
    return found if isinstance(found, list) else [found]


def _google_cost_table(row: Row) -> Iterator[InvoiceLine]:
    kind, credit = row.text("costtype").lower(), row.text("credittype")
    if not kind or kind == "total" or not row.text("usagestartdate"):
        return
    found = LineKind.CREDIT if credit else _GOOGLE_KINDS.get(kind, LineKind.ADJUSTMENT)
    usage = found is LineKind.USAGE
    day = row.day("usagestartdate")
    yield InvoiceLine(
        day=day,
        sku=row.text("skuid"),
        quantity=row.amount_or_none("usageamount") if usage else _NONE,
        unit=row.text("usageunit") if usage else "",
        cost=row.amount("unroundedcost", "cost"),
        currency=row.currency("currency"),
        line=row.line,
        kind=found,
        name=credit or row.text("skudescription"),
        service=row.text("servicedescription"),
        last_day=row.day("usageenddate") if row.text("usageenddate") else day,
    )


def _azure(row: Row) -> Iterator[InvoiceLine]:
    described = (row.text(column) for column in ("metercategory", "metersubcategory", "productname", "product"))
    yield InvoiceLine(
        day=row.day(*_AZURE_DAY),
        sku=row.text("meterid", "metername", "meter"),
        quantity=row.amount_or_none(*_AZURE_QUANTITY),
        unit=row.text("unitofmeasure"),
        cost=row.amount(*_AZURE_COST),
        currency=row.currency(*_AZURE_CURRENCY),
        line=row.line,
        kind=_AZURE_KINDS.get(row.text("chargetype").lower(), LineKind.ADJUSTMENT),
        name=row.text("metername", "meter"),
        service=" / ".join(text for text in described if text),
    )


def _plain(row: Row) -> Iterator[InvoiceLine]:
    kind = row.text("kind").lower() or LineKind.USAGE
    if kind not in tuple(LineKind):
        raise row.trouble(f"{kind[:20]!r} is no kind of line", f"Write one of {', '.join(LineKind)}.")
    yield InvoiceLine(
        day=row.day("day"),
        sku=row.text("sku"),
        quantity=row.amount_or_none("quantity"),
        unit=row.text("unit"),
        cost=row.amount("cost"),
        currency=row.currency("currency"),
        line=row.line,
        kind=LineKind(kind),
        name=row.text("name"),
        service=row.text("service"),
    )


LAYOUTS = (
    Layout(
        "Google's billing export",
        (("skuid",), ("usagestarttime",), ("usageamount", "usageamountinpricingunits"), ("cost",), ("currency",)),
        _google,
    ),
    Layout(
        "Google's cost table",
        (("skuid",), ("usagestartdate",), ("usageamount",), ("costtype",), ("unroundedcost", "cost")),
        _google_cost_table,
        grouped=True,
        ragged=True,
    ),
    Layout(
        "Azure's cost export",
        (_AZURE_DAY, ("meterid", "metername", "meter"), _AZURE_QUANTITY, _AZURE_COST, _AZURE_CURRENCY),
        _azure,
    ),
    Layout("a plain CSV", tuple((name,) for name in ("day", "sku", "quantity", "unit", "cost", "currency")), _plain),
)
"""The one whose columns are all there, first come."""
