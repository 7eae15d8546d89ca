"""
What price an invoice implies for a second, and whether that is a price or an accident. Pure.

Whatever an invoice says, some price would yield it. So a price explains a difference only if it is known (of another
tier or day), or the same on several days, or the only one there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from twopass.cost.invoices.matching import Theirs
from twopass.cost.invoices.our_side import Ours
from twopass.cost.prices.rates import Unit

_ZERO = Decimal(0)
_FREE_TIER = "FREE_TIER"


@dataclass(frozen=True, slots=True)
class KnownPrice:
    """What some rate of ours says a second costs, in the currency of the comparison; `says` which it is."""

    per_second: Decimal
    says: str


@dataclass(frozen=True, slots=True)
class Implied:
    """
    What one day of an invoice implies.

    Attributes:
        ours: Our average price of a second.
        theirs: Their price of a second; ours if they bill no time.
        extra: What their price adds to theirs less ours.
        netted: Their price has the free allowance in it; it is no line of its own.
        slack: How far rounding can have moved `extra`.
        price_slack: The same for `theirs`.
    """

    ours: Decimal
    theirs: Decimal
    extra: Decimal
    netted: bool
    slack: Decimal
    price_slack: Decimal

    @classmethod
    def of(cls, theirs: Theirs, ours: Ours, slack: Decimal, usual: Decimal) -> Implied:
        """
        Args:
            slack: How far rounding can have moved their cost.
            usual: Our price of a second, if we charge nothing that day.
        """
        assert theirs.seconds is not None
        full, free = ours.list or _ZERO, ours.credit or _ZERO
        price = full / ours.seconds if ours.seconds else usual
        extra = theirs.usage - theirs.seconds * price
        netted = bool(free) and free_tier(theirs) is None and abs(extra + free) < abs(extra)
        extra += free if netted else _ZERO
        per_second = Decimal(1) / theirs.seconds if theirs.seconds else _ZERO
        return cls(price, price + extra * per_second, extra, netted, slack, abs(slack * per_second))

    @property
    def differs(self) -> bool:
        """Whether their price is not ours."""
        return self.theirs != self.ours and abs(self.extra) > self.slack

    def is_near(self, price: Decimal, slack: Decimal = _ZERO) -> bool:
        """Whether theirs may be that price of a second."""
        return abs(self.theirs - price) <= self.price_slack + slack


def free_tier(theirs: Theirs) -> Decimal | None:
    """What they take off as the month's free allowance; None if they write none."""
    found = [amount for name, amount in theirs.credits.items() if name.upper() == _FREE_TIER]
    return sum(found, _ZERO) if found else None


def price_words(
    day: int, implied: Mapping[int, Implied], known: Sequence[KnownPrice], unit: Unit
) -> tuple[bool, str] | None:
    """
    What to say of the price of one of the days (numbered in their order), and whether it is a known one. None if it is
    ours, or may be an accident.
    """
    mine = implied.get(day)
    if mine is None or not mine.differs:
        return None
    amounts = f"{per_unit(mine.theirs, unit)} instead of {per_unit(mine.ours, unit)} per {unit}"
    for price in known:
        if mine.is_near(price.per_second):
            return True, f"{amounts}: {price.says}"
    if _crosses(day, mine, implied, known):
        return True, f"{amounts}: the month came into the next tier on that day"
    others = [other for number, other in implied.items() if number != day]
    if not others or any(other.differs and other.is_near(mine.theirs, mine.price_slack) for other in others):
        return False, f"{amounts} ({(mine.theirs / mine.ours - 1) * 100:+.2f} %)" if mine.ours else amounts
    return None


def _crosses(day: int, mine: Implied, implied: Mapping[int, Implied], known: Sequence[KnownPrice]) -> bool:
    """Whether it lies between the prices of the days before and after, and those are known ones."""
    before = max((number for number in implied if number < day), default=None)
    after = min((number for number in implied if number > day), default=None)
    if before is None or after is None or not implied[after].theirs < mine.theirs < implied[before].theirs:
        return False
    prices = [price.per_second for price in known]
    return all(any(implied[number].is_near(price) for price in prices) for number in (before, after))


def per_unit(per_second: Decimal, unit: Unit) -> str:
    """A price of a unit, with six digits that count."""
    return f"{float(per_second * unit.seconds):.6g}"
