"""Reading the rate cards that lie beside the providers."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from twopass.cost.rates import Rate, RateCard
from twopass.types import Clock


class _RateModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    sku: str
    clock: Clock
    machine: str | None = None


class _CardModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    provider: str
    rates: tuple[_RateModel, ...]


def load_card(package: str) -> RateCard | None:
    """The card in a provider's package, None if it has none."""
    source = files(package) / "rates.yaml"
    if not source.is_file():
        return None
    data: Any = yaml.safe_load(source.read_text(encoding="utf-8"))
    card = _CardModel.model_validate(data)
    return RateCard(card.provider, tuple(Rate(rate.sku, rate.clock, rate.machine) for rate in card.rates))
