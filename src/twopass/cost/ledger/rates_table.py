"""The rate cards as rows of the table `rates`, for the reports to cite. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from twopass.cost.prices.cards import Cards
from twopass.cost.prices.pricing import MACHINE
from twopass.cost.prices.rates import Confidence, Money, Rate, RateCard, Unit
from twopass.types import Clock

_NANOS = 1_000_000_000


def rates_rows(cards: Cards) -> list[dict[str, Any]]:
    """Every line of every card, and every machine: what an hour of it costs, on the clock `provisioned`."""
    rows: list[dict[str, Any]] = []
    lines: Counter[tuple[str, str, Clock]] = Counter()
    for provider, card, rate in _all_rates(cards):
        key = provider, rate.sku, rate.clock
        rows.append(_row(provider, card, rate, cards.machines) | {"line": lines[key]})
        lines[key] += 1
    return rows


def _all_rates(cards: Cards) -> Iterator[tuple[str, RateCard, Rate]]:
    for provider, card in sorted(cards.cards.items()):
        for rate in card.rates:
            yield provider, card, rate
    own = RateCard(MACHINE, name="Own machines", local=True)
    for name in sorted(cards.machines):
        yield MACHINE, own, Rate(name, Clock.PROVISIONED, machine=name, confidence=Confidence.CONTRACT)


def _row(provider: str, card: RateCard, rate: Rate, machines: Mapping[str, Money]) -> dict[str, Any]:
    unit, first = _first_price(rate, machines)
    return {
        "provider": provider,
        "sku": rate.sku,
        "clock": rate.clock.value,
        "provider_name": card.name or provider,
        "service": rate.service,
        "vendor_sku": rate.vendor_sku,
        "unit": unit.value,
        "currency": first.currency if first else rate.currency,
        "first_price_nanos": round(first.amount * _NANOS) if first else None,
        "effective_from": rate.effective_from,
        "effective_to": rate.effective_to,
        "source": rate.source,
        "read_on": rate.read_on,
        "confidence": rate.confidence.value,
        "doubt": rate.doubt,
        "local": card.local or rate.machine is not None,
        "compared_only": card.compared_only,
    }


def _first_price(rate: Rate, machines: Mapping[str, Money]) -> tuple[Unit, Money | None]:
    """What one unit costs at first, or an hour of the machine; None if that is not known."""
    if rate.machine is not None:
        return Unit.HOUR, machines.get(rate.machine)
    return rate.unit, Money(rate.tiers[0].price, rate.currency) if rate.tiers else None
