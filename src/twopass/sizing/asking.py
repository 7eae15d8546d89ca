"""What `twopass.sizing.plan` needs to be told, out of a configuration and the rate cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from twopass import recognizers
from twopass.config import Config, PassConfig
from twopass.cost.prices.cards import Cards
from twopass.cost.prices.rates import Rate
from twopass.errors import ConfigError, RecognizerUnavailable
from twopass.recognizers import Capabilities
from twopass.sizing.measured import Hears
from twopass.sizing.terms import Demand, FirstPass, Prices, SecondPass
from twopass.types import Clock

COMMAND = "twopass size --measure"
"""What measures this machine."""
_OWN = (Clock.CPU_BUSY, Clock.GPU_BUSY)


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What the configuration does not say.

    Attributes:
        machine: On what the second pass is to run; None is left to what was measured.
        skus: Products of vendors, as "google=v2-standard".
        measure: The command that measures what runs on own machines.
    """

    machine: str | None = None
    skus: tuple[str, ...] = ()
    measure: str = COMMAND


def demand(config: Config, profile: str, cards: Cards, streams: int, now: datetime, asked: Asked) -> Demand:
    """
    So many streams of a profile, at the prices of a day.

    Raises ConfigError if profile, machine or product do not exist.
    """
    if profile not in config.profiles:
        known = ", ".join(config.profiles)
        raise ConfigError(f"There is no profile {profile!r}.", code="unknown_profile", fix=f"There are: {known}.")
    chosen, said = config.profiles[profile], dict(_sku(text, cards) for text in asked.skus)
    hearing = (chosen.first_pass, *([chosen.first_pass.race] if chosen.first_pass.race else []))
    first = tuple(_first(part, cards, said, now, asked.measure) for part in hearing)
    return Demand(streams, first, _second(chosen.second_pass, cards, asked.machine, asked.measure))


def prices(config: Config, cards: Cards, now: datetime) -> Prices:
    """What machines cost, in the ledger's currency."""
    convert = partial(cards.exchange.convert, day=now.date())
    return Prices(cards.machines, config.ledger.currency, convert)


def model_of(part: PassConfig) -> str:
    """The model as the configuration names it; empty if it names none."""
    return str(part.settings.get("model", ""))


def _first(part: PassConfig, cards: Cards, said: Mapping[str, str], now: datetime, measure: str) -> FirstPass:
    card = cards.cards.get(part.provider)
    capabilities = _capabilities(part)
    local = capabilities.local if capabilities else bool(card and card.local)
    hears = Hears.SPEECH if capabilities and not capabilities.endpoints else Hears.AUDIO
    command = measure if local else f"python -m tests.bench.vendors {part.provider}"
    sku = said.get(part.provider) or (capabilities.sku if capabilities else _only(part.provider, cards))
    rate = None if local else _rate(part.provider, sku, cards, now)
    return FirstPass(part.provider, model_of(part), local, hears, command, rate)


def _second(part: PassConfig, cards: Cards, machine: str | None, measure: str) -> SecondPass:
    card = cards.cards.get(part.provider)
    rates = card.rates if card else ()
    kinds = {rate.machine: rate.clock for rate in rates if rate.machine and rate.clock in _OWN}
    if machine is not None and machine not in kinds:
        fix = f"It can run on: {', '.join(kinds)}."
        raise ConfigError(f"{part.provider} does not run on {machine!r}.", code="no_machine", fix=fix)
    return SecondPass(part.provider, model_of(part), kinds, measure, machine)


def _capabilities(part: PassConfig) -> Capabilities | None:
    """None if it cannot be made here: for want of a key, for one."""
    try:
        return recognizers.find(part.provider).streaming(part.settings).capabilities
    except RecognizerUnavailable:
        return None


def _only(provider: str, cards: Cards) -> str:
    """A vendor's product if there is only one."""
    card = cards.cards.get(provider)
    skus = {rate.sku for rate in card.rates} if card else set()
    return skus.pop() if len(skus) == 1 else ""


def _rate(provider: str, sku: str, cards: Cards, now: datetime) -> Rate | None:
    """What is billed for it today, in the order of the card; None if nothing is known."""
    card = cards.cards.get(provider)
    found = [card.rate(sku, rate.clock, now) for rate in card.rates if rate.sku == sku] if card else []
    return next((rate for rate in found if rate is not None), None)


def _sku(text: str, cards: Cards) -> tuple[str, str]:
    provider, _, sku = text.partition("=")
    card = cards.cards.get(provider)
    known = [rate.sku for rate in card.rates] if card else []
    if sku not in known:
        names = (
            f"{each.provider}={rate.sku}" for each in cards.cards.values() if not each.local for rate in each.rates
        )
        fix = f"There are: {', '.join([f'{provider}={name}' for name in known] or sorted(set(names)))}."
        raise ConfigError(f"--sku {text!r} names no product.", code="bad_sku", fix=fix)
    return provider, sku
