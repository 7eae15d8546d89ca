"""
Plots as SVG that lies in a page: its colours are the page's own (CSS variables, so light, dark and print all fit), its
text is text, and the same figures give the same bytes.

Without pyplot: nothing is shared but matplotlib's settings, and those are changed under a lock.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, LINE, SHEET = "#010101", "#020202", "#030303", "#040404"
COLOURS = tuple(f"#0{number}0a0b" for number in range(1, 9))
"""Stand-ins: what the page calls them is put in their place."""
_VARIABLES = {INK: "--ink", SOFT: "--soft", LINE: "--line", SHEET: "--sheet"} | {
    colour: f"--c{number}" for number, colour in enumerate(COLOURS, 1)
}
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": INK,
    "grid.color": LINE,
    "hatch.color": INK,
}
_WIDTH = 7.6
_LOCK = threading.Lock()

Drawing: TypeAlias = Callable[["Axes"], None]


@dataclass(frozen=True, slots=True)
class Bars:
    """A series of a stacked bar chart: one value for each place."""

    label: str
    values: Sequence[float]
    colour: str


def draw(name: str, height: float, paint: Drawing, alternative: str) -> str:
    """
    The SVG of one plot.

    Args:
        name: Different for each plot of a page: its ids begin with it.
        height: Inches; the width is always the same.
        alternative: What it shows, in words, for those who cannot see it.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with _LOCK, mpl.rc_context({**_SETTINGS, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the page has other fonts
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        paint(axes)
        return _inline(_svg(figure), name, alternative)


def across(labels: Sequence[str], series: Sequence[Bars], texts: Sequence[str], mark: float | None = None) -> Drawing:
    """Bars from left to right, the first on top, a text at the end of each; `mark` is a line across all of them."""

    def paint(axes: Axes) -> None:
        places = range(len(labels))
        left = [0.0] * len(labels)
        for bars in series:
            axes.barh(places, bars.values, left=left, color=bars.colour, label=bars.label, height=0.68)
            left = [base + value for base, value in zip(left, bars.values, strict=True)]
        if mark is not None:
            axes.axvline(mark, color=INK, linestyle=(0, (4, 3)), linewidth=1.2)
        ground = {"facecolor": SHEET, "edgecolor": "none", "pad": 1.0}
        for place, end, text in zip(places, left, texts, strict=True):
            axes.annotate(text, (end, place), (4, 0), textcoords="offset points", va="center", color=INK, bbox=ground)
        axes.set_yticks(places, labels)
        axes.invert_yaxis()
        axes.set_xlim(0, max([*left, mark or 0.0]) * 1.2 or 1)
        axes.xaxis.set_visible(False)
        _bare(axes, "left")
        _legend(axes, series)

    return paint


def upright(labels: Sequence[str], series: Sequence[Bars], written: Callable[[float], str]) -> Drawing:
    """Bars from below, one on the other; `written` says how the scale's figures look."""

    def paint(axes: Axes) -> None:
        places = range(len(labels))
        bottom = [0.0] * len(labels)
        for bars in series:
            axes.bar(places, bars.values, bottom=bottom, color=bars.colour, label=bars.label, width=0.8)
            bottom = [base + value for base, value in zip(bottom, bars.values, strict=True)]
        axes.set_xticks(places, labels)
        _scale(axes, written)
        _legend(axes, series)

    return paint


def curve(
    labels: Sequence[str], known: Sequence[float], expected: Sequence[float], written: Callable[[float], str]
) -> Drawing:
    """A line as far as things are known, and dashed from there on: `expected` begins with the last known value."""

    def paint(axes: Axes) -> None:
        begin = max(len(known) - 1, 0)
        axes.plot(range(len(known)), known, color=COLOURS[0], linewidth=2.2, label="spent")
        axes.fill_between(range(len(known)), known, color=COLOURS[0], alpha=0.15, linewidth=0)
        if len(expected) > 1:
            places = range(begin, begin + len(expected))
            axes.plot(places, expected, color=COLOURS[1], linewidth=2.2, linestyle=(0, (4, 3)), label="expected")
        axes.set_xticks(range(len(labels)), labels)
        axes.set_ylim(bottom=0)
        _scale(axes, written)
        axes.legend(frameon=False, loc="upper left")

    return paint


def _scale(axes: Axes, written: Callable[[float], str]) -> None:
    axes.yaxis.set_major_formatter(lambda value, _: written(value))
    axes.yaxis.grid(visible=True, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", colors=SOFT)
    _bare(axes, "bottom")


def _bare(axes: Axes, keep: str) -> None:
    axes.tick_params(length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == keep)


def _legend(axes: Axes, series: Sequence[Bars]) -> None:
    if len(series) > 1:
        axes.legend(
            frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=min(len(series), 5), borderaxespad=0.2
        )


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    nothing: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    return file.getvalue()


def _inline(svg: str, name: str, alternative: str) -> str:
    """Only the element, with the page's colours, ids that no other plot has, and a text for those who cannot see."""
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r" font-family: [^;]*;", "", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    used = set(re.findall(r"#([\w.-]+)[\")]", svg))
    svg = re.sub(r' id="([\w.-]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r"(url\(|href=\")#([\w.-]+)", rf"\1#{name}-\2", svg)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    return re.sub(r"<svg ", f'<svg role="img" aria-label="{_escaped(alternative)}" ', svg, count=1)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
