"""
Making the table `charges` anew, where it no longer says what `usage` and the rate cards say: the database's part.

    new usage or other cards -> `stale` (provider, SKU, clock and month) -> read, price, replace -> no longer stale

Prices are worked out without any lock, so the meter goes on writing meanwhile; each group's charges are replaced in one
transaction. Several processes may do this at once: whoever comes second finds that nothing is stale any more.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias

import structlog
from sqlalchemy import Connection, Engine, Table, and_, bindparam, case, delete, func, select, text
from sqlalchemy.sql.elements import ColumnElement

from twopass.cost.ledger.charging import Charge, charges_of, is_charged
from twopass.cost.ledger.rates_table import rates_rows
from twopass.cost.ledger.schema import charges, facts, rates, stale, usage
from twopass.cost.ledger.transactions import add, analyze, lock, reading, try_lock, writing
from twopass.cost.ledger.works import Group, Part, works_of
from twopass.cost.prices.cards import Cards
from twopass.types import Clock

log = structlog.get_logger()

Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many groups are done, of how many."""

WRITING = 0x7477_6F02
"""The lock (see `transactions.lock`) that whoever adds usage shares."""
_MARKING = 0x7477_6F03
_WAIT_SECONDS = 5.0
_MANY = 10_000
"""So many new rows change how queries are best planned."""


def quiet(done: int, of: int) -> None:
    """Nobody wants to know the progress."""


@dataclass(frozen=True, slots=True)
class Stale:
    """Charges that are to be made anew; `mark` tells this time from others."""

    group: Group
    month: str
    mark: str


def recharge(engine: Engine, cards: Cards, currency: str, month: str | None, progress: Progress) -> int:
    """Make the charges of a month (2026-11), or all, say what usage and cards say. Returns how many were written."""
    fresh = mark(engine, cards, currency)
    if fresh > _MANY:
        analyze(engine)
    groups, written = _stale(engine, cards, currency, month), 0
    progress(0, len(groups))
    for done, group in enumerate(groups, start=1):
        written += _make_anew(engine, group, cards, currency)
        progress(done, len(groups))
    if written > _MANY:
        analyze(engine)
    return written


# -- what is stale --------------------------------------------------------------------------------------------------


def mark(engine: Engine, cards: Cards, currency: str) -> int:
    """Find what is stale since the last time; returns how many rows of usage are new."""
    until = _last_number(engine)
    with writing(engine) as connection:
        lock(connection, _MARKING)
        known = _facts(connection)
        since = int(known.get("priced", 0))
        if _are_made_with(known, cards, currency):
            days = [*_days(connection, since), *_days_before(connection, since)]
        else:
            _replace_rates(connection, cards)
            days = _days(connection, 0)
        _mark(connection, {(*group, f"{day:%Y-%m}") for *group, day in days})
        until = max(since, until)
        _keep_facts(connection, {"cards": cards.fingerprint, "currency": currency, "priced": str(until)})
    return until - since


def _last_number(engine: Engine) -> int:
    """
    Up to which number usage is complete; 0 if that cannot be said now.

    PostgreSQL gives numbers before a transaction is complete: only when nobody is writing, no smaller one is missing.
    """
    with reading(engine) as connection:
        if not try_lock(connection, WRITING, _WAIT_SECONDS):
            return 0
        last: int | None = connection.execute(select(func.max(usage.c.number))).scalar()
        return last or 0


def _days(connection: Connection, since: int) -> list[Any]:
    """Groups and days of the usage that is new since that number."""
    new = select(usage.c.provider, usage.c.sku, usage.c.clock, usage.c.day).distinct()
    return list(connection.execute(new.where(usage.c.number > since)))


def _days_before(connection: Connection, since: int) -> list[Any]:
    """The same of what there was before of the same requests: they may have begun in another month."""
    if not since:
        return []
    new, old = usage.alias("new"), usage.alias("old")
    same = and_(old.c.request == new.c.request, *(old.c[name] == new.c[name] for name in Group._fields))
    days = select(old.c.provider, old.c.sku, old.c.clock, old.c.day).distinct()
    return list(connection.execute(days.join_from(new, old, same).where(new.c.number > since, old.c.number <= since)))


def _mark(connection: Connection, groups: Iterable[tuple[Any, ...]]) -> None:
    marking = secrets.token_hex(16)
    rows = [{**dict(zip((*Group._fields, "month"), group, strict=True)), "mark": marking} for group in sorted(groups)]
    insert = "INSERT INTO stale (provider, sku, clock, month, mark) VALUES (:provider, :sku, :clock, :month, :mark)"
    if rows:
        connection.execute(
            text(f"{insert} ON CONFLICT (provider, sku, clock, month) DO UPDATE SET mark = excluded.mark"), rows
        )


def _facts(connection: Connection) -> dict[str, str]:
    return dict(connection.execute(select(facts.c.name, facts.c.value)).all())


def _are_made_with(known: Mapping[str, str], cards: Cards, currency: str) -> bool:
    return (known.get("cards"), known.get("currency")) == (cards.fingerprint, currency)


def _keep_facts(connection: Connection, values: dict[str, str]) -> None:
    insert = "INSERT INTO facts (name, value) VALUES (:name, :value)"
    statement = text(f"{insert} ON CONFLICT (name) DO UPDATE SET value = excluded.value")
    connection.execute(statement, [{"name": name, "value": value} for name, value in values.items()])


def _replace_rates(connection: Connection, cards: Cards) -> None:
    connection.execute(delete(rates))
    connection.execute(rates.insert(), rates_rows(cards))


def _stale(engine: Engine, cards: Cards, currency: str, month: str | None) -> list[Stale]:
    """What is to be made anew with these cards; nothing if another process has begun to do it with others."""
    query = select(stale).order_by(*stale.primary_key.columns)
    if month is not None:
        query = query.where(stale.c.month == month)
    with reading(engine) as connection:
        rows = connection.execute(query).all()
        # In this order: other cards mark everything anew, and who read an older mark than that cannot finish.
        known = _facts(connection)
    if not _are_made_with(known, cards, currency):
        log.warning("charges are made with other rate cards by another process: it goes on, this one stops")
        return []
    return [Stale(Group(row.provider, row.sku, Clock(row.clock)), row.month, row.mark) for row in rows]


# -- one group and month --------------------------------------------------------------------------------------------


def _make_anew(engine: Engine, group: Stale, cards: Cards, currency: str) -> int:
    made: list[Charge] = []
    elsewhere: set[str] = set()
    if is_charged(group.group, cards):
        with reading(engine) as connection:
            parts, elsewhere = _parts(connection, group)
        made = list(charges_of(works_of(parts, group.month), group.group, cards, currency))
    with writing(engine) as connection:
        if not _take(connection, group):
            return 0  # somebody was faster, or it is stale again for another reason: theirs is newer
        connection.execute(delete(charges).where(_in_group(charges, group)))
        _forget(connection, group, elsewhere & {charge.request for charge in made})
        add(connection, charges, made)
    return len(made)


def _take(connection: Connection, group: Stale) -> bool:
    """It is not stale any more; False if it was not, or for another reason."""
    key = group.group._asdict() | {"month": group.month, "mark": group.mark}
    mine = delete(stale).where(*(stale.c[name] == value for name, value in key.items()))
    return connection.execute(mine).rowcount > 0


def _forget(connection: Connection, group: Stale, requests: Iterable[str]) -> None:
    """Their beginning came later than the rest: until now they were charged in another month."""
    of_group = (charges.c[name] == value for name, value in group.group._asdict().items())
    statement = delete(charges).where(charges.c.request == bindparam("moved"), *of_group)
    if moved := [{"moved": request} for request in requests]:
        connection.execute(statement, moved)


def _parts(connection: Connection, group: Stale) -> tuple[list[Part], set[str]]:
    """
    Of all requests that used something in the month: all that they used, in whichever month; and which of them used
    something in another month.
    """
    days = _days_of(group.month)
    of_month = select(usage.c.request).where(_in_group(usage, group)).distinct().subquery()
    began = func.min(case((usage.c.corrects.is_(None), usage.c.at)))
    elsewhere = func.max(case((usage.c.day.between(days[0], days[-1]), 0), else_=1))
    whose = [usage.c[name] for name in ("session", "tenant", "key_id", "pass_", "region", "channels", "features")]
    used = [usage.c.request, usage.c.reason, began, func.min(usage.c.at), func.sum(usage.c.micros), *whose]
    query = (
        select(elsewhere, *used)
        .join_from(of_month, usage, usage.c.request == of_month.c.request)
        .where(*(usage.c[name] == value for name, value in group.group._asdict().items()))
        .group_by(usage.c.request, usage.c.reason, *whose)
    )
    parts, spread = [], set()
    for outside, request, reason, began_at, first, micros, *rest in connection.execute(query):
        parts.append(Part(request, reason, _utc(began_at), _utc(first), int(micros), *rest))
        if outside:
            spread.add(request)
    return parts, spread


def _utc(at: datetime | None) -> Any:
    """SQLite keeps no time zone."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def _in_group(table: Table, group: Stale) -> ColumnElement[bool]:
    """With every day named, the index by day, provider and SKU finds the rows."""
    names = (table.c[name] == value for name, value in group.group._asdict().items())
    return and_(table.c.day.in_(_days_of(group.month)), *names)


def _days_of(month: str) -> list[date]:
    first = date.fromisoformat(f"{month}-01")
    days = (first + timedelta(days=i) for i in range(31))
    return [day for day in days if day.month == first.month]
