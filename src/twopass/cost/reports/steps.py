"""What some reports add to their queries' rows: fees, the forecast, how far budgets have come. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from twopass.cost.prices.fees import Fee
from twopass.cost.reports.report import UNPRICED, Asked, Missing, Month, Raw
from twopass.cost.usage.budgets import Budget, Period
from twopass.cost.usage.entries import Account

_NANOS = 1_000_000_000
_WINDOW_DAYS = 7
_ALL = "all"


def overview(rows: list[Raw], asked: Asked) -> list[Raw]:
    """The rows, and the month's fees."""
    return [*rows, *(_fee(fee) for fee in asked.fees)]


def _fee(fee: Fee) -> Raw:
    name = f"{fee.provider} {fee.sku}"
    return {"section": "fee", "name": name, "fee": fee.amount, "currency": fee.currency, UNPRICED: 0}


def forecast(rows: list[Raw], asked: Asked) -> list[Raw]:
    """Costs by day and tenant -> what the month comes to: in all, by tenant, and day by day."""
    if not rows:
        return []
    window = min(_WINDOW_DAYS, (asked.today - rows[0]["first_day"]).days)
    tenants = sorted({row["tenant"] for row in rows})
    lines = [_expected("total", "All", rows, asked, window)]
    lines += [_expected("tenant", name, [r for r in rows if r["tenant"] == name], asked, window) for name in tenants]
    per_day = lines[0]["per_day"]
    return [*lines, *_days(rows, asked, None if isinstance(per_day, Missing) else per_day)]


def _expected(section: str, name: str, rows: list[Raw], asked: Asked, window: int) -> Raw:
    spent = [row for row in rows if asked.month.start <= row["day"] < asked.month.end]
    recent = [row for row in rows if row["day"] >= asked.today - timedelta(days=_WINDOW_DAYS)]
    left = _days_left(asked.month, asked.today)
    known, per_day = _sum(spent), _sum(recent)
    per_day = None if per_day is None or window < 1 else per_day / window
    complete = known if not left else None if known is None or per_day is None else known + per_day * left
    counted = spent if not left else rows
    return {
        "section": section,
        "name": name,
        "spent": known,
        "days_left_count": left,
        "per_day": per_day if left else Missing.NOT_APPLICABLE,
        "window_count": window,
        "forecast": complete,
        UNPRICED: sum(row[UNPRICED] for row in counted),
    }


def _days(rows: list[Raw], asked: Asked, per_day: Fraction | None) -> list[Raw]:
    """Every day of the month: what was spent on it, or is expected to be."""
    length = (asked.month.end - asked.month.start).days
    days = [asked.month.start + timedelta(days=number) for number in range(length)]
    by_day = defaultdict(list)
    for row in rows:
        by_day[row["day"]].append(row)
    return [
        {
            "section": "day",
            "day": day,
            "is": "spent" if day < asked.today else "expected",
            "amount": _sum(by_day[day]) if day < asked.today else per_day,
            UNPRICED: sum(row[UNPRICED] for row in by_day[day]),
        }
        for day in days
    ]


def _days_left(month: Month, today: date) -> int:
    return max(0, (month.end - max(today, month.start)).days)


def _sum(rows: Iterable[Raw]) -> Fraction | None:
    """Of what is known; None if there are lines and none is known."""
    costs = [row["cost_nanos"] for row in rows]
    known = [Fraction(cost, _NANOS) for cost in costs if cost is not None]
    return sum(known, Fraction(0)) if known or not costs else None


def budgets(rows: list[Raw], asked: Asked) -> list[Raw]:
    """Costs by day, tenant and key -> the state of each budget, the fullest first."""
    lines = [_state(budget, rows, asked.month) for budget in asked.budgets]
    return sorted(lines, key=lambda line: (-line["share"], line["tenant"], line["key"], line["period"]))


def _state(budget: Budget, rows: list[Raw], month: Month) -> Raw:
    mine = [row for row in rows if budget.covers(Account(row["tenant"], row["key_id"]))]
    spent = _spent(budget.period, mine)
    dearest = max(sorted(spent), key=lambda name: spent[name], default=month.start)
    most = spent.get(dearest, Fraction(0))
    return {
        "section": "budget",
        "tenant": budget.tenant or _ALL,
        "key": budget.key or _ALL,
        "period": budget.period.value,
        "limit": Fraction(budget.limit),
        "spent": most,
        "share": most / Fraction(budget.limit) if budget.limit else Fraction(1),
        "dearest_day": dearest if budget.period is Period.DAY and spent else None,
        "over_count": sum(amount >= Fraction(budget.limit) for amount in spent.values()),
        "state": budget.level(_decimal(most)).value,
        UNPRICED: sum(row[UNPRICED] for row in mine),
    }


def _spent(period: Period, rows: list[Raw]) -> Mapping[date, Fraction]:
    """What was spent, by the first day of each period."""
    spent: dict[date, Fraction] = defaultdict(Fraction)
    for row in rows:
        first = row["day"] if period is Period.DAY else row["day"].replace(day=1)
        spent[first] += Fraction(row["cost_nanos"] or 0, _NANOS)
    return spent


def _decimal(nanos: Fraction) -> Decimal:
    return Decimal(int(nanos * _NANOS)).scaleb(-9)


STEPS: Mapping[str, Callable[[list[Raw], Asked], list[Raw]]] = {
    "overview": overview,
    "forecast": forecast,
    "budgets": budgets,
}
