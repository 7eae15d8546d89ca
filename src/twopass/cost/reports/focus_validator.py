"""
Whether rows are FOCUS 1.4 "Cost and Usage" rows: as somebody sees them who gets the CSV and nothing else.

It checks what the specification demands of the columns that we write: which must be there, which may be null, formats,
allowed values, and that costs are prices times quantities, exactly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Context, Decimal, localcontext
from typing import TypeAlias

from babel.numbers import list_currencies

TextRow: TypeAlias = Mapping[str, str]
"""A row of the CSV; an empty cell is null."""

_COSTS = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost")
_QUANTITIES = ("ConsumedQuantity", "ContractedUnitPrice", "ListUnitPrice", "PricingQuantity")
_MOMENTS = ("BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart")
_NAMES = (
    "BillingAccountId",
    "BillingCurrency",
    "ChargeCategory",
    "HostProviderName",
    "InvoiceIssuerName",
    "ServiceCategory",
    "ServiceName",
    "ServiceProviderName",
)
_NULLABLE = ("BillingAccountName", "ChargeClass", "ChargeDescription", "PricingQuantity", "PricingUnit")
_MANDATORY = (*_COSTS, *_MOMENTS, *_NAMES, *_NULLABLE)
_VALUES = {
    "ChargeCategory": ("Usage", "Purchase", "Tax", "Credit", "Adjustment"),
    "ChargeClass": ("Correction",),
    "ChargeFrequency": ("One-Time", "Recurring", "Usage-Based"),
    "PricingCategory": ("Standard", "Dynamic", "Committed", "Other"),
    "PricingUnit": ("Seconds", "Minutes", "Hours"),
    "ConsumedUnit": ("Seconds", "Minutes", "Hours"),
    "ServiceCategory": ("AI and Machine Learning", "Compute", "Other"),
}
_PAIRS = (("PricingQuantity", "PricingUnit"), ("ConsumedQuantity", "ConsumedUnit"))
_PRODUCTS = (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice"))
_DECIMAL = re.compile(r"-?\d+(\.\d+)?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_PLACEHOLDERS = ("N/A", "n/a", "null", "NULL", "None", "unknown")
_CURRENCIES = list_currencies()


def validate(rows: Iterable[TextRow]) -> list[str]:
    """What is wrong, each with the number of its row (from 1); empty if nothing is."""
    with localcontext(Context(prec=80)):
        return [f"row {number}: {problem}" for number, row in enumerate(rows, 1) for problem in _problems(row)]


def _problems(row: TextRow) -> Iterator[str]:
    missing = [name for name in _MANDATORY if name not in row]
    if missing:
        yield f"columns are missing: {', '.join(missing)}"
        return
    wrong = [problem for check in _FORMATS for problem in check(row)]
    yield from wrong
    if not wrong:  # the others reckon with the formats
        for check in _MEANINGS:
            yield from check(row)


def _no_nulls(row: TextRow) -> Iterator[str]:
    yield from (f"{name} must not be null" for name in (*_COSTS, *_MOMENTS, *_NAMES) if not row[name])


def _no_placeholders(row: TextRow) -> Iterator[str]:
    yield from (f"{name} has the placeholder {value}" for name, value in row.items() if value in _PLACEHOLDERS)


def _formats(row: TextRow) -> Iterator[str]:
    for names, pattern in (((*_COSTS, *_QUANTITIES), _DECIMAL), (_MOMENTS, _MOMENT)):
        for name in names:
            if row.get(name) and not pattern.fullmatch(row[name]):
                yield f"{name} is not written as it should be: {row[name]}"


def _allowed(row: TextRow) -> Iterator[str]:
    for name, values in _VALUES.items():
        if row.get(name) and row[name] not in values:
            yield f"{name} cannot be {row[name]}"
    if row["BillingCurrency"] and row["BillingCurrency"] not in _CURRENCIES:
        yield f"BillingCurrency {row['BillingCurrency']} is not in ISO 4217"


def _custom_last(row: TextRow) -> Iterator[str]:
    custom = [name.startswith("x_") for name in row]
    if custom != sorted(custom):
        yield "columns of our own (x_) must come after all others"


def _tags(row: TextRow) -> Iterator[str]:
    try:
        tags = json.loads(row.get("Tags") or "{}")
    except ValueError:
        tags = None
    if not isinstance(tags, dict) or any(isinstance(value, dict | list) for value in tags.values()):
        yield "Tags must be a flat JSON object"


def _pairs(row: TextRow) -> Iterator[str]:
    for one, other in _PAIRS:
        if bool(row.get(one)) != bool(row.get(other)):
            yield f"{one} and {other} must be null together"


def _products(row: TextRow) -> Iterator[str]:
    for cost, price in _PRODUCTS:
        if row.get(price) and row["PricingQuantity"]:
            product = Decimal(row[price]) * Decimal(row["PricingQuantity"])
            if product != Decimal(row[cost]):
                yield f"{cost} {row[cost]} is not {price} times PricingQuantity, {product}"


def _signs(row: TextRow) -> Iterator[str]:
    yield from (f"{name} is negative" for name in _QUANTITIES if row.get(name, "").startswith("-"))
    if row["ChargeCategory"] == "Credit" and Decimal(row["BilledCost"]) >= 0:
        yield "a credit must be negative"


def _usage(row: TextRow) -> Iterator[str]:
    if row["ChargeCategory"] != "Usage":
        if row.get("ConsumedQuantity"):
            yield "ConsumedQuantity is for usage only"
        return
    yield from (
        f"{name} must not be null for usage" for name in ("PricingQuantity", "ListUnitPrice") if not row.get(name)
    )


def _periods(row: TextRow) -> Iterator[str]:
    begin, start, end, finish = (
        datetime.fromisoformat(row[name])
        for name in ("BillingPeriodStart", "ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodEnd")
    )
    if not begin <= start < end <= finish:
        yield "the charge period must lie within the billing period"


_Check: TypeAlias = Callable[[TextRow], Iterator[str]]
_FORMATS: Sequence[_Check] = (_no_nulls, _no_placeholders, _formats, _allowed, _custom_last, _tags)
_MEANINGS: Sequence[_Check] = (_pairs, _products, _signs, _usage, _periods)
