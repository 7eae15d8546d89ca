"""The ledger's database, SQLite or PostgreSQL: connecting to it, and bringing its tables up to date."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from twopass.cost.ledger.migrations import HEAD
from twopass.cost.ledger.transactions import lock, reason
from twopass.errors import ConfigError

_PATIENCE = 60
"""Seconds to wait for another process that writes to the same SQLite file."""
_CONNECT_SECONDS = 10
_UPGRADING = 0x7477_6F01
"""PostgreSQL's advisory locks are numbers; the first half is ours."""
_ALEMBIC = threading.Lock()
"""Alembic keeps what it works on in global variables."""
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_ADDRESS = "Give its address as sqlite:///ledger.db or postgresql://user:password@host/database."


def connect(url: str) -> Engine:
    """The database with all tables up to date. Raises ConfigError that says what to do."""
    address = _address(url)
    engine = _engine(address)
    try:
        upgrade(engine)
        _check_writable(address)
    except DBAPIError as error:
        engine.dispose()
        raise _unusable(address, reason(error)) from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def upgrade(engine: Engine) -> None:
    """Make the tables what this version wants. Several processes may do so at once. Raises ConfigError, DBAPIError."""
    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        lock(connection, _UPGRADING)
        if _revision(connection) != HEAD:
            _migrate(connection)


# -- connecting -----------------------------------------------------------------------------------------------------


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise ConfigError("The ledger's address cannot be read.", code="bad_ledger", fix=_ADDRESS) from error
    if address.drivername not in {*_DRIVERS, *_DRIVERS.values()}:
        kind = address.drivername
        raise ConfigError(f"The ledger cannot be in a database of the kind {kind}.", code="bad_ledger", fix=_ADDRESS)
    return address.set(drivername=_DRIVERS.get(address.drivername, address.drivername))


def _engine(address: URL) -> Engine:
    try:
        if address.get_backend_name() == "sqlite":
            engine = create_engine(address, connect_args={"timeout": _PATIENCE})
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        patience = {"connect_timeout": _CONNECT_SECONDS, "options": "-c timezone=UTC"}
        return create_engine(address, connect_args=patience, pool_pre_ping=True)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        fix = "Run `pip install 'twopass[postgresql]'`."
        raise ConfigError("PostgreSQL's driver is not installed.", code="bad_ledger", fix=fix) from error


def _set_up_sqlite(connection: Any, _: object) -> None:
    """WAL: reports read while the meter writes."""
    connection.isolation_level = None  # transactions begin below, not when sqlite3 thinks so
    cursor = connection.cursor()
    if cursor.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        cursor.execute("PRAGMA journal_mode = WAL")
    # What write() has returned from must survive a power cut. NORMAL would keep it only from the last checkpoint on,
    # which may be an hour ago; FULL waits for the disk once for each batch, which is about once a second.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA recursive_triggers = ON")  # REPLACE, too, meets the trigger that keeps usage as it is
    cursor.execute("PRAGMA cache_size = -65536")  # 64 MB: making charges looks up every entry by its request
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Who will write gets the lock at the start: one who has read already would be refused, however long it waits."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _check_writable(address: URL) -> None:
    """SQLite reads a file that it cannot write; the ledger would notice when it is too late."""
    path = address.database
    if address.get_backend_name() == "sqlite" and path and Path(path).exists() and not _may_write(path):
        raise _unusable(address, "no permission to write it")


def _may_write(path: str) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(path, os.W_OK, effective_ids=effective)


# -- migrations -----------------------------------------------------------------------------------------------------


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(connection: Connection) -> None:
    from alembic import command  # here: most processes find the tables up to date
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "twopass.cost.ledger:migrations")
    config.attributes["connection"] = connection
    try:
        with _ALEMBIC:
            command.upgrade(config, "head")
    except CommandError as error:
        fix = "Install the version that made it, or a newer one."
        raise ConfigError("The ledger is of another version of twopass.", code="bad_ledger", fix=fix) from error


# -- errors ---------------------------------------------------------------------------------------------------------


def _unusable(address: URL, reason: str) -> ConfigError:
    where = address.render_as_string(hide_password=True)
    if address.get_backend_name() == "sqlite":
        fix = f"The folder of {address.database} must exist, and this user must be able to write to folder and file."
    else:
        fix = "Check that the database runs and exists, and that host, user and password are right."
    return ConfigError(f"The ledger {where} cannot be used: {reason}.", code="bad_ledger", fix=fix)
