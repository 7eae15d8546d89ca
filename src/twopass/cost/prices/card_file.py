"""A rate card as it stands in a file, checked and made a value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from itertools import combinations, pairwise
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from twopass.cost.prices.rates import Confidence, Rate, RateCard, Tier, Unit
from twopass.types import Clock

FIX = "configs/prices-example.yaml shows every setting of a rate card."
_UNBILLED = (Clock.RECEIVED, Clock.FINALIZED, Clock.PROVISIONED, Clock.VENDOR_REPORTED)

Amount = Annotated[Decimal, Field(ge=0, le=1_000_000_000)]
Name = Annotated[str, Field(min_length=1, max_length=64)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _TierModel(_Part):
    above: Amount = Decimal(0)
    price: Amount


class RateModel(_Part):
    """One line of a card; see `rates.Rate`. `price` is short for one tier."""

    sku: Name
    clock: Clock
    unit: Unit = Unit.HOUR
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    price: Amount | None = None
    tiers: tuple[_TierModel, ...] = ()
    increment: Amount = Decimal(0)
    minimum: Amount = Decimal(0)
    free: Amount = Decimal(0)
    free_counts_channels: bool = True
    each_channel: bool = True
    add_ons: Mapping[Name, Amount] = Field(default_factory=dict)
    monthly_fee: Amount = Decimal(0)
    effective_from: date | None = None
    effective_to: date | None = None
    vendor_sku: Annotated[str, Field(max_length=64)] = ""
    service: Annotated[str, Field(max_length=120)] = ""
    machine: Name | None = None
    source: Annotated[str, Field(max_length=400)] = ""
    read_on: date | None = None
    confidence: Confidence | None = None
    doubt: Annotated[str, Field(max_length=800)] = ""

    @field_validator("source", "doubt", mode="before")
    @classmethod
    def _one_line(cls, value: Any) -> Any:
        return " ".join(value.split()) if isinstance(value, str) else value

    @field_validator("clock")
    @classmethod
    def _billed(cls, clock: Clock) -> Clock:
        if clock in _UNBILLED:
            raise ValueError(f"no vendor bills the clock {clock}: it is measured, or reported to compare")
        return clock

    @model_validator(mode="after")
    def _clear(self) -> RateModel:
        above = [tier.above for tier in self.tiers]
        if self.price is not None and self.tiers:
            raise ValueError("give `price` or `tiers`, not both")
        if above and (above[0] != 0 or any(a >= b for a, b in pairwise(above))):
            raise ValueError("the first tier begins above 0, and each next one higher")
        if self.effective_from and self.effective_to and self.effective_to <= self.effective_from:
            raise ValueError("effective_to, the first day without this price, must come after effective_from")
        own_price = self.price is not None or self.tiers or self.free or self.add_ons or self.monthly_fee
        if self.machine and (own_price or self.unit is not Unit.HOUR):
            raise ValueError("a line with `machine` has no price here: its hour stands in the configuration's `prices`")
        return self

    def rate(self, usual: Confidence) -> Rate:
        """As a value. `usual` is the confidence where the file names none but has a price."""
        tiers = tuple(Tier(tier.above, tier.price) for tier in self.tiers)
        if self.price is not None:
            tiers = (Tier(Decimal(0), self.price),)
        values = {name: getattr(self, name) for name in RateModel.model_fields if name != "price"}
        confidence = self.confidence or (usual if tiers else Confidence.UNKNOWN)
        add_ons = MappingProxyType(dict(sorted(self.add_ons.items())))
        return Rate(**(values | {"tiers": tiers, "add_ons": add_ons, "confidence": confidence}))


class CardModel(_Part):
    """A whole card; see `rates.RateCard`."""

    provider: Name
    name: Name | None = None
    local: bool = False
    compared_only: bool = False
    rates: tuple[RateModel, ...] = ()

    @model_validator(mode="after")
    def _one_price(self) -> CardModel:
        for one, other in combinations(self.rates, 2):
            if (one.sku, one.clock) != (other.sku, other.clock):
                continue
            if _overlap(one, other):
                raise ValueError(f"{one.sku} has two prices on the same day: their effective dates overlap")
            if one.unit is not other.unit:
                raise ValueError(f"the prices of {one.sku} are per {one.unit} and per {other.unit}: use one unit")
        return self

    def card(self, usual: Confidence = Confidence.UNKNOWN) -> RateCard:
        """As a value. `usual` is the confidence of prices that name none."""
        rates = tuple(rate.rate(usual) for rate in self.rates)
        return RateCard(self.provider, rates, self.name or self.provider, self.local, self.compared_only)


def _overlap(one: RateModel, other: RateModel) -> bool:
    return _begins_before_end(one, other) and _begins_before_end(other, one)


def _begins_before_end(one: RateModel, other: RateModel) -> bool:
    return other.effective_to is None or one.effective_from is None or one.effective_from < other.effective_to
