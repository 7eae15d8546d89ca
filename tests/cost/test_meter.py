"""The meter: every entry comes to the ledger once, whatever happens to the ledger, the disk and the process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from tests.cost.entry_samples import made
from tests.waiting import until

from twopass.cost.usage.entries import Entry
from twopass.cost.usage.meter import Meter
from twopass.cost.usage.waiting import WaitingFile, left_behind
from twopass.errors import LedgerUnavailable


class Shelf:
    """A ledger that may be away: the database's part is tested with databases, see test_ledger.py."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.away = False
        self.refusals = 0

    def write(self, entries: Iterable[Entry]) -> int:
        if self.away:
            self.refusals += 1
            raise LedgerUnavailable("It is away.")
        before = len(self.entries)
        self.entries |= {entry.id: entry for entry in entries}
        return len(self.entries) - before

    def close(self) -> None:
        """Nothing to let go of."""


@contextlib.asynccontextmanager
async def running(shelf: Shelf, directory: Path) -> AsyncIterator[Meter]:
    """A meter, with its orderly end."""
    meter = Meter(lambda: shelf, directory)
    task = asyncio.create_task(meter.run())
    yield meter
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await meter.stop()


def left_in(directory: Path) -> list[Path]:
    """Its files."""
    return list(directory.iterdir())


async def test_everything_comes_to_the_ledger(tmp_path: Path) -> None:
    """Entries that come one by one are in the ledger as they were, and no file is left."""
    shelf = Shelf()
    async with running(shelf, tmp_path) as meter:
        for number in range(50):
            meter.take([made("s", number)])
        await until(lambda: len(shelf.entries) == 50)
    assert [made("s", number) for number in range(50)] == list(shelf.entries.values())
    assert [] == left_in(tmp_path)


async def test_what_comes_while_the_ledger_is_away_waits(tmp_path: Path) -> None:
    """The ledger is away and comes back: nothing is lost, and nobody had to wait."""
    shelf = Shelf()
    shelf.away = True
    async with running(shelf, tmp_path) as meter:
        meter.take([made("s", 1), made("s", 2)])
        await until(lambda: shelf.refusals > 0)
        meter.take([made("s", 3)])
        assert meter.waiting
        shelf.away = False
        await until(lambda: len(shelf.entries) == 3)


async def test_what_a_stopped_server_could_not_write_the_next_one_does(tmp_path: Path) -> None:
    """The ledger is away until the end of the process: the entries lie on the disk and come with the next one."""
    shelf = Shelf()
    shelf.away = True
    async with running(shelf, tmp_path) as meter:
        meter.take([made("s", number) for number in range(5)])
    assert {} == shelf.entries
    shelf.away = False
    async with running(shelf, tmp_path):
        await until(lambda: len(shelf.entries) == 5)
    assert [] == left_in(tmp_path)


async def test_a_disk_that_takes_nothing_does_not_lose_what_the_ledger_takes(tmp_path: Path) -> None:
    """There is no place for the file: entries wait in memory, and come to the ledger."""
    blocked = tmp_path / "file"
    blocked.write_text("no directory")
    shelf = Shelf()
    async with running(shelf, blocked) as meter:
        meter.take([made("s", 1)])
        await until(lambda: len(shelf.entries) == 1)


def test_half_a_line_is_cut_off(tmp_path: Path) -> None:
    """A crash in mid-write: the whole entries before it are there, and what follows is not spoilt by the rest."""
    file = WaitingFile.create(tmp_path)
    file.append([made("s", 1)])
    path = file.path
    file._file.close()  # as if the process had died
    with path.open("ab") as torn:
        torn.write(b'{"id": "s/2", "at"')
    (again,) = left_behind(tmp_path)
    with contextlib.closing(again):
        again.append([made("s", 3)])
        assert [made("s", 1), made("s", 3)] == again.next(10)[0]


def test_a_living_process_keeps_its_file(tmp_path: Path) -> None:
    """Nobody takes what another process still writes."""
    file = WaitingFile.create(tmp_path)
    file.append([made("s", 1)])
    assert [] == list(left_behind(tmp_path))
    file.close()


@pytest.mark.parametrize("most", [1, 3, 100])
def test_the_file_is_read_in_pieces(tmp_path: Path, most: int) -> None:
    """However few at a time, each entry is read once, in order, and in the end the file is empty."""
    file = WaitingFile.create(tmp_path)
    file.append(made("s", number) for number in range(7))
    read: list[Entry] = []
    while file.shipped < file.written:
        entries, at = file.next(most)
        read += entries
        file.ship(at)
    assert [made("s", number) for number in range(7)] == read
    assert 0 == file.path.stat().st_size
    file.close()
