"""What machines and vendors cost that `twopass.sizing.plan` has counted. Pure; what has no price stays unknown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from twopass.cost.prices.pricing import EXACT
from twopass.cost.reports.break_even import HOURS_PER_MONTH, month_cost
from twopass.sizing.terms import CORE, Assumptions, CostLine, Demand, FirstPass, Gateways, Prices, Workers


def costs_of(
    demand: Demand, gateways: Gateways, workers: Workers | None, assumed: Assumptions, prices: Prices
) -> Iterator[CostLine]:
    """A line for each kind of machine and each vendor."""
    for kind in gateways.machines or (CORE,):
        count = gateways.machines[kind] if gateways.machines else None
        yield _own(f"gateways, {kind}", kind, count, demand.streams, assumed, prices)
    for first in demand.first:
        if not first.local:
            yield _vendors(first, demand.streams, assumed, prices)
    kind = workers.machine_kind if workers else next(iter(demand.second.kinds), "second pass")
    count = workers.machines if workers else None
    yield _own(f"second pass, {kind}", kind, count, demand.streams, assumed, prices)


def _own(what: str, kind: str, count: int | None, streams: int, assumed: Assumptions, prices: Prices) -> CostLine:
    hour = prices.machines.get(kind)
    if count is None:
        return CostLine(what, None, None, "not measured: how many are needed is not known")
    if hour is None:
        why = f"nobody has said what an hour of {kind} costs: see `prices` in the configuration"
        return CostLine(what, None, None, why)
    per_hour = prices.convert(count * hour.amount, hour.currency, prices.currency)
    if per_hour is None:
        return CostLine(what, None, None, _no_exchange(hour.currency, prices))
    return CostLine(what, per_hour, EXACT.divide(per_hour, streams * assumed.load))


def _vendors(first: FirstPass, streams: int, assumed: Assumptions, prices: Prices) -> CostLine:
    """By the month's hours, with free ones, volume tiers and monthly fee."""
    what, rate = f"first pass, {first.provider}", first.rate
    if rate is None or not rate.tiers:
        why = "no price is known of what it sells, or it is not known which product is used: see --sku"
        return CostLine(what, None, None, why)
    hours = streams * assumed.load * HOURS_PER_MONTH
    billed = EXACT.multiply(hours, assumed.heard(first.hears))
    cost = month_cost(rate, billed)
    assert cost is not None
    converted = prices.convert(cost, rate.currency, prices.currency)
    if converted is None:
        return CostLine(what, None, None, _no_exchange(rate.currency, prices))
    mean = EXACT.divide(converted, hours)
    return CostLine(what, mean * streams, mean)


def _no_exchange(currency: str, prices: Prices) -> str:
    return f"no exchange rate from {currency} to {prices.currency}: `ledger: {{exchange: …}}` in the configuration"


def total_of(lines: Sequence[CostLine]) -> CostLine:
    """The sum, unknown if a line is."""
    unknown = ", ".join(line.what for line in lines if line.per_hour is None)
    if unknown:
        return CostLine("all", None, None, f"without a figure or price: {unknown}")
    hour = sum((line.per_hour or Decimal(0) for line in lines), Decimal(0))
    return CostLine("all", hour, sum((line.per_audio_hour or Decimal(0) for line in lines), Decimal(0)))
