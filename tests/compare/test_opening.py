"""What a comparison opens: the profile's recognizers, nothing of a server, and who of them wants money."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from twopass.compare.results import System
from twopass.compare.running.estimate import Estimate, estimate
from twopass.compare.running.hearer import Payees
from twopass.compare.running.opening import is_own_address, payees, profile_of
from twopass.compare.running.specs import parse
from twopass.config import Config
from twopass.cost.prices.rates import Money
from twopass.recognizers import Capabilities
from twopass.types import Usage

_PROFILES = """
profiles:
  plain: {first_pass: {provider: pocketsphinx}, second_pass: {provider: pocketsphinx}}
  rescued:
    first_pass: {provider: pocketsphinx, failover: [{provider: azure, region: westeurope}]}
    second_pass: {provider: pocketsphinx}
  raced:
    first_pass:
      provider: azure
      endpoint: ws://127.0.0.1:1
      race: {provider: azure, region: westeurope}
      fallback: {provider: azure, region: northeurope}
    second_pass: {provider: pocketsphinx}
default: plain
shadow: {recognizer: {provider: azure, region: westeurope}, share: 1, limit: 5 USD}
"""


def _profile(folder: Path, name: str) -> Config:
    path = folder / "profiles.yaml"
    path.write_text(_PROFILES, encoding="utf-8")
    (spec,) = parse([f"twopass:{path}#{name}"])
    return profile_of(spec)


def test_a_comparison_has_no_shadow(tmp_path: Path) -> None:
    """A configuration whose live sessions go to a second vendor, too, is compared without: nobody asked to pay it."""
    assert _profile(tmp_path, "plain").shadow is None


@pytest.fixture
def _with_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_SPEECH_KEY", "no key")


@pytest.mark.usefixtures("_with_key")
def test_everybody_who_may_hear_may_want_money(tmp_path: Path) -> None:
    """A vendor that goes on for a local recognizer, or races with a stand-in, is paid; nobody else is."""
    found = {name: payees(_profile(tmp_path, name)) for name in ("plain", "rescued", "raced")}
    providers = {name: [[each.provider for each in line] for line in lines] for name, lines in found.items()}
    assert {"plain": [[]], "rescued": [[], ["azure"]], "raced": [["azure"], ["azure", "azure"]]} == providers


class _Hearer:
    def __init__(self, paid: Payees) -> None:
        self.system = System("twopass:x", "", two_pass=True)
        self.payees = paid


def test_the_estimate_is_of_the_dearest_that_may_speak() -> None:
    """Of recognizers that stand in for each other the dearest, of those that race all; local ones cost nothing."""
    cheap, dear = (Capabilities(name, name, "", local=False, sku="s") for name in ("cheap", "dear"))
    hours = {"cheap": Decimal(1), "dear": Decimal(3)}

    def price(usage: Usage) -> Money | None:
        return Money(hours[usage.provider] * Decimal(usage.seconds) / 3600, "USD") if usage.provider in hours else None

    def cost(*lines: tuple[Capabilities, ...]) -> Estimate:
        (found,) = estimate([(_Hearer(lines), 1_800_000), (_Hearer(lines), 1_800_000)], price)  # type: ignore[list-item]
        return found

    assert Estimate("twopass:x", 3600, None, paid=False) == cost(())
    assert Estimate("twopass:x", 3600, Money(Decimal(3), "USD"), paid=True) == cost((), (cheap,), (dear,))
    assert Estimate("twopass:x", 3600, Money(Decimal(4), "USD"), paid=True) == cost((cheap, dear))
    unknown = Capabilities("unknown", "", "", local=False)
    assert Estimate("twopass:x", 3600, None, paid=True) == cost((cheap,), (unknown,))


@pytest.mark.parametrize(
    ("value", "own"),
    [
        ("127.0.0.1:8080", True),
        ("ws://localhost:80/x", True),
        ("https://[::1]/x", True),
        ("localhost", True),
        ("https://localhost.example.com", False),
        ("speech.example.com:443", False),
        ("/home/localhost/model", False),
        (127, False),
    ],
)
def test_an_address_of_this_machine(value: object, own: bool) -> None:
    """Only a host that is this machine is one: what merely has its name in it is a vendor who wants money."""
    assert own is is_own_address(value)
