"""A ledger small enough to work out every figure by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType

from twopass.cost.ledger.book import Ledger
from twopass.cost.prices.cards import Cards, cards_of
from twopass.cost.prices.exchange import Exchange
from twopass.cost.prices.rates import Confidence, Money, Rate, RateCard, Tier, Unit
from twopass.cost.reports.report import Asked, Month
from twopass.cost.usage.entries import MICROS, Account, Entry
from twopass.types import Clock, Pass, Reason

MONTH = Month.parse("2026-11")
ASKED = Asked(MONTH, date(2026, 12, 5))
EVIL = "=cmd|' /C calc'!<i>"
"""A tenant whose name a spreadsheet would take for a formula, and a browser for markup."""


def _card(name: str, *rates: Rate, local: bool = False, compared_only: bool = False) -> RateCard:
    return RateCard(name, rates, name.capitalize(), local, compared_only)


def _rate(price: str, unit: Unit, clock: Clock = Clock.AUDIO_SENT, **more: object) -> Rate:
    made = Rate("live", clock, unit, tiers=(Tier(Decimal(0), Decimal(price)),), confidence=Confidence.STATED)
    return Rate(**({name: getattr(made, name) for name in Rate.__slots__} | more))


def cards() -> Cards:
    """A vendor with ten free minutes, one that bills rupees, one only compared, and a machine at 1.20 an hour."""
    found = {
        "vendor": _card(
            "vendor",
            _rate("0.06", Unit.MINUTE, free=Decimal(10), increment=Decimal(1), service="Live", vendor_sku="V-1"),
        ),
        "rupee": _card("rupee", _rate("30", Unit.HOUR, currency="INR")),
        "shop": _card("shop", _rate("0.5", Unit.HOUR, Clock.SOCKET_OPEN, doubt="Read once."), compared_only=True),
        "own": _card("own", Rate("gpu", Clock.GPU_BUSY, machine="gpu"), local=True),
    }
    rates = MappingProxyType({"INR": ((date(2026, 1, 1), Decimal("0.01")),)})
    return cards_of(found, {"gpu": Money(Decimal("1.20"), "USD")}, Exchange("USD", rates))


def entries() -> list[Entry]:
    """Two tenants on two days; the second used something that has no price."""
    first, second = datetime(2026, 11, 2, 10, tzinfo=UTC), datetime(2026, 11, 3, 14, tzinfo=UTC)
    news, evil = Account("news", "k1"), Account(EVIL, "k2")
    return [
        _entry("a/1", first, news, "vendor", "live", Clock.AUDIO_SENT, 2, request="a/s1"),
        _entry("a/2", first, news, "vendor", "live", Clock.AUDIO_SENT, 0.5, request="a/s2", reason=Reason.REPLAY),
        _entry("a/3", first, news, "own", "gpu", Clock.GPU_BUSY, 0.25, pass_=Pass.SECOND),
        _entry("a/4", first, news, "own", "gpu", Clock.GPU_BUSY, 0.05, pass_=Pass.SECOND, reason=Reason.SPECULATION),
        _entry("a/5", first, news, "twopass", "audio", Clock.RECEIVED, 2),
        _entry("a/6", first, news, "twopass", "audio", Clock.FINALIZED, 1),
        _entry("a/7", first, news, "vendor", "live", Clock.VENDOR_REPORTED, 2, request="a/s1"),
        _entry("b/1", second, evil, "rupee", "live", Clock.AUDIO_SENT, 1, request="b/s1"),
        _entry("b/2", second, evil, "vendor", "beta", Clock.AUDIO_SENT, 0.5, request="b/s2"),
        _entry("b/3", second, evil, "twopass", "audio", Clock.RECEIVED, 1),
        _entry("b/4", second, evil, "twopass", "audio", Clock.FINALIZED, 0.25),
        _entry("m/1", first, Account("", ""), "machine", "gpu", Clock.PROVISIONED, 24, request="m/gpu.1"),
    ]


def _entry(
    identity: str,
    at: datetime,
    account: Account,
    provider: str,
    sku: str,
    clock: Clock,
    hours: float,
    *,
    request: str | None = None,
    pass_: Pass = Pass.FIRST,
    reason: Reason = Reason.WORK,
) -> Entry:
    session, micros = identity.split("/")[0], round(hours * 3600) * MICROS
    return Entry(identity, at, session, request or identity, account, provider, sku, clock, micros, pass_, reason)


@contextmanager
def charged(address: str) -> Iterator[Ledger]:
    """The ledger with those entries, and what they cost."""
    ledger = Ledger.open(address)
    try:
        ledger.write(entries())
        ledger.charge(cards(), "USD")
        yield ledger
    finally:
        ledger.close()
