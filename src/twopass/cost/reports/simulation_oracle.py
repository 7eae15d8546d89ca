"""
What made-up usage costs, worked out a second time: in fractions, from the rate cards' values alone.

It shares no code with pricing, charging and ledger, so that agreement means something. It is slow where they are quick
(one list of all requests), and rounds nothing: to the cent it must say the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from math import ceil

from twopass.cost.prices.cards import Cards
from twopass.cost.prices.rates import Rate
from twopass.cost.usage.entries import Entry
from twopass.types import Clock

_UNBILLED = (Clock.RECEIVED, Clock.FINALIZED, Clock.VENDOR_REPORTED)
_MICROS = 1_000_000


@dataclass(slots=True)
class _Request:
    began: datetime
    name: str
    tenant: str
    pass_: str
    channels: int
    features: tuple[str, ...]
    micros: int = 0


@dataclass(frozen=True, slots=True)
class Bill:
    """
    Costs in the ledger's currency; provisioned time is not in them, but beside them.

    Attributes:
        unpriced: Requests without a known price, by provider and SKU.
        hours: Hours of audio received and of speech finalized.
    """

    by_tenant: Mapping[str, Fraction]
    by_provider: Mapping[str, Fraction]
    by_pass: Mapping[str, Fraction]
    provisioned: Fraction
    unpriced: Mapping[tuple[str, str], int]
    hours: Mapping[Clock, Fraction]

    @property
    def total(self) -> Fraction:
        """Of everything with a known price."""
        return sum(self.by_provider.values(), Fraction(0))


@dataclass
class Oracle:
    """Sees every entry go by; says in the end what they cost. The entries are of one month."""

    _requests: dict[tuple[str, str, Clock], dict[str, _Request]] = field(default_factory=lambda: defaultdict(dict))
    _micros: dict[Clock, int] = field(default_factory=lambda: defaultdict(int))

    def watch(self, entries: Iterable[Entry]) -> Iterable[Entry]:
        """The same entries."""
        for entry in entries:
            self.add(entry)
            yield entry

    def add(self, entry: Entry) -> None:
        """One entry, no correction."""
        self._micros[entry.clock] += entry.micros
        if entry.clock in _UNBILLED:
            return
        group = self._requests[entry.provider, entry.sku, entry.clock]
        request = group.get(entry.request)
        if request is None:
            made = entry.at, entry.request, entry.account.tenant, entry.pass_.value, entry.channels, entry.features
            request = group[entry.request] = _Request(*made)
        request.began = min(request.began, entry.at)
        request.micros += entry.micros

    def bill(self, cards: Cards, currency: str) -> Bill:
        """What all of it costs by these cards, in that currency."""
        tenants: dict[str, Fraction] = defaultdict(Fraction)
        providers: dict[str, Fraction] = defaultdict(Fraction)
        passes: dict[str, Fraction] = defaultdict(Fraction)
        unpriced: dict[tuple[str, str], int] = defaultdict(int)
        provisioned = Fraction(0)
        for (provider, sku, clock), requests in self._requests.items():
            if not _is_billed(cards, provider, sku, clock):
                continue
            for request, cost in _costs(cards, provider, sku, clock, requests, currency):
                if cost is None:
                    unpriced[provider, sku] += 1
                elif clock is Clock.PROVISIONED:
                    provisioned += cost
                else:
                    tenants[request.tenant] += cost
                    providers[provider] += cost
                    passes[request.pass_] += cost
        hours = {clock: Fraction(micros, 3600 * _MICROS) for clock, micros in self._micros.items()}
        return Bill(tenants, providers, passes, provisioned, unpriced, hours)


def _is_billed(cards: Cards, provider: str, sku: str, clock: Clock) -> bool:
    """A SKU that is billed by another clock is not billed by this one; one that no card has is an unknown price."""
    clocks = {rate.clock for rate in cards.cards[provider].rates if rate.sku == sku} if provider in cards.cards else ()
    return clock is Clock.PROVISIONED or not clocks or clock in clocks


def _costs(
    cards: Cards, provider: str, sku: str, clock: Clock, requests: Mapping[str, _Request], currency: str
) -> Iterable[tuple[_Request, Fraction | None]]:
    counted, freed = Fraction(0), Fraction(0)
    for request in sorted(requests.values(), key=lambda one: (one.began, one.name)):
        if clock is Clock.PROVISIONED:
            yield request, _machine(cards, sku, Fraction(request.micros, _MICROS), request.began, currency)
            continue
        rate = next((r for r in _rates(cards, provider) if r.applies(sku, clock, request.began)), None)
        if rate is None:
            yield request, None
        elif rate.machine is not None:
            yield request, _machine(cards, rate.machine, Fraction(request.micros, _MICROS), request.began, currency)
        else:
            cost, paid, free = _vendor(request, rate, counted, freed)
            counted, freed = counted + paid, freed + free
            yield request, _converted(cards, cost, rate.currency, currency, request.began)


def _rates(cards: Cards, provider: str) -> Iterable[Rate]:
    return cards.cards[provider].rates if provider in cards.cards else ()


def _machine(cards: Cards, name: str, seconds: Fraction, at: datetime, currency: str) -> Fraction | None:
    hour = cards.machines.get(name)
    if hour is None:
        return None
    return _converted(cards, Fraction(hour.amount) * seconds / 3600, hour.currency, currency, at)


def _vendor(
    request: _Request, rate: Rate, counted: Fraction, freed: Fraction
) -> tuple[Fraction | None, Fraction, Fraction]:
    """Cost, units that moved the tiers, and free units of one request; units are those of the price."""
    seconds = max(Fraction(request.micros, _MICROS), Fraction(rate.minimum))
    if rate.increment:
        steps = Fraction(rate.increment)
        seconds = ceil(seconds / steps) * steps
    audio = seconds / rate.unit.seconds
    units = audio * (request.channels if rate.each_channel else 1)
    free = min(max(Fraction(rate.free) - freed, Fraction(0)), units if rate.free_counts_channels else min(audio, units))
    if not rate.tiers:
        return None, units - free, free
    own = _below(rate, counted + units - free) - _below(rate, counted)
    more = sum((Fraction(rate.add_ons.get(name, 0)) for name in set(request.features)), Fraction(0))
    return own + more * units, units - free, free


def _below(rate: Rate, units: Fraction) -> Fraction:
    """What the month's first so many units cost."""
    ends = [*(Fraction(tier.above) for tier in rate.tiers[1:]), None]
    cost = Fraction(0)
    for tier, end in zip(rate.tiers, ends, strict=True):
        begin = Fraction(tier.above)
        reach = units if end is None else min(units, end)
        cost += max(reach - begin, Fraction(0)) * Fraction(tier.price)
    return cost


def _converted(cards: Cards, cost: Fraction | None, currency: str, to: str, at: datetime) -> Fraction | None:
    if cost is None or currency == to:
        return cost
    one, other = (_worth(cards, name, at) for name in (currency, to))
    return None if one is None or other is None else cost * one / other


def _worth(cards: Cards, currency: str, at: datetime) -> Fraction | None:
    """In the base currency, by the last rate up to that day."""
    if currency == cards.exchange.base:
        return Fraction(1)
    known = [rate for day, rate in cards.exchange.rates.get(currency, ()) if day <= at.date()]
    return Fraction(known[-1]) if known else None
