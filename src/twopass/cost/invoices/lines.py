"""One line of a vendor's invoice, whoever wrote it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

_UNIT = re.compile(r"(?:\d+\s*)?(?:audio\s+)?(s|sec|second|m|min|minute|h|hr|hour)s?", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600}


class LineKind(StrEnum):
    """What a line of an invoice is about."""

    USAGE = "usage"
    CREDIT = "credit"  # takes something off: free tier, promotion, committed or negotiated discount
    TAX = "tax"
    ADJUSTMENT = "adjustment"  # all else that is no usage: rounding, refund, purchase, correction by hand


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """
    Attributes:
        day: The first day (UTC) it is for.
        sku: The vendor's identifier. May be empty on lines that belong to no SKU, such as taxes.
        quantity, unit: How much, as the vendor wrote it. Credits and taxes have 0 and none.
        cost: Before credits, which are lines of their own and negative.
        line: Where it ends in the file, from 1.
        name: The vendor's words for the SKU, or for the kind of credit.
        service: The vendor's words for what the SKU belongs to.
        last_day: The last day it is for: later than `day` if the vendor does not tell the days apart.
    """

    day: date
    sku: str
    quantity: Decimal
    unit: str
    cost: Decimal
    currency: str
    line: int
    kind: LineKind = LineKind.USAGE
    name: str = ""
    service: str = ""
    last_day: date = date.min

    def __post_init__(self) -> None:
        if self.last_day < self.day:
            object.__setattr__(self, "last_day", self.day)

    @property
    def seconds(self) -> Decimal | None:
        """
        The quantity as seconds; None if the unit is no time.

        The number in a unit such as "100 Hours" says for how many a price is, and does not multiply the quantity: read
        in microsoft/finops-toolkit of Azure (`x_PricingBlockSize`).
        """
        found = _UNIT.fullmatch(self.unit.strip())
        return self.quantity * _SECONDS[found[1][0].lower()] if found else None
