"""What `twopass report reconcile` and `twopass report self-hosting` do, once the ledger is open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from twopass.cost.invoices.matching import ADD_ONS, Gathered, Names, gather, names_of
from twopass.cost.invoices.reading import InvoiceLine, read_invoice
from twopass.cost.invoices.reconciling import read_our_side
from twopass.cost.invoices.reconciling import reconcile as reconciled
from twopass.cost.invoices.report import provider_rows, reconcile_report, summary
from twopass.cost.prices.cards import Cards
from twopass.cost.prices.rates import RateCard
from twopass.cost.reports.report import Ledger, Month, Report
from twopass.cost.reports.self_hosting import Plan
from twopass.cost.reports.self_hosting_report import ask
from twopass.errors import ConfigError


def reconcile(
    book: Ledger, cards: Cards, currency: str, provider: str, invoice: Path, month: str | None, skus: Sequence[str]
) -> tuple[Report, str]:
    """
    An exported invoice against the ledger's charges: the report, and what it comes to in one sentence.

    Args:
        currency: The ledger's.
        month: 2026-11; None takes the only one that the invoice has.
        skus: Further names on the invoice, as "NAME ON THE INVOICE=our sku" or "...=our sku:add-ons".

    Raises ConfigError: the provider, the file or a line of it; says what to do.
    """
    card = _card(cards, provider)
    names = names_of(card, dict(_alias(text, card) for text in skus))
    with _lines_of(invoice) as lines:
        gathered = gather(lines, names)
    asked = Month.parse(month) if month else _only_month(gathered, names, invoice)
    rows = provider_rows(read_our_side(book, asked), provider)
    found = reconciled(gathered, rows, names, card, cards.exchange, asked)
    counts = summary(found)
    said = "; ".join(f"{_STATES[state]}: {count}" for state, count in counts.items() if count)
    more = " Some products on the invoice are on no rate card." if found.unknown else ""
    report = reconcile_report(found, rows, names, currency, f"{card.name or provider}, {invoice.name}")
    return report, f"{asked}, lines that {said or 'can be compared: none'}.{more}"


def self_hosting(book: Ledger, cards: Cards, currency: str, month: str | None, assumed: Plan) -> Report:
    """
    Own machines against vendors.

    Args:
        currency: The ledger's.
        month: 2026-11; None is the current one (UTC).

    Raises ConfigError if that is no month.
    """
    asked = Month.parse(month) if month else Month.of(datetime.now(UTC).date())
    return ask(book, cards, assumed, asked, currency)


def plan(load: float, fill: float, streams: Sequence[str]) -> Plan:
    """
    What to assume, from the command line.

    Args:
        streams: How many streams a machine takes at once, as "gpu=8", where it was not measured or is known better.

    Raises ConfigError if that cannot be read.
    """
    return Plan(Decimal(str(load)), Decimal(str(fill)), dict(_streams(text) for text in streams))


def _streams(text: str) -> tuple[str, Decimal]:
    name, equals, number = text.rpartition("=")
    try:
        found = Decimal(number)
    except InvalidOperation:
        found = Decimal(0)
    if not equals or not name or not found.is_finite() or not 0 < found < _MOST_STREAMS:
        raise ConfigError(f"--streams {text!r} cannot be read.", code="bad_streams", fix='Write it as "gpu=8".')
    return name, found


_MOST_STREAMS = 1_000_000
_STATES = {
    "agree": "agree to the cent",
    "explained": "differ for known reasons",
    "unexplained": "differ without a reason",
    "unknown": "cannot be compared for want of a price",
}


def _card(cards: Cards, provider: str) -> RateCard:
    card = cards.cards.get(provider)
    if card is None or card.local or card.compared_only:
        billing = sorted(name for name, one in cards.cards.items() if not one.local and not one.compared_only)
        fix = f"Vendors that send invoices are: {', '.join(billing)}."
        raise ConfigError(f"There is no rate card of a vendor {provider!r}.", code="no_provider", fix=fix)
    return card


def _alias(text: str, card: RateCard) -> tuple[str, str]:
    name, equals, sku = text.rpartition("=")
    own, colon, what = sku.partition(":")
    if not equals or not name or own not in {rate.sku for rate in card.rates} or (colon and what != ADD_ONS):
        ours = ", ".join(dict.fromkeys(rate.sku for rate in card.rates))
        fix = f'Write "NAME ON THE INVOICE=our sku" or "NAME=our sku:{ADD_ONS}"; ours are: {ours}.'
        raise ConfigError(f"--sku {text!r} names nothing of {card.provider}.", code="bad_sku", fix=fix)
    return name, sku


@contextmanager
def _lines_of(path: Path) -> Iterator[Iterable[InvoiceLine]]:
    fix = "Name a CSV file in UTF-8, as the vendor exports it."
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield read_invoice(file, path.name)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", code="no_invoice", fix=fix) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no text in UTF-8.", code="no_invoice", fix=fix) from None


def _only_month(gathered: Gathered, names: Names, invoice: Path) -> Month:
    months = gathered.months()
    if len(months) == 1:
        return Month.parse(months[0])
    if months:
        fix = f"Say which: --month {months[-1]}."
        raise ConfigError(f"{invoice.name} has lines of {', '.join(months)}.", code="bad_month", fix=fix)
    known = ", ".join(dict.fromkeys(names.theirs.values()))
    seen = ", ".join(sorted({f"{one.sku or place.label}" for place, one in gathered.unknown.items()})[:5])
    fix = f"The rate card knows: {known}." + (f' The invoice has {seen}: see --sku "NAME=our sku".' if seen else "")
    raise ConfigError(f"{invoice.name} has no line that the rate card knows.", code="no_lines", fix=fix)
