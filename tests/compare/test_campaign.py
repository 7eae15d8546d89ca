"""A comparison's listening: what is interrupted goes on, what failed is tried again, what has changed is heard anew."""

from __future__ import annotations

import asyncio
import random
import wave
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.compare.delayed import VOICE, Delayed, alone
from tests.scripted import numbered, spoken
from tests.virtual_time import virtually

from twopass.compare.cells import Charge, Heard
from twopass.compare.comparing import About, comparison
from twopass.compare.recordings.recordings import Recording, gather
from twopass.compare.results import Comparison, System
from twopass.compare.running import campaign as campaigns
from twopass.compare.running.alone import Alone
from twopass.compare.running.campaign import Campaign, Plan
from twopass.compare.running.estimate import Estimate
from twopass.compare.running.hearer import Hearer
from twopass.compare.running.opening import Room
from twopass.compare.running.schedule import Limits
from twopass.compare.running.specs import Spec, parse
from twopass.compare.running.store import Store
from twopass.compare.scoring import Chance
from twopass.cost.prices.cards import load_cards
from twopass.cost.prices.running import Pricer
from twopass.cost.usage.session_meter import NOWHERE
from twopass.cost.usage.treasury import NOBODY
from twopass.errors import ConfigError, RecognizerCrashed
from twopass.recognizers import StreamOptions

_RECORDINGS = 4
_INTERRUPTIONS = 20


class Watched:
    """A watcher that counts, and ends the comparison when it is told to."""

    def __init__(self, most_ms: float = float("inf"), *, spend: bool = True) -> None:
        self.ms = 0
        self.estimates: Sequence[Estimate] = ()
        self.running: asyncio.Task[object] | None = None
        self._most_ms = most_ms
        self._spend = spend

    def listening(self, done: int, all_: int) -> None: ...

    def begins(self, system: str, ms: int, all_ms: int) -> None: ...

    def confirm(self, estimates: Sequence[Estimate]) -> None:
        self.estimates = estimates
        if not self._spend:
            raise ConfigError("No.", code="not_confirmed")

    def played(self, system: str, ms: int) -> None:
        self.ms += ms
        if self.ms >= self._most_ms and self.running is not None:
            self.running.cancel()  # as Ctrl-C does


@pytest.fixture
def recordings(tmp_path: Path) -> tuple[Recording, ...]:
    """Coded audio of different lengths, with what is said in it."""
    references = tmp_path / "said.txt"
    lines = []
    for number in range(_RECORDINGS):
        said = numbered(4 + number, start=960, length=192, gap=64)
        with wave.open(str(tmp_path / f"r{number}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(spoken(said, 4_000 + 500 * number))
        lines.append(f"r{number} {' '.join(word.text for word in said)}")
    references.write_text("\n".join(lines), encoding="utf-8")
    return gather([tmp_path / f"r{number}.wav" for number in range(_RECORDINGS)], [references])


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The systems `good` and `bad` are scripted; everything else is real."""

    @asynccontextmanager
    async def opened(specs: Sequence[Spec], room: Room) -> AsyncIterator[list[Hearer]]:
        known = {
            "good": Delayed(name="good"),
            "bad": Delayed(200, 900, wrong=[("2", "too"), ("5", "hive")], name="bad"),
        }
        yield [alone(known[spec.name]) for spec in specs]

    monkeypatch.setattr(campaigns, "opened", opened)


def heard(
    recordings: Sequence[Recording], folder: Path, watcher: Watched | None = None, **changes: object
) -> Comparison:
    """The comparison's campaign in virtual time, and what comes of it."""
    room = Room(VOICE, load_cards(None, None, {}), NOWHERE)
    plan = Plan(parse(["good,bad"]), recordings, StreamOptions(language="en-US"), False, Limits(1, 1))
    plan = replace(plan, **changes)  # type: ignore[arg-type]
    watcher = watcher or Watched()
    campaign = Campaign(plan, room, Store(folder), watcher)

    async def run() -> tuple[list[System], list[Heard]]:
        watcher.running = asyncio.current_task()
        return await campaign.run(Pricer({}, {}), NOBODY)

    systems, all_heard = virtually(run())
    about = About("now", "twopass compare", "0", {}, "USD")
    return comparison(all_heard, systems, lambda usage: Charge(None), Chance(200), about)


def test_interrupted_anywhere_it_ends_the_same(recordings: tuple[Recording, ...], tmp_path: Path) -> None:
    """Interrupted at twenty random points and taken up again: the report is that of one run, and nothing is lost."""
    whole = heard(recordings, tmp_path / "whole")
    all_ms = 2 * sum(recording.ms for recording in recordings)
    chance, interruptions = random.Random(0), 0
    while interruptions < _INTERRUPTIONS:
        watcher = Watched(chance.randrange(1, 2 * all_ms // 3))
        try:
            heard(recordings, tmp_path / "cut", watcher)
        except asyncio.CancelledError:
            interruptions += 1
        else:  # it came to its end: begin anew
            for path in _kept(tmp_path / "cut"):
                path.unlink()
    again = heard(recordings, tmp_path / "cut")
    assert _without_times(whole) == _without_times(again)
    assert _INTERRUPTIONS == interruptions


def test_what_was_heard_is_not_heard_again(recordings: tuple[Recording, ...], tmp_path: Path) -> None:
    """The second run plays nothing, and gives the same report."""
    watcher = Watched()
    first, second = heard(recordings, tmp_path), heard(recordings, tmp_path, watcher)
    assert 0 == watcher.ms
    assert first == second


def test_what_cannot_be_read_is_heard_again(recordings: tuple[Recording, ...], tmp_path: Path) -> None:
    """A file that is damaged counts as not heard; the others are not heard again."""
    first, damaged = heard(recordings, tmp_path), next(_kept(tmp_path))
    damaged.write_bytes(damaged.read_bytes()[:100])
    watcher = Watched()
    assert _without_times(first) == _without_times(heard(recordings, tmp_path, watcher))
    assert 0 < watcher.ms <= max(recording.ms for recording in recordings)


def test_other_options_are_another_hearing(recordings: tuple[Recording, ...], tmp_path: Path) -> None:
    """What was heard without phrases says nothing of what is heard with them."""
    heard(recordings, tmp_path)
    watcher = Watched()
    heard(recordings, tmp_path, watcher, options=StreamOptions(language="en-US", phrases=("seven",)))
    assert 2 * sum(recording.ms for recording in recordings) == watcher.ms


def test_another_model_is_another_hearing(
    recordings: tuple[Recording, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights behind the same name have changed: what was heard before is not theirs."""
    heard(recordings, tmp_path)
    before = vars(campaigns)["opened"]

    @asynccontextmanager
    async def opened(specs: Sequence[Spec], room: Room) -> AsyncIterator[list[Hearer]]:
        async with before(specs, room) as hearers:
            for hearer in hearers:
                assert isinstance(hearer, Alone)
                hearer.system = replace(hearer.system, title="a larger model")
            yield hearers

    monkeypatch.setattr(campaigns, "opened", opened)
    watcher = Watched()
    heard(recordings, tmp_path, watcher)
    assert 2 * sum(recording.ms for recording in recordings) == watcher.ms


def test_who_does_not_want_to_pay_hears_nothing(recordings: tuple[Recording, ...], tmp_path: Path) -> None:
    """The estimate says who would hear how much; without a yes nothing is played."""
    watcher = Watched(spend=False)
    with pytest.raises(ConfigError):
        heard(recordings, tmp_path, watcher)
    seconds = sum(recording.ms for recording in recordings) / 1000
    assert [("good", seconds), ("bad", seconds)] == [(each.system, each.seconds) for each in watcher.estimates]
    assert 0 == watcher.ms


def test_a_failure_is_on_the_report_and_tried_again(
    recordings: tuple[Recording, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recognizer that cannot be reached leaves its words missing; the next run asks it again."""
    stream = Delayed.stream

    async def broken(self: Delayed, *args: object) -> AsyncIterator[object]:
        raise RecognizerCrashed("It is gone.", provider=self.name)
        yield  # type: ignore[unreachable]

    monkeypatch.setattr(Delayed, "stream", broken)
    failed = heard(recordings, tmp_path)
    assert [_RECORDINGS] * 2 == [score.failed for score in failed.scores]
    assert [1.0] * 2 == [score.wer.value for score in failed.scores if score.wer is not None]
    monkeypatch.setattr(Delayed, "stream", stream)
    assert [0, 0] == [score.failed for score in heard(recordings, tmp_path).scores]


def test_the_figures_are_the_systems(recordings: tuple[Recording, ...], tmp_path: Path) -> None:
    """Who is right is first; the other's errors and delays are those that it was given."""
    good, bad = heard(recordings, tmp_path).scores
    assert ("good", 0.0) == (good.system, good.wer and good.wer.value)
    words = sum(4 + number for number in range(_RECORDINGS))
    wrong = _RECORDINGS + sum(4 + number >= 5 for number in range(_RECORDINGS))
    assert bad.wer is not None
    assert pytest.approx(wrong / words) == bad.wer.value
    assert bad.final is not None
    assert bad.emission is not None
    assert (900, 200) == (round(bad.final.p50), round(bad.emission.p50))


def _kept(folder: Path) -> Iterator[Path]:
    return (path for path in sorted((folder / "hearings").rglob("*.json")))


def _without_times(made: Comparison) -> Comparison:
    """What depends on how long something took on the way is left out."""
    return replace(made, cells=tuple(replace(cell, wall_ms=0.0) for cell in made.cells))
