"""The parts of the page that compare systems with each other: ranking, conditions, pairs, recordings. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from twopass.compare.page.figures import Figures
from twopass.compare.page.verdict import Standing, accuracy, judged, referenced, standing, standings
from twopass.compare.results import Cell, Comparison, Interval, Pair, Score, System
from twopass.cost.reports.formats import NONE

_SHADES = (0.02, 0.10, 0.20, 0.35)
"""Shares of wrong words from which on a cell of the recordings' table is darker."""


@dataclass(frozen=True, slots=True)
class Label:
    """
    A system's name in a table.

    Attributes:
        number: Its colour's, 1 to 8.
        badges: What must be known of it wherever it is named.
    """

    name: str
    title: str
    number: int
    badges: Sequence[str]
    stand_in: bool
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Range:
    """A figure and its interval on a scale, percent of its width."""

    left: float
    width: float
    dot: float


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the ranking."""

    place: str
    system: str
    rate: str
    ends: str
    range: Range | None
    standing: str
    agreement: str
    first: str
    final: str
    final_late: str
    unstable: str
    cost: str
    failed: int


@dataclass(frozen=True, slots=True)
class Rate:
    """Word errors in a cell. `agreement`: against a consensus only."""

    text: str
    ends: str = ""
    agreement: bool = False
    best: bool = False
    shade: int = 0
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A row of rates, one for each system in the ranking's order."""

    name: str
    rates: Sequence[Rate]


@dataclass(frozen=True, slots=True)
class Duel:
    """A pair of systems."""

    left: str
    right: str
    points: str
    ends: str
    p: str
    agreement: str
    says: str


def labels(comparison: Comparison) -> dict[str, Label]:
    """By the system's name."""
    return {
        system.name: Label(
            system.name, system.title, place % 8 + 1, list(_badges(system)), system.stand_in, system.notes
        )
        for place, system in enumerate(comparison.systems)
    }


def _badges(system: System) -> Iterator[str]:
    if system.stand_in:
        yield "stand-in, not the vendor"
    if system.two_pass:
        yield "two-pass"
    if system.shadow:
        yield "shadow of live sessions"
    if not system.stand_in:
        yield "own machine" if system.local else "vendor first" if system.two_pass else "vendor"


def ranking(comparison: Comparison, figures: Figures) -> list[Place]:
    """Every system; only those that are judged have a place."""
    judges, stand = [score.system for score in judged(comparison)], standings(comparison)
    most = max(
        [interval.high or interval.value for score in comparison.scores if (interval := _rate_of(comparison, score))]
        or [1]
    )
    return [
        Place(
            place=str(judges.index(score.system) + 1) if score.system in judges else NONE,
            system=score.system,
            rate=figures.percent(interval.value if interval else None),
            ends=figures.ends(interval),
            range=_range(interval, most or 1) if interval else None,
            standing=_standing(stand.get(score.system), comparison),
            agreement=figures.percent(score.agreement_wer.value) if score.agreement_wer else "",
            first=figures.seconds(score.first_partial.p50 if score.first_partial else None),
            final=figures.seconds(score.final.p50 if score.final else None),
            final_late=figures.seconds(score.final.p95) if score.final else "",
            unstable=figures.percent(score.unstable),
            cost=figures.money(score.cost_per_hour),
            failed=score.failed,
        )
        for score in comparison.scores
        for interval in [_rate_of(comparison, score)]
    ]


def _rate_of(comparison: Comparison, score: Score) -> Interval | None:
    return accuracy(comparison, score)


def _range(interval: Interval, most: float) -> Range:
    low = interval.value if interval.low is None else interval.low
    high = interval.value if interval.high is None else interval.high
    left, right, dot = (round(100 * value / most, 1) for value in (low, high, interval.value))
    return Range(left, round(right - left, 1), dot)


def _standing(found: Standing | None, comparison: Comparison) -> str:
    if found is Standing.BEST:
        return "fewest errors" if referenced(comparison) else "nearest"
    return "not judged" if found is None else found.value


def conditions(comparison: Comparison, figures: Figures) -> list[Line]:
    """One line for each condition, then all together."""
    return [_condition(comparison, name, scores, figures) for name, scores in comparison.conditions.items()]


def _condition(comparison: Comparison, name: str, scores: Sequence[Score], figures: Figures) -> Line:
    by_system = {score.system: score for score in scores}
    rates = [_pooled(by_system.get(score.system), figures) for score in comparison.scores]
    known = {score.system: score.wer.value for score in scores if score.wer}
    contenders = [known[score.system] for score in judged(comparison) if score.system in known]
    best = min(contenders, default=None)
    marked = [
        Rate(rate.text, rate.ends, rate.agreement, best is not None and known.get(score.system) == best)
        for score, rate in zip(comparison.scores, rates, strict=True)
    ]
    return Line(name, marked)


def _pooled(score: Score | None, figures: Figures) -> Rate:
    if score is None or (score.wer is None and score.agreement_wer is None):
        return Rate(NONE)
    interval = score.wer or score.agreement_wer
    return Rate(figures.percent(interval.value if interval else None), figures.ends(interval), score.wer is None)


def recordings(comparison: Comparison, figures: Figures) -> dict[str, list[Rate]]:
    """Word errors of each recording, in the ranking's order."""
    cells = {(cell.recording, cell.system): cell for cell in comparison.cells}
    return {
        played.name: [
            _rate(cells.get((played.name, score.system)), played.consensus, figures) for score in comparison.scores
        ]
        for played in comparison.recordings
    }


def _rate(cell: Cell | None, consensus: bool, figures: Figures) -> Rate:
    if cell is None or cell.words is None or cell.words.rate is None:
        return Rate(NONE, failed=bool(cell and cell.failed))
    share = cell.words.rate
    shade = sum(share >= limit for limit in _SHADES)
    return Rate(figures.percent(share), agreement=consensus, shade=shade, failed=bool(cell.failed))


def duels(comparison: Comparison, figures: Figures) -> list[Duel]:
    """All pairs, as they come."""
    return [_duel(pair, figures) for pair in comparison.pairs]


def _duel(pair: Pair, figures: Figures) -> Duel:
    difference = pair.difference
    return Duel(
        pair.left,
        pair.right,
        figures.points(difference.value if difference else None),
        figures.points_ends(difference),
        figures.probability(pair.p),
        figures.percent(pair.agreement),
        _says(pair),
    )


def _says(pair: Pair) -> str:
    if pair.difference is None or standing(pair) is Standing.UNKNOWN:
        return Standing.UNKNOWN.value
    if standing(pair) is Standing.EQUAL:
        return Standing.EQUAL.value
    return f"{pair.left if pair.difference.value < 0 else pair.right} has fewer errors"


def troubles(comparison: Comparison) -> Mapping[str, list[tuple[str, str]]]:
    """What went wrong: (recording, sentence) by system."""
    found: dict[str, list[tuple[str, str]]] = {}
    for cell in comparison.cells:
        says = [text for text in (cell.failed, *cell.troubles) if text]
        if says:
            found.setdefault(cell.system, []).extend((cell.recording, text) for text in says)
    return found
