"""A reconciliation as a report: the tables that cost_reports/reconcile.sql describes. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import reduce

from twopass.cost.invoices.explaining import Explanation, Why
from twopass.cost.invoices.matching import Names, Theirs
from twopass.cost.invoices.reconciling import REPORT, Line, Reconciliation
from twopass.cost.reports.files import read
from twopass.cost.reports.report import Raw, Report, build

_ZERO = Decimal(0)
_PER_HOUR = 3600
_HALF_CENT = Decimal("0.005")
_NOTES = (
    "Days are UTC. Google cuts the days and months of its own pages and invoices in US Pacific time: the first and "
    "last hours of a month may be on another invoice.",
)


def reconcile_report(found: Reconciliation, our_rows: Iterable[Raw], names: Names, currency: str, of: str) -> Report:
    """
    Args:
        our_rows: The provider's rows of cost_reports/reconcile.sql, shown beside it.
        names: The vendor's, beside which ours are shown.
        currency: The ledger's.
        of: Whose invoice it is.
    """
    rows = [*_totals(found), *_unknown(found), *_reasons(found), *_lines(found, names), *_others(found), *our_rows]
    report = build(read(REPORT), rows, found.month, currency)
    return replace(report, title=f"{report.title}: {of}", notes=_notes(found))


def _notes(found: Reconciliation) -> tuple[str, ...]:
    if not found.outside:
        return _NOTES
    return (*_NOTES, f"{found.outside} lines of the invoice are not of {found.month} and were left out.")


def _totals(found: Reconciliation) -> Iterator[Raw]:
    for currency in sorted({line.pair.place.currency for line in found.lines}):
        lines = [line for line in found.lines if line.pair.place.currency == currency]
        known = [line for line in lines if line.difference is not None]
        agreeing = sum(line.pair.agrees for line in known)
        yield {
            "section": "total",
            "currency": currency,
            "theirs": sum((_theirs(line) for line in known), _ZERO),
            "ours": sum((_ours(line) or _ZERO for line in known), _ZERO),
            "difference": sum((line.difference or _ZERO for line in known), _ZERO),
            "explained": sum((line.explained for line in known), _ZERO),
            "unexplained": sum((line.unexplained or _ZERO for line in known), _ZERO),
            "agreeing_count": agreeing,
            "differing_count": len(known) - agreeing,
            "unknown_count": len(lines) - len(known),
        }


def _theirs(line: Line) -> Decimal:
    return line.pair.theirs.cost if line.pair.theirs else _ZERO


def _ours(line: Line) -> Decimal | None:
    return line.pair.ours.cost if line.pair.ours else _ZERO


def _reasons(found: Reconciliation) -> Iterator[Raw]:
    """Alike explanations together, the largest first. What is said of prices differs from day to day."""
    alike: dict[tuple[str, str, str], list[Explanation]] = defaultdict(list)
    for line in found.lines:
        for one in line.explanations:
            alike[line.pair.place.currency, one.why, one.says].append(one)
    rows = [_reason(currency, same) for (currency, _, _), same in alike.items()]
    rows = [row for row in rows if row["reason"] != Why.ROUNDED or abs(row["amount"]) >= _HALF_CENT]
    yield from sorted(rows, key=lambda row: (row["amount"] is not None, -abs(row["amount"] or 0)))


def _reason(currency: str, same: list[Explanation]) -> Raw:
    amounts = [one.amount for one in same if one.amount is not None]
    seconds = [one.seconds for one in same if one.seconds is not None]
    return {
        "section": "reason",
        "currency": currency,
        "reason": same[0].why.value,
        "says": same[0].says,
        "amount": sum(amounts, _ZERO) if amounts else None,
        "hours": _hours(sum(seconds, _ZERO) if seconds else None),
        "days_count": len(same),
        "requests_count": sum(one.requests for one in same) or None,
        "example": next((one.example for one in same if one.example), ""),
    }


def _lines(found: Reconciliation, names: Names) -> list[Raw]:
    """What cannot be compared comes first."""
    ordered = sorted(found.lines, key=lambda line: line.difference is not None)
    differing = [_line(line, names) | {"section": "differing"} for line in ordered if not line.pair.agrees]
    return [*differing, *(_line(line, names) for line in ordered)]


def _line(line: Line, names: Names) -> Raw:
    pair = line.pair
    theirs = pair.theirs or Theirs()
    return {
        "section": "line",
        "day": pair.place.day,
        "until_day": pair.place.last_day if pair.place.last_day > pair.place.day else None,
        "product": names.shown(pair.place.label),
        "vendor_name": theirs.name,
        "currency": pair.place.currency,
        "their_hours": _hours(theirs.seconds),
        "our_hours": _hours(pair.ours.seconds if pair.ours else _ZERO),
        "theirs": theirs.cost,
        "ours": _ours(line),
        "difference": line.difference,
        "unexplained": line.unexplained,
        "reason": "; ".join(f"{one.why.value}: {one.says}" for one in line.explanations if one.why is not Why.ROUNDED),
        "file_line": theirs.first_line or None,
    }


def _unknown(found: Reconciliation) -> Iterator[Raw]:
    """All days together."""
    alike: dict[tuple[str, str], list[Theirs]] = defaultdict(list)
    for place, one in found.unknown.items():
        alike[place.label, place.currency].append(one)
    for (label, currency), days in sorted(alike.items()):
        one = reduce(Theirs.together_with, days)
        yield {
            "section": "unknown",
            "product": one.sku or label,
            "vendor_name": label,
            "currency": currency,
            "their_hours": _hours(one.seconds),
            "theirs": one.cost,
            "lines_count": one.lines,
        }


def _others(found: Reconciliation) -> Iterator[Raw]:
    for service, one in sorted(found.others.items()):
        yield {
            "section": "other",
            "vendor_name": service.name,
            "currency": service.currency,
            "theirs": one.cost,
            "lines_count": one.lines,
        }


def _hours(seconds: Decimal | None) -> Fraction | None:
    return None if seconds is None else Fraction(seconds) / _PER_HOUR


def provider_rows(rows: Iterable[Raw], provider: str) -> list[Raw]:
    """Those of one provider."""
    return [row for row in rows if row["provider"] == provider]


def summary(found: Reconciliation) -> Mapping[str, int]:
    """How many lines agree, differ for known reasons, differ without, and cannot be compared."""
    counts = {"agree": 0, "explained": 0, "unexplained": 0, "unknown": 0}
    for line in found.lines:
        counts[_state(line)] += 1
    return counts


def _state(line: Line) -> str:
    if line.unexplained is None:
        return "unknown"
    if line.pair.agrees:
        return "agree"
    return "explained" if abs(line.unexplained) < _HALF_CENT else "unexplained"
