"""Own machines against vendors: what an hour costs, and from when on they pay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.cost.postgres import empty_database, postgres_server

from twopass.cost.ledger.book import Ledger
from twopass.cost.prices.cards import Cards, cards_of
from twopass.cost.prices.exchange import Exchange
from twopass.cost.prices.pricing import Position, Request, price
from twopass.cost.prices.rates import Money, Rate, RateCard, Tier, Unit
from twopass.cost.reports.break_even import HOURS_PER_MONTH, Fleet, hours_for, hours_of, month_cost, winning
from twopass.cost.reports.files import read
from twopass.cost.reports.formats import Formats
from twopass.cost.reports.report import Asked, Missing, Month, Raw, Report, query
from twopass.cost.reports.self_hosting import Plan, machines
from twopass.cost.reports.self_hosting_plot import curves
from twopass.cost.reports.self_hosting_report import OWN, self_hosting_report
from twopass.cost.usage.entries import Account, Entry
from twopass.types import Clock, Pass

D = Decimal
MICRO = D("0.000001")
MONTH = Month.parse("2026-11")
LOCAL = RateCard(
    "whisper",
    (Rate("gpu", Clock.GPU_BUSY, machine="gpu"), Rate("cpu", Clock.CPU_BUSY, machine="cpu_core")),
    local=True,
)
VENDOR = RateCard(
    "acme",
    (Rate("live", Clock.AUDIO_SENT, Unit.HOUR, tiers=(Tier(D(0), D("0.6")), Tier(D(1000), D("0.3"))), service="Live"),),
    "Acme",
)
SECRET = RateCard("hush", (Rate("stream", Clock.SOCKET_OPEN, service="Stream"),), "Hush", compared_only=True)
HOUR = 3_600_000_000


def cards(hour: str | None = "0.9", exchange: Exchange = Exchange(), *more: RateCard) -> Cards:  # noqa: B008
    """One kind of own machine, one vendor with two tiers, one without a price."""
    own = {} if hour is None else {"gpu": Money(D(hour), "USD")}
    return cards_of({card.provider: card for card in (LOCAL, VENDOR, SECRET, *more)}, own, exchange)


def busy(pass_: str, hours: str, audio: str, sku: str = "gpu") -> Raw:
    """So many hours of work for the audio of some sessions."""
    clock = {"gpu": "gpu_busy", "cpu": "cpu_busy"}[sku]
    return _row("busy", "whisper", sku, clock, hours, audio, pass_)


def heard(audio: str) -> Raw:
    """The audio of all sessions that a GPU worked for."""
    return _row("heard", None, None, "gpu_busy", None, audio)


def ready(hours: str) -> Raw:
    """So many hours of a GPU's being there."""
    return _row("ready", "machine", "gpu", "provisioned", hours, None)


def _row(
    section: str,
    provider: str | None,
    sku: str | None,
    clock: str,
    hours: str | None,
    audio: str | None,
    pass_: str = "",
) -> Raw:
    micros = {name: None if text is None else int(D(text) * HOUR) for name, text in (("busy", hours), ("audio", audio))}
    return {
        "section": section,
        "provider": provider,
        "sku": sku,
        "clock": clock,
        "pass": pass_,
        "busy_micros": micros["busy"],
        "audio_micros": micros["audio"],
        "speech_micros": micros["audio"],
        "sessions_count": 1,
    }


WORKED = [busy("first", "60", "600"), busy("second", "15", "300"), heard("600"), ready("300")]


def report(rows: list[Raw], known: Cards, plan: Plan = Plan()) -> Report:  # noqa: B008
    """The report of these rows, in dollars."""
    return self_hosting_report(rows, known, plan, MONTH, "USD")


# -- what an hour costs ---------------------------------------------------------------------------------------------


def test_an_hour_of_audio_has_a_marginal_and_a_fully_loaded_price() -> None:
    """Busy time by the hour of audio and pass; time ready by all audio; and how much of it was used."""
    (gpu,) = machines(WORKED, cards())
    assert (D(300), D(75), D(600), D("0.25")) == (gpu.ready, gpu.busy, gpu.audio, gpu.utilisation)
    # An hour of audio needs 60/600 h in the first pass, and 15/300 h in the second.
    assert D("0.15") == gpu.busy_per_audio
    assert D("0.135") == gpu.marginal
    assert D("0.45") == gpu.loaded


def test_how_many_streams_a_machine_takes_follows_from_its_work() -> None:
    """70 % of its time, at 0.15 h for an hour of audio: four whole streams; what was said counts more."""
    (gpu,) = machines(WORKED, cards())
    assert D(4) == gpu.streams(Plan())
    assert D(6) == gpu.streams(Plan(fill=D("0.9")))
    assert D(9) == gpu.streams(Plan(streams={"gpu": D(9)}))
    (slow,) = machines([busy("second", "900", "300"), heard("300")], cards())
    assert slow.streams(Plan()) == D("0.7") / 3


@pytest.mark.parametrize(
    ("rows", "hour", "known"),
    [
        (WORKED, None, (False, False)),
        (WORKED[:-1], "0.9", (True, False)),
        ([ready("300")], "0.9", (False, False)),
        (WORKED, "0.9", (True, True)),
    ],
    ids=["no price", "not provisioned", "no work", "all known"],
)
def test_what_is_not_known_stays_unknown(rows: list[Raw], hour: str | None, known: tuple[bool, bool]) -> None:
    """Without a price, time ready or audio there is no cost of an hour; it is never 0."""
    (gpu,) = machines(rows, cards(hour))
    assert known == (gpu.marginal is not None, gpu.loaded is not None)
    (shown,) = report(rows, cards(hour)).table("machine").rows
    assert known == tuple(shown[f"per_audio_hour_{name}"] is not Missing.UNKNOWN for name in ("busy", "ready"))


# -- break-even -----------------------------------------------------------------------------------------------------

prices = st.decimals("0.0001", "5", places=4)


@st.composite
def rates(draw: st.DrawFn) -> Rate:
    """A vendor's price with falling or rising tiers, free units and a fee."""
    above = sorted(draw(st.sets(st.integers(1, 10**6), max_size=3)))
    tiers = tuple(Tier(D(limit), draw(prices)) for limit in (0, *above))
    unit, fee = draw(st.sampled_from(Unit)), draw(st.sampled_from([D(0), D(0), D("99.5")]))
    return Rate("x", Clock.AUDIO_SENT, unit, tiers=tiers, free=D(draw(st.integers(0, 500))), monthly_fee=fee)


fleets = st.builds(
    Fleet,
    st.decimals("0.01", "20", places=2),
    st.one_of(st.integers(1, 40).map(D), st.decimals("0.1", "0.9", places=1)),
)


@given(rates(), st.integers(0, 3 * 10**6))
def test_a_month_s_cost_is_what_pricing_makes_of_it(rate: Rate, seconds: int) -> None:
    """One request of the whole month costs the same here and on the bill, to a billionth for each line of it."""
    at = datetime(2026, 11, 1, tzinfo=UTC)
    lines, _position = price(Request(at, Clock.AUDIO_SENT, D(seconds)), rate, Position(), {})
    billed = sum((line.net or D(0) for line in lines), rate.monthly_fee)
    cost = month_cost(rate, D(seconds) / 3600)
    assert cost is not None
    assert abs(billed - cost) < D("1e-8")


@given(rates(), fleets, st.integers(1, 500))
def test_break_even_hours_are_where_the_costs_cross(rate: Rate, fleet: Fleet, at_once: int) -> None:
    """A millionth of an hour less and the vendor is cheaper; from there on and above own machines are not dearer."""
    own = fleet.month(at_once)
    hours = hours_for(rate, own)
    assert hours is not None  # every tier has a price
    at, above = month_cost(rate, hours), month_cost(rate, hours * 2 + 1)
    assert at is not None
    assert above is not None
    assert own <= at <= above
    if hours:  # else the fee alone is as much
        assert at < above
        below = month_cost(rate, hours - MICRO)
        assert below is not None
        assert below < own


@given(rates(), st.lists(st.decimals(0, 10**6, places=2), min_size=2, max_size=6))
def test_costs_and_break_even_rise_with_each_other(rate: Rate, amounts: list[Decimal]) -> None:
    """More hours never cost less, and dearer machines never pay earlier."""
    ordered = sorted(amounts)
    costs = [cost for amount in ordered if (cost := month_cost(rate, amount)) is not None]
    hours = [found for amount in ordered if (found := hours_for(rate, amount)) is not None]
    assert len(costs) == len(hours) == len(ordered)
    assert costs == sorted(costs)
    assert hours == sorted(hours)


@given(rates(), fleets, st.decimals("0.05", "1", places=2), st.integers(1, 90))
def test_streams_at_once_that_pay_are_exactly_those_that_cost_less(
    rate: Rate, fleet: Fleet, load: Decimal, most: int
) -> None:
    """Looked at one by one, the same numbers of streams are cheaper on own machines as the spans say."""
    spans = winning(rate, fleet, load, most)
    assert spans is not None
    said = {count for span in spans for count in range(span.first, (span.last or most) + 1)}
    cost = {count: month_cost(rate, hours_of(count, load)) for count in range(1, most + 1)}
    assert said == {count for count, vendors in cost.items() if vendors is not None and vendors > fleet.month(count)}
    assert all(one.last is not None and one.last + 1 < two.first for one, two in pairwise(spans))
    assert all(span.last is None or span.last < most for span in spans)


@given(fleets, st.integers(1, 2000))
def test_there_are_as_many_machines_as_streams_need_and_no_more(fleet: Fleet, at_once: int) -> None:
    """They take all streams at once; one machine less does not."""
    needed = fleet.machines(at_once)
    assert needed * fleet.streams >= at_once > (needed - 1) * fleet.streams
    assert fleet.month(at_once) == needed * fleet.hour * HOURS_PER_MONTH


def test_a_vendor_that_gets_free_of_charge_is_never_reached() -> None:
    """If the last tier costs nothing there may be no break-even, and then none is given."""
    rate = Rate("x", Clock.AUDIO_SENT, Unit.HOUR, tiers=(Tier(D(0), D(1)), Tier(D(100), D(0))))
    assert D(100) == hours_for(rate, D(100))
    assert hours_for(rate, D("100.01")) is None
    assert () == winning(rate, Fleet(D(1), D(1)), D(1), 50)


def test_what_costs_the_same_is_not_cheaper() -> None:
    """Machines that cost exactly what the vendor does beat it at no number of streams."""
    rate = Rate("x", Clock.AUDIO_SENT, Unit.HOUR, tiers=(Tier(D(0), D(1)),))
    assert () == winning(rate, Fleet(D(1), D(1)), D(1), 50)


def test_a_fee_alone_may_be_dearer_than_own_machines() -> None:
    """A commitment that costs more than the machines makes them pay from the first hour on."""
    rate = Rate("x", Clock.AUDIO_SENT, Unit.HOUR, tiers=(Tier(D(0), D(1)),), monthly_fee=D(1000))
    assert D(0) == hours_for(rate, Fleet(D(1), D(8)).month(8))


def test_a_vendor_s_unknown_price_gives_no_break_even() -> None:
    """Neither hours nor streams follow from a price that nobody knows."""
    rate = Rate("x", Clock.AUDIO_SENT)
    assert (None, None, None) == (
        month_cost(rate, D(1)),
        hours_for(rate, D(1)),
        winning(rate, Fleet(D(1), D(1)), D(1), 9),
    )


# -- the report -----------------------------------------------------------------------------------------------------


def test_each_vendor_has_its_break_even_or_is_unknown() -> None:
    """Four streams on a machine of 657 dollars a month: 1,190 hours at two tiers; what has no price is unknown."""
    hush, acme = report(WORKED, cards()).table("break_even").rows  # what is not known comes first
    assert ("Acme", "Live (live)", "gpu") == (acme["vendor"], acme["product"], acme["machine"])
    assert D("657") == acme["machine_month"]
    assert D(1190) == acme["hours_one_machine"]  # 1,000 x 0.6 + 190 x 0.3
    assert D("0.407534") == acme["full_one_machine"]  # of 4 x 730
    assert ("Hush", "unknown") == (hush["vendor"], hush["streams_at_once"])
    assert Missing.UNKNOWN is hush["vendor_hour_price"]
    assert Missing.NOT_APPLICABLE is hush["hours_one_machine"]


def test_machines_without_a_price_are_compared_with_nothing() -> None:
    """No price of an own machine: its costs are unknown, it beats nobody, and a note says where to write the price."""
    found = report(WORKED, cards(None))
    assert () == found.table("break_even").rows == found.table("grid").rows
    assert any("prices" in note for note in found.notes)
    unheard = report([ready("300")], cards())
    assert () == unheard.table("break_even").rows
    assert any("streams" in note for note in unheard.notes)
    assert report([ready("300")], cards(), Plan(streams={"gpu": D(8)})).table("break_even").rows


def test_vendors_in_other_currencies_need_an_exchange_rate() -> None:
    """With a rate the machine's price is converted; without one there is no comparison."""
    rupees = RateCard("sar", (Rate("stt", Clock.AUDIO_SENT, Unit.HOUR, "INR", tiers=(Tier(D(0), D(30)),)),), "Sar")
    dated = Exchange("USD", {"INR": ((date(2026, 1, 1), D("0.0125")),)})
    by_rate = {row["vendor"]: row for row in report(WORKED, cards("0.9", dated, rupees)).table("break_even").rows}
    assert (D(52_560), "INR", D(1752)) == tuple(
        by_rate["Sar"][name] for name in ("machine_month", "currency", "hours_one_machine")
    )
    without = {row["vendor"]: row for row in report(WORKED, cards("0.9", Exchange(), rupees)).table("break_even").rows}
    assert Missing.UNKNOWN is without["Sar"]["machine_month"]


def test_the_price_of_the_month_s_last_day_counts() -> None:
    """A vendor whose price has ended has no offer, one whose price has changed its new one."""
    old = replace(VENDOR.rates[0], effective_to=date(2026, 11, 15))
    new = replace(VENDOR.rates[0], tiers=(Tier(D(0), D("0.5")),), effective_from=date(2026, 11, 15))
    gone = RateCard("gone", (replace(old, effective_to=date(2026, 1, 1)),), "Gone")
    known = cards("0.9", Exchange(), replace(VENDOR, rates=(old, new)), gone)
    rows = {row["vendor"]: row for row in report(WORKED, known).table("break_even").rows}
    assert {"Acme", "Hush"} == rows.keys()
    assert D("0.5") == rows["Acme"]["vendor_hour_price"]


def test_the_grid_says_whether_so_much_audio_is_possible() -> None:
    """Machines for few streams may never hear as much as they would have to."""
    rows = report(WORKED, cards("3.6")).table("grid").rows
    acme = {row["streams_count"]: row for row in rows if row["vendor"] == "Acme"}
    assert (1, D(2628), D(7760), D(730), "never") == tuple(
        acme[1][name] for name in ("machines_count", "own_month", "break_even_hours", "most_hours", "pays")
    )
    assert (250, "never") == (acme[1000]["machines_count"], acme[1000]["pays"])
    cheap = {
        row["streams_count"]: row["pays"]
        for row in report(WORKED, cards("0.1")).table("grid").rows
        if row["vendor"] == "Acme"
    }
    assert {"yes"} == set(cheap.values())


def test_curves_are_the_same_costs_as_data_for_a_plot() -> None:
    """Each point of a vendor's curve is its month; own machines rise by whole machines only."""
    curve = report(WORKED, cards()).table("curve").rows
    points = {name: [(r["at_hours"], r["month_cost"]) for r in curve if r["vendor"] == name] for name in ("Acme", OWN)}
    assert {"Acme", OWN} == {row["vendor"] for row in curve}
    for hours, cost in points["Acme"]:
        assert isinstance(hours, Decimal)
        exact = month_cost(VENDOR.rates[0], hours)
        assert exact is not None
        assert exact.quantize(D("1e-9")) == cost
    for hours, cost in points[OWN]:
        assert isinstance(cost, Decimal)
        assert isinstance(hours, Decimal)
        assert not cost % D(657)
        assert cost / 657 * 4 >= hours / (D("0.3") * 730)


def test_the_plot_has_every_vendor_and_says_so_in_words() -> None:
    """The SVG names vendors and machines, in the page's colours and as text; without machines there is none."""
    drawn = curves(report(WORKED, cards()), Formats.of("en"))
    assert drawn is not None
    svg, caption = drawn
    assert svg.startswith("<svg ")
    for text in ("Acme", "gpu", "var(--ink)", "aria-label"):
        assert text in svg
    assert "month" in caption
    assert curves(report(WORKED, cards(None)), Formats.of("en")) is None


# -- from the ledger ------------------------------------------------------------------------------------------------


def _entries() -> list[Entry]:
    """Two sessions on own machines, one at a vendor, and a GPU that was there for five hours."""
    begin = datetime(2026, 11, 3, tzinfo=UTC)
    blank = Entry("", begin, "", "", Account(), "whisper", "gpu", Clock.GPU_BUSY, 0, Pass.SECOND)
    used = [
        ("a", "gateway", "audio", Clock.RECEIVED, 2 * HOUR, Pass.FIRST),
        ("a", "gateway", "audio", Clock.FINALIZED, HOUR, Pass.FIRST),
        ("a", "whisper", "gpu", Clock.GPU_BUSY, HOUR // 4, Pass.SECOND),
        ("a", "whisper", "gpu", Clock.GPU_BUSY, HOUR // 4, Pass.SECOND),
        ("b", "gateway", "audio", Clock.RECEIVED, HOUR, Pass.FIRST),
        ("b", "whisper", "gpu", Clock.GPU_BUSY, HOUR // 4, Pass.SECOND),
        ("b", "whisper", "gpu", Clock.GPU_BUSY, HOUR // 8, Pass.FIRST),
        ("c", "gateway", "audio", Clock.RECEIVED, 9 * HOUR, Pass.FIRST),
        ("c", "acme", "live", Clock.AUDIO_SENT, 9 * HOUR, Pass.FIRST),
        ("w", "machine", "gpu", Clock.PROVISIONED, 5 * HOUR, Pass.FIRST),
    ]
    return [
        replace(
            blank,
            id=f"{session}/{number}",
            request=f"{session}/{number}",
            session=session,
            provider=provider,
            sku=sku,
            clock=clock,
            micros=micros,
            pass_=pass_,
            at=begin + timedelta(seconds=number),
        )
        for number, (session, provider, sku, clock, micros, pass_) in enumerate(used)
    ]


def _read(url: str) -> list[Raw]:
    ledger = Ledger.open(url)
    ledger.write(_entries())
    rows = query(read("self_hosting"), ledger, Asked(MONTH, MONTH.end))
    ledger.close()
    return rows


def test_both_databases_give_the_audio_of_the_sessions_that_machines_worked_for(tmp_path: Path) -> None:
    """A session's audio counts once for each pass on own machines, and not if it was heard elsewhere."""
    with postgres_server() as server, empty_database(server) as address:
        sqlite, postgresql = _read(f"sqlite:///{tmp_path / 'ledger.sqlite'}"), _read(address)
    assert sqlite == postgresql
    (gpu,) = machines(sqlite, cards())
    assert (D(5), D("0.875"), D(3)) == (gpu.ready, gpu.busy, gpu.audio)
    # Second pass: 0.75 h for 3 h of audio. First pass: 0.125 h for 1 h.
    assert D("0.375") == gpu.busy_per_audio
    assert D("1.5") == gpu.loaded
    found = report(sqlite, cards())
    assert all(
        found.table(name).rows for name in ("machine", "work", "break_even", "grid", "curve", "busy", "ready", "heard")
    )


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_marginal_never_exceeds_what_was_paid(busy_hours: int, ready_hours: int) -> None:
    """Machines are not busier than they are there: with one pass, marginal cost is at most the loaded one."""
    assume(busy_hours <= ready_hours)
    rows = [busy("second", str(busy_hours), "100"), heard("100"), ready(str(ready_hours))]
    (gpu,) = machines(rows, cards())
    assert gpu.marginal is not None
    assert gpu.loaded is not None
    assert gpu.utilisation is not None
    assert gpu.marginal <= gpu.loaded
    assert abs(gpu.marginal - gpu.loaded * gpu.utilisation) < D("1e-20")
