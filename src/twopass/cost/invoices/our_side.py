"""Our side of an invoice: what the ledger charges for a day, in parts, and what else a vendor might count. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from twopass.cost.invoices.matching import Names, Place
from twopass.cost.usage.entries import MICROS
from twopass.types import Reason

NANOS = 1_000_000_000
_NANO = Decimal("1e-9")
_ZERO = Decimal(0)
Convert = Callable[[Decimal, str, str, date], Decimal | None]


class What(StrEnum):
    """Why a vendor may count other seconds than we do. The first six are parts of what we charge."""

    WORK = Reason.WORK.value
    REPLAY = Reason.REPLAY.value
    RACE_LOSER = Reason.RACE_LOSER.value
    SPECULATION = Reason.SPECULATION.value
    SHADOW = Reason.SHADOW.value
    ROUNDING = "rounding"
    REPORTED = "reported"
    MIDNIGHT = "midnight"
    CORRECTIONS = "corrections"
    CHANNELS = "channels"
    BLOCKS_1 = "blocks 1"
    BLOCKS_15 = "blocks 15"
    BLOCKS_60 = "blocks 60"


@dataclass(frozen=True, slots=True)
class Part:
    """
    Billed time of one kind: a part of what we charge, or by how much the vendor's count would differ.

    Attributes:
        list, credit: In the currency of the comparison. None if not known, and for what is no part of our charge.
        requests, example: How many it is about, and one of them.
    """

    what: What
    seconds: Decimal
    list: Decimal | None = None
    credit: Decimal | None = None
    requests: int = 0
    example: str = ""

    def plus(self, other: Part) -> Part:
        """Both together."""
        return replace(
            self,
            seconds=self.seconds + other.seconds,
            list=_sum(self.list, other.list),
            credit=_sum(self.credit, other.credit),
            requests=self.requests + other.requests,
            example=self.example or other.example,
        )


@dataclass(frozen=True, slots=True)
class Ours:
    """
    What we charge for one thing and day.

    Attributes:
        parts: By what the time was for; together they are the charge.
        causes: What else might be counted: by how much the vendor's seconds would differ.
    """

    parts: Mapping[What, Part]
    causes: Mapping[What, Part]

    @property
    def seconds(self) -> Decimal:
        """Billed, the free ones among them."""
        return sum((part.seconds for part in self.parts.values()), _ZERO)

    @property
    def list(self) -> Decimal | None:
        """Before the free allowance; None if a price is not known."""
        return _total(part.list for part in self.parts.values())

    @property
    def credit(self) -> Decimal | None:
        """The free allowance's worth; not negative."""
        return _total(part.credit for part in self.parts.values())

    @property
    def cost(self) -> Decimal | None:
        """What we expect to pay."""
        return None if self.list is None or self.credit is None else self.list - self.credit

    def effects(self) -> dict[What, Part]:
        """By how much the vendor's count would differ, for each thing that may be: none of them is 0."""
        unbilled = {
            what: replace(part, seconds=-part.seconds) for what, part in self.parts.items() if what != What.WORK
        }
        return {what: part for what, part in (unbilled | dict(self.causes)).items() if part.seconds}


def our_side(
    rows: Iterable[Mapping[str, Any]], names: Names, currency: Callable[[str, str], str], convert: Convert
) -> dict[Place, Ours]:
    """
    The rows of cost_reports/reconcile.sql, of one provider, by what they are for and day.

    Args:
        currency: Which currency to compare a label in, given the label and the rate card's currency.
        convert: An amount from one currency to another on a day; None if there is no rate.
    """
    parts: dict[Place, dict[What, Part]] = defaultdict(dict)
    causes: dict[Place, dict[What, Part]] = defaultdict(dict)
    for row in rows:
        label = names.label(row["sku"], row["feature"])
        to = currency(label, row["currency"])
        day: date = row["day"]
        amounts = (_converted(row[name], row["currency"], to, day, convert) for name in ("list_nanos", "credit_nanos"))
        kept = parts if row["section"] == "part" else causes
        for shift, part in _told(row, *amounts):
            _add(kept[Place(label, to, day + shift, day + shift)], part)
    return {place: Ours(parts.get(place, {}), causes.get(place, {})) for place in {**parts, **causes}}


def _told(row: Mapping[str, Any], full: Decimal | None, free: Decimal | None) -> Iterator[tuple[timedelta, Part]]:
    """What a row says, and of how many days later. What was used after midnight counts on both days."""
    seconds = Decimal(row["micros"]) / MICROS
    part = Part(What.MIDNIGHT, seconds, full, free, row["requests_count"], row["example"])
    match row["what"]:
        case "late":
            yield timedelta(0), replace(part, seconds=-seconds)
            yield timedelta(1), part
        case "early":
            yield timedelta(0), part
        case what:
            yield timedelta(0), replace(part, what=What(what))


def _add(parts: dict[What, Part], part: Part) -> None:
    known = parts.get(part.what)
    parts[part.what] = known.plus(part) if known else part


def _converted(nanos: int | None, currency: str, to: str, day: date, convert: Convert) -> Decimal | None:
    found = None if nanos is None else convert(Decimal(nanos) / NANOS, currency, to, day)
    return None if found is None else found.quantize(_NANO)


def together(all_of_them: Iterable[Ours]) -> Ours:
    """Several days as one."""
    parts: dict[What, Part] = {}
    causes: dict[What, Part] = {}
    for one in all_of_them:
        for part in one.parts.values():
            _add(parts, part)
        for cause in one.causes.values():
            _add(causes, cause)
    return Ours(parts, causes)


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other


def _total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    total: Decimal | None = _ZERO
    for amount in amounts:
        total = _sum(total, amount)
    return total
