"""
What a session costs while it runs.

Nobody knows yet how far the account's month has come, nor how long the vendor's request will be: usage is priced at
the first tier, nothing is rounded up, and no allowance is taken off. What the month's bill says is the ledger's matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from twopass.cost.prices.pricing import EXACT, Standing, rate_for, standing
from twopass.cost.prices.rates import Money, Rate, RateCard
from twopass.types import Clock, Pass, Usage

_SECONDS_PER_HOUR = 3600


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
        lines: What is billed. Usage that is only recorded to compare has none.
        totals: Sum of the priced lines, by currency.
        unpriced: What has no price and is missing from the totals.
        by_pass: The totals of each pass, by pass and currency.
    """

    lines: tuple[CostLine, ...] = ()
    totals: tuple[Money, ...] = ()
    unpriced: tuple[str, ...] = ()
    by_pass: tuple[tuple[Pass, Money], ...] = ()


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Pricer:
    """Rate cards and the hourly prices of own machines. `now` says which day's prices apply."""

    cards: Mapping[str, RateCard]
    machines: Mapping[str, Money]
    now: Callable[[], datetime] = field(default=_utc_now, compare=False, repr=False)

    def price(self, usage: Usage) -> Money | None:
        """
        The price of one usage entry with its add-ons, None where no card or machine price says.

        It is that of the first tier, of the exact seconds, without allowance, minimum and increment: see above.
        """
        rate = rate_for(self.cards, usage.provider, usage.sku, usage.clock, self.now())
        if rate is None:
            return None
        if rate.machine:
            hour = self.machines.get(rate.machine)
            return hour and Money(_share(hour.amount, usage.seconds, _SECONDS_PER_HOUR), hour.currency)
        if not rate.tiers:
            return None
        unit_price = rate.tiers[0].price + _add_ons(rate, usage.features)
        return Money(_share(unit_price, usage.seconds, rate.unit.seconds), rate.currency)

    def summarize(self, usages: Iterable[Usage]) -> CostSummary:
        """Add up what is billed, by pass, provider, SKU and clock."""
        at = self.now()
        billed = (u for u in usages if self._standing(u, at) is not Standing.COMPARED)
        lines = tuple(self._line(key, seconds) for key, seconds in sorted(_seconds(billed).items()))
        totals: dict[str, Decimal] = defaultdict(Decimal)
        by_pass: dict[tuple[Pass, str], Decimal] = defaultdict(Decimal)
        for line in lines:
            if line.cost is not None:
                totals[line.cost.currency] += line.cost.amount
                by_pass[line.pass_, line.cost.currency] += line.cost.amount
        return CostSummary(
            lines,
            tuple(Money(total, currency) for currency, total in sorted(totals.items())),
            tuple(f"{line.provider} {line.sku}" for line in lines if line.cost is None),
            tuple((pass_, Money(total, currency)) for (pass_, currency), total in sorted(by_pass.items())),
        )

    def _standing(self, usage: Usage, at: datetime) -> Standing:
        return standing(self.cards.get(usage.provider), usage.sku, usage.clock, at)

    def _line(self, key: _Key, seconds: Mapping[tuple[str, ...], float]) -> CostLine:
        pass_, provider, sku, clock = key
        parts = [self.price(Usage(provider, sku, clock, s, pass_, features=f)) for f, s in seconds.items()]
        return CostLine(*key, sum(seconds.values()), _sum(parts))


_Key = tuple[Pass, str, str, Clock]


def _seconds(usages: Iterable[Usage]) -> dict[_Key, dict[tuple[str, ...], float]]:
    """Seconds of each line, by features."""
    seconds: dict[_Key, dict[tuple[str, ...], float]] = defaultdict(lambda: defaultdict(float))
    for usage in usages:
        seconds[usage.pass_, usage.provider, usage.sku, usage.clock][usage.features] += usage.seconds
    return seconds


def _sum(parts: Iterable[Money | None]) -> Money | None:
    """Of amounts in one currency; None if one of them is not known."""
    known = list(parts)
    first = known[0]
    amounts = [part.amount for part in known if part is not None]
    return Money(sum(amounts, Decimal(0)), first.currency) if first and len(amounts) == len(known) else None


def _add_ons(rate: Rate, features: Iterable[str]) -> Decimal:
    return sum((rate.add_ons[feature] for feature in set(features) & rate.add_ons.keys()), Decimal(0))


def _share(unit_price: Decimal, seconds: float, unit_seconds: int) -> Decimal:
    return EXACT.divide(EXACT.multiply(unit_price, Decimal(str(seconds))), Decimal(unit_seconds))
