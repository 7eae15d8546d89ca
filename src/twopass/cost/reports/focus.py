"""
FOCUS 1.4 "Cost and Usage" rows: the FinOps Foundation's common format for cloud bills.

The column model is that of focus-data-toolkit's `focus_1_4_model.json` (from the official data model); the formats are
the specification's. `ListCost` is exactly `ListUnitPrice` times `PricingQuantity`; the quantity is rounded to 12
decimals where hours or minutes do not come out even. `BilledCost` is the ledger's own sum. Null is an empty cell.

What a usage row costs is its list price, and what of that is free of charge is a row of its own (`Credit`). Prices by
contract are the only ones that the ledger knows then, so list and contracted price are the same.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from twopass.cost.prices.pricing import EXACT
from twopass.cost.prices.rates import Unit
from twopass.cost.reports.files import Column, Kind, ReportFile
from twopass.cost.reports.report import Cell, Missing, Month, Raw, Report, Row, Table, build, rounded

FocusCell: TypeAlias = str | Decimal | None
FocusRow: TypeAlias = Mapping[str, FocusCell]

MANDATORY = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "HostProviderName",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ServiceCategory",
    "ServiceName",
    "ServiceProviderName",
)
OPTIONAL = (
    "ChargeFrequency",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedUnitPrice",
    "ListUnitPrice",
    "PricingCategory",
    "RegionId",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "Tags",
)
CUSTOM = ("x_Feature", "x_LedgerLines", "x_Provider", "x_Sku")
COLUMNS = (*sorted(MANDATORY + OPTIONAL), *CUSTOM)

_OWN = "Own machines"
_HOUR = Fraction(3_600_000_000)
_QUANTITY_DIGITS = 12


def focus_report(file: ReportFile, rows: Sequence[Raw], month: Month, currency: str) -> Report:
    """The FOCUS rows, their sums for the page, and a note of what could not be expressed."""
    found = list(focus_rows(rows, month))
    report = build(file, _sums(found), month, currency)
    whole = Table("rows", "FOCUS 1.4 rows", file.says, _columns(), tuple(map(_shown, found)), page=False)
    left_out = sum(row["lines_count"] for row in rows if row["list_nanos"] is None)
    note = f"Lines of the bill without a known price: {left_out}. FOCUS has no way to say so, so they are left out."
    tables = report.tables
    return Report(file.name, file.title, file.says, month, currency, tables, whole, (note,) if left_out else ())


def focus_rows(rows: Sequence[Raw], month: Month) -> Iterator[FocusRow]:
    """One for each of the query's rows whose price is known, and one for what of it is free of charge."""
    for row in rows:
        if row["list_nanos"] is None:
            continue
        shared = _shared(row, month)
        yield _blank() | shared | _usage(row)
        if row["credit_nanos"]:
            yield _blank() | shared | _credit(row)


def _blank() -> dict[str, FocusCell]:
    return dict.fromkeys(COLUMNS)


def _shared(row: Raw, month: Month) -> dict[str, FocusCell]:
    day: date = row["day"]
    name = _OWN if row["local"] else row["provider_name"] or row["provider"]
    return {
        "BillingAccountId": row["provider"],
        "BillingCurrency": row["currency"],
        "BillingPeriodStart": _moment(month.start),
        "BillingPeriodEnd": _moment(month.end),
        "ChargePeriodStart": _moment(day),
        "ChargePeriodEnd": _moment(day + timedelta(days=1)),
        "HostProviderName": name,
        "InvoiceIssuerName": name,
        "ServiceProviderName": name,
        "ServiceCategory": "Compute" if row["local"] else "AI and Machine Learning",
        "ServiceSubcategory": "Other (Compute)" if row["local"] else "Natural Language Processing",
        "ServiceName": row["service"] or f"{row['provider_name'] or row['provider']} speech recognition",
        "ChargeFrequency": "Usage-Based",
        "RegionId": row["region"] or None,
        "SkuId": row["vendor_sku"] or row["sku"],
        "SkuMeter": row["clock"],
        "SkuPriceId": _price_id(row),
        "SubAccountId": row["tenant"],
        "SubAccountName": row["tenant"],
        "Tags": json.dumps({"tenant": row["tenant"]}),
        "x_Feature": row["feature"] or None,
        "x_LedgerLines": Decimal(row["lines_count"]),
        "x_Provider": row["provider"],
        "x_Sku": row["sku"],
    }


def _price_id(row: Raw) -> str:
    what = "/".join(part for part in (row["provider"], row["sku"], row["feature"]) if part)
    return f"{what}/{_money(row['unit_price_nanos']):f} {row['currency']} per {row['unit']}"


def _usage(row: Raw) -> dict[str, FocusCell]:
    unit = Unit(row["unit"])
    quantity = rounded(Fraction(row["billed_micros"], unit.seconds * 1_000_000), _QUANTITY_DIGITS)
    unit_price, cost = _money(row["unit_price_nanos"]), _money(row["list_nanos"])
    listed = EXACT.multiply(unit_price, quantity)
    used = rounded(Fraction(row["used_micros"]) / _HOUR, _QUANTITY_DIGITS) if row["used_micros"] else None
    return {
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ListCost": listed,
        "ContractedCost": listed,
        "ListUnitPrice": unit_price,
        "ContractedUnitPrice": unit_price,
        "ChargeCategory": "Usage",
        "ChargeDescription": f"Speech recognition: {row['sku']}" + (f", {row['feature']}" if row["feature"] else ""),
        "PricingCategory": "Standard",
        "PricingQuantity": quantity,
        "PricingUnit": f"{unit.value.capitalize()}s",
        "ConsumedQuantity": used,
        "ConsumedUnit": None if used is None else "Hours",
    }


def _credit(row: Raw) -> dict[str, FocusCell]:
    """Credits list, and contract, as they are billed."""
    amount = -_money(row["credit_nanos"])
    costs = dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), amount)
    return costs | {"ChargeCategory": "Credit", "ChargeDescription": f"Free allowance: {row['sku']}"}


def _money(nanos: int) -> Decimal:
    return Decimal(nanos).scaleb(-9)


def _moment(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def _shown(row: FocusRow) -> Row:
    return {name: Missing.NOT_APPLICABLE if cell is None else cell for name, cell in row.items()}


def _columns() -> tuple[Column, ...]:
    return tuple(Column(name, name, name, "", Kind.TEXT) for name in COLUMNS)


def _sums(rows: Sequence[FocusRow]) -> list[Raw]:
    sums: dict[tuple[Cell, Cell], list[Decimal]] = defaultdict(list)
    for row in rows:
        cost = row["BilledCost"]
        assert isinstance(cost, Decimal)
        sums[str(row["BillingCurrency"]), str(row["ChargeCategory"])].append(cost)
    return [
        {"section": "sum", "currency": currency, "category": category, "rows_count": len(costs), "billed": sum(costs)}
        for (currency, category), costs in sorted(sums.items(), key=str)
    ]
