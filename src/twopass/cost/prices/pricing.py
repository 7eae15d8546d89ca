"""
What a request costs: a pure function of its usage, the rate that applies, and what the month has used before.

    seconds -> minimum and increment -> channels -> free allowance -> tiers -> lines of money

Everything is exact until the last step: an amount is rounded once, to a billionth of its currency, half to even.
A price that is not known stays None through all of it; nothing here ever makes it 0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from typing import TypeAlias

from twopass.cost.prices.rates import Money, Rate, RateCard, Tier, Unit
from twopass.types import Clock

RULES = 1
"""Counted up whenever these functions price anything differently: what was charged before is then charged anew."""
MACHINE = "machine"
"""The provider of usage on the clock `provisioned`; its SKU is the machine's name."""
EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)
"""Wide enough that only the last step rounds."""
_NANO = Decimal("1e-9")
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Request:
    """
    What a vendor bills as one: all seconds of one clock under one request id.

    Attributes:
        at: When it began, with its time zone. The UTC day decides which price applies, the UTC month which allowance.
        seconds: Of the clock, of one channel. Without any (0 or less, after corrections) nothing is billed.
        features: What was asked of the vendor besides. Those that the card does not list cost nothing more.
    """

    at: datetime
    clock: Clock
    seconds: Decimal
    channels: int = 1
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Position:
    """
    How far a month has come with one provider's SKU and clock. A new month begins with `Position()`.

    Attributes:
        billed: Seconds that moved the tiers: billed ones that were not free.
        free: Seconds that were taken from the free allowance.
    """

    billed: Decimal = _ZERO
    free: Decimal = _ZERO


@dataclass(frozen=True, slots=True)
class PriceLine:
    """
    One line of a bill. A request that crosses tiers has several for the SKU itself, and one for each add-on.

    Attributes:
        feature: The add-on; empty for the SKU itself.
        billed_seconds: After minimum, increment and channels; the free ones are among them.
        unit_price: List price of one unit; None if it is not known, and then `list` and `credit` are None too.
        list: What the billed seconds cost at that price.
        credit: How much of it is free of charge.
    """

    feature: str
    billed_seconds: Decimal
    unit: Unit
    unit_price: Decimal | None
    list: Decimal | None
    credit: Decimal | None
    currency: str

    @property
    def net(self) -> Decimal | None:
        """What is to be paid."""
        return None if self.list is None or self.credit is None else self.list - self.credit


Lines: TypeAlias = tuple[PriceLine, ...]


def price(request: Request, rate: Rate, position: Position, machines: Mapping[str, Money]) -> tuple[Lines, Position]:
    """
    The request's lines, and where the month stands after it.

    The allowance is used up before the tiers begin, does not move them, and does not cover add-ons. Its seconds are
    listed at the price of the tier that the month is in. `machines` has the price of an hour of each own machine.
    """
    rate = _with_machine(rate, machines)
    audio = rounded(request.seconds, rate)
    if audio <= 0:
        return (), position
    billed = audio * request.channels if rate.each_channel else audio
    free = _free(billed, audio, rate, position)
    lines = [*_own_lines(billed - free, free, rate, position), *_add_ons(request, billed, rate)]
    return tuple(lines), Position(position.billed + billed - free, position.free + free)


def rounded(seconds: Decimal, rate: Rate) -> Decimal:
    """The least multiple of the increment that is neither less than `seconds` nor less than the minimum."""
    if seconds <= 0:
        return _ZERO
    least = max(seconds, rate.minimum)
    if not rate.increment:
        return least
    return (EXACT.divide(least, rate.increment)).to_integral_value(ROUND_CEILING) * rate.increment


def month_of(at: datetime) -> str:
    """The month (UTC) whose allowance and tiers a request of that time uses: 2026-11."""
    return at.astimezone(UTC).strftime("%Y-%m")


def price_all(
    requests: Iterable[Request], card: RateCard, sku: str, machines: Mapping[str, Money]
) -> Iterator[tuple[Request, Lines | None]]:
    """One SKU's requests in the order of their time with their lines; None where no rate applies."""
    positions: dict[tuple[str, Clock], Position] = defaultdict(Position)
    for request in sorted(requests, key=lambda request: request.at):
        rate = card.rate(sku, request.clock, request.at)
        place = month_of(request.at), request.clock
        if rate is None:
            yield request, None
            continue
        lines, positions[place] = price(request, rate, positions[place], machines)
        yield request, lines


# -- which price ----------------------------------------------------------------------------------------------------


class Standing(StrEnum):
    """What the lack of a price means."""

    BILLED = "billed"  # the clock is billed: without a price it is an unknown price
    COMPARED = "compared"  # another clock is billed: this one is recorded to compare, and has no price by design
    UNKNOWN = "unknown"  # no card knows this SKU, or its price for that day: an unknown price


def standing(card: RateCard | None, sku: str, clock: Clock, at: datetime) -> Standing:
    """Whether usage of this SKU, clock and time is to be priced. `card` is the provider's; None if it has none."""
    if clock in (Clock.RECEIVED, Clock.FINALIZED):
        return Standing.COMPARED
    if clock is Clock.PROVISIONED:
        return Standing.BILLED
    clocks = {rate.clock for rate in card.rates if rate.sku == sku} if card else set()
    if clock in clocks:
        return Standing.BILLED if card and card.rate(sku, clock, at) else Standing.UNKNOWN
    return Standing.COMPARED if clocks else Standing.UNKNOWN


def rate_for(cards: Mapping[str, RateCard], provider: str, sku: str, clock: Clock, at: datetime) -> Rate | None:
    """The rate that applies: of the provider's card or, for provisioned time, of the machine. None if there is none."""
    if clock is Clock.PROVISIONED:
        return Rate(sku, clock, machine=sku) if provider == MACHINE else None
    card = cards.get(provider)
    return card.rate(sku, clock, at) if card else None


# -- one line -------------------------------------------------------------------------------------------------------


def _with_machine(rate: Rate, machines: Mapping[str, Money]) -> Rate:
    if rate.machine is None:
        return rate
    hour = machines.get(rate.machine)
    if hour is None:
        return replace(rate, unit=Unit.HOUR, tiers=())
    return replace(rate, unit=Unit.HOUR, tiers=(Tier(_ZERO, hour.amount),), currency=hour.currency)


def _free(billed: Decimal, audio: Decimal, rate: Rate, position: Position) -> Decimal:
    left = max(rate.free * rate.unit.seconds - position.free, _ZERO)
    return min(billed, left) if rate.free_counts_channels else min(billed, audio, left)


def _own_lines(paid: Decimal, free: Decimal, rate: Rate, position: Position) -> Iterator[PriceLine]:
    for seconds, unit_price in _spans(position.billed, paid, rate):
        yield _line("", seconds + free, free, rate, unit_price)
        free = _ZERO


def _spans(begin: Decimal, seconds: Decimal, rate: Rate) -> Iterator[tuple[Decimal, Decimal | None]]:
    """`seconds` from `begin` on, cut at the tiers' borders, with the price of each part. One part at least."""
    if not rate.tiers:
        yield seconds, None
        return
    for tier, following in zip(rate.tiers, (*rate.tiers[1:], None), strict=True):
        room = None if following is None else following.above * rate.unit.seconds - begin
        if room is not None and room <= 0:
            continue
        part = seconds if room is None else min(seconds, room)
        yield part, tier.price
        begin, seconds = begin + part, seconds - part
        if not seconds:
            return


def _add_ons(request: Request, billed: Decimal, rate: Rate) -> Iterator[PriceLine]:
    for feature in sorted(rate.add_ons.keys() & set(request.features)):
        yield _line(feature, billed, _ZERO, rate, rate.add_ons[feature])


def _line(feature: str, billed: Decimal, free: Decimal, rate: Rate, unit_price: Decimal | None) -> PriceLine:
    if unit_price is None:
        return PriceLine(feature, billed, rate.unit, None, None, None, rate.currency)
    listed, credit = (amount(unit_price, seconds, rate.unit.seconds) for seconds in (billed, free))
    return PriceLine(feature, billed, rate.unit, unit_price, listed, credit, rate.currency)


def amount(unit_price: Decimal, count: Decimal, per: int) -> Decimal:
    """`unit_price` x `count` / `per`, rounded once to billionths, half to even."""
    return EXACT.quantize(EXACT.divide(EXACT.multiply(unit_price, count), Decimal(per)), _NANO)
