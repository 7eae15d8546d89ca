"""
Rate cards as values: what a provider charges for what. Pure; see `pricing` for what follows from them.

A provider carries a `rates.yaml`; what is in doubt there stays in doubt here: `Rate.confidence` and `Rate.doubt` go
with every figure to the reports. Work on own machines has no vendor's price: its rate names a machine, and whoever
runs it says what an hour of that costs. No price is never 0: `Rate.tiers` is empty then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from twopass.types import Clock


@dataclass(frozen=True, slots=True)
class Money:
    """An amount with its currency (ISO 4217)."""

    amount: Decimal
    currency: str


class Unit(StrEnum):
    """What a price is for one of, and allowances are counted in."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"

    @property
    def seconds(self) -> int:
        """How long it is."""
        return {Unit.SECOND: 1, Unit.MINUTE: 60, Unit.HOUR: 3600}[self]


class Confidence(StrEnum):
    """How far a price can be trusted."""

    CONTRACT = "contract"  # the user's own
    STATED = "stated"  # read on the vendor's page
    SECONDHAND = "secondhand"  # read by somebody else on the vendor's page
    CONFLICT = "conflict"  # sources disagree; `doubt` says how
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Tier:
    """From so many units of a month on (0 for the first tier), one unit costs so much. Marginal: never retroactive."""

    above: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class Rate:
    """
    One line of a rate card: one SKU from one day to another.

    Attributes:
        clock: Which clock is billed. Usage read from others is recorded but not priced.
        unit: Of the tiers' prices and limits, of `free` and of the add-ons.
        tiers: Rising, the first above 0. Empty if no price is known.
        increment: Each request is rounded up to a multiple of so many seconds; 0 is not rounded.
        minimum: Each request counts as at least so many seconds.
        free: So many units of a month cost nothing, before the first tier. They do not move the tiers.
        free_counts_channels: Whether audio of several channels uses up the free units once per channel. (Google's
            does not: 30 s of 4 channels are billed as 120 s, of which 30 s are taken from the free ones.)
        each_channel: Whether every channel is billed.
        add_ons: Price per unit of each feature that costs more, without tiers.
        monthly_fee: What is paid each month for a commitment, whatever is used.
        effective_from, effective_to: The first day (UTC) of the price, and the first day after it.
        vendor_sku: As the vendor's invoice names it.
        service: The vendor's name of the service.
        machine: For own hardware: whose hourly price applies (`tiers` is empty then).
        source, read_on: Where and when the price was read.
        doubt: What is not sure about it.
    """

    sku: str
    clock: Clock
    unit: Unit = Unit.HOUR
    currency: str = "USD"
    tiers: tuple[Tier, ...] = ()
    increment: Decimal = Decimal(0)
    minimum: Decimal = Decimal(0)
    free: Decimal = Decimal(0)
    free_counts_channels: bool = True
    each_channel: bool = True
    add_ons: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))
    monthly_fee: Decimal = Decimal(0)
    effective_from: date | None = None
    effective_to: date | None = None
    vendor_sku: str = ""
    service: str = ""
    machine: str | None = None
    source: str = ""
    read_on: date | None = None
    confidence: Confidence = Confidence.UNKNOWN
    doubt: str = ""

    def applies(self, sku: str, clock: Clock, at: datetime) -> bool:
        """Whether this is the price of that SKU and clock at that time (with a time zone)."""
        day = at.astimezone(UTC).date()
        begun = self.effective_from is None or self.effective_from <= day
        over = self.effective_to is not None and self.effective_to <= day
        return (sku, clock) == (self.sku, self.clock) and begun and not over


@dataclass(frozen=True, slots=True)
class RateCard:
    """
    All that is known of one provider's prices.

    Attributes:
        name: The vendor's name for people.
        local: The provider runs on own machines.
        compared_only: There is no recognizer of it here; it is only compared on price.
    """

    provider: str
    rates: tuple[Rate, ...] = ()
    name: str = ""
    local: bool = False
    compared_only: bool = False

    def rate(self, sku: str, clock: Clock, at: datetime) -> Rate | None:
        """The line that applies, None if there is none: then the usage has no price."""
        return next((rate for rate in self.rates if rate.applies(sku, clock, at)), None)
