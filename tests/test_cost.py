"""From usage to money."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from twopass import recognizers
from twopass.cost.cards import load_card
from twopass.cost.rates import Money, Pricer, Rate, RateCard
from twopass.types import Clock, Pass, Usage

CARD = RateCard(
    "whisper", (Rate("cpu", Clock.CPU_BUSY, machine="cpu_core"), Rate("gpu", Clock.GPU_BUSY, machine="gpu"))
)
PRICER = Pricer({"whisper": CARD}, {"cpu_core": Money(Decimal("0.04"), "USD")})

seconds = st.decimals(0, 10_000, places=3).map(float)


@given(st.lists(seconds, max_size=20))
def test_the_total_is_the_sum_of_the_entries(spent: list[float]) -> None:
    """Adding first and pricing then gives what pricing each entry gives, to a millionth of a cent."""
    usages = [Usage("whisper", "cpu", Clock.CPU_BUSY, s, Pass.SECOND) for s in spent]
    each = sum((price.amount for usage in usages if (price := PRICER.price(usage))), Decimal(0))
    totals = PRICER.summarize(usages).totals
    assert abs(each - (totals[0].amount if totals else Decimal(0))) < Decimal("0.00000001")


def test_no_price_is_an_item_and_never_nothing() -> None:
    """A machine without a price, a clock that is not billed and an unknown provider are named, not counted as 0."""
    usages = [
        Usage("whisper", "gpu", Clock.GPU_BUSY, 5),
        Usage("whisper", "cpu", Clock.AUDIO_SENT, 5),
        Usage("nobody", "stream", Clock.AUDIO_SENT, 5),
        Usage("whisper", "cpu", Clock.CPU_BUSY, 3_600),
    ]
    summary = PRICER.summarize(usages)
    assert (Money(Decimal("0.04"), "USD"),) == summary.totals
    assert {"whisper gpu", "whisper cpu", "nobody stream"} == set(summary.unpriced)
    assert 3 == sum(line.cost is None for line in summary.lines)


def test_an_hour_of_a_core_costs_what_the_configuration_says() -> None:
    """The price is the machine's hourly price for the busy time, exactly."""
    assert Money(Decimal("0.01"), "USD") == PRICER.price(Usage("whisper", "cpu", Clock.CPU_BUSY, 900))


def test_every_provider_has_a_rate_card() -> None:
    """A provider without a card would be unpriced for ever."""
    for name in recognizers.installed():
        card = load_card(f"twopass_providers.{name}")
        assert card is not None
        assert name == card.provider
        assert card.rates
