"""
Reading rate cards: those beside the providers, those of vendors only compared on price, and the user's own prices.

All have one format; `configs/prices-example.yaml` shows it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from twopass.cost.prices.card_file import FIX, CardModel
from twopass.cost.prices.exchange import Exchange, load_exchange
from twopass.cost.prices.fees import Fee, fees
from twopass.cost.prices.pricing import RULES, rate_for
from twopass.cost.prices.rates import Confidence, Money, Rate, RateCard, Unit
from twopass.cost.prices.yaml_files import Readable, read_documents
from twopass.errors import ConfigError
from twopass.recognizers import ENTRY_POINT_GROUP
from twopass.types import Clock


@dataclass(frozen=True, slots=True)
class Cards:
    """
    Everything that prices depend on.

    Attributes:
        cards: By provider; the user's contracted prices stand before the vendor's.
        machines: What an hour of each own machine costs.
        fingerprint: Differs whenever anything here, or the rules of pricing, differ.
    """

    cards: Mapping[str, RateCard]
    machines: Mapping[str, Money]
    exchange: Exchange
    fingerprint: str

    def rate(self, provider: str, sku: str, clock: Clock, at: datetime) -> Rate | None:
        """The rate that applies, of a card or of a machine; None if there is none: then the usage has no price."""
        return rate_for(self.cards, provider, sku, clock, at)

    def fees(self, month: str) -> tuple[Fee, ...]:
        """The month's (2026-11) commitment fees."""
        return fees(self.cards, month)


def cards_of(cards: Mapping[str, RateCard], machines: Mapping[str, Money], exchange: Exchange) -> Cards:
    """The same as values, with their fingerprint."""
    everything = (RULES, sorted(cards.items()), sorted(machines.items()), exchange)
    fingerprint = hashlib.sha256(repr(everything).encode()).hexdigest()
    return Cards(MappingProxyType(dict(cards)), MappingProxyType(dict(machines)), exchange, fingerprint)


def load_cards(overrides: Path | None, exchange: Path | None, machines: Mapping[str, Money]) -> Cards:
    """
    The cards of the installed providers and of vendors only compared on price, with the user's contracted prices.

    Raises ConfigError that names file, place and fix.
    """
    cards = compared_cards() | installed_cards()
    if overrides is not None:
        cards |= _all_contracted(overrides, cards)
    return cards_of(cards, machines, load_exchange(exchange))


def installed_cards() -> dict[str, RateCard]:
    """The cards in the installed providers' packages, by provider. One without a card has no entry."""
    found = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            card = load_card(point.module)
        except ModuleNotFoundError:
            continue
        if card is not None:
            found[point.name] = card
    return found


def compared_cards() -> dict[str, RateCard]:
    """The cards of vendors for which there is no recognizer here, by provider."""
    folder = files("twopass.cost.prices") / "compared"
    cards = (_card(file) for file in folder.iterdir() if file.name.endswith(".yaml"))
    return {card.provider: replace(card, compared_only=True) for card in cards}


def load_card(package: str) -> RateCard | None:
    """The card in a provider's package, None if it has none. Raises ConfigError."""
    source = files(package) / "rates.yaml"
    return _card(source) if source.is_file() else None


def _card(source: Readable) -> RateCard:
    models = read_documents(source, CardModel, FIX)
    if len(models) != 1:
        raise ConfigError(f"{source.name}: {len(models)} cards, one is wanted.", fix=FIX)
    return models[0].card()


# -- the user's own prices ------------------------------------------------------------------------------------------


def _all_contracted(source: Readable, cards: Mapping[str, RateCard]) -> dict[str, RateCard]:
    found: dict[str, RateCard] = {}
    for model in read_documents(source, CardModel, FIX):
        if model.provider in found:
            raise ConfigError(f"{source.name}: there are two cards of {model.provider}.", fix="Put them into one.")
        found[model.provider] = _contracted(source, cards.get(model.provider), model)
    return found


def _contracted(source: Readable, vendors: RateCard | None, model: CardModel) -> RateCard:
    """The vendor's card with the user's prices before it: they hold on their days, the vendor's on all others."""
    card = model.card(Confidence.CONTRACT)
    if vendors is None:
        if not card.compared_only:
            raise ConfigError(f"{source.name}: there is no provider {card.provider!r}.", fix=_NEW_VENDOR)
        return card
    if not vendors.compared_only:
        _check_known(source, vendors, card)
    always = {(rate.sku, rate.clock) for rate in card.rates if rate.effective_from is rate.effective_to is None}
    left = tuple(rate for rate in vendors.rates if (rate.sku, rate.clock) not in always)
    _check_units(source, card.provider, (*card.rates, *left))
    return replace(vendors, rates=(*card.rates, *left))


_NEW_VENDOR = "Correct the name, or write `compared_only: true` for a vendor that is only compared on price."


def _check_known(source: Readable, vendors: RateCard, card: RateCard) -> None:
    known = {(rate.sku, rate.clock) for rate in vendors.rates}
    for rate in card.rates:
        if known and (rate.sku, rate.clock) not in known:
            names = ", ".join(sorted(f"{sku} on {clock}" for sku, clock in known))
            wrong = f"{card.provider} meters no {rate.sku} on {rate.clock}"
            raise ConfigError(f"{source.name}: {wrong}.", fix=f"It meters: {names}.")


def _check_units(source: Readable, provider: str, rates: Iterable[Rate]) -> None:
    units: dict[tuple[str, Clock], Unit] = {}
    for rate in rates:
        unit = units.setdefault((rate.sku, rate.clock), rate.unit)
        if unit is not rate.unit:
            wrong = f"{provider} {rate.sku}: a price per {unit} beside the vendor's per {rate.unit}"
            raise ConfigError(f"{source.name}: {wrong}.", fix=f"Give it per {rate.unit}, or for all days.")
