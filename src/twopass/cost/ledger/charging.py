"""
From usage to charges: pure. `pricing` says what a request costs, this says who used it for what.

A request was used for several reasons (work, replay, ...). Each reason carries its own time; what minimum and
increment add to that is a charge of its own, with the reason `rounding`. Money follows the billed time. All shares are
whole micros and nanos, and their sums are exactly what is shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple

from twopass.cost.ledger.works import Group, Work, shares
from twopass.cost.prices.cards import Cards
from twopass.cost.prices.pricing import EXACT, Position, PriceLine, Request, Standing, price, standing
from twopass.cost.prices.rates import Rate
from twopass.cost.usage.entries import MICROS
from twopass.types import Clock

ROUNDING = "rounding"
"""The reason of what is billed, but was not used."""
_NANOS = Decimal(1_000_000_000)
_MICROS = Decimal(MICROS)
_OWN_CLOCKS = frozenset({Clock.CPU_BUSY, Clock.GPU_BUSY, Clock.PROVISIONED})


class Charge(NamedTuple):
    """One row of the table `charges`; the names say more there."""

    request: str
    provider: str
    sku: str
    clock: str
    line: int
    day: str
    session: str
    tenant: str
    key_id: str
    pass_: str
    reason: str
    region: str
    feature: str
    used_micros: int
    billed_micros: int
    unit: str
    unit_price_nanos: int | None
    list_nanos: int | None
    credit_nanos: int | None
    currency: str
    cost_nanos: int | None
    local: bool


def is_charged(group: Group, cards: Cards) -> bool:
    """Whether this clock is to have a price. Some are recorded to compare, or are what work is measured by."""
    found = standing(cards.cards.get(group.provider), group.sku, group.clock, datetime.now(UTC))
    return found is Standing.BILLED or (found is Standing.UNKNOWN and group.clock is not Clock.VENDOR_REPORTED)


def charges_of(works: Iterable[Work], group: Group, cards: Cards, currency: str) -> Iterator[Charge]:
    """The charges of a group's requests of one month, in the order in which they began. `currency` is the ledger's."""
    position, till = Position(), _Till(group, cards, currency)
    for work in works:
        rate = till.rate(work.began)
        lines, position = price(_request(work, group), rate, position, cards.machines)
        yield from till.charges(work, lines, rate)


# -- one request ----------------------------------------------------------------------------------------------------


def _request(work: Work, group: Group) -> Request:
    seconds = EXACT.divide(Decimal(sum(work.micros.values())), _MICROS)
    features = tuple(work.owner.features.split(",")) if work.owner.features else ()
    return Request(work.began, group.clock, seconds, work.owner.channels, features)


class _Slice(NamedTuple):
    """One line of the bill: what each reason has of it."""

    line: PriceLine
    used: list[int]
    billed: list[int]


def _weights(micros: Mapping[str, int], factor: int, whole: int) -> dict[str, int]:
    """Of `whole` billed micros, how many each reason has; `factor` is how often a second counts (channels)."""
    weights = {reason: amount * factor for reason, amount in micros.items()}
    more = whole - sum(weights.values())
    if more > 0:
        return weights | {ROUNDING: more}
    return dict(zip(weights, shares(whole, [*weights.values()]), strict=True))


def _slices(lines: Iterable[PriceLine], used: list[int], billed: list[int]) -> Iterator[_Slice]:
    """`used` and `billed`: of each reason, in all. Tiers take it one after the other, add-ons have all of it again."""
    all_billed = billed
    for line in lines:
        micros = _micros(line.billed_seconds)
        if line.feature:
            yield _Slice(line, [0] * len(used), shares(micros, all_billed))
            continue
        parts = shares(micros, billed)
        times = [u * part // b if b else u for u, part, b in zip(used, parts, billed, strict=True)]
        yield _Slice(line, times, parts)
        used = [u - time for u, time in zip(used, times, strict=True)]
        billed = [b - part for b, part in zip(billed, parts, strict=True)]


class _Money(NamedTuple):
    list: int | None
    credit: int | None
    cost: int | None


class _Till:
    """Where a group's requests are charged."""

    def __init__(self, group: Group, cards: Cards, currency: str) -> None:
        self._group, self._cards, self._currency = group, cards, currency
        card = cards.cards.get(group.provider)
        self._local = group.clock in _OWN_CLOCKS or (card is not None and card.local)
        self._rates: dict[date, Rate] = {}

    def rate(self, at: datetime) -> Rate:
        """What applies on that day. Without a known price the time counts nevertheless, as it is."""
        day = at.date()
        if day not in self._rates:
            unknown = Rate(self._group.sku, self._group.clock, currency=self._currency)
            self._rates[day] = self._cards.rate(*self._group, at) or unknown
        return self._rates[day]

    def charges(self, work: Work, lines: Sequence[PriceLine], rate: Rate) -> Iterator[Charge]:
        """A request's charges: of each line of its bill one for each reason."""
        whole = sum(_micros(line.billed_seconds) for line in lines if not line.feature)
        weights = _weights(work.micros, work.owner.channels if rate.each_channel else 1, whole)
        used = [work.micros.get(reason, 0) for reason in weights]
        local, number = self._local or rate.machine is not None, 0
        for line, times, billed in _slices(lines, used, [*weights.values()]):
            amounts = self._amounts(line, billed, work.began.date())
            for reason, time, micros, money in zip(weights, times, billed, amounts, strict=True):
                if time or micros:
                    yield self._charge(work, number, reason, line, time, micros, money, local)
                    number += 1

    def _amounts(self, line: PriceLine, billed: list[int], day: date) -> list[_Money]:
        if line.list is None or line.credit is None:
            return [_Money(None, None, None)] * len(billed)
        listed = shares(_nanos(line.list), billed)
        credit = shares(_nanos(line.credit), listed)
        net = [amount - free for amount, free in zip(listed, credit, strict=True)]
        cost = self._in_ledgers_currency(line.list - line.credit, net, line.currency, day)
        return [_Money(*money) for money in zip(listed, credit, cost, strict=True)]

    def _in_ledgers_currency(self, amount: Decimal, net: list[int], currency: str, day: date) -> Sequence[int | None]:
        if currency == self._currency:
            return net
        converted = self._cards.exchange.convert(amount, currency, self._currency, day)
        return [None] * len(net) if converted is None else shares(_nanos(converted), net)

    def _charge(
        self, work: Work, number: int, reason: str, line: PriceLine, used: int, billed: int, money: _Money, local: bool
    ) -> Charge:
        owner, group = work.owner, self._group
        return Charge(
            request=owner.request,
            provider=group.provider,
            sku=group.sku,
            clock=group.clock.value,
            line=number,
            day=work.began.date().isoformat(),
            session=owner.session,
            tenant=owner.tenant,
            key_id=owner.key_id,
            pass_=owner.pass_,
            reason=reason,
            region=owner.region,
            feature=line.feature,
            used_micros=used,
            billed_micros=billed,
            unit=line.unit.value,
            unit_price_nanos=None if line.unit_price is None else _nanos(line.unit_price),
            list_nanos=money.list,
            credit_nanos=money.credit,
            currency=line.currency,
            cost_nanos=money.cost,
            local=local,
        )


def _micros(seconds: Decimal) -> int:
    return int(EXACT.to_integral_value(EXACT.multiply(seconds, _MICROS)))


def _nanos(amount: Decimal) -> int:
    """Rounded half to even, as everything in `EXACT`."""
    return int(EXACT.to_integral_value(EXACT.multiply(amount, _NANOS)))
