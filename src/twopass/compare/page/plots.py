"""The comparison's plots. Each says the same as a table; its text alternative says it in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twopass.cost.reports import drawing as plots
from twopass.cost.reports.drawing import COLOURS, INK, LINE, SHEET, SOFT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

_WIDTH, _HEIGHT = 4.6, 3.3
_MARKERS = "oDs^vPXp"
_FACTOR_FOR_LOGARITHM = 30
_MANY_DECADES = 500
_SPOTS = (
    *((9, 0), (-9, 0), (8, 9), (8, -9), (-8, 9), (-8, -9), (0, 12), (0, -12)),
    *((side * 8, up * far) for far in (20, 32, 44, 56) for side in (1, -1) for up in (1, -1)),
)
"""Where a label may stand, in points from its marker; the first that is free, else the first."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a system looks in all plots. `hollow`: a stand-in."""

    number: int
    hollow: bool = False

    @property
    def colour(self) -> str:
        """Its colour."""
        return COLOURS[self.number % len(COLOURS)]

    @property
    def style(self) -> dict[str, Any]:
        """For matplotlib."""
        face = SHEET if self.hollow else self.colour
        marker = _MARKERS[self.number % len(_MARKERS)]
        return {"marker": marker, "markersize": 7.5, "markerfacecolor": face, "markeredgecolor": self.colour}


@dataclass(frozen=True, slots=True)
class Point:
    """
    Attributes:
        x: Cost or ms.
        y: Share of words that are wrong; `low`, `high` its interval.
        counts: Whether it can be on the front.
    """

    label: str
    x: float
    y: float
    low: float | None
    high: float | None
    look: Look
    counts: bool = True


def pareto(points: Sequence[Point]) -> list[Point]:
    """Those of which no other is at least as good both ways and better one way, from left to right."""
    front: list[Point] = []
    for point in sorted((point for point in points if point.counts), key=lambda point: (point.x, point.y)):
        if not front or point.y < front[-1].y:
            front.append(point)
    return front


def against(
    name: str, points: Sequence[Point], axis: str, errors: str, written: Callable[[float], str], words: str
) -> str:
    """
    A plot of errors (upwards) against something else that had better be little, with the Pareto front.

    Args:
        axis, errors: The axes' labels.
        written: How the figures of the horizontal axis look.
        words: What the plot shows.
    """
    front = pareto(points)
    figures = "; ".join(f"{p.label}: {written(p.x)}, {_percent(p.y, 1)}" for p in points)
    alternative = f"{words} {figures}. On the Pareto front: {', '.join(point.label for point in front)}."

    def paint(axes: Axes) -> None:
        _size(axes, _HEIGHT)
        _limits(axes, points)
        _front(axes, front)
        for point in points:
            _mark(axes, point)
        axes.xaxis.set_major_formatter(lambda value, _: written(value))
        axes.yaxis.set_major_formatter(lambda value, _: _percent(value))
        axes.set_xlabel(axis)
        axes.set_ylabel(errors)
        _quiet(axes)
        _labels(axes, points)

    return plots.draw(name, _HEIGHT, paint, alternative)


def by_condition(name: str, rows: Mapping[str, Sequence[Point]], errors: str, words: str) -> str:
    """Word errors with their intervals, a band for each condition, a line in it for each system."""
    lines = max(len(points) for points in rows.values())
    height = 0.6 + 0.2 * math.ceil(lines / 2) + len(rows) * (0.19 * lines + 0.16)
    figures = "; ".join(
        f"{row}: " + ", ".join(f"{p.label} {_percent(p.y, 1)}" for p in points) for row, points in rows.items()
    )

    def paint(axes: Axes) -> None:
        _size(axes, height)
        for place, points in enumerate(rows.values()):
            for line, point in enumerate(points):
                at = place + (line - (len(points) - 1) / 2) * 0.8 / max(lines, 1)
                if point.low is not None and point.high is not None:
                    axes.plot([point.low, point.high], [at, at], color=point.look.colour, linewidth=1.4)
                label = point.label if place == 0 else None
                axes.plot([point.y], [at], linestyle="none", label=label, **point.look.style | {"markersize": 6})
            if place:
                axes.axhline(place - 0.5, color=LINE, linewidth=0.8)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(lambda value, _: _percent(value))
        axes.set_xlabel(errors)
        _quiet(axes)
        axes.yaxis.grid(visible=False)
        axes.tick_params(axis="y", colors=INK)
        _whole(axes).legend(frameon=False, loc="outside upper left", ncols=2)

    return plots.draw(name, height, paint, f"{words} {figures}.")


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def _size(axes: Axes, height: float) -> None:
    _whole(axes).set_size_inches(_WIDTH, height)


def _whole(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _limits(axes: Axes, points: Sequence[Point]) -> None:
    """From 0, so that lengths can be compared; costs that differ by factors of ten need a logarithm."""
    xs = [point.x for point in points]
    axes.set_ylim(0, max(*(point.high or point.y for point in points), 0.01) * 1.12)
    if min(xs) > 0 and max(xs) / min(xs) > _FACTOR_FOR_LOGARITHM:
        axes.set_xscale("log")
        axes.set_xlim(10 ** (math.log10(min(xs)) - 0.3), 10 ** (math.log10(max(xs)) + 0.3))
        axes.minorticks_off()
        axes.set_xticks(_round(*axes.get_xlim()))
    else:
        axes.set_xlim(0, max(*xs, 1e-9) * 1.15)
        axes.locator_params(axis="x", nbins=5)


def _round(low: float, high: float) -> list[float]:
    """Round figures between two others: 1, 2, 5, 10, or factors of ten if those would be too many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < _MANY_DECADES else (1,)
    return [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]


def _front(axes: Axes, front: Sequence[Point]) -> None:
    """A stair from the top over all of them to the right: below and left of it nobody is."""
    if not front:
        return
    (_, right), (_, top) = axes.get_xlim(), axes.get_ylim()
    xs = [front[0].x, *(point.x for point in front), right]
    ys = [top, *(point.y for point in front), front[-1].y]
    axes.step(xs, ys, where="post", color=SOFT, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)


def _mark(axes: Axes, point: Point) -> None:
    if point.low is not None and point.high is not None:
        axes.plot([point.x, point.x], [point.low, point.high], color=point.look.colour, linewidth=1.3, zorder=2)
    axes.plot([point.x], [point.y], zorder=3, **point.look.style)


def _labels(axes: Axes, points: Sequence[Point]) -> None:
    """Beside the markers, where they cover neither a marker nor each other."""
    from matplotlib.transforms import Bbox

    _whole(axes).draw_without_rendering()  # now it is known where everything is
    places = [axes.transData.transform((point.x, point.y)) for point in points]
    taken = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in places]
    room = axes.get_window_extent()
    for point in points:
        for spot in _SPOTS:
            text = _label(axes, point, spot)
            box = text.get_window_extent()
            inside = room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0 and box.y1 <= room.y1
            if inside and not any(box.overlaps(other) for other in taken):
                break
            text.remove()
        else:
            text = _label(axes, point, _SPOTS[0])
        taken.append(text.get_window_extent())


def _label(axes: Axes, point: Point, spot: tuple[int, int]) -> Annotation:
    side = "center" if spot[0] == 0 else "left" if spot[0] > 0 else "right"
    ground = {"facecolor": SHEET, "edgecolor": "none", "pad": 0.5}
    text = axes.annotate(
        point.label, (point.x, point.y), spot, textcoords="offset points", ha=side, va="center", bbox=ground
    )
    text.set_in_layout(False)
    return text


def _quiet(axes: Axes) -> None:
    axes.grid(visible=True, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=SOFT)
    for spine in axes.spines.values():
        spine.set_visible(False)
