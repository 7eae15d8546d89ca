"""
An invoice against the ledger: per SKU and UTC day what they charge, what we charge, and what explains the difference.

`reconcile` is pure; `read_our_side` asks the ledger.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal, localcontext
from functools import reduce
from typing import TypeVar

from twopass.cost.invoices.explaining import Explanation, Pair, explain
from twopass.cost.invoices.matching import ADD_ONS, Gathered, Names, Place, Service, Theirs, add_ons_of
from twopass.cost.invoices.our_side import Ours, our_side, together
from twopass.cost.invoices.vendor_prices import KnownPrice
from twopass.cost.prices.exchange import Exchange
from twopass.cost.prices.pricing import EXACT
from twopass.cost.prices.rates import Rate, RateCard, Unit
from twopass.cost.reports.files import read
from twopass.cost.reports.report import Asked, Ledger, Month, Raw, query

REPORT = "reconcile"
"""The file in cost_reports."""
_ZERO = Decimal(0)
_HALF_CENT = Decimal("0.005")
_NANO = Decimal("1e-9")
_LEAST_SECONDS = Decimal("0.001")
_SECOND = Decimal(1)
_Known = TypeVar("_Known")


@dataclass(frozen=True, slots=True)
class Line:
    """
    One SKU on one day, or over several where the vendor does not tell them apart.

    Attributes:
        explanations: Each with its part of the difference.
    """

    pair: Pair
    explanations: tuple[Explanation, ...]

    @property
    def difference(self) -> Decimal | None:
        """Theirs less ours; None if ours is not known."""
        return self.pair.difference

    @property
    def explained(self) -> Decimal:
        """The sum of what is known of the explanations."""
        return sum((one.amount or _ZERO for one in self.explanations), _ZERO)

    @property
    def unexplained(self) -> Decimal | None:
        """What is left of the difference; None if that is not known."""
        return None if self.difference is None else self.difference - self.explained


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """
    Attributes:
        lines: By what they are for, and day.
        unknown: What the invoice has of the same service under names that no rate card knows.
        others: What it has of other services, which is no part of the comparison.
        outside: How many of its lines are not of the month.
    """

    month: Month
    lines: tuple[Line, ...]
    unknown: Mapping[Place, Theirs]
    others: Mapping[Service, Theirs]
    outside: int = 0

    @property
    def agrees(self) -> bool:
        """Whether all of it is the same on both sides, to the cent."""
        return not self.unknown and all(line.pair.agrees for line in self.lines)


def read_our_side(ledger: Ledger, month: Month) -> list[Raw]:
    """The rows of cost_reports/reconcile.sql for a month, of all vendors."""
    return query(read(REPORT), ledger, Asked(month, month.end))


def reconcile(
    gathered: Gathered,
    rows: Iterable[Raw],
    names: Names,
    card: RateCard,
    exchange: Exchange,
    month: Month,
) -> Reconciliation:
    """
    Args:
        gathered: The invoice.
        rows: Our side: the card's provider's rows of cost_reports/reconcile.sql.
        names: The vendor's names, of its `card`.
    """
    with localcontext(EXACT):
        ours = our_side(rows, names, _currency_of(gathered), exchange.convert)
        theirs, unknown = _with_add_ons(gathered, ours)
        pairs = _pairs(_of_month(theirs, month), _of_month(ours, month), gathered, month)
        lines = [line for same in _by_thing(pairs) for line in _explained(same, card, names, exchange)]
    outside = sum(one.lines for one in theirs.values()) - sum(one.lines for one in _of_month(theirs, month).values())
    return Reconciliation(
        month,
        tuple(sorted(lines, key=_order)),
        _of_month(unknown, month),
        {service: one for service, one in gathered.others.items() if service.month == str(month)},
        outside,
    )


def _of_month(places: Mapping[Place, _Known], month: Month) -> dict[Place, _Known]:
    return {place: known for place, known in places.items() if month.start <= place.day < month.end}


def _order(line: Line) -> Place:
    return line.pair.place


def _currency_of(gathered: Gathered) -> Callable[[str, str], str]:
    """In which currency to compare: the invoice's for that label, or its usual one; without an invoice the card's."""
    by_label = {place.label: place.currency for place in gathered.known}
    usual = Counter(place.currency for place in gathered.known).most_common(1)
    return lambda label, own: by_label.get(label) or (usual[0][0] if usual else own)


def _with_add_ons(gathered: Gathered, ours: Iterable[Place]) -> tuple[dict[Place, Theirs], dict[Place, Theirs]]:
    """
    What is known and unknown of the invoice, after this guess: what no card knows, but is called like something known
    and more ("S1 Speech to Text Enhanced Feature Audio"), is its add-ons, if we charge such and nothing else may be.
    """
    known, unknown = dict(gathered.known), dict(gathered.unknown)
    for label in {place.label for place in ours} - {place.label for place in known}:
        base = label.removesuffix(add_ons_of(""))
        longer = {place.label for place in unknown if place.label.casefold().startswith(f"{base} ".casefold())}
        if base != label and len(longer) == 1:
            mine = [place for place in unknown if place.label in longer]
            known |= {replace(place, label=label): unknown.pop(place) for place in mine}
    return known, unknown


def _pairs(theirs: Mapping[Place, Theirs], ours: Mapping[Place, Ours], gathered: Gathered, month: Month) -> list[Pair]:
    """Each thing and day with both sides. Where the invoice does not tell days apart, the month is one."""
    blurred = {(place.label, place.currency) for place in theirs if place.day != place.last_day}

    def spread(place: Place) -> Place:
        last = month.end - timedelta(days=1)
        return replace(place, day=month.start, last_day=last) if (place.label, place.currency) in blurred else place

    their_days: dict[Place, list[Theirs]] = defaultdict(list)
    our_days: dict[Place, list[Ours]] = defaultdict(list)
    for place, one in theirs.items():
        their_days[spread(place)].append(one)
    for place, mine in ours.items():
        our_days[spread(place)].append(mine)
    return [_pair(place, their_days[place], our_days[place], gathered) for place in sorted({*their_days, *our_days})]


def _pair(place: Place, theirs: list[Theirs], ours: list[Ours], gathered: Gathered) -> Pair:
    their_sum = reduce(Theirs.together_with, theirs) if theirs else None
    our_sum = together(ours) if ours else None
    lines = their_sum.lines if their_sum else 0
    requests = sum(part.requests for part in our_sum.parts.values()) if our_sum else 0
    cost_slack = lines * min(gathered.cost_quantum / 2, _HALF_CENT) + requests * _NANO
    seconds_slack = max(min(lines * gathered.seconds_quantum / 2, _SECOND), _LEAST_SECONDS)
    return Pair(place, their_sum, our_sum, cost_slack, seconds_slack)


def _by_thing(pairs: Sequence[Pair]) -> list[list[Pair]]:
    same: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for pair in pairs:
        same[pair.place.label, pair.place.currency].append(pair)
    return list(same.values())


def _explained(pairs: Sequence[Pair], card: RateCard, names: Names, exchange: Exchange) -> list[Line]:
    label = pairs[0].place.label
    rates = [rate for rate in card.rates if label in (names.label(rate.sku, ""), names.label(rate.sku, ADD_ONS))]
    unit = rates[0].unit if rates else Unit.HOUR
    known = [replace(pair, known=tuple(_known_prices(pair.place, rates, names, exchange))) for pair in pairs]
    return [Line(pair, found) for pair, found in zip(known, explain(known, unit), strict=True)]


def _known_prices(place: Place, rates: Sequence[Rate], names: Names, exchange: Exchange) -> Iterator[KnownPrice]:
    for rate in rates:
        add_ons = place.label == names.label(rate.sku, ADD_ONS)
        prices = [(price, "the price of one of them") for price in rate.add_ons.values()] if add_ons else _tiers(rate)
        for price, says in prices:
            converted = exchange.convert(price, rate.currency, place.currency, place.day)
            if converted is not None:
                yield KnownPrice(converted / rate.unit.seconds, says)


def _tiers(rate: Rate) -> list[tuple[Decimal, str]]:
    since = f", valid from {rate.effective_from}" if rate.effective_from else ""
    until = f", valid before {rate.effective_to}" if rate.effective_to else ""
    return [(tier.price, f"the price from {tier.above:f} {rate.unit}s a month on{since}{until}") for tier in rate.tiers]
