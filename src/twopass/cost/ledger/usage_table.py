"""Entries in the table `usage`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import Connection, select, text

from twopass.cost.ledger.schema import usage
from twopass.cost.ledger.transactions import add_new, is_postgresql
from twopass.cost.usage.entries import Account, Entry
from twopass.types import Clock, Pass, Reason

log = structlog.get_logger()

_COLUMNS = tuple(name for name in usage.columns.keys() if name != "number")  # noqa: SIM118 - no dictionary
_KEEP = text("INSERT INTO conflicts (id, refused, seen) VALUES (:id, :refused, :seen) ON CONFLICT DO NOTHING")


def add_entries(connection: Connection, entries: Sequence[Entry]) -> int:
    """Add those whose id is not there yet; returns how many. What contradicts an entry of its id is a conflict."""
    corrected = _days_corrected(connection, entries)
    zone = "+00:00" if is_postgresql(connection) else ""
    new = add_new(connection, usage, _COLUMNS, [_row(entry, corrected, zone) for entry in entries])
    if new < len(entries):
        _keep_conflicts(connection, entries)
    return new


def find_entry(connection: Connection, identity: str) -> Entry | None:
    """The entry of that id."""
    row = connection.execute(select(usage).where(usage.c.id == identity)).one_or_none()
    return None if row is None else _entry(row)


def _row(entry: Entry, corrected: Mapping[str, str], zone: str) -> tuple[object, ...]:
    at = entry.at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return (
        entry.id,
        at + zone,
        corrected.get(entry.corrects or "", at[:10]),
        entry.session,
        entry.request,
        entry.account.tenant,
        entry.account.key_id,
        entry.provider,
        entry.sku,
        entry.pass_.value,
        entry.clock.value,
        entry.reason.value,
        entry.channels,
        ",".join(entry.features),
        entry.region,
        entry.micros,
        entry.corrects,
        entry.note,
    )


def _entry(row: Any) -> Entry:
    at = row.at if row.at.tzinfo else row.at.replace(tzinfo=UTC)  # SQLite keeps no time zone
    return Entry(
        id=row.id,
        at=at.astimezone(UTC),
        session=row.session,
        request=row.request,
        account=Account(row.tenant, row.key_id),
        provider=row.provider,
        sku=row.sku,
        clock=Clock(row.clock),
        micros=row.micros,
        pass_=Pass(row.pass_),
        reason=Reason(row.reason),
        channels=row.channels,
        features=tuple(row.features.split(",")) if row.features else (),
        region=row.region,
        corrects=row.corrects,
        note=row.note,
    )


def _days_corrected(connection: Connection, entries: Sequence[Entry]) -> dict[str, str]:
    """The days of the entries that are corrected here: to those days the corrections belong."""
    wanted = {entry.corrects for entry in entries if entry.corrects}
    if not wanted:
        return {}
    found = connection.execute(select(usage.c.id, usage.c.day).where(usage.c.id.in_(wanted)))
    return {identity: day.isoformat() for identity, day in found}


def _keep_conflicts(connection: Connection, entries: Sequence[Entry]) -> None:
    """Those entries that say something else than the entry that has their id."""
    same = select(usage).where(usage.c.id.in_({entry.id for entry in entries}))
    there = {row.id: _entry(row) for row in connection.execute(same)}
    for entry in entries:
        if there[entry.id] != entry:
            log.error("two usage entries have one id: see the ledger's table conflicts", id=entry.id)
            refused = json.dumps(asdict(entry), default=str, sort_keys=True)
            connection.execute(_KEEP, {"id": entry.id, "refused": refused, "seen": datetime.now(UTC)})
