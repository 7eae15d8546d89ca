"""
What makes an invoice differ from our charges, in money. Pure.

Theirs less ours is split without a rest: seconds that they count otherwise, at our price; their price; what is taken
off; adjustments. Each of these is explained or stays unexplained, and together they are the difference:

    theirs - ours = (their seconds - our seconds) x our price + their seconds x (their price - our price)
                    + their credits + our free allowance + adjustments
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from twopass.cost.invoices.counting import Combination, Gap, causes_of
from twopass.cost.invoices.matching import TAX, WHOLE_INVOICE, Place, Theirs
from twopass.cost.invoices.our_side import Ours, What
from twopass.cost.invoices.vendor_prices import Implied, KnownPrice, free_tier, per_unit, price_words
from twopass.cost.prices.rates import Unit

_ZERO = Decimal(0)
_HALF_CENT = Decimal("0.005")
_NANO = Decimal("1e-9")
_SECOND = Decimal(1)
_SAYS: Mapping[What, str] = {
    What.REPLAY: "audio that was sent again is not billed",
    What.RACE_LOSER: "audio heard by the loser of a race is not billed",
    What.SPECULATION: "work that was thrown away is not billed",
    What.SHADOW: "audio heard for comparison is not billed",
    What.ROUNDING: "requests are not rounded up",
    What.REPORTED: "billed is what the vendor itself reported for the streams",
    What.MIDNIGHT: "requests that ran over midnight (UTC) are billed on both days",
    What.CORRECTIONS: "our corrections are not on the invoice",
    What.CHANNELS: "several channels are billed as one",
    What.BLOCKS_1: "each request is rounded up to a whole second",
    What.BLOCKS_15: "each request is rounded up to 15 seconds",
    What.BLOCKS_60: "each request is rounded up to a whole minute",
}


class Why(StrEnum):
    """What explains a part of a difference."""

    UNKNOWN_PRICE = "unknown price"
    NOT_BILLED = "not on the invoice"
    NOT_CHARGED = "not in the ledger"
    COUNTING = "counted otherwise"
    PRICE = "another price"
    TIER = "another tier"
    ALLOWANCE = "free allowance"
    CREDIT = "credit"
    TAX = "tax"
    ADJUSTMENT = "adjustment"
    ROUNDED = "amounts rounded"


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    Attributes:
        amount: This part of theirs less ours; None if it cannot be known.
        seconds: The same of the billed time, if it is about that.
        what: For `Why.COUNTING`: what is counted otherwise.
        requests, example: How many requests it is about, and one of them.
    """

    why: Why
    says: str
    amount: Decimal | None
    seconds: Decimal | None = None
    what: What | None = None
    requests: int = 0
    example: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """
    What both say of one thing and day; None if one of them says nothing.

    Attributes:
        cost_slack, seconds_slack: How far rounding can have moved theirs.
        known: Prices that we know of for it.
    """

    place: Place
    theirs: Theirs | None
    ours: Ours | None
    cost_slack: Decimal = _ZERO
    seconds_slack: Decimal = _ZERO
    known: tuple[KnownPrice, ...] = ()

    @property
    def difference(self) -> Decimal | None:
        """Theirs less ours; None if ours is not known."""
        ours = self.ours.cost if self.ours else _ZERO
        return None if ours is None else (self.theirs.cost if self.theirs else _ZERO) - ours

    @property
    def agrees(self) -> bool:
        """To the cent, and to the second."""
        if self.theirs is None or self.ours is None or self.difference is None:
            return False
        same_time = self.theirs.seconds is None or abs(self.theirs.seconds - self.ours.seconds) < _SECOND
        return same_time and abs(self.difference) < _HALF_CENT

    @property
    def comparable(self) -> bool:
        """Whether both say how much time and money."""
        return (
            self.theirs is not None
            and self.theirs.seconds is not None
            and bool(self.ours and self.ours.cost is not None)
        )


def explain(pairs: Sequence[Pair], unit: Unit) -> list[tuple[Explanation, ...]]:
    """All days of one SKU and currency, in their order -> the explanations of each."""
    comparable = [number for number, pair in enumerate(pairs) if pair.comparable]
    gaps = [_gap(pairs[number]) for number in comparable]
    causes = dict(zip(comparable, causes_of(gaps), strict=True))
    usual = _average_price(pairs)
    implied = {number: _implied(pairs[number], usual) for number in comparable}
    explained = []
    for number, pair in enumerate(pairs):
        words = price_words(number, implied, pair.known, unit)
        explained.append(tuple(_of_pair(pair, causes.get(number, ()), implied.get(number), words, unit)))
    return explained


def _gap(pair: Pair) -> Gap:
    assert pair.theirs is not None
    assert pair.theirs.seconds is not None
    assert pair.ours is not None
    return Gap.between(pair.theirs.seconds, pair.ours, pair.seconds_slack)


def _implied(pair: Pair, usual: Decimal) -> Implied:
    assert pair.theirs is not None
    assert pair.ours is not None
    return Implied.of(pair.theirs, pair.ours, pair.cost_slack + pair.seconds_slack * usual, usual)


def _average_price(pairs: Sequence[Pair]) -> Decimal:
    """Our price of a second."""
    known = [pair.ours for pair in pairs if pair.ours and pair.ours.list is not None]
    seconds = sum((ours.seconds for ours in known), _ZERO)
    return sum((ours.list or _ZERO for ours in known), _ZERO) / seconds if seconds else _ZERO


def _of_pair(
    pair: Pair, causes: Combination, implied: Implied | None, words: tuple[bool, str] | None, unit: Unit
) -> Iterator[Explanation]:
    alone = _one_sided(pair, unit)
    if alone is not None:
        yield alone
        return
    assert pair.theirs is not None
    assert pair.ours is not None
    found = [*_counting(pair.ours, causes, implied), *_credits(pair.theirs, pair.ours, implied)]
    if words and implied:
        found.append(Explanation(Why.TIER if words[0] else Why.PRICE, words[1], implied.extra.quantize(_NANO)))
    if pair.theirs.adjustments:
        found.append(Explanation(Why.ADJUSTMENT, "by the vendor", pair.theirs.adjustments))
    yield from found
    left = (pair.difference or _ZERO) - sum((one.amount or _ZERO for one in found), _ZERO)
    if left and abs(left) <= (implied.slack if implied else pair.cost_slack):
        yield Explanation(Why.ROUNDED, "by the vendor, line by line", left)


def _one_sided(pair: Pair, unit: Unit) -> Explanation | None:
    """What explains all of it at once."""
    difference, theirs, ours = pair.difference, pair.theirs, pair.ours
    if difference is None:
        return Explanation(Why.UNKNOWN_PRICE, _unknown(theirs, unit), None)
    if pair.place.label == TAX:
        return Explanation(Why.TAX, "no charge of ours has taxes in it", difference)
    if pair.place.label == WHOLE_INVOICE:
        return Explanation(Why.ADJUSTMENT, "by the vendor, for the invoice as a whole", difference)
    if theirs is None and ours is not None:
        requests = sum(part.requests for part in ours.parts.values())
        example = next((part.example for part in ours.parts.values()), "")
        says = "the invoice has nothing of it"
        return Explanation(Why.NOT_BILLED, says, difference, -ours.seconds, requests=requests, example=example)
    if ours is None and theirs is not None:
        return Explanation(Why.NOT_CHARGED, "nothing of it was metered", difference, theirs.seconds)
    return None


def _unknown(theirs: Theirs | None, unit: Unit) -> str:
    says = "the rate card or the exchange rates do not say what it costs"
    if theirs is None or not theirs.seconds:
        return says
    return f"{says}; by the invoice it is {per_unit(theirs.usage / theirs.seconds, unit)} per {unit}"


def _counting(ours: Ours, causes: Combination, implied: Implied | None) -> Iterator[Explanation]:
    effects = ours.effects()
    for what in causes:
        effect = effects[what]
        at_list = ours.parts[what].list if what in ours.parts else None
        at_average = effect.seconds * (implied.ours if implied else _ZERO)
        amount = at_average.quantize(_NANO) if at_list is None else -at_list
        yield Explanation(Why.COUNTING, _SAYS[what], amount, effect.seconds, what, effect.requests, effect.example)


def _credits(theirs: Theirs, ours: Ours, implied: Implied | None) -> Iterator[Explanation]:
    free, taken_off = ours.credit or _ZERO, free_tier(theirs)
    for name, amount in theirs.credits.items():
        if taken_off is None or name.upper() != "FREE_TIER":
            yield Explanation(Why.CREDIT, name, amount)
    missing = free + (taken_off or _ZERO)
    if missing and not (implied and implied.netted):
        says = "it is not taken off" if taken_off is None else f"{-taken_off:f} is taken off instead of {free:f}"
        yield Explanation(Why.ALLOWANCE, says, missing)
