"""A made-up month: the same each time, with everything that happens in life, and the ledger's sums are the oracle's."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from tests.cost.postgres import empty_database, postgres_server

from twopass.cost.ledger.book import Ledger
from twopass.cost.prices.cards import Cards, load_cards
from twopass.cost.prices.pricing import MACHINE
from twopass.cost.prices.rates import Money
from twopass.cost.reports.report import Asked, Missing, Month, run
from twopass.cost.reports.simulation import TENANTS, UNPRICED, simulate
from twopass.cost.reports.simulation_oracle import Oracle
from twopass.cost.usage.entries import Entry
from twopass.types import Clock, Reason

MONTH = Month.parse("2026-10")
EXCHANGE = Path(__file__).parents[2] / "configs" / "exchange-example.yaml"
MANY = 20_000


@pytest.fixture(scope="module")
def cards() -> Cards:
    """All cards that are installed, with the example's exchange rates and a price for each machine."""
    machines = {"gpu": Money(Decimal("1.2"), "USD"), "cpu_core": Money(Decimal("0.04"), "USD")}
    return load_cards(None, EXCHANGE, machines)


@pytest.fixture(scope="module")
def made() -> list[Entry]:
    """Many entries."""
    return list(simulate(MONTH, MANY, seed=7))


def test_same_seed_same_entries(made: list[Entry]) -> None:
    """The same month and seed give the same entries, fewer of them the same beginning; another seed gives others."""
    assert list(simulate(MONTH, 1000, seed=7)) == made[:1000]
    others = {entry.id for entry in simulate(MONTH, 1000, seed=8)}
    assert not others & {entry.id for entry in made}


def test_as_many_as_asked_each_with_its_own_id(made: list[Entry]) -> None:
    """The number is exact, ids are unique and name seed and session, and none leaves the month."""
    assert len(made) == MANY == len({entry.id for entry in made})
    assert all(entry.id.startswith(f"{entry.session}/") and entry.session.startswith("sim-7-") for entry in made)
    assert {f"{entry.at:%Y-%m}" for entry in made} == {"2026-10"}
    assert all(entry.micros > 0 for entry in made)


def test_everything_that_happens_is_in_it(made: list[Entry]) -> None:
    """Twelve tenants, every clock and every reason, several channels, add-ons, regions, and days of the week."""
    assert len(TENANTS) == 12 == len({entry.account.tenant for entry in made} - {""})
    assert {entry.clock for entry in made} == set(Clock)
    assert {entry.reason for entry in made} == set(Reason)
    assert {entry.channels for entry in made} == {1, 2}
    assert any(entry.features for entry in made)
    assert any(entry.region for entry in made)
    sessions = {entry.session: entry.at for entry in made if entry.provider != MACHINE}
    weekend = sum(at.weekday() >= 5 for at in sessions.values())
    assert 0 < weekend < len(sessions) / 4


def test_all_vendors_are_in_it_and_only_one_product_has_no_price(cards: Cards) -> None:
    """Every product that a rate card has is used by some tenant, and every product but one is on a card."""
    products = {product for tenant in TENANTS for product in (*tenant.products, tenant.second)}
    used = {(product.provider, product.sku, product.clock) for product in products}
    priced = {(name, rate.sku, rate.clock) for name, card in cards.cards.items() for rate in card.rates}
    assert used - priced == {(UNPRICED.provider, UNPRICED.sku, UNPRICED.clock)}
    assert priced - used == set()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_reports_say_what_the_oracle_says(database: str, made: list[Entry], cards: Cards, tmp_path: Path) -> None:
    """Totals, providers, passes and tenants are to the cent what an independent calculation says; so are the gaps."""
    if database == "sqlite":
        _compare(f"sqlite:///{tmp_path}/l.db", made, cards)
        return
    with postgres_server() as server, empty_database(server) as address:
        _compare(address, made, cards)


def _compare(address: str, made: list[Entry], cards: Cards) -> None:
    oracle = Oracle()
    ledger = Ledger.open(address)
    try:
        assert ledger.write(oracle.watch(made)) == MANY
        assert ledger.write(made) == 0, "a second time adds nothing"
        ledger.charge(cards, "USD")
        overview = run("overview", ledger, Asked(MONTH, date(2026, 11, 1)))
    finally:
        ledger.close()
    bill = oracle.bill(cards, "USD")
    tables = {table.name: {row["name"]: row for row in table.rows} for table in overview.tables}
    for name, expected in (("provider", bill.by_provider), ("pass", bill.by_pass), ("tenant", bill.by_tenant)):
        found = {key: row["cost"] for key, row in tables[name].items() if row["cost"] is not Missing.UNKNOWN}
        assert set(expected) <= set(found)
        for key, cost in found.items():
            assert isinstance(cost, Decimal)
            assert abs(Fraction(cost) - expected.get(str(key), Fraction(0))) < Fraction(1, 200), (name, key)
    total = tables["total"]["All work"]
    assert isinstance(total["cost"], Decimal)
    assert abs(Fraction(total["cost"]) - bill.total) < Fraction(1, 200)
    assert bill.total > 10, "there is something to compare"
    assert total["audio_hours"] == round(Decimal(float(bill.hours[Clock.RECEIVED])), 6)
    provisioned = tables["total"]["Own machines, idle included"]["cost"]
    assert provisioned == Decimal(bill.provisioned.numerator) / bill.provisioned.denominator
    assert set(tables["unknown"]) == {"google v3-preview"}
    assert set(bill.unpriced) == {("google", "v3-preview")}


def test_the_oracle_knows_the_rules() -> None:
    """By hand: 61 s of two channels in steps of 15 s; a minute is free, half a minute dear, the rest cheap."""
    from twopass.cost.prices.cards import cards_of
    from twopass.cost.prices.exchange import Exchange
    from twopass.cost.prices.rates import Rate, RateCard, Tier, Unit

    rate = Rate(
        "x",
        Clock.AUDIO_SENT,
        Unit.MINUTE,
        tiers=(Tier(Decimal(0), Decimal(3)), Tier(Decimal("0.5"), Decimal(1))),
        increment=Decimal(15),
        free=Decimal(1),
        add_ons={"extra": Decimal("0.1")},
    )
    sample = next(entry for entry in simulate(MONTH, MANY, seed=7) if entry.channels == 2)
    entry = Entry(
        **{name: getattr(sample, name) for name in Entry.__slots__}
        | {"provider": "v", "sku": "x", "clock": Clock.AUDIO_SENT, "micros": 61_000_000, "features": ("extra",)}
    )
    oracle = Oracle()
    oracle.add(entry)
    bill = oracle.bill(cards_of({"v": RateCard("v", (rate,))}, {}, Exchange()), "USD")
    billed = Fraction(2 * 75, 60)  # minutes; one is free
    assert bill.total == Fraction(1, 2) * 3 + (billed - 1 - Fraction(1, 2)) * 1 + billed * Fraction(1, 10)


def test_reasons_are_spread_plausibly(made: list[Entry]) -> None:
    """Most of the month is work; what goes wrong is a small part."""
    reasons = Counter(entry.reason for entry in made)
    assert reasons[Reason.WORK] > MANY * 0.75
    assert min(reasons.values()) > MANY / 2000
