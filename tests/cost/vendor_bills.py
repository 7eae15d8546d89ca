"""A made-up vendor: what it heard in a month, the bill it writes, what a meter wrote. Shares no code with pricing."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from twopass.cost.prices.rates import Rate, RateCard, Tier, Unit
from twopass.cost.usage.entries import Account, Entry
from twopass.types import Clock, Reason

D = Decimal
VENDOR = "acme"
SKU = "live"
VENDOR_SKU = "AAA-111"
PRICE = D("0.024")
CARD = RateCard(
    VENDOR,
    (
        Rate(
            SKU,
            Clock.AUDIO_SENT,
            Unit.MINUTE,
            tiers=(Tier(D(0), PRICE), Tier(D(1000), D("0.016")), Tier(D(2000), D("0.01"))),
            increment=D(1),
            add_ons={"diarization": D("0.002")},
            vendor_sku=VENDOR_SKU,
            service="Acme Speech",
        ),
    ),
    name="Acme",
)
_SEED = 7
_MICROS = 1_000_000


@dataclass(frozen=True)
class Heard:
    """One stream: what was sent to the vendor, by what it was for, in microseconds."""

    name: str
    at: datetime
    micros: dict[Reason, int]
    features: tuple[str, ...] = ()
    after_midnight: int = 0
    """How many of the microseconds of work were sent on the next day."""
    reported: int | None = None
    """How many seconds the vendor itself says it billed."""
    channels: int = 1

    @property
    def total(self) -> int:
        """All microseconds."""
        return sum(self.micros.values())


def a_month(first: date = date(2026, 11, 1), streams: int = 240) -> list[Heard]:
    """The same streams each time: on every day, some with audio that was sent again, some that lost a race."""
    random_ = random.Random(_SEED)
    return [_stream(random_, number, first + timedelta(days=number % 30)) for number in range(streams)]


def _stream(random_: random.Random, number: int, day: date) -> Heard:
    at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=random_.randrange(60_000))
    micros = {Reason.WORK: random_.randrange(1_000_000, 90_000_000)}
    if number % 3 == 0:
        micros[Reason.REPLAY] = random_.randrange(500_000, 9_000_000)
    if number % 5 == 0:
        micros[Reason.RACE_LOSER] = random_.randrange(500_000, 9_000_000)
    return Heard(f"s{number:04}/1", at, micros)


def entries_of(heard: Iterable[Heard]) -> list[Entry]:
    """What a meter would have written: an entry for each reason, the part after midnight by itself."""
    return [entry for stream in heard for entry in _entries(stream)]


def _entries(stream: Heard) -> list[Entry]:
    session = stream.name.partition("/")[0]
    blank = Entry(
        "", stream.at, session, stream.name, Account(), VENDOR, SKU, Clock.AUDIO_SENT, 0, channels=stream.channels
    )
    found = [replace(blank, micros=micros, reason=reason) for reason, micros in stream.micros.items()]
    if stream.after_midnight:
        next_day = (stream.at + timedelta(days=1)).replace(hour=0, minute=1)
        found[0] = replace(found[0], micros=found[0].micros - stream.after_midnight)
        found.append(replace(blank, at=next_day, micros=stream.after_midnight))
    if stream.reported is not None:
        found.append(replace(blank, clock=Clock.VENDOR_REPORTED, micros=stream.reported * _MICROS))
    return [
        replace(entry, id=f"{session}/{number}", features=stream.features)
        for number, entry in enumerate(found, start=1)
    ]


@dataclass(frozen=True)
class Habits:
    """
    How the vendor bills.

    Attributes:
        block: Each stream is rounded up to so many seconds; 0 is not rounded.
        unbilled: What it does not bill.
        by_usage_day: It splits streams at midnight.
        as_reported: It bills what it reported.
    """

    price: Decimal = PRICE
    block: int = 1
    unbilled: frozenset[Reason] = frozenset()
    by_usage_day: bool = False
    as_reported: bool = False


@dataclass
class Bill:
    """Rows of an export: seconds and cost by day."""

    seconds: dict[date, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    cost: dict[date, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    more: list[str] = field(default_factory=list)

    HEAD = (
        "service.description,sku.id,sku.description,usage_start_time,cost,currency,usage.amount,usage.unit,credits,"
        "cost_type"
    )

    def add(self, day: date, seconds: Decimal, price: Decimal) -> None:
        """So many seconds at a price per minute."""
        self.seconds[day] += seconds
        self.cost[day] += seconds * price / 60

    def row(self, day: date, cost: str, seconds: str, **other: str) -> None:
        """One more row."""
        cells = {"service": "Acme Speech", "sku": VENDOR_SKU, "name": "Live", "kind": "regular", "credits": ""} | other
        head = f"{cells['service']},{cells['sku']},{cells['name']},{day} 12:00:00 UTC,{cost},USD,{seconds},seconds"
        self.more.append(f"{head},{cells['credits']},{cells['kind']}")

    def lines(self, currency: str = "USD") -> Sequence[str]:
        """The file."""
        rows = [
            f"Acme Speech,{VENDOR_SKU},Live,{day} 00:00:00 UTC,{self.cost[day]:.6f},USD,{seconds:f},seconds,,regular"
            for day, seconds in sorted(self.seconds.items())
        ]
        return [line.replace("USD", currency) for line in (self.HEAD, *rows, *self.more)]


def bill_of(heard: Iterable[Heard], habits: Habits = Habits()) -> Bill:
    """What the vendor charges for that."""
    bill = Bill()
    for stream in heard:
        day = stream.at.date()
        micros = sum(amount for reason, amount in stream.micros.items() if reason not in habits.unbilled)
        seconds = D(stream.reported or 0) if habits.as_reported else _blocks(micros, habits.block)
        later = D(stream.after_midnight) / _MICROS if habits.by_usage_day else D(0)
        bill.add(day, seconds - later, habits.price)
        if later:
            bill.add(day + timedelta(days=1), later, habits.price)
    return bill


def _blocks(micros: int, block: int) -> Decimal:
    return D(math.ceil(D(micros) / _MICROS / block) * block) if block else D(micros) / _MICROS
