"""What commitments cost, whatever is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from twopass.cost.prices.pricing import amount
from twopass.cost.prices.rates import RateCard
from twopass.types import Clock


@dataclass(frozen=True, slots=True)
class Fee:
    """What is to be paid for one commitment in one month (2026-11)."""

    provider: str
    sku: str
    clock: Clock
    month: str
    amount: Decimal
    currency: str


def fees(cards: Mapping[str, RateCard], month: str) -> tuple[Fee, ...]:
    """
    The month's (2026-11, UTC) commitment fees. Of a line that applies on some of its days only, those days' share.
    """
    days = _days(month)
    return tuple(fee for name, card in sorted(cards.items()) for fee in _of_card(name, card, month, days))


def _of_card(name: str, card: RateCard, month: str, days: list[datetime]) -> Iterator[Fee]:
    for number, rate in enumerate(card.rates):
        count = sum(_applies(card, number, day) for day in days) if rate.monthly_fee else 0
        if count:
            share = amount(rate.monthly_fee, Decimal(count), len(days))
            yield Fee(name, rate.sku, rate.clock, month, share, rate.currency)


def _applies(card: RateCard, number: int, day: datetime) -> bool:
    """Whether this line is the price of that day: it is if it applies and none before it does."""
    rate = card.rates[number]
    covered = any(other.applies(rate.sku, rate.clock, day) for other in card.rates[:number])
    return rate.applies(rate.sku, rate.clock, day) and not covered


def _days(month: str) -> list[datetime]:
    first = date.fromisoformat(f"{month}-01")
    begin = datetime(first.year, first.month, 1, tzinfo=UTC)
    return [day for i in range(31) if (day := begin + timedelta(days=i)).month == first.month]
