"""What usage costs, for a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from twopass.compare.cells import Charge, Price
from twopass.cost.prices.cards import Cards
from twopass.cost.prices.rates import Money
from twopass.cost.prices.running import Pricer
from twopass.cost.usage.treasury import converted
from twopass.types import Usage


def charging(cards: Cards, currency: str, day: date) -> Price:
    """
    Prices usage by the rate cards in one currency: first tier, nothing rounded up, no allowance (see `Pricer`).

    That is what another hour costs somebody who pays; the ledger knows what was really charged.
    """
    pricer = Pricer(cards.cards, cards.machines)

    def price(usage: Sequence[Usage]) -> Charge:
        summary = pricer.summarize(usage)
        amounts = [converted(cards, currency, each, day) for each in summary.totals]
        known = [amount for amount in amounts if amount is not None]
        if summary.unpriced or len(known) < len(amounts):
            foreign = tuple(
                f"{each.currency} in {currency}"
                for each, amount in zip(summary.totals, amounts, strict=True)
                if amount is None
            )
            return Charge(None, (*summary.unpriced, *foreign))
        return Charge(Money(sum(known, Decimal(0)), currency))

    return price
