"""What a session costs while it runs."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from twopass.cost.prices.rates import Money, Rate, RateCard, Tier, Unit
from twopass.cost.prices.running import CostLine, CostSummary, Pricer
from twopass.types import Clock, Pass, Usage

D = Decimal
WHISPER = RateCard(
    "whisper", (Rate("cpu", Clock.CPU_BUSY, machine="cpu_core"), Rate("gpu", Clock.GPU_BUSY, machine="gpu"))
)
PROMOTION = Rate("std", Clock.AUDIO_SENT, tiers=(Tier(D(0), D("0.5")),), effective_to=date(2026, 11, 1))
STANDARD = Rate(
    "std",
    Clock.AUDIO_SENT,
    tiers=(Tier(D(0), D(1)), Tier(D(1), D("0.1"))),
    increment=D(15),
    minimum=D(60),
    free=D(5),
    add_ons={"diarization": D("0.3"), "detection": D("0.2")},
    effective_from=date(2026, 11, 1),
)
RUPEES = Rate("std", Clock.AUDIO_SENT, Unit.MINUTE, "INR", (Tier(D(0), D("0.5")),))
CARDS = {
    "whisper": WHISPER,
    "vendor": RateCard("vendor", (PROMOTION, STANDARD)),
    "indian": RateCard("indian", (RUPEES,)),
    "secret": RateCard("secret", (Rate("std", Clock.AUDIO_SENT),)),
}
PRICER = Pricer(CARDS, {"cpu_core": Money(D("0.04"), "USD")}, lambda: datetime(2026, 11, 10, tzinfo=UTC))

seconds = st.decimals(0, 10_000, places=3).map(float)


def audio(spent: float, provider: str = "vendor", features: tuple[str, ...] = ()) -> Usage:
    """Audio that a vendor was sent."""
    return Usage(provider, "std", Clock.AUDIO_SENT, spent, features=features)


@given(st.lists(seconds, max_size=20))
def test_the_total_is_the_sum_of_the_entries(spent: list[float]) -> None:
    """Adding first and pricing then gives what pricing each entry gives, to a millionth of a cent."""
    usages = [Usage("whisper", "cpu", Clock.CPU_BUSY, s, Pass.SECOND) for s in spent]
    each = sum((price.amount for usage in usages if (price := PRICER.price(usage))), Decimal(0))
    totals = PRICER.summarize(usages).totals
    assert abs(each - (totals[0].amount if totals else Decimal(0))) < Decimal("0.00000001")


def test_no_price_is_an_item_and_never_nothing() -> None:
    """A machine without a price, a card without one, and an unknown provider or SKU are named, not counted as 0."""
    usages = [
        Usage("whisper", "gpu", Clock.GPU_BUSY, 5),
        Usage("vendor", "new", Clock.AUDIO_SENT, 5),
        audio(5, "secret"),
        audio(5, "nobody"),
        Usage("whisper", "cpu", Clock.CPU_BUSY, 3_600),
    ]
    summary = PRICER.summarize(usages)
    assert (Money(D("0.04"), "USD"),) == summary.totals
    assert {"whisper gpu", "vendor new", "secret std", "nobody std"} == set(summary.unpriced)
    assert 4 == sum(line.cost is None for line in summary.lines)


def test_what_is_recorded_to_compare_is_no_item() -> None:
    """What the vendor reports, and audio received or final, have no price by design: no line, and not unknown."""
    clocks = (Clock.VENDOR_REPORTED, Clock.RECEIVED, Clock.FINALIZED, Clock.SOCKET_OPEN)
    assert CostSummary() == PRICER.summarize(Usage("vendor", "std", clock, 5) for clock in clocks)


def test_a_vendor_that_only_reports_is_unknown() -> None:
    """If no card knows the SKU, its report must not hide that."""
    summary = PRICER.summarize([Usage("nobody", "std", Clock.VENDOR_REPORTED, 5)])
    assert ("nobody std",) == summary.unpriced


def test_an_hour_of_a_core_costs_what_the_configuration_says() -> None:
    """The price is the machine's hourly price for the busy time, exactly."""
    assert Money(D("0.01"), "USD") == PRICER.price(Usage("whisper", "cpu", Clock.CPU_BUSY, 900))


def test_provisioned_machines_cost_their_hour() -> None:
    """Their time is priced without a card; a machine without a price is unknown."""
    assert Money(D("0.08"), "USD") == PRICER.price(Usage("machine", "cpu_core", Clock.PROVISIONED, 7_200))
    assert PRICER.price(Usage("machine", "gpu", Clock.PROVISIONED, 7_200)) is None


def test_a_running_session_is_priced_at_the_first_tier() -> None:
    """Neither rounding, minimum, allowance nor volume tiers: nobody knows yet how far the month has come."""
    assert Money(D("0.001"), "USD") == PRICER.price(audio(3.6))
    assert Money(D(2), "USD") == PRICER.price(audio(7_200))


def test_todays_price_applies() -> None:
    """A promotion counts until it ends; before and after every price there is none."""
    october = Pricer(CARDS, {}, lambda: datetime(2026, 10, 31, 23, 59, tzinfo=UTC))
    assert Money(D("0.5"), "USD") == october.price(audio(3_600))
    assert Money(D(1), "USD") == PRICER.price(audio(3_600))


def test_add_ons_are_in_the_price() -> None:
    """Each stream pays for its own features, once; what the card does not list costs nothing more."""
    assert Money(D("1.3"), "USD") == PRICER.price(audio(3_600, features=("diarization", "diarization", "phrases")))
    usages = [
        audio(3_600),
        audio(3_600, features=("diarization",)),
        audio(1_800, features=("detection", "diarization")),
    ]
    (line,) = PRICER.summarize(usages).lines
    assert CostLine(Pass.FIRST, "vendor", "std", Clock.AUDIO_SENT, 9_000.0, Money(D("3.05"), "USD")) == line


def test_each_pass_and_currency_has_its_total() -> None:
    """Rupees and dollars are not added up, nor are the passes; what is unknown is in neither."""
    usages = [
        audio(1_800),
        audio(60, "indian"),
        audio(5, "nobody"),
        Usage("whisper", "cpu", Clock.CPU_BUSY, 900, Pass.SECOND),
    ]
    summary = PRICER.summarize(usages)
    first, second = Pass.FIRST, Pass.SECOND
    rupees, dollars, core = Money(D("0.5"), "INR"), Money(D("0.5"), "USD"), Money(D("0.01"), "USD")
    assert ((first, rupees), (first, dollars), (second, core)) == summary.by_pass
    assert (rupees, Money(D("0.51"), "USD")) == summary.totals
