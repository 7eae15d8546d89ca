"""
From usage to money: a pure function of usage and rate cards.

Every provider carries a `rates.yaml` that says for each of its SKUs which clock is billed at what price. Work on one's
own machine has no vendor's price: its card names a machine, and the configuration says what an hour of it costs.
No price is never 0: it is a line without an amount, and its name on a list.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from twopass.types import Clock, Pass, Usage

_SECONDS_PER_HOUR = Decimal(3600)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount with its currency (ISO 4217)."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Rate:
    """
    One line of a rate card.

    Attributes:
        clock: Which clock is billed. Usage read from others is recorded but not priced.
        machine: For own hardware: which machine's hourly price applies.
        per_hour: A vendor's price; None for own hardware or where it is not known.
    """

    sku: str
    clock: Clock
    machine: str | None = None
    per_hour: Money | None = None


@dataclass(frozen=True, slots=True)
class RateCard:
    """All that is known of one provider's prices."""

    provider: str
    rates: tuple[Rate, ...] = ()


@dataclass(frozen=True, slots=True)
class CostLine:
    """What one pass used of one SKU, and its cost if a price is known."""

    pass_: Pass
    provider: str
    sku: str
    clock: Clock
    seconds: float
    cost: Money | None


@dataclass(frozen=True, slots=True)
class CostSummary:
    """
    Attributes:
        totals: Sum of the priced lines, by currency.
        unpriced: What has no price and is missing from the totals.
    """

    lines: tuple[CostLine, ...] = ()
    totals: tuple[Money, ...] = ()
    unpriced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pricer:
    """Rate cards and the prices of own machines."""

    cards: Mapping[str, RateCard]
    machines: Mapping[str, Money]

    def price(self, usage: Usage) -> Money | None:
        """The price of one usage entry, None where no card or machine price says."""
        rate = self._rate(usage)
        if rate is None:
            return None
        per_hour = self.machines.get(rate.machine) if rate.machine else rate.per_hour
        if per_hour is None:
            return None
        return Money(Decimal(str(usage.seconds)) * per_hour.amount / _SECONDS_PER_HOUR, per_hour.currency)

    def summarize(self, usages: Iterable[Usage]) -> CostSummary:
        """Add up usage by pass, provider, SKU and clock."""
        seconds: dict[tuple[Pass, str, str, Clock], float] = defaultdict(float)
        for usage in usages:
            seconds[usage.pass_, usage.provider, usage.sku, usage.clock] += usage.seconds
        lines = tuple(
            CostLine(*key, total, self.price(Usage(key[1], key[2], key[3], total, key[0])))
            for key, total in sorted(seconds.items())
        )
        totals: dict[str, Decimal] = defaultdict(Decimal)
        for line in lines:
            if line.cost is not None:
                totals[line.cost.currency] += line.cost.amount
        unpriced = tuple(f"{line.provider} {line.sku}" for line in lines if line.cost is None)
        return CostSummary(lines, tuple(Money(total, c) for c, total in sorted(totals.items())), unpriced)

    def _rate(self, usage: Usage) -> Rate | None:
        card = self.cards.get(usage.provider)
        found = (r for r in card.rates if r.sku == usage.sku and r.clock is usage.clock) if card else iter(())
        return next(found, None)
