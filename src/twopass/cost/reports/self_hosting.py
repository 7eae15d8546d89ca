"""
What own machines cost for an hour of audio, and what vendors offer for it. Pure.

Two prices of the same work: marginal is what the busy time costs, fully loaded what all the time costs for which the
machines were kept ready. A price that nobody knows stays unknown in everything that follows from it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_FLOOR, Decimal

from twopass.cost.prices.cards import Cards
from twopass.cost.prices.rates import Money, Rate
from twopass.cost.reports.break_even import Fleet
from twopass.cost.reports.report import Raw
from twopass.types import Clock

_ZERO = Decimal(0)
_MICROS_PER_HOUR = 3_600_000_000
_BUSY = (Clock.CPU_BUSY, Clock.GPU_BUSY)


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What is assumed for the comparison.

    Attributes:
        load: The month's mean of streams, as a share of the most at once.
        fill: How much of a machine's time may be busy. The rest is room for the busiest seconds.
        streams: How many streams a machine of a kind takes at once, where that is known better than by measurement.
        at_once: For how many streams in the busiest moment machines are counted.
    """

    load: Decimal = Decimal("0.3")
    fill: Decimal = Decimal("0.7")
    streams: Mapping[str, Decimal] | None = None
    at_once: Sequence[int] = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True, slots=True)
class Work:
    """What one provider's machines did in one pass, in hours. `machine` is None if no rate card names it."""

    provider: str
    sku: str
    pass_: str
    machine: str | None
    clock: Clock
    busy: Decimal
    audio: Decimal

    @property
    def busy_per_audio(self) -> Decimal | None:
        """None without audio."""
        return self.busy / self.audio if self.audio else None


@dataclass(frozen=True, slots=True)
class Machine:
    """
    One kind of own machine in one month, in hours.

    Attributes:
        hour: What an hour of one costs; None if nobody has said.
        ready: How long such machines were kept ready; None if that was not metered.
        busy_per_audio: Of all passes together, for an hour of audio; None without audio.
    """

    name: str
    hour: Money | None
    ready: Decimal | None
    busy: Decimal
    audio: Decimal
    busy_per_audio: Decimal | None

    @property
    def utilisation(self) -> Decimal | None:
        """Busy time as a share of the time ready."""
        return self.busy / self.ready if self.ready else None

    @property
    def marginal(self) -> Decimal | None:
        """What an hour of audio costs if no machine ever waits; None if not known."""
        return None if self.hour is None or self.busy_per_audio is None else self.hour.amount * self.busy_per_audio

    @property
    def loaded(self) -> Decimal | None:
        """What an hour of audio cost, idle time included; None if not known."""
        if self.hour is None or self.ready is None or not self.audio:
            return None
        return self.hour.amount * self.ready / self.audio

    def streams(self, plan: Plan) -> Decimal | None:
        """How many streams one can take at once: whole ones, or less than 1. None if that is not known."""
        said = (plan.streams or {}).get(self.name)
        if said is not None:
            return said
        if not self.busy_per_audio:
            return None
        found = plan.fill / self.busy_per_audio
        return found.to_integral_value(ROUND_FLOOR) if found >= 1 else found


def works(rows: Iterable[Raw], cards: Cards) -> list[Work]:
    """The busy time of own machines, from the rows of cost_reports/self_hosting.sql."""
    return [_work(row, cards) for row in rows if row["section"] == "busy"]


def _work(row: Raw, cards: Cards) -> Work:
    card, clock = cards.cards.get(row["provider"]), Clock(row["clock"])
    rates = [rate for rate in card.rates if (rate.sku, rate.clock) == (row["sku"], clock)] if card else []
    machine = rates[0].machine if rates else None
    audio = _hours(row["audio_micros"])
    return Work(row["provider"], row["sku"], row["pass"], machine, clock, _hours(row["busy_micros"]), audio)


def machines(rows: Sequence[Raw], cards: Cards) -> list[Machine]:
    """Every kind of machine that worked, was kept ready or has a price."""
    done = works(rows, cards)
    ready = {row["sku"]: _hours(row["busy_micros"]) for row in rows if row["section"] == "ready"}
    heard = {Clock(row["clock"]): _hours(row["audio_micros"]) for row in rows if row["section"] == "heard"}
    names = {work.machine for work in done if work.machine} | ready.keys() | cards.machines.keys()
    return [
        _machine(name, [work for work in done if work.machine == name], ready, heard, cards) for name in sorted(names)
    ]


def _machine(
    name: str, done: Sequence[Work], ready: Mapping[str, Decimal], heard: Mapping[Clock, Decimal], cards: Cards
) -> Machine:
    clocks = {work.clock for work in done}
    return Machine(
        name,
        cards.machines.get(name),
        ready.get(name),
        sum((work.busy for work in done), _ZERO),
        max((heard.get(clock, _ZERO) for clock in clocks), default=_ZERO),
        _busy_per_audio(done),
    )


def _busy_per_audio(done: Iterable[Work]) -> Decimal | None:
    """Each pass for itself, as not every session has both; then together, as an hour of audio goes through both."""
    busy: dict[str, Decimal] = defaultdict(Decimal)
    audio: dict[str, Decimal] = defaultdict(Decimal)
    for work in done:
        busy[work.pass_] += work.busy
        audio[work.pass_] += work.audio
    heard = [name for name in busy if audio[name]]
    return sum((busy[name] / audio[name] for name in heard), _ZERO) if heard else None


def _hours(micros: int | None) -> Decimal:
    return Decimal(micros or 0) / _MICROS_PER_HOUR


# -- against vendors ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Offer:
    """What a vendor sells, at the price of one day."""

    vendor: str
    rate: Rate


def offers(cards: Cards, day: date) -> list[Offer]:
    """What vendors bill by audio or connection, with and without a known price."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    found = []
    for card in (card for card in cards.cards.values() if not card.local):
        kinds = dict.fromkeys((rate.sku, rate.clock) for rate in card.rates if rate.clock not in _BUSY)
        rates = (card.rate(sku, clock, noon) for sku, clock in kinds)
        found += [Offer(card.name or card.provider, rate) for rate in rates if rate is not None]
    return sorted(found, key=lambda offer: (offer.vendor, offer.rate.sku))


@dataclass(frozen=True, slots=True)
class Contest:
    """One vendor's offer against one kind of own machine. `fleet` is in its currency; None without an exchange rate."""

    offer: Offer
    machine: Machine
    fleet: Fleet | None


def contests(rows: Sequence[Raw], cards: Cards, plan: Plan, day: date) -> list[Contest]:
    """Every offer against every kind of machine of which price and streams at once are known."""
    found = []
    for machine in machines(rows, cards):
        streams, hour = machine.streams(plan), machine.hour
        if streams and hour is not None:
            for offer in offers(cards, day):
                price = cards.exchange.convert(hour.amount, hour.currency, offer.rate.currency, day)
                found.append(Contest(offer, machine, None if price is None else Fleet(price, streams)))
    return found
