"""
When own machines are cheaper than a vendor. Pure and exact.

Machines are paid for whether they work or not, and there have to be enough for the busiest moment: their month costs
the same however much they hear. A vendor's month rises with every hour, along its tiers. So for each number of streams
at once there is one number of audio hours a month from which on own machines are cheaper, if that many are possible.

The vendor's side has its free hours, volume tiers and monthly fee; not what rounding up requests, several channels and
add-ons cost. One hour of the billed clock is taken for one hour of audio.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from itertools import pairwise

from twopass.cost.prices.pricing import EXACT
from twopass.cost.prices.rates import Rate

HOURS_PER_MONTH = 730
"""Of a year, 8,760, the twelfth part."""
_ZERO = Decimal(0)
_MICRO = Decimal("1e-6")


def month_cost(rate: Rate, hours: Decimal) -> Decimal | None:
    """What so many audio hours in one month cost, in the rate's currency; None if no price is known."""
    if not rate.tiers:
        return None
    with localcontext(EXACT):
        left = max(_ZERO, hours * 3600 / rate.unit.seconds - rate.free)
        cost = rate.monthly_fee
        for room, price in _tiers(rate):
            taken = left if room is None else min(left, room)
            cost += taken * price
            left -= taken
        return cost


def hours_for(rate: Rate, cost: Decimal) -> Decimal | None:
    """
    From how many audio hours on a month costs at least so much, rounded up to a millionth of an hour.

    None if no number of hours does, or no price is known (`rate.tiers` tells).
    """
    if not rate.tiers:
        return None
    with localcontext(EXACT):
        missing, units = cost - rate.monthly_fee, rate.free
        if missing <= 0:
            return _ZERO
        for room, price in _tiers(rate):
            if price and (room is None or room * price >= missing):
                hours = (units + missing / price) * rate.unit.seconds / 3600
                return hours.quantize(_MICRO, ROUND_CEILING)
            units += room or _ZERO
            missing -= (room or _ZERO) * price
        return None


def _tiers(rate: Rate) -> Iterator[tuple[Decimal | None, Decimal]]:
    """How many units each tier has room for (None: all others), and their price."""
    for tier, following in pairwise((*rate.tiers, None)):
        assert tier is not None
        yield (None if following is None else following.above - tier.above), tier.price


@dataclass(frozen=True, slots=True)
class Fleet:
    """
    Own machines of one kind.

    Attributes:
        hour: What an hour of one costs.
        streams: How many streams one can take at once; below 1 if a stream needs several.
    """

    hour: Decimal
    streams: Decimal

    def machines(self, at_once: int) -> int:
        """How many are needed for so many streams at once."""
        return int(EXACT.divide(Decimal(at_once), self.streams).to_integral_value(ROUND_CEILING))

    def month(self, at_once: int) -> Decimal:
        """What they cost in a month."""
        return self.machines(at_once) * self.hour * HOURS_PER_MONTH

    def room(self, machines: int) -> int:
        """How many streams at once so many machines can take."""
        return int((self.streams * machines).to_integral_value(ROUND_FLOOR))


@dataclass(frozen=True, slots=True)
class Span:
    """Own machines are cheaper from `first` to `last` streams at once; None: to the last that was looked at."""

    first: int
    last: int | None


def winning(rate: Rate, fleet: Fleet, load: Decimal, most: int) -> tuple[Span, ...] | None:
    """
    At how many streams at once own machines are cheaper; None if the vendor's price is not known.

    Whenever another machine is needed they may become dearer again.

    Args:
        load: The month's mean of streams, as a share of the most at once.
        most: How many are looked at.
    """
    if not rate.tiers:
        return None
    spans: list[Span] = []
    at_once = 1
    while at_once <= most:
        last = min(most, max(at_once, fleet.room(fleet.machines(at_once))))
        first = _first_cheaper(rate, fleet, load, at_once, last)
        if first is not None:
            joined = spans and spans[-1].last == first - 1
            spans = [*spans[:-1], Span(spans[-1].first, last)] if joined else [*spans, Span(first, last)]
        at_once = last + 1
    if spans and spans[-1].last == most:
        spans[-1] = Span(spans[-1].first, None)
    return tuple(spans)


def hours_of(at_once: int, load: Decimal) -> Decimal:
    """How many audio hours a month has with so many streams in its busiest moment."""
    return at_once * load * HOURS_PER_MONTH


def _first_cheaper(rate: Rate, fleet: Fleet, load: Decimal, low: int, high: int) -> int | None:
    """The least of `low`..`high`, which need the same number of machines, that is dearer with the vendor."""
    own = fleet.month(low)

    def cheaper(at_once: int) -> bool:
        cost = month_cost(rate, hours_of(at_once, load))
        return cost is not None and cost > own

    if not cheaper(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if cheaper(middle) else (middle + 1, high)
    return high
