"""An invoice against the ledger: agreement to the cent, and every kind of disagreement by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cost.postgres import empty_database, postgres_server
from tests.cost.vendor_bills import (
    CARD,
    PRICE,
    SKU,
    VENDOR,
    VENDOR_SKU,
    Bill,
    Habits,
    Heard,
    a_month,
    bill_of,
    entries_of,
)

from twopass.cost.invoices.explaining import Why
from twopass.cost.invoices.matching import TAX, gather, names_of
from twopass.cost.invoices.our_side import What
from twopass.cost.invoices.reading import read_invoice
from twopass.cost.invoices.reconciling import Line, Reconciliation, read_our_side, reconcile
from twopass.cost.invoices.report import provider_rows, reconcile_report, summary
from twopass.cost.ledger.book import Ledger
from twopass.cost.prices.cards import cards_of
from twopass.cost.prices.exchange import Exchange
from twopass.cost.prices.rates import RateCard, Tier
from twopass.cost.reports.files import read
from twopass.cost.reports.report import Month, Raw, Report
from twopass.types import Reason

D = Decimal
MONTH = Month.parse("2026-11")
CENT = D("0.01")
FIRST_TIER = replace(CARD, rates=(replace(CARD.rates[0], tiers=(Tier(D(0), PRICE),)),))
"""Without further tiers every second has one price: a difference's amount is known beforehand."""
FREE = replace(FIRST_TIER, rates=(replace(FIRST_TIER.rates[0], free=D(60)),))
UNKNOWN = replace(CARD, rates=(replace(CARD.rates[0], tiers=()),))

OurSide = Callable[[Iterable[Heard], RateCard], list[Raw]]


@pytest.fixture
def our_side_of(tmp_path: Path) -> Iterator[OurSide]:
    """What the real ledger says of streams, charged with a card."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")

    def told(heard: Iterable[Heard], card: RateCard) -> list[Raw]:
        ledger.write(entries_of(heard))
        ledger.charge(cards_of({VENDOR: card}, {}, Exchange()), "USD")
        return provider_rows(read_our_side(ledger, MONTH), VENDOR)

    yield told
    ledger.close()


def compared(
    lines: Sequence[str],
    rows: Sequence[Raw],
    card: RateCard = FIRST_TIER,
    exchange: Exchange = Exchange(),  # noqa: B008
) -> Reconciliation:
    """The invoice of these lines against these rows."""
    names = names_of(card)
    gathered = gather(read_invoice((f"{line}\n" for line in lines), "bill.csv"), names)
    return reconcile(gathered, rows, names, card, exchange, MONTH)


def report_of(found: Reconciliation, rows: Sequence[Raw], card: RateCard = FIRST_TIER) -> Report:
    """The report about it, in dollars."""
    return reconcile_report(found, rows, names_of(card), "USD", "Acme, bill.csv")


def whole(found: Reconciliation) -> list[Line]:
    """The lines with a difference that is known."""
    return [line for line in found.lines if line.difference is not None]


def causes(found: Reconciliation) -> set[str]:
    """What is said to explain any difference, rounded amounts apart."""
    given_ = {one for line in found.lines for one in line.explanations if one.why is not Why.ROUNDED}
    return {str(one.what or one.why) for one in given_}


def difference(found: Reconciliation) -> Decimal:
    """Theirs less ours, all together."""
    return sum((line.difference or D(0) for line in whole(found)), D(0))


def assert_all_explained(found: Reconciliation) -> None:
    """Nothing is left over on any line."""
    assert [] == [line for line in whole(found) if abs(line.unexplained or D(0)) >= D("0.00001")]


@pytest.mark.parametrize("card", [CARD, FIRST_TIER, FREE], ids=["tiers", "one price", "free minutes"])
def test_an_invoice_that_is_right_agrees_on_every_day(our_side_of: OurSide, card: RateCard) -> None:
    """What an independent vendor bills is what the ledger charges: to the cent each day, to the nano in all."""
    heard = a_month()
    if card is FREE:
        bill = netted(bill_of(heard), D("1.44"))
    elif card is CARD:
        bill = tiered(heard)
    else:
        bill = bill_of(heard)
    found = compared(bill.lines(), our_side_of(heard, card), card)
    assert found.agrees
    assert 30 == len(found.lines)
    assert set() == causes(found)
    assert abs(difference(found)) < D("0.00002")


def netted(bill: Bill, free: Decimal) -> Bill:
    """The same with the first so much of its cost at no price."""
    for day in sorted(bill.cost):
        taken = min(bill.cost[day], free)
        bill.cost[day] -= taken
        free -= taken
    return bill


def tiered(heard: Sequence[Heard]) -> Bill:
    """What a vendor with 0.024 for the first 1,000 minutes of a month and 0.016 thereafter bills."""
    bill = bill_of(heard)
    used = D(0)
    for stream in sorted(heard, key=lambda stream: stream.at):
        whole_seconds = D(-(-stream.total // 1_000_000))
        cheap = min(whole_seconds, max(D(0), used + whole_seconds - 60_000))
        used += whole_seconds
        bill.cost[stream.at.date()] -= cheap * D("0.008") / 60
    return bill


# -- seconds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("habits", "what"),
    [
        (Habits(block=15), What.BLOCKS_15),
        (Habits(block=60), What.BLOCKS_60),
        (Habits(block=0), What.ROUNDING),
        (Habits(unbilled=frozenset({Reason.REPLAY}), block=0), What.REPLAY),
        (Habits(unbilled=frozenset({Reason.RACE_LOSER}), block=0), What.RACE_LOSER),
    ],
    ids=["15 s", "60 s", "not rounded", "replay", "race loser"],
)
def test_seconds_that_are_counted_otherwise_are_named(our_side_of: OurSide, habits: Habits, what: What) -> None:
    """Whichever way the vendor counts, the one cause is named, with all of the difference in time and money."""
    heard = a_month()
    card = replace(FIRST_TIER, rates=(replace(FIRST_TIER.rates[0], increment=D(0 if habits.unbilled else 1)),))
    bill, ours = bill_of(heard, habits), our_side_of(heard, card)
    found = compared(bill.lines(), ours, card)
    assert {what} == causes(found)
    assert_all_explained(found)
    told = sum((one.seconds or D(0) for line in found.lines for one in line.explanations), D(0))
    charged = sum(D(row["micros"]) / 1_000_000 for row in ours if row["section"] == "part")
    assert sum(bill.seconds.values()) - charged == told
    assert not found.agrees


def test_two_causes_at_once_are_both_named(our_side_of: OurSide) -> None:
    """Neither replay nor race losers are billed: both are said, each with its own amount."""
    heard = a_month()
    card = replace(FIRST_TIER, rates=(replace(FIRST_TIER.rates[0], increment=D(0)),))
    habits = Habits(block=0, unbilled=frozenset({Reason.REPLAY, Reason.RACE_LOSER}))
    found = compared(bill_of(heard, habits).lines(), our_side_of(heard, card), card)
    assert {What.REPLAY, What.RACE_LOSER} == causes(found)
    assert_all_explained(found)
    for reason in (Reason.REPLAY, Reason.RACE_LOSER):
        told = [one for line in found.lines for one in line.explanations if one.what == What(reason.value)]
        sent = sum(D(stream.micros.get(reason, 0)) for stream in heard) / 1_000_000
        assert -sent == sum((one.seconds or D(0) for one in told), D(0))
        assert all(one.requests and one.example in {stream.name for stream in heard} for one in told)


def test_channels_that_are_billed_as_one_are_named(our_side_of: OurSide) -> None:
    """A card that bills both channels, a vendor that bills one: half of the time, and that is said."""
    heard = [replace(stream, channels=2) for stream in a_month()]
    found = compared(bill_of(heard).lines(), our_side_of(heard, FIRST_TIER))
    assert {What.CHANNELS} == causes(found)
    assert_all_explained(found)
    assert found.lines[0].pair.ours is not None
    assert found.lines[0].pair.theirs is not None
    assert 2 * (found.lines[0].pair.theirs.seconds or D(0)) == found.lines[0].pair.ours.seconds


def test_what_the_vendor_reported_itself_explains_its_bill(our_side_of: OurSide) -> None:
    """A vendor that bills the seconds it reported on the wire is told from one that counts wrongly."""
    heard = [
        replace(stream, reported=stream.total // 1_000_000 + len(stream.name) + i % 7)
        for i, stream in enumerate(a_month())
    ]
    found = compared(bill_of(heard, Habits(as_reported=True)).lines(), our_side_of(heard, FIRST_TIER))
    assert {What.REPORTED} == causes(found)
    assert_all_explained(found)


def test_streams_over_midnight_are_split_by_the_vendor_only(our_side_of: OurSide) -> None:
    """The days differ, the month does not; also where a stream came over from the month before, or left it."""
    before = datetime(2026, 10, 31, 23, 59, tzinfo=UTC)
    late = [
        Heard(
            f"m{day}/1",
            before + timedelta(days=day),
            {Reason.WORK: 40_000_000 + day * 1_000_000},
            after_midnight=(4 + day % 7) * 1_000_000,
        )
        for day in range(31)
    ]
    heard = [*a_month(), *late]
    found = compared(bill_of(heard, Habits(by_usage_day=True)).lines(), our_side_of(heard, FIRST_TIER))
    assert {What.MIDNIGHT} == causes(found)
    assert_all_explained(found)
    first, last = found.lines[0], found.lines[-1]
    assert (date(2026, 11, 1), date(2026, 11, 30)) == (first.pair.place.day, last.pair.place.day)
    assert found.outside  # what was heard in October


def test_corrections_that_the_invoice_does_not_know_are_named(tmp_path: Path) -> None:
    """An entry that takes seconds back explains what the vendor bills nonetheless."""
    heard, ledger = a_month(), Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    card = replace(FIRST_TIER, rates=(replace(FIRST_TIER.rates[0], increment=D(0)),))
    entries = entries_of(heard)
    ledger.write(entries)
    for entry in entries[:40:8]:
        ledger.correct(entry.id, -700_000, "counted twice", datetime(2026, 12, 5, tzinfo=UTC))
    late = datetime(2026, 11, 29, tzinfo=UTC)
    ledger.correct(entries[1].id, -300_000, "counted twice", late)
    ledger.charge(cards_of({VENDOR: card}, {}, Exchange()), "USD")
    rows = provider_rows(read_our_side(ledger, MONTH), VENDOR)
    ledger.close()
    found = compared(bill_of(heard, Habits(block=0)).lines(), rows, card)
    assert {What.CORRECTIONS} == causes(found)
    assert_all_explained(found)
    assert D("3.8") == sum((one.seconds or D(0) for line in found.lines for one in line.explanations), D(0))


def test_seconds_without_a_cause_stay_unexplained(our_side_of: OurSide) -> None:
    """An hour too much on one day has no explanation, and none is made up."""
    heard = a_month()
    bill = bill_of(heard)
    bill.add(date(2026, 11, 9), D(3607), PRICE)
    found = compared(bill.lines(), our_side_of(heard, FIRST_TIER))
    assert set() == causes(found)
    (line,) = (line for line in found.lines if not line.pair.agrees)
    assert date(2026, 11, 9) == line.pair.place.day
    assert abs((line.unexplained or D(0)) - D(3607) * PRICE / 60) < D("0.0001")


def test_a_usual_cause_is_said_of_a_day_that_it_explains_in_part(our_side_of: OurSide) -> None:
    """A vendor that rounds to a minute does so on the day of an error, too; only the error is left over."""
    heard = a_month()
    bill = bill_of(heard, Habits(block=60))
    bill.add(date(2026, 11, 9), D(37), PRICE)
    found = compared(bill.lines(), our_side_of(heard, FIRST_TIER))
    assert {What.BLOCKS_60} == causes(found)
    (line,) = (line for line in found.lines if abs(line.unexplained or D(0)) >= D("0.0001"))
    assert date(2026, 11, 9) == line.pair.place.day
    assert abs((line.unexplained or D(0)) - D(37) * PRICE / 60) < D("0.00001")


# -- lines ----------------------------------------------------------------------------------------------------------


def test_a_day_that_is_missing_on_the_invoice_is_named(our_side_of: OurSide) -> None:
    """What the vendor did not bill is told with our cost of it."""
    heard = a_month()
    bill = bill_of(heard)
    cost = bill.cost[date(2026, 11, 12)]
    del bill.seconds[date(2026, 11, 12)]
    found = compared(bill.lines(), our_side_of(heard, FIRST_TIER))
    assert {Why.NOT_BILLED} == causes(found)
    assert_all_explained(found)
    assert abs(difference(found) + cost) < D("0.00002")


def test_a_day_that_is_missing_in_the_ledger_is_named(our_side_of: OurSide) -> None:
    """What was never metered is told with their cost of it."""
    heard = a_month()
    known = [stream for stream in heard if stream.at.day != 12]
    bill = bill_of(heard)
    found = compared(bill.lines(), our_side_of(known, FIRST_TIER))
    assert {Why.NOT_CHARGED} == causes(found)
    assert_all_explained(found)
    assert abs(difference(found) - bill.cost[date(2026, 11, 12)]) < D("0.00002")


def test_taxes_are_named_and_apart(our_side_of: OurSide) -> None:
    """A tax line is no usage of any day, but its own line with its own reason."""
    heard = a_month()
    bill = bill_of(heard)
    bill.row(date(2026, 11, 30), "1.23", "", service="Invoice", sku="", name="Sales tax", kind="tax")
    found = compared(bill.lines(), our_side_of(heard, FIRST_TIER))
    assert {Why.TAX} == causes(found)
    assert_all_explained(found)
    (tax,) = (line for line in found.lines if line.pair.place.label == TAX)
    assert D("1.23") == tax.difference


def test_adjustments_are_named_with_and_without_a_sku(our_side_of: OurSide) -> None:
    """What the vendor corrected by hand is told, on the SKU's day and for the invoice as a whole."""
    heard = a_month()
    bill = bill_of(heard)
    bill.row(date(2026, 11, 3), "-0.5", "", kind="adjustment")
    bill.row(date(2026, 11, 30), "0.02", "", service="Invoice", sku="", name="Rounding", kind="rounding_error")
    found = compared(bill.lines(), our_side_of(heard, FIRST_TIER))
    assert {Why.ADJUSTMENT} == causes(found)
    assert_all_explained(found)
    assert abs(difference(found) + D("0.48")) < D("0.00002")


def test_other_services_are_counted_and_left_out(our_side_of: OurSide) -> None:
    """Machines and storage on the same invoice change nothing but a number."""
    heard = a_month()
    bill = bill_of(heard)
    for day in (2, 3):
        bill.row(date(2026, 11, day), "99", "3600", service="Compute Engine", sku="E2", name="Core")
    found = compared(bill.lines(), our_side_of(heard, FIRST_TIER))
    assert found.agrees
    ((service, told),) = found.others.items()
    assert ("Compute Engine", 2, D(198)) == (service.name, told.lines, told.cost)


def test_skus_that_no_card_knows_are_listed(our_side_of: OurSide) -> None:
    """A product of the same service without a rate is no other service, and no agreement either."""
    heard = a_month()
    bill = bill_of(heard)
    bill.row(date(2026, 11, 3), "0.5", "60", sku="BBB-222", name="Batch")
    rows = our_side_of(heard, FIRST_TIER)
    found = compared(bill.lines(), rows)
    assert not found.agrees
    ((place, told),) = found.unknown.items()
    assert ("Batch", "BBB-222", D("0.5")) == (place.label, told.sku, told.cost)
    (shown,) = report_of(found, rows).table("unknown").rows
    assert "BBB-222" == shown["product"]


def test_an_alias_makes_an_unknown_sku_known(our_side_of: OurSide) -> None:
    """A further name for one of our SKUs is as good as the one in the card."""
    heard = a_month()
    lines = [line.replace(VENDOR_SKU, "BBB-222") for line in bill_of(heard).lines()]
    names = names_of(FIRST_TIER, {"bbb-222": SKU})
    gathered = gather(read_invoice((f"{line}\n" for line in lines), "bill.csv"), names)
    assert reconcile(gathered, our_side_of(heard, FIRST_TIER), names, FIRST_TIER, Exchange(), MONTH).agrees


def test_add_ons_are_found_by_the_name_of_what_they_are_added_to(our_side_of: OurSide) -> None:
    """A meter that is called like the SKU and more is its add-ons, if we charge such."""
    heard = [replace(stream, features=("diarization",)) for stream in a_month()]
    card = replace(FIRST_TIER, rates=(replace(FIRST_TIER.rates[0], vendor_sku="S1 Speech"),))
    more = Bill()
    for stream in heard:
        more.add(stream.at.date(), D(-(-stream.total // 1_000_000)), D("0.002"))
    lines = [line.replace(f"{VENDOR_SKU},Live", "6f2a,S1 Speech") for line in bill_of(heard).lines()]
    extra = [line.replace(f"{VENDOR_SKU},Live", "77aa,S1 Speech Enhanced") for line in more.lines()[1:]]
    rows = our_side_of(heard, card)
    found = compared([*lines, *extra], rows, card)
    assert found.agrees
    assert 60 == len(found.lines)
    assert Why.NOT_BILLED in causes(compared(lines, rows, card))


# -- money ----------------------------------------------------------------------------------------------------------


def test_another_price_is_named_if_it_is_the_same_on_several_days(our_side_of: OurSide) -> None:
    """A discount on all days is a price; the words say both, and by how much they differ."""
    heard = a_month()
    found = compared(bill_of(heard, Habits(price=D("0.0228"))).lines(), our_side_of(heard, FIRST_TIER))
    assert {Why.PRICE} == causes(found)
    assert_all_explained(found)
    said = {one.says for line in found.lines for one in line.explanations if one.why is Why.PRICE}
    assert {"0.0228 instead of 0.024 per minute (-5.00 %)"} == said


def test_a_known_price_is_named_even_on_one_day(our_side_of: OurSide) -> None:
    """A day at the second tier's price is another tier, not any price."""
    heard, day = a_month(), date(2026, 11, 17)
    bill = bill_of(heard)
    bill.cost[day] *= D("0.016") / PRICE
    rows = our_side_of(
        heard, replace(CARD, rates=(replace(CARD.rates[0], tiers=(Tier(D(0), PRICE), Tier(D(10**6), D("0.016")))),))
    )
    found = compared(bill.lines(), rows, CARD)
    assert {Why.TIER} == causes(found)
    assert_all_explained(found)
    (said,) = (one.says for line in found.lines for one in line.explanations if one.why is Why.TIER)
    assert "0.016 instead of 0.024 per minute: the price from 1000 minutes a month on" == said


def test_the_day_on_which_another_tier_begins_has_a_price_between(our_side_of: OurSide) -> None:
    """The account also has usage that is not ours, so its month comes into the second tier before ours does."""
    heard = a_month()
    bill = bill_of(heard)
    for day in bill.cost:
        bill.cost[day] *= 1 if day.day < 10 else D("0.8") if day.day == 10 else D("0.016") / PRICE
    far = replace(CARD, rates=(replace(CARD.rates[0], tiers=(Tier(D(0), PRICE), Tier(D(10**6), D("0.016")))),))
    found = compared(bill.lines(), our_side_of(heard, far), far)
    assert {Why.TIER} == causes(found)
    assert_all_explained(found)


def test_one_odd_cost_is_not_called_a_price(our_side_of: OurSide) -> None:
    """A single day's amount that no known price yields stays unexplained."""
    heard = a_month()
    bill = bill_of(heard)
    bill.cost[date(2026, 11, 17)] += D("0.77")
    found = compared(bill.lines(), our_side_of(heard, FIRST_TIER))
    assert set() == causes(found)
    (line,) = (line for line in found.lines if not line.pair.agrees)
    assert abs((line.unexplained or D(0)) - D("0.77")) < D("0.00001")
    assert {"agree": 29, "explained": 0, "unexplained": 1, "unknown": 0} == summary(found)


def test_credits_are_named_by_the_vendor_s_word(our_side_of: OurSide) -> None:
    """A promotion explains exactly what it takes off."""
    heard = a_month()
    bill = bill_of(heard)
    bill.row(date(2026, 11, 3), "0", "0", credits="-0.25")
    bill.row(date(2026, 11, 4), "0", "0", credits='"[{""type"": ""PROMOTION"", ""amount"": -0.5}]"')
    found = compared(bill.lines(), our_side_of(heard, FIRST_TIER))
    assert {Why.CREDIT} == causes(found)
    assert {"credit", "PROMOTION"} == {
        one.says for line in found.lines for one in line.explanations if one.why is Why.CREDIT
    }
    assert_all_explained(found)
    assert abs(difference(found) + D("0.75")) < D("0.00002")


def test_a_free_allowance_as_a_credit_is_the_same_as_none_billed(our_side_of: OurSide) -> None:
    """Full cost with a credit for the free minutes agrees with our charge less what is free."""
    heard = a_month()
    bill, free = bill_of(heard), D("1.44")
    for day in sorted(bill.cost):
        taken = min(bill.cost[day], free)
        free -= taken
        if taken:
            bill.row(day, "0", "0", credits='"[{""type"": ""FREE_TIER"", ""amount"": ' + f"{-taken:.6f}" + '}]"')
    found = compared(bill.lines(), our_side_of(heard, FREE), FREE)
    assert found.agrees
    assert set() == {cause for cause in causes(found) if cause != Why.ALLOWANCE}
    assert_all_explained(found)


def test_a_free_allowance_that_is_not_given_is_named(our_side_of: OurSide) -> None:
    """Full cost without any credit: the allowance explains all of it."""
    heard = a_month()
    found = compared(bill_of(heard).lines(), our_side_of(heard, FREE), FREE)
    assert {Why.ALLOWANCE} == causes(found)
    assert_all_explained(found)
    assert abs(difference(found) - D("1.44")) < D("0.00002")


def test_an_unknown_price_is_an_unknown_difference(our_side_of: OurSide) -> None:
    """Without a price of ours nothing is compared, nothing counts as 0, and the invoice's price is told."""
    heard = a_month()
    rows = our_side_of(heard, UNKNOWN)
    found = compared(bill_of(heard).lines(), rows, UNKNOWN)
    assert not found.agrees
    assert {None} == {line.difference for line in found.lines} == {line.unexplained for line in found.lines}
    assert {Why.UNKNOWN_PRICE} == causes(found)
    assert all("0.024 per minute" in one.says for line in found.lines for one in line.explanations)
    (total,) = report_of(found, rows).table("total").rows
    assert (30, 0) == (total["unknown_count"], total["agreeing_count"])


def test_invoices_in_another_currency_are_compared_by_dated_rates(our_side_of: OurSide) -> None:
    """With the vendor's rate they agree; with another one it is a price; without any the difference is unknown."""
    heard = a_month()
    bill = bill_of(heard)
    for day in bill.cost:
        bill.cost[day] *= D("0.9")
    rows = our_side_of(heard, FIRST_TIER)
    right = Exchange("EUR", {"USD": ((date(2026, 1, 1), D("0.9")),)})
    other = Exchange("EUR", {"USD": ((date(2026, 1, 1), D("0.8")),)})
    assert compared(bill.lines("EUR"), rows, exchange=right).agrees
    by_other = compared(bill.lines("EUR"), rows, exchange=other)
    assert {Why.PRICE} == causes(by_other)
    assert_all_explained(by_other)
    assert {Why.UNKNOWN_PRICE} == causes(compared(bill.lines("EUR"), rows))


def test_an_invoice_by_the_month_is_compared_by_the_month(our_side_of: OurSide) -> None:
    """Where the vendor does not tell days apart there is one line, and it agrees."""
    heard = a_month()
    bill = bill_of(heard)
    seconds, cost = sum(bill.seconds.values()), sum(bill.cost.values())
    lines = [
        "Currency,USD",
        "Service description,SKU description,SKU ID,Credit type,Cost type,Usage start date,Usage end date,Usage amount,"
        "Usage unit,Unrounded cost ($)",
        f'Acme Speech,Live,{VENDOR_SKU},,Usage,2026-11-01,2026-11-30,"{seconds:,}",seconds,{cost:.6f}',
    ]
    found = compared(lines, our_side_of(heard, FIRST_TIER))
    assert found.agrees
    (line,) = found.lines
    assert (date(2026, 11, 1), date(2026, 11, 30)) == (line.pair.place.day, line.pair.place.last_day)


# -- always ---------------------------------------------------------------------------------------------------------

money = st.decimals(-1000, 1000, places=6)
seconds_ = st.decimals(0, 100_000, places=3)
invoice_rows = st.lists(
    st.tuples(
        st.integers(1, 4),
        seconds_,
        st.decimals(0, 1000, places=6),
        st.sampled_from(["", "-0.5", "-7.25"]),
        st.sampled_from(["regular", "regular", "tax", "adjustment"]),
        st.sampled_from([VENDOR_SKU, VENDOR_SKU, "other"]),
    ),
    max_size=8,
)
our_rows = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.sampled_from(["work", "replay", "shadow", "rounding", "blocks 15", "reported", "late", "corrections"]),
        st.integers(-(10**8), 10**11),
        st.one_of(st.none(), st.integers(0, 10**12)),
        st.integers(0, 10**10),
    ),
    max_size=12,
)


@given(invoice_rows, our_rows)
def test_explained_and_unexplained_are_the_difference(
    theirs: list[tuple[int, Decimal, Decimal, str, str, str]], ours: list[tuple[int, str, int, int | None, int]]
) -> None:
    """Whatever both sides say, each line's parts add up to theirs less ours, exactly, and no line of theirs is lost."""
    bill = Bill()
    for day, seconds, cost, credit, kind, sku in theirs:
        bill.row(date(2026, 11, day), f"{cost:f}", f"{seconds:f}", kind=kind, sku=sku, credits=credit, name=sku)
    found = compared(bill.lines(), [_our_row(*row) for row in ours], CARD)
    for line in found.lines:
        assert (line.difference is None) == (line.unexplained is None)
        if line.difference is not None:
            assert line.difference == line.explained + (line.unexplained or D(0))
    told = sum((line.pair.theirs.cost for line in found.lines if line.pair.theirs), D(0))
    unknown = sum((one.cost for one in found.unknown.values()), D(0))
    assert sum((cost + D(credit or 0) for _, _, cost, credit, _, _ in theirs), D(0)) == told + unknown


def _our_row(day: int, what: str, micros: int, list_nanos: int | None, credit_nanos: int) -> Raw:
    part = what in ("work", "replay", "shadow", "rounding")
    known = part and list_nanos is not None
    return {
        "section": "part" if part else "cause",
        "provider": VENDOR,
        "day": date(2026, 11, day),
        "sku": SKU,
        "feature": "",
        "currency": "USD",
        "what": what,
        "micros": abs(micros) if part else micros,
        "list_nanos": list_nanos if part else None,
        "credit_nanos": min(credit_nanos, list_nanos or 0) if known else None,
        "requests_count": 3,
        "example": "s/1",
    }


def test_both_databases_say_the_same_of_our_side(tmp_path: Path) -> None:
    """The query gives the same rows on SQLite and PostgreSQL, with every kind of row among them."""
    late = Heard("z/1", datetime(2026, 10, 31, 23, 59, tzinfo=UTC), {Reason.WORK: 40_000_000}, after_midnight=9_000_000)
    heard = [replace(stream, reported=90, features=("diarization",)) for stream in a_month()]
    heard += [late, replace(late, name="y/1", at=late.at + timedelta(days=3))]
    with postgres_server() as server, empty_database(server) as address:
        sides = [_rows_at(url, heard) for url in (f"sqlite:///{tmp_path / 'ledger.sqlite'}", address)]
    assert sides[0] == sides[1]
    told = {row["what"] for row in sides[0]}
    assert {"work", "replay", "rounding", "reported", "late", "early", "corrections", "blocks 15"} <= told


def _rows_at(url: str, heard: Sequence[Heard]) -> list[Raw]:
    ledger = Ledger.open(url)
    entries = entries_of(heard)
    ledger.write(entries)
    ledger.correct(entries[0].id, -5, "so", datetime(2026, 11, 29, tzinfo=UTC))
    ledger.charge(cards_of({VENDOR: CARD}, {}, Exchange()), "USD")
    rows = read_our_side(ledger, MONTH)
    ledger.close()
    return rows


def test_the_report_has_all_that_was_found(our_side_of: OurSide) -> None:
    """Each table of the report is filled, and its totals are those of the lines."""
    heard = a_month()
    bill = bill_of(heard, Habits(block=15))
    bill.row(date(2026, 11, 3), "0.5", "60", sku="BBB-222", name="Batch")
    bill.row(date(2026, 11, 3), "99", "60", service="Compute Engine", sku="E2", name="Core")
    bill.row(date(2026, 12, 3), "7", "60")
    rows = our_side_of(heard, FIRST_TIER)
    found = compared(bill.lines(), rows)
    report = report_of(found, rows)
    assert {table.name for table in read("reconcile").sections} == {table.name for table in report.tables}
    assert all(table.rows for table in report.tables)
    (total,) = report.table("total").rows
    assert difference(found) == total["difference"]
    assert {"live (AAA-111)"} == {row["product"] for row in report.table("line").rows}
    assert "Invoice check: Acme, bill.csv" == report.title
    (reason,) = (row for row in report.table("reason").rows if row["reason"] == Why.COUNTING)
    assert sum(-(-stream.total // 10**6) % 15 > 0 for stream in heard) == reason["requests_count"]
    assert any("1 lines of the invoice are not of 2026-11" in note for note in report.notes)
