"""
Kill -9 while the ledger is written, at seeded moments: what `write` returned from is there, once, on both databases.

`TWOPASS_KILLS=200` is the long form.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from functools import cache

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from tests.cost.entry_samples import made
from tests.cost.ledger_writer import LARGEST

from twopass.cost.ledger.book import Ledger
from twopass.cost.ledger.schema import metadata

KILLS = int(os.environ.get("TWOPASS_KILLS", "10"))
_AGAIN = 100
"""So many entries are written again after a kill: whoever restarts does not know what arrived."""


def write_until_killed(url: str, first: int, chance: random.Random, *, writes_first: bool) -> list[int]:
    """Let a process write from that number on, kill it, and say what it had said: before each number all is written."""
    command = [sys.executable, "-m", "tests.cost.ledger_writer", url, "s", str(first), str(chance.randrange(1 << 30))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline()] if writes_first else []
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=chance.uniform(0, 0.2) if writes_first else chance.uniform(0.3, 1.5))
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    assert -signal.SIGKILL == process.returncode  # it was alive until then
    return [int(line) for line in said if line.endswith("\n")]


@cache
def wanted(number: int) -> tuple[str, int]:
    """What the ledger is to have of an entry."""
    entry = made("s", number)
    return entry.id, entry.micros


def check(ledger: Ledger, reported: int) -> int:
    """All entries up to some number are there, once, with all that is reported; returns that number."""
    # One query: PostgreSQL may still be ending what a dead process had begun.
    rows = [(row.id, row.micros) for row in ledger.rows("SELECT id, micros FROM usage")]
    assert sorted(map(wanted, range(len(rows)))) == sorted(rows)
    # The last batch may have arrived although nobody was told; as a whole.
    assert reported <= len(rows) <= reported + LARGEST
    return len(rows)


@pytest.mark.timeout(60 * KILLS + 300)
def test_what_was_written_is_there_once(ledger_url: str) -> None:
    """Each process is killed, in the middle of a write too; the next one writes the last entries again, and goes on."""
    chance, there, ledger = random.Random(7), 0, None
    for kill in range(KILLS):
        first = max(0, there - _AGAIN)
        said = write_until_killed(ledger_url, first, chance, writes_first=kill % 4 > 0)
        ledger = ledger or Ledger.open(ledger_url)
        there = check(ledger, max([there, *said]))
    assert ledger is not None
    assert there > KILLS  # the processes did write
    assert 0 == ledger.write(made("s", number) for number in range(there))
    check(ledger, there)
    assert [] == ledger.rows("SELECT id FROM conflicts")
    ledger.close()


@pytest.mark.parametrize("seed", range(max(1, KILLS // 10)))
def test_a_ledger_whose_making_was_cut_off_is_made(ledger_url: str, seed: int) -> None:
    """The first process dies while it makes the tables, or before or after: the next one finds or makes them all."""
    said = write_until_killed(ledger_url, 0, random.Random(seed), writes_first=False)
    ledger = Ledger.open(ledger_url)
    check(ledger, max(said, default=0))
    with ledger._engine.connect() as connection:
        assert [] == compare_metadata(MigrationContext.configure(connection), metadata)
    ledger.close()
