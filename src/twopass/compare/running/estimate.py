"""What a comparison will cost before it is begun. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from twopass.compare.running.hearer import Hearer
from twopass.cost.rates import Money
from twopass.types import Clock, Usage


@dataclass(frozen=True, slots=True)
class Estimate:
    """
    Attributes:
        seconds: Of audio that the system will hear.
        cost: At the first tier, nothing rounded up; None if the price is not known, or nothing is paid.
        paid: Whether somebody else will want money for it.
    """

    system: str
    seconds: float
    cost: Money | None
    paid: bool


def estimate(tasks: Iterable[tuple[Hearer, int]], price: Callable[[Usage], Money | None]) -> tuple[Estimate, ...]:
    """By system. `tasks`: who hears how many ms."""
    seconds: dict[str, float] = {}
    hearers: dict[str, Hearer] = {}
    for hearer, ms in tasks:
        hearers[hearer.system.name] = hearer
        seconds[hearer.system.name] = seconds.get(hearer.system.name, 0.0) + ms / 1000
    return tuple(_of(hearers[name], heard, price) for name, heard in seconds.items())


def _of(hearer: Hearer, seconds: float, price: Callable[[Usage], Money | None]) -> Estimate:
    capabilities = hearer.capabilities
    paid = not capabilities.local and not hearer.system.stand_in
    usage = Usage(capabilities.provider, capabilities.sku, Clock.AUDIO_SENT, seconds)
    return Estimate(hearer.system.name, seconds, price(usage) if paid else None, paid)
