"""From requests to money: every billing rule, against figures worked out by hand and against an independent oracle."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cost import oracle

from twopass.cost.prices.exchange import Exchange
from twopass.cost.prices.fees import Fee, fees
from twopass.cost.prices.pricing import (
    MACHINE,
    Lines,
    Position,
    Request,
    Standing,
    month_of,
    price,
    price_all,
    rate_for,
    standing,
)
from twopass.cost.prices.rates import Money, Rate, RateCard, Tier, Unit
from twopass.types import Clock

CASES = int(os.environ.get("TWOPASS_CASES", "500"))
"""How many sequences of requests the oracle checks."""
D = Decimal
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
PER_MINUTE = Rate("std", Clock.AUDIO_SENT, Unit.MINUTE, tiers=(Tier(D(0), D("0.6")),))
GOOGLE_TIERS = (Tier(D(0), D("0.016")), Tier(D(500_000), D("0.010")), Tier(D(1_000_000), D("0.008")))


def request(seconds: str | int, at: datetime = NOON, channels: int = 1, features: tuple[str, ...] = ()) -> Request:
    """Audio that was sent."""
    return Request(at, Clock.AUDIO_SENT, D(seconds), channels, features)


def lines(wanted: Request, rate: Rate, position: Position = Position()) -> Lines:  # noqa: B008 - frozen
    """The lines of one request."""
    return price(wanted, rate, position, {})[0]


def nets(found: Lines) -> list[Decimal | None]:
    """What is to be paid for each line."""
    return [line.net for line in found]


# -- against the oracle ---------------------------------------------------------------------------------------------


def decimals(most: int, places: int = 6) -> st.SearchStrategy[Decimal]:
    """Decimals from 0 on, round ones often."""
    return st.builds(
        lambda n, round_: D(round(n, -places) if round_ else n).scaleb(-places),
        st.integers(0, most * 10**places),
        st.booleans(),
    )


# Made once: a strategy costs more to make than to draw from. Limits are close together, so that they are often crossed.
borders = st.lists(decimals(6, 3).filter(bool), max_size=4, unique=True).map(sorted)
prices = st.lists(decimals(3, 9), min_size=5, max_size=5)
tiers = st.builds(lambda above, price: tuple(map(Tier, [D(0), *above], price)), borders, prices)
priced = st.builds(
    Rate,
    sku=st.just("std"),
    clock=st.just(Clock.AUDIO_SENT),
    currency=st.sampled_from(["USD", "INR"]),
    tiers=tiers | tiers | tiers | st.just(()),
    increment=st.sampled_from([D(0), D(0), D(1), D(15), D("0.1"), D(7)]),
    minimum=st.sampled_from([D(0), D(0), D(10), D(15), D("2.5")]),
    free=st.just(D(0)) | decimals(4, 3),
    free_counts_channels=st.booleans(),
    each_channel=st.booleans(),
    add_ons=st.dictionaries(st.sampled_from("abc"), decimals(2), max_size=2),
)
on_own_machines = st.builds(
    Rate,
    sku=st.just("std"),
    clock=st.just(Clock.AUDIO_SENT),
    machine=st.sampled_from(["core", "gpu", "nobody's"]),
    increment=st.sampled_from([D(0), D(1)]),
    minimum=decimals(5),
)
some_rates = st.lists(priced | priced | priced | on_own_machines, min_size=3, max_size=3)
some_days = st.lists(st.integers(1, 30), min_size=4, max_size=4).map(sorted)
spans = st.sampled_from([[(0, 5)], [(0, 2), (2, 5)], [(0, 1), (2, 5)], [(1, 2), (2, 3), (4, 5)]])


def dated(unit: Unit, rates: Sequence[Rate], days: Sequence[int], spans: Sequence[tuple[int, int]]) -> RateCard:
    """One to three prices, one after the other in November, perhaps with days between that have none."""
    ends = [None, *(date(2026, 11, day) for day in days), None]
    return RateCard(
        "vendor",
        tuple(
            replace(rate, unit=Unit.HOUR if rate.machine else unit, effective_from=ends[a], effective_to=ends[b])
            for rate, (a, b) in zip(rates, spans, strict=False)
        ),
    )


cards = st.builds(dated, st.sampled_from(Unit), some_rates, some_days, spans)
turns = [datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC), NOON]
zones = [timezone(timedelta(minutes=minutes)) for minutes in (0, -480, 330, 840)]
times = st.builds(
    lambda turn, seconds, zone: (turn + timedelta(seconds=seconds)).astimezone(zone),
    st.sampled_from(turns),
    st.integers(-20_000, 20_000) | st.integers(-900_000, 900_000),
    st.sampled_from(zones),
)
requests_ = st.builds(
    Request,
    times,
    st.just(Clock.AUDIO_SENT),
    st.sampled_from([D(0), D(-3)])
    | st.sampled_from([D(60), D(120), D(3600), D(7200)])
    | decimals(40)
    | decimals(40)
    | decimals(40_000, 3)
    | decimals(2, 6),
    st.integers(1, 4),
    st.lists(st.sampled_from("abcx"), max_size=3).map(tuple),
)
request_lists = st.lists(requests_, min_size=1, max_size=7)

MACHINES: Mapping[str, Money] = {"core": Money(D("0.04"), "USD"), "gpu": Money(D("6.8800001"), "EUR")}


@pytest.mark.timeout(0)
@settings(max_examples=CASES)
@given(cards, request_lists)
def test_price_equals_an_independent_oracle(card: RateCard, requests: Sequence[Request]) -> None:
    """Whatever the rules and requests: seconds, prices, amounts and credits of every line are the oracle's, exactly."""
    ours = [
        None if found is None else [oracle.as_bill(line) for line in found]
        for _, found in price_all(requests, card, "std", MACHINES)
    ]
    assert oracle.bills(requests, card, "std", MACHINES) == ours


dates = st.dates(date(2026, 10, 1), date(2026, 12, 31))
dated_rates = st.dictionaries(dates, decimals(90, 8).filter(bool), max_size=4).map(lambda d: tuple(sorted(d.items())))
exchanges = st.builds(Exchange, st.just("EUR"), st.fixed_dictionaries({"USD": dated_rates, "INR": dated_rates}))
currencies = st.sampled_from(["EUR", "USD", "INR", "JPY"])


@pytest.mark.timeout(0)
@settings(max_examples=CASES)
@given(exchanges, decimals(1_000_000, 9), dates, currencies, currencies)
def test_conversion_equals_an_independent_oracle(
    exchange: Exchange, amount: Decimal, day: date, currency: str, to: str
) -> None:
    """The last rates on or before the day are taken, to the billionth; without them there is no amount."""
    ours = exchange.convert(amount, currency, to, day)
    theirs = oracle.converted(amount, currency, to, day, exchange)
    assert (ours is None) == (theirs is None)
    if ours is not None and theirs is not None:
        assert oracle.billionths(theirs) == oracle.billionths(Fraction(ours))


def test_the_oracle_knows_google_and_amazon() -> None:
    """The oracle itself gives what their price pages give as examples: 4 channels of 30 s, and a minimum of 15 s."""
    google = replace(
        PER_MINUTE, tiers=(Tier(D(0), D("0.024")),), increment=D(1), free=D(60), free_counts_channels=False
    )
    amazon = replace(PER_MINUTE, tiers=(Tier(D(0), D("0.010")),), increment=D(1), minimum=D(15))
    for rate, asked, seconds, total in (
        (google, request(30, channels=4), 120, "0.036"),
        (amazon, request(3), 15, "0.0025"),
    ):
        [found] = oracle.bills([asked], RateCard("vendor", (rate,)), "std", {})
        assert found is not None
        assert seconds == found[0].seconds
        assert D(total) == (found[0].list or 0) - (found[0].credit or 0)


# -- one rule at a time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "increment", "minimum", "billed"),
    [
        ("0.000001", 1, 0, 1),
        ("1", 1, 0, 1),
        ("15.000001", 15, 0, 30),
        ("16", 15, 0, 30),
        ("30", 15, 0, 30),
        ("3", 1, 15, 15),
        ("15.2", 1, 15, 16),
        ("3", 4, 10, 12),
        ("2.5", 0, 10, 10),
        ("10.25", 0, 10, "10.25"),
        ("0", 1, 15, 0),
        ("-4", 1, 15, 0),
    ],
)
def test_requests_are_rounded_up(seconds: str, increment: int, minimum: int, billed: str | int) -> None:
    """To the least multiple of the increment that reaches the minimum; a request without audio is not billed."""
    rate = replace(PER_MINUTE, increment=D(increment), minimum=D(minimum))
    found = lines(request(seconds), rate)
    assert D(billed) == sum((line.billed_seconds for line in found), D(0))
    assert D(billed) / 100 == sum((line.net or D(0) for line in found), D(0))


def test_each_request_is_rounded_by_itself() -> None:
    """Ten requests of half a second are billed as ten seconds, not as five."""
    rate = replace(PER_MINUTE, increment=D(1))
    found = price_all([request("0.5")] * 10, RateCard("vendor", (rate,)), "std", {})
    assert D("0.1") == sum((line.net or D(0) for _, each in found for line in each or ()), D(0))


def test_tiers_are_marginal_and_begin_anew_each_month() -> None:
    """A request across a border pays both prices; the first one of December (UTC) pays the first price again."""
    card = RateCard("google", (replace(PER_MINUTE, tiers=GOOGLE_TIERS),))
    last = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    asked = [
        request(499_999 * 60, NOON),
        request(120, last - timedelta(hours=1)),
        request(60, last),
        request(60, (last + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=-8)))),
    ]
    found = [each for _, each in price_all(asked, card, "std", {})]
    assert [[D("7999.984")], [D("0.016"), D("0.010")], [D("0.010")], [D("0.016")]] == [
        nets(each or ()) for each in found
    ]
    assert [D(60), D(60)] == [line.billed_seconds for line in found[1] or ()]


def test_a_tier_begins_at_its_border() -> None:
    """Who has used exactly what the first tier holds pays the second price for the next second, on one line."""
    rate = replace(PER_MINUTE, tiers=(Tier(D(0), D("0.6")), Tier(D(1), D("0.3"))))
    (found,), after = price(request(60), rate, Position(), {})
    assert (D(60), D("0.6")) == (found.billed_seconds, found.net)
    (found,), _ = price(request(1), rate, after, {})
    assert (D(1), D("0.005")) == (found.billed_seconds, found.net)


def test_an_allowance_that_became_smaller_gives_nothing_back() -> None:
    """Who has used more free minutes than there are now pays for every second, and for no more."""
    (found,), after = price(request(60), replace(PER_MINUTE, free=D(1)), Position(free=D(120)), {})
    assert (D("0.6"), D(0)) == (found.list, found.credit)
    assert Position(billed=D(60), free=D(120)) == after


def test_a_request_belongs_to_the_month_in_which_it_began() -> None:
    """It is UTC that counts: a new year's eve party in India still has ten hours of the old month's allowance."""
    india = timezone(timedelta(hours=5, minutes=30))
    assert "2026-12" == month_of(datetime(2027, 1, 1, 5, 29, tzinfo=india))
    assert "2027-01" == month_of(datetime(2027, 1, 1, 5, 30, tzinfo=india))


def test_google_takes_one_channel_from_the_allowance() -> None:
    """30 s of 4 channels are billed as 120 s, and 30 s of them count against the month's free minutes."""
    rate = replace(PER_MINUTE, free=D(60), free_counts_channels=False)
    (found,), after = price(request(30, channels=4), rate, Position(), {})
    assert (D(120), D("1.2"), D("0.3")) == (found.billed_seconds, found.list, found.credit)
    assert Position(billed=D(90), free=D(30)) == after


def test_others_take_every_channel_from_the_allowance() -> None:
    """Where the allowance counts channels, 30 s of 4 channels use 120 s of it; where channels are not billed, 30 s."""
    rate = replace(PER_MINUTE, free=D(60))
    assert Position(free=D(120)) == price(request(30, channels=4), rate, Position(), {})[1]
    assert Position(free=D(30)) == price(request(30, channels=4), replace(rate, each_channel=False), Position(), {})[1]


def test_the_allowance_ends_within_a_request_and_does_not_move_the_tiers() -> None:
    """What is beyond it begins at the first tier; the credit is what the free part would have cost."""
    rate = replace(PER_MINUTE, tiers=(Tier(D(0), D("0.6")), Tier(D(1), D("0.3"))), free=D(2))
    found, after = price(request(150), rate, Position(free=D(60)), {})
    assert [(D(120), D("1.2"), D("0.6")), (D(30), D("0.15"), D(0))] == [
        (line.billed_seconds, line.list, line.credit) for line in found
    ]
    assert Position(billed=D(90), free=D(120)) == after


def test_add_ons_cost_more_for_all_that_is_billed() -> None:
    """Each feature of the card is a line of its own, free seconds or not; what the card does not list costs nothing."""
    azure = Rate(
        "s1",
        Clock.AUDIO_SENT,
        tiers=(Tier(D(0), D(1)),),
        free=D(1),
        add_ons={"diarization": D("0.3"), "detection": D("0.3")},
    )
    asked = request(7200, features=("diarization", "phrases", "detection", "diarization"))
    found = [(line.feature, line.list, line.credit) for line in lines(asked, azure)]
    assert [("", D(2), D(1)), ("detection", D("0.6"), D(0)), ("diarization", D("0.6"), D(0))] == found


def test_promotions_end() -> None:
    """The last day has the old price, the next one the new; after the last known price there is none, and not 0."""
    promotion = replace(PER_MINUTE, tiers=(Tier(D(0), D("0.1")),), effective_to=date(2026, 11, 10))
    after = replace(PER_MINUTE, effective_from=date(2026, 11, 10), effective_to=date(2026, 12, 1))
    midnight = datetime(2026, 11, 10, tzinfo=UTC)
    asked = [request(60, midnight + shift) for shift in (timedelta(seconds=-1), timedelta(0), timedelta(days=21))]
    found = [each and nets(each) for _, each in price_all(asked, RateCard("vendor", (promotion, after)), "std", {})]
    assert [[D("0.1")], [D("0.6")], None] == found


def test_an_unknown_price_stays_unknown() -> None:
    """No tier and no allowance make it 0: seconds are billed, money is None; its add-ons are known all the same."""
    rate = Rate("std", Clock.AUDIO_SENT, free=D(5), add_ons={"diarization": D("0.3")})
    own, add_on = lines(request(3600, features=("diarization",)), rate)
    assert (D(3600), None, None, None, None) == (own.billed_seconds, own.unit_price, own.list, own.credit, own.net)
    assert D("0.3") == add_on.net


def test_own_machines_cost_what_the_user_says() -> None:
    """Busy time costs the machine's hour in its currency; of a machine that has no price it costs an unknown amount."""
    rate = Rate("gpu", Clock.GPU_BUSY, machine="gpu")
    asked = Request(NOON, Clock.GPU_BUSY, D(900))
    (priced,), _ = price(asked, rate, Position(), {"gpu": Money(D(2), "EUR")})
    assert (D("0.5"), D(2), "EUR", Unit.HOUR) == (priced.net, priced.unit_price, priced.currency, priced.unit)
    (unpriced,), _ = price(asked, rate, Position(), {"cpu_core": Money(D(2), "EUR")})
    assert (None, D(900)) == (unpriced.net, unpriced.billed_seconds)


@pytest.mark.parametrize(("halves", "billionths"), [(1, 0), (3, 2), (5, 2), (7, 4)])
def test_amounts_are_rounded_once_half_to_even(halves: int, billionths: int) -> None:
    """Half a billionth goes to the even neighbour, so that sums do not drift."""
    rate = replace(PER_MINUTE, unit=Unit.SECOND, tiers=(Tier(D(0), D("0.0000000005")),))
    assert [D(billionths).scaleb(-9)] == nets(lines(request(halves), rate))


# -- which price ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sku", "clock", "at", "expected"),
    [
        ("std", Clock.AUDIO_SENT, NOON, Standing.BILLED),
        ("std", Clock.AUDIO_SENT, NOON + timedelta(days=60), Standing.UNKNOWN),
        ("std", Clock.VENDOR_REPORTED, NOON, Standing.COMPARED),
        ("std", Clock.VENDOR_REPORTED, NOON + timedelta(days=60), Standing.COMPARED),
        ("other", Clock.AUDIO_SENT, NOON, Standing.UNKNOWN),
        ("other", Clock.VENDOR_REPORTED, NOON, Standing.UNKNOWN),
        ("", Clock.RECEIVED, NOON, Standing.COMPARED),
        ("", Clock.FINALIZED, NOON, Standing.COMPARED),
        ("gpu", Clock.PROVISIONED, NOON, Standing.BILLED),
    ],
)
def test_a_missing_price_is_told_from_none_by_design(sku: str, clock: Clock, at: datetime, expected: Standing) -> None:
    """What is recorded beside a billed clock is compared; what no card knows, or no longer knows, is unknown."""
    card = RateCard("vendor", (replace(PER_MINUTE, effective_to=date(2026, 12, 1)),))
    assert expected is standing(card, sku, clock, at)


def test_without_a_card_everything_is_unknown() -> None:
    """A provider that has no card is an item on the report."""
    assert Standing.UNKNOWN is standing(None, "std", Clock.AUDIO_SENT, NOON)


def test_provisioned_time_is_the_machines() -> None:
    """It has the machine's hourly price, and none under any other provider's name."""
    rate = rate_for({}, MACHINE, "gpu", Clock.PROVISIONED, NOON)
    assert rate is not None
    (line,), _ = price(Request(NOON, Clock.PROVISIONED, D(7200)), rate, Position(), {"gpu": Money(D(3), "USD")})
    assert D(6) == line.net
    assert rate_for({}, "whisper", "gpu", Clock.PROVISIONED, NOON) is None
    assert rate_for({}, "nobody", "std", Clock.AUDIO_SENT, NOON) is None


def test_commitments_are_paid_by_the_month_and_shared_out_by_days() -> None:
    """A whole month costs the fee; one that begins on the 16th of November half of it; a hidden line costs nothing."""
    yearly = replace(PER_MINUTE, monthly_fee=D(1600), effective_from=date(2026, 11, 16))
    hidden = replace(yearly, monthly_fee=D(7))
    made = {"azure": RateCard("azure", (yearly, hidden)), "google": RateCard("google", (PER_MINUTE,))}
    assert () == fees(made, "2026-10")
    assert (Fee("azure", "std", Clock.AUDIO_SENT, "2026-11", D(800), "USD"),) == fees(made, "2026-11")
    assert [D(1600)] == [fee.amount for fee in fees(made, "2026-12")]
