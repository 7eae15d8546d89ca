"""
Which of an invoice's lines are about what we charge for: by the names in the rate card. Pure.

What belongs to other services of the vendor is counted and left out; what belongs to this service but has a name that
no rate knows is kept apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from types import MappingProxyType

from twopass.cost.invoices.lines import InvoiceLine, LineKind
from twopass.cost.prices.rates import RateCard

ADD_ONS = "add-ons"
"""Stands for all features of one of our SKUs that are billed besides."""
TAX = "Tax"
WHOLE_INVOICE = "The invoice as a whole"
_ZERO = Decimal(0)
_SAME_SERVICE = ("speech", "transcri")


@dataclass(frozen=True, slots=True)
class Names:
    """
    A vendor's names and ours.

    Attributes:
        ours: The vendor's name of each of our (SKU, feature), with `ADD_ONS` for any feature.
        theirs: The same name by everything that an invoice may call it, in lower case.
        services: What the vendor calls the service, in lower case.
    """

    ours: Mapping[tuple[str, str], str]
    theirs: Mapping[str, str]
    services: frozenset[str]

    def label(self, sku: str, feature: str) -> str:
        """The vendor's name of what we charge for; our own if no card knows it."""
        own = add_ons_of(sku) if feature else sku
        return self.ours.get((sku, ADD_ONS if feature else ""), own)

    def shown(self, label: str) -> str:
        """The vendor's name with ours: "v2-standard (3099-B70F-0949)"."""
        found = [f"{sku}, {feature}" if feature else sku for (sku, feature), name in self.ours.items() if name == label]
        own = "/".join(found)
        return f"{own} ({label.removesuffix(add_ons_of(''))})" if own and label not in found else label

    def find(self, line: InvoiceLine) -> str | None:
        """What the line is about; None if no card knows it."""
        return self.theirs.get(line.sku.casefold()) or self.theirs.get(line.name.casefold())

    def is_other_service(self, line: InvoiceLine) -> bool:
        """Whether it says of itself that it belongs to something else."""
        said = line.service.casefold()
        return bool(said) and not any(word in said for word in (*self.services, *_SAME_SERVICE))


def add_ons_of(label: str) -> str:
    """The label of what a SKU may be billed besides."""
    return f"{label}, {ADD_ONS}"


def names_of(card: RateCard, aliases: Mapping[str, str] = MappingProxyType({})) -> Names:
    """
    Args:
        aliases: Further names on invoices, for one of our SKUs each; "sku:add-ons" for what is billed besides.
    """
    ours: dict[tuple[str, str], str] = {}
    theirs: dict[str, str] = {}
    for rate in card.rates:
        label = rate.vendor_sku or rate.sku
        ours |= {(rate.sku, ""): label, (rate.sku, ADD_ONS): add_ons_of(label)}
        theirs |= {name.casefold(): label for name in (label, rate.sku)}
    for name, meant in aliases.items():
        sku, _, feature = meant.partition(":")
        theirs[name.casefold()] = ours.get((sku, ADD_ONS if feature else ""), meant)
    services = frozenset(rate.service.casefold() for rate in card.rates if rate.service)
    return Names(ours, theirs, services)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """What lines are added up for: one thing, in one currency, on the same day or days."""

    label: str
    currency: str
    day: date
    last_day: date


@dataclass(frozen=True, slots=True)
class Theirs:
    """
    What the vendor charges for one thing and day, added up.

    Attributes:
        sku, name: As the vendor writes it.
        seconds: None if a line's unit is no time.
        usage: The cost of usage, before credits.
        credits: Negative, by the vendor's word for each.
        adjustments: Refunds, corrections by hand and the like.
        lines, first_line: How many lines it is, and where the first of them stands.
    """

    sku: str = ""
    name: str = ""
    seconds: Decimal | None = _ZERO
    usage: Decimal = _ZERO
    credits: Mapping[str, Decimal] = field(default_factory=dict)
    adjustments: Decimal = _ZERO
    lines: int = 0
    first_line: int = 0

    @property
    def cost(self) -> Decimal:
        """What is to be paid, without taxes."""
        return self.usage + sum(self.credits.values(), _ZERO) + self.adjustments

    def together_with(self, other: Theirs) -> Theirs:
        """Both days as one."""
        taken_off = dict(self.credits)
        for name, amount in other.credits.items():
            taken_off[name] = taken_off.get(name, _ZERO) + amount
        return Theirs(
            sku=self.sku or other.sku,
            name=self.name or other.name,
            seconds=_sum(self.seconds, other.seconds),
            usage=self.usage + other.usage,
            credits=taken_off,
            adjustments=self.adjustments + other.adjustments,
            lines=self.lines + other.lines,
            first_line=min(self.first_line or other.first_line, other.first_line),
        )

    def plus(self, line: InvoiceLine) -> Theirs:
        """With one more line of the same thing and day."""
        usage, credit = line.kind is LineKind.USAGE, line.kind is LineKind.CREDIT
        taken_off = dict(self.credits)
        if credit:
            taken_off[line.name] = taken_off.get(line.name, _ZERO) + line.cost
        return Theirs(
            sku=self.sku or line.sku,
            name=self.name or ("" if credit else line.name),
            seconds=_sum(self.seconds, line.seconds) if usage else self.seconds,
            usage=self.usage + (line.cost if usage else 0),
            credits=taken_off,
            adjustments=self.adjustments + (0 if usage or credit else line.cost),
            lines=self.lines + 1,
            first_line=self.first_line or line.line,
        )


@dataclass(frozen=True, slots=True, order=True)
class Service:
    """Another service of the vendor, in one month (2026-11) and currency."""

    month: str
    name: str
    currency: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """
    Attributes:
        known: What our cards know. Taxes and adjustments that belong to no SKU are labelled `TAX`, `WHOLE_INVOICE`.
        unknown: Lines of the same service whose SKU no card knows, labelled with the vendor's words.
        others: Lines of other services.
        cost_quantum, seconds_quantum: The last decimal place that the file writes.
    """

    known: Mapping[Place, Theirs]
    unknown: Mapping[Place, Theirs]
    others: Mapping[Service, Theirs]
    cost_quantum: Decimal
    seconds_quantum: Decimal

    def months(self) -> list[str]:
        """Those (2026-11) that have lines which our cards know."""
        return sorted({f"{place.day:%Y-%m}" for place in self.known if place.label not in (TAX, WHOLE_INVOICE)})


def gather(lines: Iterable[InvoiceLine], names: Names) -> Gathered:
    """Add an invoice up, one line after the other."""
    known: dict[Place, Theirs] = defaultdict(Theirs)
    unknown: dict[Place, Theirs] = defaultdict(Theirs)
    others: dict[Service, Theirs] = defaultdict(Theirs)
    cost_quantum = seconds_quantum = Decimal(1)
    for line in lines:
        label = _label(line, names)
        if label is None and names.is_other_service(line):
            service = Service(f"{line.day:%Y-%m}", line.service, line.currency)
            others[service] = others[service].plus(line)
            continue
        place = Place(label or line.name or line.sku, line.currency, line.day, line.last_day)
        kept = unknown if label is None else known
        kept[place] = kept[place].plus(line)
        cost_quantum = min(cost_quantum, _quantum(line.cost))
        seconds_quantum = min(seconds_quantum, _quantum(line.quantity) * _unit(line))
    return Gathered(known, unknown, others, cost_quantum, seconds_quantum)


def _label(line: InvoiceLine, names: Names) -> str | None:
    if line.kind is LineKind.TAX:
        return TAX
    found = names.find(line)
    if found is None and line.kind is LineKind.ADJUSTMENT and (not line.sku or line.service.casefold() == "invoice"):
        return WHOLE_INVOICE
    return found


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other


def _quantum(number: Decimal) -> Decimal:
    exponent = number.as_tuple().exponent
    return Decimal(1).scaleb(min(exponent, 0)) if isinstance(exponent, int) else Decimal(1)


def _unit(line: InvoiceLine) -> Decimal:
    """Seconds in the line's unit."""
    one = InvoiceLine(line.day, "", Decimal(1), line.unit, _ZERO, "", 0).seconds
    return one or Decimal(1)
