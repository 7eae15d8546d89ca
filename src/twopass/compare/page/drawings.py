"""Which plots a comparison has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from markupsafe import Markup

from twopass.compare.page import plots
from twopass.compare.page.figures import Figures
from twopass.compare.page.plots import Look, Point
from twopass.compare.page.verdict import accuracy, judged, referenced
from twopass.compare.results import Comparison, Score
from twopass.cost.prices.rates import Money


@dataclass(frozen=True, slots=True)
class Drawing:
    """A plot in the page."""

    name: str
    title: str
    svg: Markup
    caption: str


def drawings(comparison: Comparison, figures: Figures) -> dict[str, Drawing]:
    """By name; none of what has no figures."""
    made = [*_against_cost(comparison, figures), *_against_latency(comparison, figures), *_conditions(comparison)]
    return {drawing.name: drawing for drawing in made}


def _against_cost(comparison: Comparison, figures: Figures) -> Iterator[Drawing]:
    def written(value: float) -> str:
        return figures.money(Money(Decimal(f"{value:.4f}"), comparison.currency))

    points = _points(comparison, lambda score: float(score.cost_per_hour.amount) if score.cost_per_hour else None)
    yield from _against("cost", "Cost and errors", comparison, points, "cost of an hour of audio", written)


def _against_latency(comparison: Comparison, figures: Figures) -> Iterator[Drawing]:
    points = _points(comparison, lambda score: score.final.p50 if score.final else None)
    axis = "from the end of speech to the final text, median"
    yield from _against("latency", "Latency and errors", comparison, points, axis, figures.seconds)


def _against(
    name: str, title: str, comparison: Comparison, points: Sequence[Point], axis: str, written: Callable[[float], str]
) -> Iterator[Drawing]:
    if len(points) < 2:
        return
    shown = {point.look for point in points}
    missing = [name for name, look in _looks(comparison).items() if look not in shown]
    caption = f"Below and left is better. {_LINES}"
    if missing:
        caption += f" Not shown, as it is not known: {', '.join(missing)}."
    svg = plots.against(name, points, axis, _errors(comparison), written, f"{title} of each system.")
    yield Drawing(name, title, Markup(svg), caption)


_LINES = (
    "Upright lines are 95 % intervals; no system is better than those on the dashed stair in one way without being "
    "worse in the other (Pareto front). Hollow: a stand-in."
)


def _conditions(comparison: Comparison) -> Iterator[Drawing]:
    rows = {name: _pooled(comparison, scores) for name, scores in comparison.conditions.items()}
    rows = {name: points for name, points in rows.items() if points}
    if rows:
        svg = plots.by_condition("conditions", rows, _errors(comparison), "Word errors by condition.")
        yield Drawing(
            "conditions", "By condition", Markup(svg), "Words wrong, with 95 % intervals. Hollow: a stand-in."
        )


def _points(comparison: Comparison, x: Callable[[Score], float | None]) -> list[Point]:
    places = [(score, place) for score in comparison.scores if (place := x(score)) is not None]
    counting = {score.system for score in judged(comparison)}
    return [point for score, place in places for point in _point(comparison, score, place, score.system in counting)]


def _pooled(comparison: Comparison, scores: Sequence[Score]) -> list[Point]:
    by_system = {score.system: score for score in scores}
    ordered = [by_system[score.system] for score in comparison.scores if score.system in by_system]
    return [point for score in ordered for point in _point(comparison, score, 0.0)]


def _point(comparison: Comparison, score: Score, x: float, counts: bool = True) -> Iterator[Point]:
    rate = accuracy(comparison, score)
    if rate is not None:
        look = _looks(comparison)[score.system]
        label = f"{score.system} (stand-in)" if look.hollow else score.system
        yield Point(label, x, rate.value, rate.low, rate.high, look, counts)


def _looks(comparison: Comparison) -> dict[str, Look]:
    return {system.name: Look(number, system.stand_in) for number, system in enumerate(comparison.systems)}


def _errors(comparison: Comparison) -> str:
    return "words wrong (WER)" if referenced(comparison) else "words that differ from the consensus"
