"""Transactions of the ledger, in SQLite and PostgreSQL: beginning them, keeping others out, adding many rows fast."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.exc import DBAPIError

from twopass.errors import LedgerUnavailable

Rows: TypeAlias = Sequence[tuple[object, ...]]

_ASK_AGAIN_SECONDS = 0.02


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that changes something: all or nothing. Raises LedgerUnavailable."""
    try:
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection
    except DBAPIError as error:
        raise _unavailable(reason(error)) from error


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that sees what is written completely. Raises LedgerUnavailable."""
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        raise _unavailable(reason(error)) from error


def lock(connection: Connection, number: int, *, shared: bool = False) -> None:
    """Until the end of the transaction, nobody else has this lock. SQLite has one writer at a time anyway."""
    if is_postgresql(connection):
        kind = "_shared" if shared else ""
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock{kind}({number})")


def try_lock(connection: Connection, number: int, seconds: float) -> bool:
    """The same, for somebody who does not make others wait: asks again and again, until it is free."""
    give_up = time.monotonic() + seconds
    while is_postgresql(connection):
        if connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({number})").scalar_one():
            return True
        if time.monotonic() > give_up:
            return False
        time.sleep(_ASK_AGAIN_SECONDS)
    return True


def is_postgresql(connection: Connection | Engine) -> bool:
    """Whether it is PostgreSQL, and not SQLite."""
    return connection.dialect.name == "postgresql"


def analyze(engine: Engine) -> None:
    """Count again what the tables hold: after many new rows, queries are planned badly until then."""
    with writing(engine) as connection:
        if is_postgresql(connection):
            connection.exec_driver_sql("ANALYZE usage, charges")
        else:
            connection.exec_driver_sql("PRAGMA analysis_limit = 1000")  # rows of each index; all would take long
            connection.exec_driver_sql("ANALYZE")


# -- many rows ------------------------------------------------------------------------------------------------------


def add_new(connection: Connection, table: Table, columns: Sequence[str], rows: Rows) -> int:
    """Add the rows whose `id` is not there yet; returns how many. Days and times are texts."""
    if not rows:
        return 0
    marks = ", ".join(["%s" if is_postgresql(connection) else "?"] * len(columns))
    statement = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT (id) DO NOTHING"
    return connection.exec_driver_sql(statement, list(rows)).rowcount


def add(connection: Connection, table: Table, rows: Rows) -> None:
    """Add rows that have all the table's columns in their order. Days and times are texts. Raises LedgerUnavailable."""
    names = ", ".join(column.name for column in table.columns)
    if is_postgresql(connection):
        _copy(connection, f"COPY {table.name} ({names}) FROM STDIN", rows)
    elif rows:
        marks = ", ".join("?" * len(table.columns))
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", list(rows))


def _copy(connection: Connection, statement: str, rows: Rows) -> None:
    cursor: Any = connection.connection.cursor()
    try:
        with cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except connection.dialect.loaded_dbapi.Error as error:  # the driver's own: SQLAlchemy knows no COPY
        raise _unavailable(_first_line(error)) from error


def reason(error: DBAPIError) -> str:
    """What the database says, in one line; without the statement, which has the entries in it."""
    return _first_line(error.orig)


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def _unavailable(said: str) -> LedgerUnavailable:
    return LedgerUnavailable(f"The ledger's database does not do what it should: {said}.")
