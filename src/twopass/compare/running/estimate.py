"""What a comparison will cost before it is begun. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from twopass.compare.running.hearer import Hearer
from twopass.cost.prices.rates import Money
from twopass.types import Clock, Usage


@dataclass(frozen=True, slots=True)
class Estimate:
    """
    Attributes:
        seconds: Of audio that the system will hear.
        cost: At the first tier, nothing rounded up; of recognizers that stand in for each other, as if the dearest
            heard everything. None if a price is not known, or nothing is paid.
        paid: Whether somebody else may want money for it.
    """

    system: str
    seconds: float
    cost: Money | None
    paid: bool


def estimate(tasks: Iterable[tuple[Hearer, int]], price: Callable[[Usage], Money | None]) -> tuple[Estimate, ...]:
    """By system. `tasks`: who hears how many ms."""
    seconds: dict[str, float] = {}
    hearers: dict[str, Hearer] = {}
    for hearer, ms in tasks:
        hearers[hearer.system.name] = hearer
        seconds[hearer.system.name] = seconds.get(hearer.system.name, 0.0) + ms / 1000
    return tuple(_of(hearers[name], heard, price) for name, heard in seconds.items())


def _of(hearer: Hearer, seconds: float, price: Callable[[Usage], Money | None]) -> Estimate:
    lines = [line for line in hearer.payees if line]
    costs = [_sum([price(Usage(c.provider, c.sku, Clock.AUDIO_SENT, seconds)) for c in line]) for line in lines]
    return Estimate(hearer.system.name, seconds, _dearest(costs), bool(lines))


def _sum(costs: Sequence[Money | None]) -> Money | None:
    known = _comparable(costs)
    return Money(sum((each.amount for each in known), Decimal(0)), known[0].currency) if known else None


def _dearest(costs: Sequence[Money | None]) -> Money | None:
    return max(_comparable(costs), key=lambda cost: cost.amount, default=None)


def _comparable(costs: Sequence[Money | None]) -> list[Money]:
    """All of them, or none if one is not known or in another currency."""
    known = [cost for cost in costs if cost is not None]
    return known if len(known) == len(costs) and len({cost.currency for cost in known}) == 1 else []
