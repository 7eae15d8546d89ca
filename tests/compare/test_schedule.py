"""Who hears what at once, and what becomes of those who hear when money or room runs out; and names on disk."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Sequence
from pathlib import Path

import pytest

from twopass.compare.recordings.recordings import Recording
from twopass.compare.records import Hearing
from twopass.compare.results import System
from twopass.compare.running.hearer import Hearer, Payees, Piece
from twopass.compare.running.schedule import Limits, Schedule, Task, rooms
from twopass.compare.running.store import Store, key
from twopass.cost.usage.budgets import BudgetState
from twopass.cost.usage.entries import Account
from twopass.cost.usage.treasury import NOBODY, Guard
from twopass.errors import BudgetSpent, ConfigError
from twopass.recognizers import Capabilities, StreamOptions

_LONG = "語" * 60 + "~telephone+noise-10-babble+loss-0.05-60+speed-1.2"


class _Vendor:
    """Hears nothing. The last recordings end only after `last` happened."""

    payees: Payees = ()
    paceless = False

    def __init__(self, name: str, provider: str = "vendor", *, stand_in: bool = False) -> None:
        self.system = System(name, name, local=False, stand_in=stand_in)
        self.capabilities = Capabilities(provider, name, "", local=False)
        self.last: tuple[str, asyncio.Event] | None = None

    async def hear(self, piece: Piece) -> Hearing:
        if self.last is not None and piece.recording == self.last[0]:
            await self.last[1].wait()
            for _ in range(100):  # whoever would cancel it has all the time in the world
                await asyncio.sleep(0)
        return Hearing(self.system.name, piece.recording)


class _Short:
    """A guard whose money is for so many hearings."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.spent = asyncio.Event()

    def check(self, account: Account) -> None:
        self.left -= 1
        if self.left < 0:
            self.spent.set()
            raise BudgetSpent("It is spent.")

    def states(self, account: Account) -> Sequence[BudgetState]:
        return ()


@pytest.fixture
def recordings(tmp_path: Path) -> list[Recording]:
    """Six moments of silence."""
    path = tmp_path / "silence.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(3_200))
    return [Recording(f"r{number}", f"r{number}", path, 100) for number in range(6)]


def tasks(hearer: Hearer, recordings: Sequence[Recording]) -> list[Task]:
    """All recordings for one."""
    return [Task(hearer, recording, "key", StreamOptions(), realtime=True) for recording in recordings]


def heard(folder: Path, todo: Sequence[Task], budgets: Guard = NOBODY) -> list[Hearing]:
    """What the schedule hears."""
    return asyncio.run(Schedule(Store(folder), Limits(1, 2), budgets, lambda system, ms: None).hear(todo))


def test_a_vendor_has_one_limit() -> None:
    """Two systems of a vendor share what it may hear at once; another vendor has its own room, a stand-in is here."""
    found = rooms([_Vendor("a"), _Vendor("b"), _Vendor("c", "other"), _Vendor("d", stand_in=True)], Limits(1, 2))
    assert found["a"] is found["b"]
    assert 3 == len({id(found[name]) for name in "acd"})


def test_what_was_paid_for_is_kept_when_money_runs_out(recordings: list[Recording], tmp_path: Path) -> None:
    """Who hears when the budget is spent hears to the end, and that is kept; nobody begins any more."""
    vendor, budget = _Vendor("a"), _Short(3)
    vendor.last = "r2", budget.spent
    with pytest.raises(BudgetSpent):
        heard(tmp_path, tasks(vendor, recordings), budget)
    kept = [Store(tmp_path).hearing("a", recording.name, "key") is not None for recording in recordings]
    assert [True] * 3 + [False] * 3 == kept


def test_where_nothing_can_be_kept_nobody_goes_on(recordings: list[Recording], tmp_path: Path) -> None:
    """A folder that cannot be written ends the comparison with what to do: more would be paid for and lost."""
    (tmp_path / "hearings").write_text("no folder", encoding="utf-8")
    with pytest.raises(ConfigError) as failed:
        heard(tmp_path, tasks(_Vendor("a"), recordings))
    assert failed.value.fix


def test_names_that_look_alike_on_disk_are_two(tmp_path: Path) -> None:
    """Two recordings with the same audio, whose names differ in a sign that no file may have, are not mixed up."""
    store = Store(tmp_path)
    for name in ("a+b", "a b", "a_b"):
        store.keep(Hearing("system", name), "key")
    for name in ("a+b", "a b", "a_b"):
        found = store.hearing("system", name, "key")
        assert found is not None
        assert name == found.recording


@pytest.mark.parametrize("name", [_LONG, "whisper:model=/" + "long/" * 100])
def test_long_names_are_kept(tmp_path: Path, name: str) -> None:
    """A name longer than a file's may be is kept and found; and so is another one that begins alike."""
    store = Store(tmp_path)
    for other in (name, name + "2"):
        store.keep(Hearing(other, other), key("x"))
        store.keep_speech(other, key("x"), ((1, 2),))
    for other in (name, name + "2"):
        found = store.hearing(other, other, key("x"))
        assert found is not None
        assert (other, ((1, 2),)) == (found.recording, store.speech(other, key("x")))
