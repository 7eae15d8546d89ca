"""Scores: what failed makes nothing cheaper, what was not measured is not 0, and few recordings prove nothing."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from twopass.compare.cells import Charge, Heard, cells
from twopass.compare.measures.accuracy import Edit, Errors, Step
from twopass.compare.measures.timeline import Seen
from twopass.compare.recordings.reference import Reference
from twopass.compare.records import Hearing
from twopass.compare.results import Cell, Played, Score
from twopass.compare.scoring import Chance, pairs, score
from twopass.cost.prices.rates import Money
from twopass.types import Pass, Revision, Status, Word, Words

_HOUR_MS = 3_600_000
_CHANCE = Chance(500)


def scored(*made: Cell) -> Score:
    """One system's cells, each of a recording of its own."""
    played = {cell.recording: Played(cell.recording, cell.recording, "", cell.audio_ms) for cell in made}
    return score("a", made, played, _CHANCE)


def cell(recording: str, cost: str | None = "1", *, failed: str = "", cpu_seconds: float = 0.0) -> Cell:
    """An hour that was heard."""
    money = None if cost is None else Money(Decimal(cost), "USD")
    return Cell("a", recording, failed=failed, audio_ms=_HOUR_MS, cost=money, cpu_seconds=cpu_seconds)


def test_what_failed_makes_nothing_cheaper() -> None:
    """A system that fails in every second recording does not cost half as much, nor take half of the time."""
    found = scored(cell("r1", cpu_seconds=360), cell("r2", "0", failed="It is gone."))
    assert found.cost_per_hour == Money(Decimal("1.0000"), "USD")
    assert (360, 0.1) == (found.cpu_seconds_per_hour, found.real_time_factor)


def test_who_never_heard_anything_is_not_free() -> None:
    """What an hour costs of a system that failed everywhere is not known."""
    found = scored(cell("r1", "0", failed="It is gone."), cell("r2", "0", failed="It is gone."))
    assert (None, 2) == (found.cost_per_hour, found.failed)


def test_one_part_without_a_price_and_the_hour_has_none() -> None:
    """What is not known is not taken for nothing."""
    assert scored(cell("r1"), cell("r2", None)).cost_per_hour is None


def test_a_vendors_machines_are_not_measured() -> None:
    """That a vendor takes no time of this machine's cores is no figure."""
    found = scored(cell("r1"))
    assert (None, None, None) == (found.cpu_seconds_per_hour, found.gpu_seconds_per_hour, found.real_time_factor)


def _said(text: str) -> Words:
    return tuple(Word(word, 300 * i, 300 * (i + 1)) for i, word in enumerate(text.split()))


def _shown(at: float, words: Words, name: str, status: Status, source: Pass) -> Seen:
    return Seen(at, Revision(name, 1, status, words[0].start, words[-1].end, words, source))


def _measured(*seen: Seen, realtime: bool = True) -> Cell:
    words = _said("one two three four")
    hearing = Hearing("a", "r", seen, audio_ms=1_200, realtime=realtime)
    reference = Reference("one two three four", words, timed=True)
    _, (made,) = cells(Heard(Played("r", "r", "", 1_200), reference, [hearing]), lambda usage: Charge(None))
    return made


def test_faster_than_real_time_a_rewrite_has_no_latency() -> None:
    """What was not played in real time has no figure that depends on when the second pass came."""
    words = _said("one two three four")
    seen = (
        _shown(1_300, (*words[:3], Word("for", 900, 1_200)), "u", Status.PROVISIONAL, Pass.FIRST),
        _shown(1_700, words, "u", Status.FINAL, Pass.SECOND),
    )
    live, fast = _measured(*seen), _measured(*seen, realtime=False)
    assert live.rewrites is not None
    assert ((400.0,), None) == (live.rewrites.latency_ms, fast.rewrites)
    assert live.words == fast.words


def test_who_has_no_second_pass_was_never_cut() -> None:
    """Finals of a vendor that touch are its own ends, and no place where we cut."""
    words = _said("one two three four")
    made = _measured(
        _shown(900, words[:2], "s0", Status.FINAL, Pass.FIRST), _shown(1_500, words[2:], "s1", Status.FINAL, Pass.FIRST)
    )
    assert (0, None) == (made.cuts, made.seams)


def _wrong(system: str, recordings: int, wrong: int) -> list[Cell]:
    step = Step(Edit.EQUAL, _said("one two"), _said("one two"))
    errors = Errors(wrong, 0, 0, 10)
    return [Cell(system, f"r{number}", words=errors, steps=(step,)) for number in range(recordings)]


@pytest.mark.parametrize(("copies", "interval"), [(1, True), (4, False)])
def test_copies_of_a_recording_are_no_new_evidence(copies: int, interval: bool) -> None:
    """Eight recordings have an interval and a significant difference; two with four versions of each have neither."""
    made: Sequence[Cell] = [*_wrong("a", 8, 1), *_wrong("b", 8, 5)]
    played = {f"r{number}": Played(f"r{number}", f"source {number // copies}", "", 1_000) for number in range(8)}
    (pair,) = pairs(["a", "b"], made, played, _CHANCE)
    assert pair.difference is not None
    assert pair.p is not None
    assert pytest.approx(-0.4) == pair.difference.value
    assert (interval, interval) == (pair.difference.low is not None, pair.p < 0.05)
