"""Rate cards: those that are shipped, and the user's own prices."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from twopass import recognizers
from twopass.cost.prices.cards import Cards, compared_cards, installed_cards, load_card, load_cards
from twopass.cost.prices.rates import Confidence, Money, Rate, Unit
from twopass.errors import ConfigError
from twopass.types import Clock

D = Decimal
OCTOBER, NOVEMBER = datetime(2026, 10, 31, 23, tzinfo=UTC), datetime(2026, 11, 1, 1, tzinfo=UTC)
CONTRACT = """\
provider: google
rates:
  - sku: v2-standard
    clock: audio_sent
    unit: minute
    price: 0.0123456789012345678901234567890
"""


def with_prices(folder: Path, text: str) -> Cards:
    """All cards, with contracted prices from a file of this text."""
    path = folder / "prices.yaml"
    path.write_text(text, encoding="utf-8")
    return load_cards(path, None, {})


def google(cards: Cards, at: datetime) -> Rate:
    """What Google's first SKU costs."""
    rate = cards.rate("google", "v2-standard", Clock.AUDIO_SENT, at)
    assert rate is not None
    return rate


def shipped() -> Iterator[tuple[str, bool, Rate]]:
    """Every line of every card, with its provider and whether that runs on own machines."""
    for name, card in (compared_cards() | installed_cards()).items():
        yield from ((name, card.local, rate) for rate in card.rates)


# -- what is shipped ------------------------------------------------------------------------------------------------


def test_every_provider_has_a_rate_card() -> None:
    """A provider without a card would be unpriced for ever."""
    for name in recognizers.installed():
        card = load_card(f"twopass_providers.{name}")
        assert card is not None
        assert name == card.provider
        assert card.rates
        assert card.name


def test_every_price_says_where_it_was_read_and_how_far_to_trust_it() -> None:
    """A vendor's price has a source, a day and a confidence; where sources disagree, it says how."""
    for name, local, rate in shipped():
        if local:
            assert rate.machine, name
            continue
        assert rate.tiers, name
        assert rate.source, name
        assert rate.read_on is not None, name
        assert rate.confidence in (Confidence.STATED, Confidence.SECONDHAND, Confidence.CONFLICT), name
        assert rate.doubt or rate.confidence is not Confidence.CONFLICT, name


def test_vendors_without_a_recognizer_are_only_compared() -> None:
    """Their cards say so; they are no providers."""
    cards = compared_cards()
    assert {"deepgram", "assemblyai", "openai", "aws", "speechmatics", "elevenlabs"} <= set(cards)
    assert all(card.compared_only for card in cards.values())
    assert not set(cards) & set(recognizers.installed())


def test_assemblyai_bills_the_open_socket_and_amazon_at_least_15_seconds() -> None:
    """The rules that set vendors apart have come through from the files."""
    cards = load_cards(None, None, {})
    assert cards.rate("assemblyai", "universal-streaming", Clock.SOCKET_OPEN, NOVEMBER) is not None
    amazon = cards.rate("aws", "transcribe-streaming", Clock.AUDIO_SENT, NOVEMBER)
    assert amazon is not None
    assert (D(15), D(1), Unit.MINUTE) == (amazon.minimum, amazon.increment, amazon.unit)
    assert cards.rate("aws", "transcribe-streaming", Clock.AUDIO_SENT, datetime(2026, 5, 31, tzinfo=UTC)) is None


# -- the user's prices ----------------------------------------------------------------------------------------------


def test_contracted_prices_replace_the_vendors(tmp_path: Path) -> None:
    """Every digit is kept, the confidence is `contract`, other SKUs keep the vendor's price."""
    cards = with_prices(tmp_path, CONTRACT)
    rate = google(cards, NOVEMBER)
    assert [D("0.0123456789012345678901234567890")] == [tier.price for tier in rate.tiers]
    assert Confidence.CONTRACT is rate.confidence
    assert len(cards.cards["google"].rates) == len(installed_cards()["google"].rates)
    assert cards.rate("google", "v1-standard", Clock.AUDIO_SENT, NOVEMBER) is not None
    assert "Google Cloud" == cards.cards["google"].name


def test_a_contract_holds_on_its_days(tmp_path: Path) -> None:
    """Before it begins, the vendor's price applies."""
    cards = with_prices(tmp_path, CONTRACT + "    effective_from: 2026-11-01\n")
    assert Confidence.SECONDHAND is google(cards, OCTOBER).confidence
    assert Confidence.CONTRACT is google(cards, NOVEMBER).confidence


def test_a_contract_may_know_no_price(tmp_path: Path) -> None:
    """A line without a price makes it unknown; the vendor's is not taken instead."""
    cards = with_prices(tmp_path, CONTRACT.replace("    price: 0.0123456789012345678901234567890\n", ""))
    rate = google(cards, NOVEMBER)
    assert ((), Confidence.UNKNOWN) == (rate.tiers, rate.confidence)


def test_another_vendor_can_be_compared(tmp_path: Path) -> None:
    """A card with `compared_only` needs no provider; a compared vendor may get new SKUs."""
    other = "{provider: %s, compared_only: true, rates: [{sku: new, clock: socket_open, price: 0.1}]}\n"
    cards = with_prices(tmp_path, other % "rev" + "---\n" + other % "groq")
    for name in ("rev", "groq"):
        assert cards.cards[name].compared_only
        assert cards.rate(name, "new", Clock.SOCKET_OPEN, NOVEMBER) is not None
    assert cards.rate("groq", "whisper-large-v3", Clock.AUDIO_SENT, NOVEMBER) is not None


def test_the_example_can_be_read() -> None:
    """The file that every message points to is right, and what it says of commitments becomes a fee."""
    cards = load_cards(Path("configs/prices-example.yaml"), Path("configs/exchange-example.yaml"), {})
    assert [("azure", D(1600))] == [(fee.provider, fee.amount) for fee in cards.fees("2026-11")]
    assert Confidence.CONTRACT is google(cards, NOVEMBER).confidence


def test_the_fingerprint_changes_with_everything_that_prices_depend_on(tmp_path: Path) -> None:
    """The same files give the same one; another price, machine or exchange rate another one."""
    exchange = tmp_path / "exchange.csv"
    exchange.write_text("date,currency,rate,base\n2026-11-01,INR,0.01,USD\n")
    plain = load_cards(None, None, {})
    assert plain.fingerprint == load_cards(None, None, {}).fingerprint
    others = [
        load_cards(None, exchange, {}),
        load_cards(None, None, {"gpu": Money(D(1), "USD")}),
        load_cards(None, None, {"gpu": Money(D(2), "USD")}),
        with_prices(tmp_path, CONTRACT),
        with_prices(tmp_path, CONTRACT.replace("7890\n", "7891\n")),
    ]
    assert 6 == len({plain.fingerprint, *(cards.fingerprint for cards in others)})


# -- mistakes -------------------------------------------------------------------------------------------------------

LINE = "  - {sku: v2-standard, clock: audio_sent, unit: minute"
START = "provider: google\nrates:\n"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (CONTRACT.replace("price:", "prize:"), "prices.yaml, line 6, rates.0.prize"),
        (CONTRACT.replace("minute", "week"), "prices.yaml, line 5, rates.0.unit"),
        (CONTRACT.replace("audio_sent", "sundial"), "line 4, rates.0.clock"),
        (CONTRACT.replace("audio_sent", "vendor_reported"), "no vendor bills the clock vendor_reported"),
        (CONTRACT.replace("0.0123456789012345678901234567890", "-1"), "line 6, rates.0.price"),
        (CONTRACT.replace("0.0123456789012345678901234567890", "NaN"), "line 6, rates.0.price"),
        (CONTRACT.replace("0.0123456789012345678901234567890", "1,5"), "line 6, rates.0.price"),
        (CONTRACT + "    price: 2\n", "line 7: price stands there twice"),
        (CONTRACT + "    currency: dollars\n", "line 7, rates.0.currency"),
        (CONTRACT + "    tiers: [{price: 1}]\n", "not both"),
        (CONTRACT + "    effective_from: 2026-02-30\n", "line 7, rates.0.effective_from"),
        (CONTRACT + "    effective_from: 2026-11-01\n    effective_to: 2026-11-01\n", "must come after effective_from"),
        (CONTRACT + "    machine: gpu\n", "has no price here"),
        (START + LINE + ", tiers: [{above: 1, price: 1}]}", "the first tier begins above 0"),
        (
            START + LINE + ", tiers: [{price: 1}, {above: 5, price: 1}, {above: 5, price: 1}]}",
            "line 3, rates.0: the first",
        ),
        (START + LINE + "}\n" + LINE + "}", "line 1: v2-standard has two prices on the same day"),
        (
            START + LINE + ", effective_to: 2026-11-02}\n" + LINE + ", effective_from: 2026-11-01}",
            "v2-standard has two prices on the same day",
        ),
        (
            START
            + LINE
            + ", effective_to: 2026-11-01}\n"
            + LINE.replace("minute", "hour")
            + ", effective_from: 2026-11-01}",
            "per minute and per hour",
        ),
        (
            CONTRACT.replace("minute", "hour") + "    effective_from: 2026-11-01\n",
            "a price per hour beside the vendor's",
        ),
        (CONTRACT.replace("v2-standard", "v3"), "google meters no v3 on audio_sent"),
        (CONTRACT.replace("google", "gogle"), "there is no provider 'gogle'"),
        (CONTRACT + "---\n" + CONTRACT, "two cards of google"),
        ("- 1\n", "line 1"),
        ("provider: [", "is not YAML"),
    ],
)
def test_mistakes_name_file_place_and_fix(tmp_path: Path, text: str, wrong: str) -> None:
    """Whoever wrote the file finds the spot, and is told what to do."""
    with pytest.raises(ConfigError) as raised:
        with_prices(tmp_path, text)
    assert wrong in raised.value.message
    assert "prices.yaml" in raised.value.message
    assert raised.value.fix


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """It is not taken for a contract without prices; neither is one that is no text."""
    with pytest.raises(ConfigError, match=r"absent.yaml cannot be read: No such file"):
        load_cards(tmp_path / "absent.yaml", None, {})
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary.yaml cannot be read"):
        load_cards(tmp_path / "binary.yaml", None, {})


def test_dates_of_one_sku_may_follow_each_other(tmp_path: Path) -> None:
    """A promotion that ends and the price after it: each day has one price."""
    text = START + LINE + ", price: 1, effective_to: 2026-11-01}\n" + LINE + ", price: 2, effective_from: 2026-11-01}\n"
    cards = with_prices(tmp_path, text)
    prices = [[tier.price for tier in google(cards, at).tiers] for at in (OCTOBER, NOVEMBER)]
    assert [[D(1)], [D(2)]] == prices
    assert date(2026, 11, 1) == google(cards, OCTOBER).effective_to
