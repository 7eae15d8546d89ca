"""The ledger's database: opened by anybody, written once, never changed. On SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
import structlog
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from tests.cost.entry_samples import BEGIN, WHO, made

from twopass.cost.ledger import database
from twopass.cost.ledger.book import Ledger
from twopass.cost.ledger.migrations import HEAD
from twopass.cost.ledger.schema import metadata
from twopass.cost.ledger.transactions import lock, reading
from twopass.cost.ledger.usage_table import find_entry
from twopass.cost.usage.entries import Entry
from twopass.errors import ConfigError, LedgerUnavailable
from twopass.types import Pass, Reason

FULL = replace(
    made("s", 1),
    at=datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC),
    pass_=Pass.SECOND,
    reason=Reason.REPLAY,
    channels=2,
    features=("detection", "diarization"),
    region="eu",
    note="it's 100% \\ \t “ok”: {} --",
)


def read(ledger: Ledger, identity: str) -> Entry | None:
    """An entry as the ledger has it."""
    with reading(ledger._engine) as connection:
        return find_entry(connection, identity)


def count(ledger: Ledger, table: str) -> int:
    """Rows in a table."""
    return int(ledger.rows(f"SELECT count(*) AS found FROM {table}")[0].found)


# -- opening --------------------------------------------------------------------------------------------------------


def test_the_migrations_make_the_tables_that_the_code_sees(ledger: Ledger) -> None:
    """Alembic finds no difference between a new ledger and `schema`."""
    with ledger._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert [] == compare_metadata(context, metadata)


def test_the_newest_migration_is_known_by_name() -> None:
    """A process that finds `HEAD` in the database does not ask Alembic: it must be the head."""
    config = Config()
    config.set_main_option("script_location", "twopass.cost.ledger:migrations")
    assert HEAD == ScriptDirectory.from_config(config).get_current_head()


def test_it_is_opened_again_with_what_is_in_it(ledger_url: str) -> None:
    """What one process wrote, the next one has."""
    for new in (1, 0):
        ledger = Ledger.open(ledger_url)
        assert new == ledger.write([FULL])
        ledger.close()


def test_many_may_open_a_new_one_at_once(ledger_url: str) -> None:
    """Threads and processes make the tables together, and each of them writes."""
    program = (
        "import sys; from tests.cost.entry_samples import made; from twopass.cost.ledger.book import Ledger;"
        "Ledger.open(sys.argv[1]).write([made(sys.argv[2], 1)])"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, ledger_url, f"p{i}"]) for i in range(3)]

    def use(number: int) -> None:
        ledger = Ledger.open(ledger_url)
        ledger.write([made(f"t{number}", 1)])
        ledger.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(use, range(6)))
    assert [0, 0, 0] == [process.wait() for process in processes]
    ledger = Ledger.open(ledger_url)
    assert 9 == count(ledger, "usage")
    ledger.close()


def test_who_opens_waits_until_the_tables_are_made(postgres_url: str) -> None:
    """Another process is in the middle of making them: this one does not make them a second time."""
    making = create_engine(postgres_url)
    with ThreadPoolExecutor(1) as pool:
        with making.begin() as connection:
            lock(connection, database._UPGRADING)
            database._migrate(connection)
            opening = pool.submit(Ledger.open, postgres_url)
            with making.connect() as looking:
                while not looking.execute(text("SELECT 1 FROM pg_locks WHERE NOT granted")).scalar():
                    assert not opening.done()
        opening.result().close()
    making.dispose()


def closed_port() -> int:
    """Nobody listens there."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///{folder}/missing/ledger.sqlite", "folder"),
        ("sqlite:///{folder}", "folder"),
        ("sqlite:///{folder}/text", "not a database"),
        ("sqlite:///file:{folder}/new?mode=rw&uri=true", "unable to open"),
        ("postgresql://who:secret@127.0.0.1:{port}/ledger", "runs and exists"),
        ("mysql://host/ledger", "mysql"),
        ("ledger.sqlite", "sqlite:///"),
    ],
)
def test_what_cannot_be_used_says_why_and_what_to_do(url: str, said: str, tmp_path: Path) -> None:
    """No address that is wrong in one way or another gives a traceback of the database, and none tells a password."""
    (tmp_path / "text").write_text("This is no database, and long enough to be taken for one. " * 50)
    with pytest.raises(ConfigError, match=said) as caught:
        Ledger.open(url.format(folder=tmp_path, port=closed_port()))
    assert "bad_ledger" == caught.value.code
    assert caught.value.fix
    assert "secret" not in str(caught.value)


def test_without_its_driver_postgresql_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver is an extra: whoever wants PostgreSQL is told how to get it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"pip install 'twopass\[postgresql\]'"):
        Ledger.open("postgresql://127.0.0.1/ledger")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write everywhere; for a while this process is somebody who may not."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_file_that_may_not_be_written_is_refused_at_the_start() -> None:
    """Not only when the first entry is to be written: then it is too late."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        path = Path(folder) / "ledger.sqlite"
        Ledger.open(f"sqlite:///{path}").close()
        path.chmod(0o444)
        with as_nobody(), pytest.raises(ConfigError, match="able to write"):
            Ledger.open(f"sqlite:///{path}")


def test_a_ledger_of_a_newer_version_is_left_alone(ledger_url: str) -> None:
    """Its tables are not what this version knows."""
    ledger = Ledger.open(ledger_url)
    with ledger._engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    ledger.close()
    with pytest.raises(ConfigError, match="another version"):
        Ledger.open(ledger_url)


def test_sqlite_waits_for_the_disk(tmp_path: Path) -> None:
    """Each connection writes ahead and keeps what it wrote through a power cut."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    assert ["wal"] == [row.journal_mode for row in ledger.rows("PRAGMA journal_mode")]
    assert [2] == [row.synchronous for row in ledger.rows("PRAGMA synchronous")]
    ledger.close()


# -- writing --------------------------------------------------------------------------------------------------------


def test_an_entry_comes_back_as_it_was(ledger: Ledger) -> None:
    """Every field, with microseconds and odd characters."""
    assert 1 == ledger.write([FULL])
    assert FULL == read(ledger, FULL.id)


@pytest.mark.parametrize("seed", range(5))
def test_writing_again_changes_nothing(ledger: Ledger, seed: int) -> None:
    """Batches overlap, repeat and come in any order: each entry is there once, and counted as new once."""
    chance, written = random.Random(seed), set[str]()
    entries = [made("s", number) for number in range(300)]
    for _ in range(12):
        batch = chance.choices(entries, k=chance.randrange(60))
        new = {entry.id for entry in batch} - written
        assert len(new) == ledger.write(batch)
        written |= new
    assert written == {row.id for row in ledger.rows("SELECT id FROM usage")}
    total = sum(entry.micros for entry in entries if entry.id in written)
    assert total == ledger.rows("SELECT sum(micros) AS total FROM usage")[0].total
    assert 0 == count(ledger, "conflicts")


def test_more_than_one_batch_is_one_transaction(ledger: Ledger) -> None:
    """What fails in the middle of many entries leaves none of them."""

    def failing() -> Iterator[Entry]:
        yield from (made("s", number) for number in range(12_000))
        raise ValueError("the end")

    with pytest.raises(ValueError, match="the end"):
        ledger.write(failing())
    assert 0 == count(ledger, "usage")
    assert 12_000 == ledger.write(made("s", number) for number in range(12_000))


def test_an_entry_that_contradicts_another_is_kept_aside(ledger: Ledger) -> None:
    """It is logged and stands in `conflicts`, once; the entries beside it are written, the old one stays."""
    ledger.write([FULL])
    other = replace(FULL, micros=FULL.micros + 1)
    with structlog.testing.capture_logs() as logs:
        assert 1 == ledger.write([made("s", 2), other])
    assert [(FULL.id, "error")] == [(line["id"], line["log_level"]) for line in logs]
    assert 0 == ledger.write([other, FULL])
    assert FULL == read(ledger, FULL.id)
    kept = ledger.rows("SELECT id, refused FROM conflicts")
    assert [(FULL.id, other.micros)] == [(row.id, json.loads(row.refused)["micros"]) for row in kept]


def test_two_of_one_batch_contradict_each_other(ledger: Ledger) -> None:
    """The first one counts, the second is a conflict."""
    assert 1 == ledger.write([FULL, replace(FULL, micros=7)])
    assert FULL == read(ledger, FULL.id)
    assert 1 == count(ledger, "conflicts")


def test_days_are_utc(ledger: Ledger) -> None:
    """An entry of the small hours in India belongs to the day before, and equals the same moment written as UTC."""
    india = timezone(timedelta(hours=5, minutes=30))
    entry = replace(FULL, at=datetime(2026, 12, 1, 3, tzinfo=india))
    ledger.write([entry])
    assert 0 == ledger.write([replace(entry, at=entry.at.astimezone(UTC))])
    assert "2026-11-30" == str(ledger.rows("SELECT day FROM usage")[0].day)
    assert entry == read(ledger, FULL.id)
    assert 0 == count(ledger, "conflicts")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE usage SET micros = 0",
        "DELETE FROM usage",
        "INSERT OR REPLACE INTO usage SELECT * FROM usage",
        "TRUNCATE usage",
    ],
)
def test_usage_cannot_be_changed(ledger: Ledger, statement: str) -> None:
    """Whatever the statement (some exist in one of the databases only), the entry stays as it was."""
    ledger.write([FULL])
    with pytest.raises(DBAPIError) as caught, ledger._engine.begin() as connection:
        connection.execute(text(statement))
    foreign = "TRUNCATE" if ledger._engine.dialect.name == "sqlite" else "INSERT OR"
    assert statement.startswith(foreign) or "append-only" in str(caught.value)
    assert FULL == read(ledger, FULL.id)


# -- corrections ----------------------------------------------------------------------------------------------------


def test_a_correction_is_another_entry(ledger: Ledger) -> None:
    """It is of the same request, account and price, and belongs to the day of what it corrects."""
    ledger.write([FULL])
    later = FULL.at + timedelta(days=40)
    correction = ledger.correct(FULL.id, -1_000_000, "counted twice", later)
    assert correction == read(ledger, correction.id)
    assert correction == replace(
        FULL, id=correction.id, at=later, micros=-1_000_000, corrects=FULL.id, note="counted twice"
    )
    assert {FULL.at.date().isoformat()} == {str(row.day) for row in ledger.rows("SELECT day FROM usage")}
    assert FULL == read(ledger, FULL.id)


def test_the_same_correction_counts_once(ledger: Ledger) -> None:
    """Another amount, note or time is another correction."""
    ledger.write([FULL])
    for micros, note, seconds in [(-1, "a", 0), (-1, "a", 0), (-2, "a", 0), (-1, "b", 0), (-1, "a", 1)]:
        ledger.correct(FULL.id, micros, note, FULL.at + timedelta(seconds=seconds))
    assert FULL.micros - 5 == ledger.rows("SELECT sum(micros) AS total FROM usage")[0].total
    assert 0 == count(ledger, "conflicts")


def test_a_correction_of_a_correction_belongs_to_the_first_day(ledger: Ledger) -> None:
    """Also if it is made in yet another month."""
    ledger.write([FULL])
    first = ledger.correct(FULL.id, -5, "wrong", FULL.at + timedelta(days=40))
    second = ledger.correct(first.id, 5, "was right", FULL.at + timedelta(days=80))
    assert (FULL.request, first.id) == (second.request, second.corrects)
    assert {FULL.at.date().isoformat()} == {str(row.day) for row in ledger.rows("SELECT day FROM usage")}


def test_what_is_not_there_cannot_be_corrected(ledger: Ledger) -> None:
    """The name was wrong, and somebody should know."""
    with pytest.raises(ConfigError, match="no entry nothing") as caught:
        ledger.correct("nothing", 1, "", BEGIN)
    assert "unknown_entry" == caught.value.code


# -- asking ---------------------------------------------------------------------------------------------------------


def test_queries_are_the_same_for_both_databases(ledger: Ledger) -> None:
    """Parameters (days as texts or dates), comments with names and quotes in them, percent signs, quoted colons."""
    ledger.write([FULL, made("s", 2)])
    query = """
        -- :nobody's comment, 100%
        SELECT id, ':who -- 5%' AS quoted, note  -- of :who
        FROM usage
        WHERE day >= :month_start AND day < :month_end AND tenant = :who AND note LIKE '%100\\%%' ESCAPE '\\'
    """
    for start, end in [("2026-11-01", "2026-12-01"), (date(2026, 11, 1), date(2026, 12, 1))]:
        rows = ledger.rows(query, month_start=start, month_end=end, who=WHO.tenant, unused=1)
        assert [(FULL.id, ":who -- 5%", FULL.note)] == [tuple(row) for row in rows]
    assert [] == ledger.rows(query, month_start="2026-12-01", month_end="2027-01-01", who=WHO.tenant)


# -- trouble --------------------------------------------------------------------------------------------------------


def test_a_database_in_trouble_is_unavailable(ledger: Ledger) -> None:
    """Whoever writes or asks gets an error of ours that may be tried again, without the entries in it."""
    with ledger._engine.begin() as connection:
        connection.execute(text("ALTER TABLE usage RENAME TO elsewhere"))
    for use in (lambda: ledger.write([FULL]), lambda: ledger.rows("SELECT * FROM usage")):
        with pytest.raises(LedgerUnavailable) as caught:
            use()
        assert caught.value.retryable
        assert FULL.note not in str(caught.value)


def test_broken_connections_are_opened_again(postgres_url: str) -> None:
    """The database was started anew: the next write finds it again, and nothing is there twice."""
    ledger = Ledger.open(postgres_url)
    ledger.write([FULL])
    ending = create_engine(postgres_url)
    with ending.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    ending.dispose()
    assert 1 == ledger.write([FULL, made("s", 2)])
    ledger.close()


def test_sqlite_is_read_while_it_is_written(tmp_path: Path) -> None:
    """A report in the middle of a long write sees what was there before, and waits for nothing."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    seen = []

    def asking() -> Iterator[Entry]:
        yield FULL
        seen.append(count(ledger, "usage"))

    ledger.write(asking())
    assert ([0], 1) == (seen, count(ledger, "usage"))
    ledger.close()
