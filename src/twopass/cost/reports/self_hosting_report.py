"""The tables about own machines and vendors that cost_reports/self_hosting.sql describes. Pure but for `ask`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal, localcontext

from twopass.cost.prices.cards import Cards
from twopass.cost.prices.pricing import EXACT
from twopass.cost.prices.rates import Rate
from twopass.cost.reports.break_even import HOURS_PER_MONTH, Fleet, Span, hours_for, hours_of, month_cost, winning
from twopass.cost.reports.files import read
from twopass.cost.reports.report import Asked, Ledger, Month, Raw, Report, build, query
from twopass.cost.reports.self_hosting import Contest, Machine, Plan, Work, contests, machines, offers, works

REPORT = "self_hosting"
"""The file in cost_reports."""
COMMAND = "self-hosting"
"""As the command line calls it."""
OWN = "Own machines"
_LEAST_HOURS = Decimal(10)
_POINTS = 48
_HUNDREDTH = Decimal("0.01")


def ask(book: Ledger, cards: Cards, plan: Plan, month: Month, currency: str) -> Report:
    """The report of a month. `currency` is the ledger's."""
    rows = query(read(REPORT), book, Asked(month, month.end))
    return self_hosting_report(rows, cards, plan, month, currency)


def self_hosting_report(rows: Sequence[Raw], cards: Cards, plan: Plan, month: Month, currency: str) -> Report:
    """
    Args:
        rows: Of cost_reports/self_hosting.sql.
        currency: The ledger's.
    """
    day = month.end - timedelta(days=1)
    with localcontext(EXACT):
        tables = [*_tables(rows, cards, plan, day), *_curves(rows, cards, plan, day, currency)]
    report = build(read(REPORT), tables, month, currency)
    notes = tuple(_notes(rows, cards, plan))
    return Report(COMMAND, report.title, report.says, month, currency, report.tables, notes=notes)


def _notes(rows: Sequence[Raw], cards: Cards, plan: Plan) -> Iterator[str]:
    yield (
        f"The month's mean is taken to be {plan.load:.0%} of the streams in its busiest moment, and a machine may be "
        f"busy for {plan.fill:.0%} of its time."
    )
    for machine in machines(rows, cards):
        streams = machine.streams(plan)
        if machine.hour is None:
            yield f"Nobody has said what an hour of {machine.name} costs: `prices` in the configuration."
        elif streams is None:
            yield f"How many streams {machine.name} takes at once is not known: no such work was metered in this month."
        else:
            yield f"One {machine.name} takes {streams.normalize():f} streams at once."


def _tables(rows: Sequence[Raw], cards: Cards, plan: Plan, day: date) -> Iterator[Raw]:
    found = contests(rows, cards, plan, day)
    yield from (_machine_row(machine) for machine in machines(rows, cards))
    yield from (_work_row(work, cards) for work in works(rows, cards))
    yield from sorted((_break_even_row(contest, plan) for contest in found), key=_unknown_first)
    yield from (row for contest in found for row in _grid(contest, plan))
    yield from rows


def _unknown_first(row: Raw) -> tuple[bool, Decimal]:
    """Then those that own machines beat soonest."""
    return row["hours_one_machine"] is not None, row["hours_one_machine"] or Decimal(0)


def _machine_row(machine: Machine) -> Raw:
    return {
        "section": "machine",
        "machine": machine.name,
        "currency": machine.hour.currency if machine.hour else "",
        "hour_price": machine.hour.amount if machine.hour else None,
        "ready_hours": machine.ready,
        "busy_hours": machine.busy,
        "utilisation": machine.utilisation,
        "audio_hours": machine.audio,
        "busy_per_audio": machine.busy_per_audio,
        "per_audio_hour_busy": machine.marginal,
        "per_audio_hour_ready": machine.loaded,
    }


def _work_row(work: Work, cards: Cards) -> Raw:
    hour = cards.machines.get(work.machine or "")
    per_audio = work.busy_per_audio
    return {
        "section": "work",
        "provider": work.provider,
        "sku": work.sku,
        "pass": work.pass_,
        "machine": work.machine or "",
        "currency": hour.currency if hour else "",
        "audio_hours": work.audio,
        "busy_hours": work.busy,
        "busy_per_audio": per_audio,
        "per_audio_hour_busy": None if hour is None or per_audio is None else hour.amount * per_audio,
    }


def _break_even_row(contest: Contest, plan: Plan) -> Raw:
    rate, fleet = contest.offer.rate, contest.fleet
    own = fleet.hour * HOURS_PER_MONTH if fleet else None
    hours = hours_for(rate, own) if own is not None else None
    most = fleet.streams * HOURS_PER_MONTH if fleet else None
    return _offer_cells("break_even", contest) | {
        "confidence": rate.confidence.value,
        "vendor_hour_price": rate.tiers[0].price * 3600 / rate.unit.seconds if rate.tiers else None,
        "machine_month": own,
        "hours_one_machine": hours,
        "full_one_machine": None if hours is None or most is None else hours / most,
        "streams_at_once": _streams(contest, plan),
    }


def _streams(contest: Contest, plan: Plan) -> str:
    """In words: at how many streams at once own machines are cheaper."""
    rate, fleet, most = contest.offer.rate, contest.fleet, max(plan.at_once)
    spans = winning(rate, fleet, plan.load, most) if fleet else None
    if spans is None:
        return "unknown"
    return ", ".join(_span(span) for span in spans) or f"never, up to {most}"


def _span(span: Span) -> str:
    if span.last is None:
        return f"{span.first} and more"
    return f"{span.first}" if span.first == span.last else f"{span.first} to {span.last}"


def _grid(contest: Contest, plan: Plan) -> Iterator[Raw]:
    for at_once in plan.at_once:
        fleet, most = contest.fleet, hours_of(at_once, Decimal(1))
        hours = hours_for(contest.offer.rate, fleet.month(at_once)) if fleet else None
        known = fleet is not None and bool(contest.offer.rate.tiers)
        yield _offer_cells("grid", contest) | {
            "streams_count": at_once,
            "machines_count": fleet.machines(at_once) if fleet else None,
            "own_month": fleet.month(at_once) if fleet else None,
            "break_even_hours": hours,
            "most_hours": most,
            "pays": "unknown" if not known else "never" if hours is None or hours >= most else "yes",
        }


def _offer_cells(section: str, contest: Contest) -> Raw:
    rate = contest.offer.rate
    return {
        "section": section,
        "vendor": contest.offer.vendor,
        "product": _product(rate),
        "currency": rate.currency,
        "machine": contest.machine.name,
    }


# -- for a plot -----------------------------------------------------------------------------------------------------


def _curves(rows: Sequence[Raw], cards: Cards, plan: Plan, day: date, currency: str) -> Iterator[Raw]:
    """What a month costs by its audio hours, in the ledger's currency; nothing of what is not known."""
    points = _points(hours_of(max(plan.at_once), plan.load))
    for offer in offers(cards, day):
        for hours in points if offer.rate.tiers else ():
            cost = month_cost(offer.rate, hours)
            converted = None if cost is None else cards.exchange.convert(cost, offer.rate.currency, currency, day)
            if converted is not None:
                yield _point(offer.vendor, _product(offer.rate), currency, hours, converted)
    for machine in machines(rows, cards):
        streams, hour = machine.streams(plan), machine.hour
        price = cards.exchange.convert(hour.amount, hour.currency, currency, day) if hour else None
        if streams and price is not None:
            fleet = Fleet(price, streams)
            for hours in points:
                yield _point(OWN, machine.name, currency, hours, fleet.month(_at_once(hours, plan)))


def _points(most: Decimal) -> list[Decimal]:
    """From few hours to many, each the same factor more."""
    factor = (most / _LEAST_HOURS).ln() / _POINTS if most > _LEAST_HOURS else Decimal(0)
    return [(_LEAST_HOURS * (factor * number).exp()).quantize(_HUNDREDTH) for number in range(_POINTS + 1)]


def _at_once(hours: Decimal, plan: Plan) -> int:
    """How many streams the busiest moment of such a month has."""
    return max(1, int((hours / hours_of(1, plan.load)).to_integral_value(ROUND_CEILING)))


def _point(vendor: str, product: str, currency: str, hours: Decimal, cost: Decimal) -> Raw:
    return {
        "section": "curve",
        "vendor": vendor,
        "product": product,
        "currency": currency,
        "at_hours": hours,
        "month_cost": cost,
    }


def _product(rate: Rate) -> str:
    return f"{rate.service} ({rate.sku})" if rate.service else rate.sku
