"""Currencies by dated rates."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from twopass.cost.prices.exchange import Exchange, load_exchange
from twopass.errors import ConfigError

D = Decimal
YAML = """\
base: EUR
rates:
  - {date: 2026-11-01, currency: USD, rate: 0.9}
  - {date: 2026-10-01, currency: USD, rate: "0.8"}
  - {date: 2026-10-01, currency: INR, rate: 0.0100000000000000000001}
"""
CSV = """\
date,currency,rate,base
2026-11-01,USD,0.9,EUR
2026-10-01,USD,0.8,EUR
2026-10-01,INR,0.0100000000000000000001,EUR
"""


def loaded(folder: Path, text: str, name: str = "rates.yaml") -> Exchange:
    """Read from a file of that name."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return load_exchange(path)


@pytest.mark.parametrize(
    ("currency", "to", "day", "expected"),
    [
        ("USD", "EUR", date(2026, 10, 31), "8"),
        ("USD", "EUR", date(2026, 11, 1), "9"),
        ("USD", "EUR", date(2030, 1, 1), "9"),
        ("EUR", "USD", date(2026, 10, 1), "12.5"),
        ("USD", "USD", date(1999, 1, 1), "10"),
        ("EUR", "EUR", date(1999, 1, 1), "10"),
        ("JPY", "JPY", date(1999, 1, 1), "10"),
        ("USD", "EUR", date(2026, 9, 30), None),
        ("EUR", "INR", date(2026, 9, 30), None),
        ("JPY", "EUR", date(2026, 11, 1), None),
        ("EUR", "JPY", date(2026, 11, 1), None),
    ],
)
def test_the_last_rate_on_or_before_the_day_counts(
    tmp_path: Path, currency: str, to: str, day: date, expected: str | None
) -> None:
    """Before the first rate, and of currencies that are not there, an amount is unknown; it never becomes 0."""
    converted = loaded(tmp_path, YAML).convert(D(10), currency, to, day)
    assert converted == (None if expected is None else D(expected))


def test_two_currencies_meet_in_the_base(tmp_path: Path) -> None:
    """From rupees to dollars by way of the euro."""
    exchange = Exchange("EUR", {"INR": ((date(2026, 1, 1), D("0.01")),), "USD": ((date(2026, 1, 1), D("0.8")),)})
    assert D("0.375") == exchange.convert(D(30), "INR", "USD", date(2026, 11, 1))


def test_without_a_file_only_the_same_currency_is_known() -> None:
    """No rates at all: rupees stay rupees."""
    assert load_exchange(None).convert(D(30), "INR", "USD", date(2026, 11, 1)) is None
    assert D(30) == load_exchange(None).convert(D(30), "INR", "INR", date(2026, 11, 1))


def test_yaml_and_csv_say_the_same(tmp_path: Path) -> None:
    """Both forms give the same rates, with every digit."""
    exchange = loaded(tmp_path, YAML)
    assert exchange == loaded(tmp_path, CSV, "rates.csv")
    assert ((date(2026, 10, 1), D("0.0100000000000000000001")),) == exchange.rates["INR"]


def test_the_example_can_be_read() -> None:
    """The file that everything points to is one."""
    exchange = load_exchange(Path("configs/exchange-example.yaml"))
    assert D(11) == exchange.convert(D(10), "EUR", "USD", date(2026, 11, 20))


@pytest.mark.parametrize(
    ("text", "name", "wrong"),
    [
        (YAML.replace("0.9", "-1"), "a.yaml", "a.yaml, line 3, rates.0.rate: Input should be greater than 0."),
        (YAML.replace("0.9", "0"), "a.yaml", "line 3, rates.0.rate"),
        (YAML.replace("0.9", "NaN"), "a.yaml", "line 3, rates.0.rate"),
        (YAML.replace("INR", "rupees"), "a.yaml", "line 5, rates.2.currency"),
        (YAML.replace("INR", "EUR"), "a.yaml", "EUR is the base"),
        (YAML.replace("2026-11-01", "2026-10-01"), "a.yaml", "USD has two rates on 2026-10-01"),
        (YAML.replace("2026-11-01", "2026-13-01"), "a.yaml", "line 3, rates.0.date"),
        (YAML.replace("base: EUR", "base: EUR\nbase: USD"), "a.yaml", "line 2: base stands there twice"),
        (YAML + "---\n" + YAML, "a.yaml", "2 documents"),
        ("", "a.yaml", "0 documents"),
        ("rates: [", "a.yaml", "not YAML"),
        (CSV.replace("0.9", "a lot"), "a.csv", "a.csv, line 2, rate"),
        (CSV.replace("0.9,EUR", "0.9,GBP"), "a.csv", "one base currency is wanted"),
        (CSV.replace("2026-11-01", "2026-10-01"), "a.csv", "USD has two rates"),
        ("date,currency,rate\n2026-11-01,USD,0.9\n", "a.csv", "line 2, base"),
        ("date,currency,rate,base\n2026-11-01,USD,0.9,EUR,more\n", "a.csv", "line 2"),
        ("", "a.csv", "one base currency is wanted"),
    ],
)
def test_mistakes_name_file_place_and_fix(tmp_path: Path, text: str, name: str, wrong: str) -> None:
    """Whoever wrote the file finds the spot, and is told how it should look."""
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, text, name)
    assert wrong in str(raised.value)
    assert name in raised.value.message
    assert "exchange-example.yaml" in raised.value.fix


@pytest.mark.parametrize("name", ["absent.yaml", "absent.csv"])
def test_a_file_that_is_not_there_is_said(tmp_path: Path, name: str) -> None:
    """It is not taken for a file without rates."""
    with pytest.raises(ConfigError, match=f"{name} cannot be read"):
        load_exchange(tmp_path / name)
