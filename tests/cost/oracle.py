"""
What requests cost, worked out a second time and in another way: to check `twopass.cost.prices.pricing` against.

Fractions instead of decimals, so that nothing is ever rounded by the way. A month's seconds lie on a line, one request
after the other, and so do the tiers and the allowance: what a request pays of each is how far their intervals overlap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal
from fractions import Fraction

from twopass.cost.prices.exchange import Exchange
from twopass.cost.prices.pricing import PriceLine, Request
from twopass.cost.prices.rates import Money, Rate, RateCard

_Place = tuple[tuple[int, int], str]
_SECONDS = {"second": 1, "minute": 60, "hour": 3600}


@dataclass(frozen=True)
class Bill:
    """One line: the add-on (empty for the SKU itself), seconds, unit price, and money. None is unknown."""

    feature: str
    seconds: Fraction
    unit_price: Fraction | None
    list: Fraction | None
    credit: Fraction | None
    currency: str


def as_bill(line: PriceLine) -> Bill:
    """A line of the pricing as the oracle writes it."""
    unit_price, whole, credit = (None if a is None else Fraction(a) for a in (line.unit_price, line.list, line.credit))
    return Bill(line.feature, Fraction(line.billed_seconds), unit_price, whole, credit, line.currency)


def bills(
    requests: Sequence[Request], card: RateCard, sku: str, machines: Mapping[str, Money]
) -> list[list[Bill] | None]:
    """What each of these requests of one SKU costs, in the order of time. None if no rate applies."""
    paid_so_far: dict[_Place, Fraction] = defaultdict(Fraction)
    free_so_far: dict[_Place, Fraction] = defaultdict(Fraction)
    found: list[list[Bill] | None] = []
    for request in sorted(requests, key=lambda request: request.at.timestamp()):
        place = _month(request), request.clock
        rate = _rate(request, card, sku)
        if rate is None:
            found.append(None)
            continue
        found.append(_lines(request, rate, paid_so_far[place], free_so_far[place], machines))
        paid, free = _split(request, rate, free_so_far[place])
        paid_so_far[place] += paid
        free_so_far[place] += free
    return found


def converted(amount: Decimal, currency: str, to: str, day: date, exchange: Exchange) -> Fraction | None:
    """The amount in another currency; None without rates of both."""
    if currency == to:
        return Fraction(amount)
    worths = []
    for each in (currency, to):
        known = {when: rate for when, rate in exchange.rates.get(each, ()) if when <= day}
        if each == exchange.base:
            known = {day: Decimal(1)}
        if not known:
            return None
        worths.append(Fraction(known[max(known)]))
    return Fraction(amount) * worths[0] / worths[1]


def billionths(value: Fraction) -> Fraction:
    """Rounded to whole billionths, half to even."""
    return Fraction(round(value * 10**9), 10**9)


def _split(request: Request, rate: Rate, free_before: Fraction) -> tuple[Fraction, Fraction]:
    audio = _audio(request, rate)
    billed = audio * (request.channels if rate.each_channel else 1)
    wanted = billed if rate.free_counts_channels else audio
    allowance = Fraction(rate.free) * _SECONDS[rate.unit.value]
    free = _overlap(free_before, free_before + wanted, Fraction(0), allowance)
    return billed - free, free


def _audio(request: Request, rate: Rate) -> Fraction:
    if request.seconds <= 0:
        return Fraction(0)
    least = max(Fraction(request.seconds), Fraction(rate.minimum))
    step = Fraction(rate.increment)
    return least if not step else -(-least // step) * step


def _lines(
    request: Request, rate: Rate, paid_before: Fraction, free_before: Fraction, machines: Mapping[str, Money]
) -> list[Bill]:
    paid, free = _split(request, rate, free_before)
    if not paid + free:
        return []
    unit, currency = Fraction(_SECONDS[rate.unit.value]), rate.currency
    tiers = [(Fraction(tier.above) * unit, Fraction(tier.price)) for tier in rate.tiers]
    if rate.machine is not None:
        money = machines.get(rate.machine)
        tiers = [] if money is None else [(Fraction(0), Fraction(money.amount))]
        unit, currency = Fraction(3600), currency if money is None else money.currency
    found = [] if tiers else [Bill("", paid + free, None, None, None, currency)]
    for number, (begin, price) in enumerate(tiers):
        last = number + 1 == len(tiers)
        end = max(paid_before + paid, begin) + 1 if last else tiers[number + 1][0]
        here = free if begin <= paid_before < end else Fraction(0)
        seconds = _overlap(paid_before, paid_before + paid, begin, end) + here
        if seconds:
            amounts = billionths(price * seconds / unit), billionths(price * here / unit)
            found.append(Bill("", seconds, price, *amounts, currency))
    for feature in sorted(set(request.features)):
        if feature in rate.add_ons:
            price = Fraction(rate.add_ons[feature])
            whole = billionths(price * (paid + free) / unit)
            found.append(Bill(feature, paid + free, price, whole, Fraction(0), currency))
    return found


def _overlap(a: Fraction, b: Fraction, c: Fraction, d: Fraction) -> Fraction:
    """How much [a, b) and [c, d) have in common."""
    return max(Fraction(0), min(b, d) - max(a, c))


def _month(request: Request) -> tuple[int, int]:
    day = request.at.astimezone(UTC)
    return day.year, day.month


def _rate(request: Request, card: RateCard, sku: str) -> Rate | None:
    day = request.at.astimezone(UTC).date()
    for rate in card.rates:
        begun = (rate.effective_from or date.min) <= day
        if rate.sku == sku and rate.clock == request.clock and begun and day < (rate.effective_to or date.max):
            return rate
    return None
