"""
The ledger: everything that was used and what it cost, in a database.

What was used (`usage`) only grows. What it cost (`charges`) is worked out from that and from the rate cards, again and
again: see `recharging`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import islice
from typing import Any

from sqlalchemy import Engine, Row

from twopass.cost.ledger.database import connect
from twopass.cost.ledger.recharging import WRITING, Progress, quiet, recharge
from twopass.cost.ledger.transactions import is_postgresql, lock, reading, writing
from twopass.cost.ledger.usage_table import add_entries, find_entry
from twopass.cost.prices.cards import Cards
from twopass.cost.usage.entries import Account, Entry
from twopass.errors import ConfigError

_AT_ONCE = 5_000
_COMMENT = re.compile(r"('(?:[^']|'')*')|--[^\n]*")
_PARAMETER = re.compile(r"('(?:[^']|'')*'|::)|:([a-z_]+)\b")
_SPENDING = """
    SELECT tenant, key_id, day, SUM(cost_nanos) AS nanos FROM charges
    WHERE day >= :first AND day < :following AND clock <> 'provisioned'
    GROUP BY tenant, key_id, day
"""


class Ledger:
    """
    One database. May be used by several threads at once, and by several processes.

    Whatever it does raises LedgerUnavailable while the database cannot be reached or written.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> Ledger:
        """
        The ledger at `sqlite:///path` or `postgresql://...`, made if there is none, its tables up to date.

        Raises ConfigError that says what to do.
        """
        return cls(connect(url))

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def write(self, entries: Iterable[Entry]) -> int:
        """
        Add the entries that are not there yet, all or none; returns how many. They are on the disk then.

        An entry whose id another entry has is kept in the table `conflicts`, and logged: nothing is lost in silence.
        """
        waiting, new = iter(entries), 0
        with writing(self._engine) as connection:
            lock(connection, WRITING, shared=True)
            while batch := list(islice(waiting, _AT_ONCE)):
                new += add_entries(connection, batch)
        return new

    def correct(self, identity: str, micros: int, note: str, at: datetime) -> Entry:
        """
        Add so much (or take away, if negative) to what the entry of that id says; returns the entry that does so.

        The same correction again changes nothing. Raises ConfigError if there is no such entry.
        """
        with reading(self._engine) as connection:
            wrong = find_entry(connection, identity)
        if wrong is None:
            fix = "See the reports for the entries' ids."
            raise ConfigError(f"The ledger has no entry {identity}.", code="unknown_entry", fix=fix)
        name = sha256(repr((micros, note, at.astimezone(UTC))).encode()).hexdigest()[:8]
        correction = replace(wrong, id=f"{identity}~{name}", at=at, micros=micros, corrects=identity, note=note)
        self.write([correction])
        return correction

    def charge(self, cards: Cards, currency: str, month: str | None = None, progress: Progress = quiet) -> int:
        """
        Make the charges of a month (2026-11), or of all, say what usage and cards say; returns how many were written.

        Only what changed since the last time is made anew. `progress` hears how many parts of how many are done.
        """
        return recharge(self._engine, cards, currency, month, progress)

    def spending(self, month: str) -> list[tuple[Account, str, Decimal]]:
        """
        What the accounts spent in a month (2026-11), by day (2026-11-21), in the ledger's currency.

        Own machines count by what they did, not by how long they were there: it would count twice. What has no known
        price is not in it.
        """
        first = date.fromisoformat(f"{month}-01")
        rows = self.rows(_SPENDING, first=first, following=(first + timedelta(days=31)).replace(day=1))
        return [
            (Account(row.tenant, row.key_id), str(row.day), Decimal(row.nanos).scaleb(-9))
            for row in rows
            if row.nanos is not None
        ]

    def rows(self, sql: str, **parameters: object) -> list[Row[Any]]:
        """
        What a query with `:name` for its parameters says. Comments are left out.

        Days are dates in PostgreSQL and texts (2026-11-21) in SQLite, sums of whole numbers Decimal and int.
        """
        sql = _COMMENT.sub(lambda found: found[1] or "", sql)
        used = {name: _plain(parameters[name]) for _, name in _PARAMETER.findall(sql) if name}
        with reading(self._engine) as connection:
            if is_postgresql(connection):
                sql = _PARAMETER.sub(lambda found: found[1] or f"%({found[2]})s", sql.replace("%", "%%"))
            # Not SQLAlchemy's text(): it would tell PostgreSQL that days given as texts are texts.
            return list(connection.exec_driver_sql(sql, used))


def _plain(value: object) -> object:
    """Both databases understand days that are texts."""
    return value.isoformat() if isinstance(value, date) else value
