"""From usage to charges: what each reason has of a request's bill, and that the table always says what usage says."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cost.entry_samples import WHO

from twopass.cost.ledger import book as ledger_module
from twopass.cost.ledger import recharging
from twopass.cost.ledger.book import Ledger
from twopass.cost.ledger.charging import ROUNDING, Charge, charges_of
from twopass.cost.ledger.schema import charges
from twopass.cost.ledger.works import Group, Part, shares, works_of
from twopass.cost.prices.cards import Cards, cards_of
from twopass.cost.prices.exchange import Exchange
from twopass.cost.prices.pricing import MACHINE, Position, Request, price
from twopass.cost.prices.rates import Confidence, Money, Rate, RateCard, Tier, Unit
from twopass.cost.usage.entries import MICROS, Account, Entry
from twopass.types import Clock, Pass, Reason

D = Decimal
BEGIN = datetime(2026, 10, 30, 12, tzinfo=UTC)
STD = Rate(
    "std",
    Clock.AUDIO_SENT,
    Unit.MINUTE,
    tiers=(Tier(D(0), D("0.6")), Tier(D(5), D("0.3"))),
    increment=D(1),
    minimum=D(2),
    free=D(1),
    add_ons=MappingProxyType({"diarization": D("0.1")}),
    effective_to=date(2026, 12, 15),
)
BASIC = Rate("basic", Clock.AUDIO_SENT, Unit.HOUR, "INR", tiers=(Tier(D(0), D(30)),))
OWN = Rate("cpu", Clock.CPU_BUSY, machine="core")
EXCHANGE = Exchange("USD", MappingProxyType({"INR": ((date(2026, 10, 31), D("0.0117")),)}))
CARDS = cards_of(
    {"vendor": RateCard("vendor", (STD, BASIC), name="The Vendor"), "own": RateCard("own", (OWN,), local=True)},
    {"core": Money(D("0.04"), "USD")},
    EXCHANGE,
)
DEARER = cards_of(CARDS.cards, {"core": Money(D("0.05"), "USD")}, EXCHANGE)


def used(
    identity: str,
    seconds: str = "10",
    at: datetime = BEGIN,
    *,
    stream: str = "",
    of: tuple[str, str, Clock] = ("vendor", "basic", Clock.AUDIO_SENT),
    **more: Any,
) -> Entry:
    """An entry; its id is `session/number`."""
    session = identity.split("/")[0]
    request = f"{session}/{stream}" if stream else identity
    return Entry(identity, at, session, request, WHO, *of, micros=int(D(seconds) * MICROS), **more)


def charged(ledger: Ledger) -> list[Charge]:
    """The table, in order, with days as texts."""
    names = ", ".join(Charge._fields)
    rows = ledger.rows(f"SELECT {names} FROM charges ORDER BY request, provider, sku, clock, line")
    return [Charge._make(row)._replace(day=str(row.day), local=bool(row.local)) for row in rows]


def one(ledger: Ledger) -> Charge:
    """The only charge."""
    (only,) = charged(ledger)
    return only


# -- shares ---------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**12), min_size=1, max_size=8))
def test_shares_are_fair_and_exact(total: int, weights: list[int]) -> None:
    """Their sum is the total, each is less than 1 from its exact share, none exceeds its weight if all fit."""
    parts = shares(total, weights)
    assert total == sum(parts)
    whole = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        assert not whole or abs(Fraction(total * weight, whole) - part) < 1
        assert total > whole or part <= weight
        assert part >= 0


def test_the_largest_remainders_are_rounded_up() -> None:
    """Of 4.55, 4.55 and 0.91 first the last one is, then the first one."""
    assert [5, 4, 1] == shares(10, [5, 5, 1])
    assert [3, 0, 0] == shares(3, [0, 0, 0])


# -- one request, pure ----------------------------------------------------------------------------------------------


def parts_of(micros: dict[str, int], channels: int = 1, features: str = "", request: str = "r") -> list[Part]:
    """What one request used for each reason."""
    return [
        Part(request, reason, BEGIN, BEGIN, amount, "s", "t", "k", "first", "", channels, features)
        for reason, amount in micros.items()
    ]


def charge_all(parts: Iterable[Part], rate: Rate, currency: str = "USD") -> list[Charge]:
    """The charges of the month at one rate."""
    cards = cards_of({"vendor": RateCard("vendor", (rate,))}, {}, EXCHANGE)
    return list(charges_of(works_of(parts, "2026-10"), Group("vendor", rate.sku, rate.clock), cards, currency))


micros = st.integers(1, 20 * MICROS) | st.integers(1, 200).map(lambda tenths: tenths * MICROS // 10)
by_reason = st.dictionaries(st.sampled_from([reason.value for reason in Reason]), micros, min_size=1)
rates = st.builds(
    replace,
    st.just(STD),
    increment=st.sampled_from([D(0), D(1), D(15), D("0.1")]),
    minimum=st.sampled_from([D(0), D(15)]),
    free=st.sampled_from([D(0), D("0.2")]),
    tiers=st.sampled_from([STD.tiers, (), STD.tiers[:1], tuple(Tier(D(n) / 20, D(n + 1) / 7) for n in range(6))]),
    each_channel=st.booleans(),
    currency=st.sampled_from(["USD", "EUR"]),
)
bodies = st.lists(st.tuples(by_reason, st.integers(1, 3), st.sampled_from(["", "diarization"])), min_size=1, max_size=4)


@given(rates, bodies)
def test_a_requests_charges_add_up_to_its_bill(rate: Rate, wanted: Sequence[tuple[dict[str, int], int, str]]) -> None:
    """Time, list price and credit of all reasons are, line by line, exactly what pricing says of the whole request."""
    parts = [part for i, body in enumerate(wanted) for part in parts_of(*body, request=f"r{i}")]
    found, position = charge_all(parts, rate), Position()
    for i, (amounts, channels, features) in enumerate(wanted):
        seconds = D(sum(amounts.values())).scaleb(-6)
        request = Request(BEGIN, rate.clock, seconds, channels, (features,) if features else ())
        lines, position = price(request, rate, position, {})
        sums: dict[tuple[str, int | None], list[Any]] = defaultdict(lambda: [0, 0, 0, 0])
        for charge in (charge for charge in found if charge.request == f"r{i}"):
            money = (charge.list_nanos, charge.credit_nanos, charge.cost_nanos)
            known = [0 if amount is None else amount for amount in money]
            assert (charge.unit_price_nanos is None) == (charge.list_nanos is None) == (charge.credit_nanos is None)
            place = charge.feature, charge.unit_price_nanos
            sums[place] = [a + b for a, b in zip(sums[place], [charge.billed_micros, *known], strict=True)]
        for line in lines:
            unit_price = None if line.unit_price is None else round(line.unit_price * 10**9)
            listed, credit = ((amount or D(0)).scaleb(9) for amount in (line.list, line.credit))
            cost = listed - credit if line.currency == "USD" else 0  # no rate for euros: unknown
            assert [round(line.billed_seconds * MICROS), listed, credit, cost] == sums[line.feature, unit_price]
        assert len(lines) == len(sums)


@given(rates, by_reason, st.integers(1, 3))
def test_each_reason_has_its_own_time(rate: Rate, amounts: dict[str, int], channels: int) -> None:
    """Each is billed for what it used, once for each channel that is billed; only the rest is rounding."""
    found = [charge for charge in charge_all(parts_of(amounts, channels), rate) if not charge.feature]
    factor = channels if rate.each_channel else 1
    for reason, amount in amounts.items():
        mine = [charge for charge in found if charge.reason == reason]
        assert amount == sum(charge.used_micros for charge in mine)
        assert amount * factor == sum(charge.billed_micros for charge in mine)
    rounding = [charge for charge in found if charge.reason == ROUNDING]
    assert all(charge.used_micros == 0 and charge.billed_micros > 0 for charge in rounding)
    assert {*amounts} | ({ROUNDING} if rounding else set()) == {charge.reason for charge in found}


@given(rates, by_reason)
def test_no_charge_is_worth_less_than_nothing(rate: Rate, amounts: dict[str, int]) -> None:
    """What is free of a reason's time is never more than its list price, and money follows the billed time."""
    for charge in charge_all(parts_of(amounts), rate):
        if charge.list_nanos is None or charge.credit_nanos is None:
            continue
        assert 0 <= charge.credit_nanos <= charge.list_nanos
        exact = Fraction(charge.billed_micros * (charge.unit_price_nanos or 0), STD.unit.seconds * MICROS)
        assert abs(charge.list_nanos - exact) < 2


def test_rounding_by_hand() -> None:
    """2.4 s of work and 0.3 s again are 3 s at 0.60 a minute: 2.4, 0.3 and 0.3 cents, the last one for nothing."""
    rate = replace(STD, free=D(0), minimum=D(0), add_ons={})
    found = charge_all(parts_of({"work": 2_400_000, "replay": 300_000}), rate)
    assert [
        ("replay", 300_000, 300_000, 3_000_000),
        ("work", 2_400_000, 2_400_000, 24_000_000),
        ("rounding", 0, 300_000, 3_000_000),
    ] == [(charge.reason, charge.used_micros, charge.billed_micros, charge.cost_nanos) for charge in found]


def test_tiers_are_reached_in_the_order_of_time() -> None:
    """Of two requests that cross a tier the first is dearer, whichever comes first in the list; ids break ties."""
    rate = replace(STD, free=D(0), tiers=(Tier(D(0), D("0.6")), Tier(D(1), D("0.3"))))
    (early,) = parts_of({"work": 60 * MICROS}, request="b")
    late = early._replace(request="a", began=BEGIN + timedelta(seconds=1))
    costs = {charge.request: charge.cost_nanos for charge in charge_all([late, early], rate)}
    assert {"a": 300_000_000, "b": 600_000_000} == costs
    costs = {charge.request: charge.cost_nanos for charge in charge_all([late, late._replace(request="0")], rate)}
    assert {"a": 300_000_000, "0": 600_000_000} == costs


def test_the_columns_are_the_tables() -> None:
    """Rows go into the table by their order."""
    assert Charge._fields == tuple(column.name for column in charges.columns)


# -- in the database ------------------------------------------------------------------------------------------------


def test_a_request_has_charges(ledger: Ledger) -> None:
    """Every column: who, what, when, and 36 rupees at the day's rate in dollars."""
    account = Account("news", "k1")
    entries = [
        used(f"s/{i}", "2160", BEGIN + timedelta(days=1, seconds=i), stream="1", region="eu", pass_=Pass.SECOND)
        for i in range(2)
    ]
    ledger.write(replace(entry, account=account) for entry in entries)
    assert 1 == ledger.charge(CARDS, "USD")
    half = 36 * 10**9
    assert one(ledger) == Charge(
        "s/1", "vendor", "basic", "audio_sent", 0, "2026-10-31", "s", "news", "k1", "second", "work", "eu", "",
        4_320_000_000, 4_320_000_000, "hour", 30 * 10**9, half, 0, "INR", round(half * D("0.0117")), False,
    )  # fmt: skip


def test_what_has_no_price_is_unknown(ledger: Ledger) -> None:
    """No card, an unknown SKU, a price that has expired, a machine without a price, no exchange rate: NULL, never 0."""
    late = datetime(2026, 12, 15, tzinfo=UTC)
    ledger.write(
        [
            used("a/1", of=("nobody", "x", Clock.AUDIO_SENT)),
            used("b/1", of=("vendor", "new", Clock.SOCKET_OPEN)),
            used("c/1", of=("vendor", "std", Clock.AUDIO_SENT), at=late, channels=2),
            used("d/1", of=("whisper", "gpu", Clock.GPU_BUSY)),
            used("e/1", of=(MACHINE, "gpu", Clock.PROVISIONED)),
            used("f/1"),  # rupees, on the day before the first exchange rate
        ]
    )
    ledger.charge(CARDS, "USD")
    found = charged(ledger)
    assert [*"abcdef"] == [charge.session for charge in found]
    assert {None} == {charge.cost_nanos for charge in found}
    for charge in found[:5]:
        assert (None, None, None) == (charge.unit_price_nanos, charge.list_nanos, charge.credit_nanos)
    assert [10 * MICROS] * 6 == [charge.used_micros for charge in found]
    assert [20 * MICROS] == [charge.billed_micros for charge in found if charge.session == "c"]
    assert (30 * 10**9, "INR") == (found[5].unit_price_nanos, found[5].currency)
    assert [False, False, False, True, True, False] == [charge.local for charge in found]


def test_what_is_only_compared_has_no_charge(ledger: Ledger) -> None:
    """What vendors report, what came in and what became final is no work; nor is a clock that no card bills."""
    for i, clock in enumerate([Clock.VENDOR_REPORTED, Clock.RECEIVED, Clock.FINALIZED, Clock.SOCKET_OPEN]):
        ledger.write([used(f"a/{i}", of=("vendor", "std", clock))])
    ledger.write([used("b/1", of=("nobody", "x", Clock.VENDOR_REPORTED)), used("b/2", of=("", "", Clock.RECEIVED))])
    assert 0 == ledger.charge(CARDS, "USD")
    assert [] == charged(ledger)


def test_own_machines_are_local(ledger: Ledger) -> None:
    """Busy time and provisioned time cost what an hour of the machine costs, and can be told apart by their clock."""
    ledger.write(
        [
            used("a/1", "900", of=("own", "cpu", Clock.CPU_BUSY)),
            used("b/1", "3600", of=(MACHINE, "core", Clock.PROVISIONED)),
        ]
    )
    ledger.charge(CARDS, "USD")
    assert [("cpu_busy", 10**7, True), ("provisioned", 4 * 10**7, True)] == [
        (charge.clock, charge.cost_nanos, charge.local) for charge in charged(ledger)
    ]


def test_several_clocks_and_skus_may_share_a_request(ledger: Ledger) -> None:
    """A stream that is billed by two SKUs has the charges of both."""
    ledger.write(
        used(f"s/{i}", stream="1", at=BEGIN + timedelta(days=1), of=("vendor", sku, Clock.AUDIO_SENT))
        for i, sku in enumerate(["std", "basic"])
    )
    ledger.charge(CARDS, "USD")
    assert [("s/1", "basic"), ("s/1", "std")] == [(charge.request, charge.sku) for charge in charged(ledger)]


def test_nothing_new_is_no_work(ledger: Ledger) -> None:
    """Only what has new usage is made anew: the other group is not even looked at."""
    ledger.write([used("a/1"), used("b/1", of=("own", "cpu", Clock.CPU_BUSY))])
    assert (2, 0) == (ledger.charge(CARDS, "USD"), ledger.charge(CARDS, "USD"))
    ledger.write([used("c/1")])
    steps: list[tuple[int, int]] = []
    assert 2 == ledger.charge(CARDS, "USD", progress=lambda done, of: steps.append((done, of)))
    assert [(0, 1), (1, 1)] == steps
    assert 3 == len(charged(ledger))


def test_a_month_may_be_charged_alone(ledger: Ledger) -> None:
    """The other months wait until somebody asks for them."""
    december = datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    ledger.write([used("a/1"), used("b/1", at=december), used("c/1", at=december + timedelta(microseconds=1))])
    assert 1 == ledger.charge(CARDS, "USD", "2026-12")
    assert ["2026-12-31"] == [charge.day for charge in charged(ledger)]
    assert 2 == ledger.charge(CARDS, "USD")
    assert ["2026-10-30", "2026-12-31", "2027-01-01"] == [charge.day for charge in charged(ledger)]


def test_other_prices_make_everything_anew(ledger: Ledger) -> None:
    """Other cards and another currency change charges of old usage, and what the facts and rates say."""
    ledger.write([used("a/1", "3600", of=("own", "cpu", Clock.CPU_BUSY))])
    for cards, currency, cost in [
        (CARDS, "USD", 40_000_000),
        (DEARER, "USD", 50_000_000),
        (DEARER, "EUR", None),
        (CARDS, "USD", 40_000_000),
    ]:
        assert (1, 0) == (ledger.charge(cards, currency), ledger.charge(cards, currency))
        assert cost == one(ledger).cost_nanos
        facts = {row.name: row.value for row in ledger.rows("SELECT name, value FROM facts")}
        assert (currency, cards.fingerprint) == (facts["currency"], facts["cards"])
        rate = ledger.rows("SELECT first_price_nanos FROM rates WHERE clock = 'provisioned'")
        assert [cards.machines["core"].amount * 10**9] == [row.first_price_nanos for row in rate]


def test_the_rates_can_be_cited(ledger: Ledger) -> None:
    """Each line of each card with its doubts, in the order of the card; a price that is not known is NULL."""
    doubtful = replace(STD, source="a page", read_on=date(2026, 8, 1), confidence=Confidence.CONFLICT, doubt="15 s?")
    later = replace(STD, effective_from=STD.effective_to, effective_to=None, tiers=())
    card = RateCard("vendor", (doubtful, later, BASIC), "The Vendor", compared_only=True)
    ledger.charge(cards_of({"vendor": card}, {}, EXCHANGE), "USD")
    rows = ledger.rows("SELECT * FROM rates ORDER BY provider, sku, line")
    assert [("basic", 0, 30 * 10**9), ("std", 0, 600_000_000), ("std", 1, None)] == [
        (row.sku, row.line, row.first_price_nanos) for row in rows
    ]
    first = rows[1]
    assert ("The Vendor", "a page", "conflict", "15 s?") == (
        first.provider_name, first.source, first.confidence, first.doubt,
    )  # fmt: skip
    assert ("2026-08-01", "2026-12-15", True) == (
        str(first.read_on), str(first.effective_to), bool(first.compared_only),
    )  # fmt: skip


# -- months and corrections -----------------------------------------------------------------------------------------

MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)


def test_a_stream_over_the_end_of_the_month_belongs_to_its_beginning(ledger: Ledger) -> None:
    """Its second half arrives after October was charged: October is made anew, November has nothing of it."""
    ledger.write([used("s/1", stream="1", at=MIDNIGHT - timedelta(seconds=1))])
    ledger.charge(CARDS, "USD", "2026-10")
    ledger.write([used("s/2", stream="1", at=MIDNIGHT + timedelta(seconds=1))])
    ledger.charge(CARDS, "USD", "2026-11")
    assert [10 * MICROS] == [charge.used_micros for charge in charged(ledger)]
    ledger.charge(CARDS, "USD", "2026-10")
    assert [("2026-10-31", 20 * MICROS)] == [(charge.day, charge.used_micros) for charge in charged(ledger)]


def test_a_beginning_that_comes_late_moves_the_request(ledger: Ledger) -> None:
    """The first half waited on another server: the request is November's until it arrives, then October's."""
    ledger.write([used("s/2", stream="1", at=MIDNIGHT + timedelta(seconds=1))])
    ledger.charge(CARDS, "USD")
    assert "2026-11-01" == one(ledger).day
    ledger.write([used("s/1", stream="1", at=MIDNIGHT - timedelta(seconds=1))])
    ledger.charge(CARDS, "USD")
    assert ("2026-10-31", 20 * MICROS) == (one(ledger).day, one(ledger).used_micros)


def test_a_correction_changes_the_request_it_belongs_to(ledger: Ledger) -> None:
    """It is made two months later, and the charge stays where it is, with less."""
    ledger.write([used("s/1", stream="1"), used("s/2", stream="1", reason=Reason.REPLAY)])
    ledger.charge(CARDS, "USD")
    ledger.correct("s/2", -4 * MICROS, "", BEGIN + timedelta(days=60))
    ledger.charge(CARDS, "USD")
    assert [("replay", "2026-10-30", 6 * MICROS), ("work", "2026-10-30", 10 * MICROS)] == [
        (charge.reason, charge.day, charge.used_micros) for charge in charged(ledger)
    ]


def test_what_is_corrected_to_nothing_costs_nothing(ledger: Ledger) -> None:
    """Neither does it count as a request with a minimum, nor as less than nothing."""
    ledger.write([used("s/1", of=("vendor", "std", Clock.AUDIO_SENT))])
    ledger.charge(CARDS, "USD")
    ledger.correct("s/1", -10 * MICROS, "never happened", BEGIN)
    ledger.charge(CARDS, "USD")
    assert [] == charged(ledger)
    ledger.correct("s/1", -1, "even less", BEGIN)
    ledger.charge(CARDS, "USD")
    assert [] == charged(ledger)


def test_a_reason_that_is_corrected_below_nothing_takes_from_the_others(ledger: Ledger) -> None:
    """The request's sum is right, and no charge is negative."""
    ledger.write([used("s/1", stream="1"), used("s/2", stream="1", reason=Reason.REPLAY)])
    ledger.correct("s/2", -13 * MICROS, "", BEGIN)
    ledger.charge(CARDS, "USD")
    assert [("work", 7 * MICROS)] == [(charge.reason, charge.used_micros) for charge in charged(ledger)]


# -- whatever the order ---------------------------------------------------------------------------------------------

GROUPS = [
    ("vendor", "std", Clock.AUDIO_SENT),
    ("vendor", "basic", Clock.AUDIO_SENT),
    ("vendor", "basic", Clock.VENDOR_REPORTED),
    ("own", "cpu", Clock.CPU_BUSY),
]


def a_winter(chance: random.Random) -> list[Entry]:
    """Streams of several entries around the ends of three months, some of them corrected."""
    entries: list[Entry] = []
    for session in range(60):
        of, begin = chance.choice(GROUPS), MIDNIGHT + timedelta(days=chance.choice([-2, 0, 30, 61]))
        at = begin + timedelta(seconds=chance.randrange(-20, 20))
        features = chance.choice([(), ("diarization",)])
        for number in range(chance.randrange(1, 5)):
            reason = chance.choice([Reason.WORK, Reason.WORK, Reason.REPLAY])
            seconds, at = str(chance.randrange(1, 30_000) / 1000), at + timedelta(seconds=7)
            more = {"reason": reason, "features": features, "channels": chance.choice([1, 2])}
            entries.append(used(f"s{session}/{number}", seconds, at, of=of, stream=str(number % 2), **more))
    return entries


def by_hand(entries: Iterable[Entry], cards: Cards) -> list[Charge]:
    """The charges of all that, without a database."""
    groups: dict[tuple[Group, str], list[Entry]] = defaultdict(list)
    first: dict[tuple[Group, str], datetime] = {}
    for entry in entries:
        group = Group(entry.provider, entry.sku, entry.clock)
        groups[group, entry.request].append(entry)
    months: dict[tuple[Group, str], list[Part]] = defaultdict(list)
    for (group, request), together in groups.items():
        first[group, request] = min(entry.at for entry in together if not entry.corrects)
        for e in sorted(together, key=lambda entry: entry.at):
            began = None if e.corrects else e.at
            who = e.session, e.account.tenant, e.account.key_id, e.pass_.value, e.region
            part = Part(request, e.reason.value, began, e.at, e.micros, *who, e.channels, ",".join(e.features))
            months[group, f"{first[group, request]:%Y-%m}"].append(part)
    found = [
        charge
        for (group, month), parts in months.items()
        if group.clock is not Clock.VENDOR_REPORTED
        for charge in charges_of(works_of(parts, month), group, cards, "USD")
    ]
    return sorted(found, key=lambda charge: (charge.request, charge.provider, charge.sku, charge.clock, charge.line))


@pytest.mark.parametrize("seed", range(6))
def test_charges_say_what_usage_says_whatever_came_when(ledger: Ledger, seed: int) -> None:
    """
    Entries arrive in any order and twice, are corrected, and charges are made in between, of one month or all, also
    with other cards: in the end they are what the whole usage makes of itself without a database.
    """
    chance = random.Random(seed)
    entries = a_winter(chance)
    waiting = chance.sample(entries, len(entries))
    written: list[Entry] = []
    while waiting:
        batch, waiting = waiting[:17], waiting[17:]
        ledger.write(batch + chance.choices(entries[:1] + written, k=3))
        written = list({entry.id: entry for entry in [*written, *batch, entries[0]]}.values())
        wrong = chance.choice(batch)
        less = -chance.randrange(wrong.micros)
        correction = ledger.correct(wrong.id, less, "", wrong.at + timedelta(days=chance.randrange(-60, 90)))
        written.append(correction)
        if chance.random() < 0.7:
            month = chance.choice(["2026-10", "2026-11", "2026-12", None])
            ledger.charge(chance.choice([CARDS, CARDS, DEARER]), "USD", month)
    ledger.charge(CARDS, "USD")
    assert by_hand(written, CARDS) == charged(ledger)
    assert [] == ledger.rows("SELECT * FROM stale")


# -- several at once ------------------------------------------------------------------------------------------------


def test_who_was_overtaken_does_not_finish(ledger: Ledger) -> None:
    """Charges that were begun before new usage was found are thrown away, before and after those that have it."""
    ledger.write([used("a/1")])
    recharging.mark(ledger._engine, CARDS, "USD")
    (before,) = recharging._stale(ledger._engine, CARDS, "USD", None)
    ledger.write([used("b/1")])
    recharging.mark(ledger._engine, CARDS, "USD")
    assert 0 == recharging._make_anew(ledger._engine, before, CARDS, "USD")
    assert [] == charged(ledger)
    assert 2 == ledger.charge(CARDS, "USD")
    assert 0 == recharging._make_anew(ledger._engine, before, CARDS, "USD")
    assert 2 == len(charged(ledger))


def test_who_has_other_cards_stops(ledger: Ledger) -> None:
    """Another process has begun to charge with other prices: nothing of this one's comes between."""
    ledger.write([used("a/1")])
    recharging.mark(ledger._engine, CARDS, "USD")
    recharging.mark(ledger._engine, DEARER, "USD")
    assert [] == recharging._stale(ledger._engine, CARDS, "USD", None)
    assert 1 == len(recharging._stale(ledger._engine, DEARER, "USD", None))


def test_usage_that_is_being_written_is_not_missed(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL numbers rows before they can be seen: who ends writing after the charging is charged the next time."""
    monkeypatch.setattr(recharging, "_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(ledger_module, "_AT_ONCE", 1)
    ledger = Ledger.open(postgres_url)

    def slowly() -> Iterator[Entry]:
        yield used("a/1")  # it has its number, then another writer comes and goes
        ledger.write([used("b/1")])
        assert 1 == ledger.charge(CARDS, "USD")

    ledger.write(slowly())
    assert 2 == ledger.charge(CARDS, "USD")
    ledger.close()


# -- budgets --------------------------------------------------------------------------------------------------------


def test_spending_is_by_account_and_day(ledger: Ledger) -> None:
    """In the ledger's currency, of one month; a machine that only stood there and unknown prices are not in it."""
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    cpu = ("own", "cpu", Clock.CPU_BUSY)
    other = Account("other", "k2")
    ledger.write(
        [
            used("a/1", "900", noon, of=cpu),
            used("a/2", "1800", noon, of=cpu),
            used("b/1", "3600", noon + timedelta(days=29), of=cpu),
            replace(used("c/1", "3600", noon, of=cpu), account=other),
            replace(used("d/1", "3600", noon, of=("nobody", "x", Clock.AUDIO_SENT)), account=Account("third")),
            used("e/1", "3600", noon, of=(MACHINE, "core", Clock.PROVISIONED)),
            used("f/1", "3600", noon - timedelta(days=1), of=cpu),
            used("g/1", "3600", noon + timedelta(days=30), of=cpu),
        ]
    )
    ledger.charge(CARDS, "USD")
    assert [(other, "2026-11-01", D("0.04")), (WHO, "2026-11-01", D("0.03")), (WHO, "2026-11-30", D("0.04"))] == sorted(
        ledger.spending("2026-11"), key=lambda row: (-ord(row[0].tenant[0]), row[1])
    )
