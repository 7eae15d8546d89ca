"""The plot of own machines against vendors: what a month costs by how much audio it has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from twopass.cost.reports import drawing as plots
from twopass.cost.reports.formats import Formats
from twopass.cost.reports.report import Report
from twopass.cost.reports.self_hosting_report import OWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT = 4.2
_MOST = len(plots.COLOURS)
_CAPTION = (
    "Cost of a month by its hours of audio; both scales grow by factors of ten. Each vendor with its cheapest product, "
    "the cheapest vendors first; own machines as stairs, as each machine more costs its whole month."
)

Line = Sequence[tuple[float, float]]


def curves(report: Report, formats: Formats) -> tuple[str, str] | None:
    """The plot as SVG and what it shows in words; None if there is nothing to compare."""
    lines = _lines(report)
    vendors = _cheapest({name: line for name, line in lines.items() if name[0] != OWN})
    own = {name[1]: line for name, line in lines.items() if name[0] == OWN}
    if not own or not vendors:
        return None

    def written(value: float) -> str:
        return formats.money(Decimal(f"{value:.0f}"), report.currency).partition(".")[0]

    def paint(axes: Axes) -> None:
        for (label, line), colour in zip(vendors.items(), plots.COLOURS, strict=False):
            axes.plot(*zip(*line, strict=True), color=colour, linewidth=1.6, label=label)
        for label, line in own.items():
            axes.step(*zip(*line, strict=True), where="post", color=plots.INK, linewidth=2.2, label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(lambda value, _: f"{formats.count(int(value))} h")
        axes.yaxis.set_major_formatter(lambda value, _: written(value))
        axes.grid(visible=True, linewidth=0.6)
        axes.tick_params(length=0, colors=plots.SOFT)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2)

    ends = "; ".join(f"{label}: {written(line[-1][1])}" for label, line in (*vendors.items(), *own.items()))
    most = formats.count(int(next(iter(vendors.values()))[-1][0]))
    return plots.draw("self-hosting", _HEIGHT, paint, f"{_CAPTION} At {most} hours: {ends}"), _CAPTION


def _lines(report: Report) -> dict[tuple[str, str], Line]:
    """By vendor and product. A logarithmic scale has no 0."""
    lines: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in report.table("curve").rows:
        hours, cost = row["at_hours"], row["month_cost"]
        if isinstance(hours, Decimal) and isinstance(cost, Decimal) and cost > 0:
            lines[str(row["vendor"]), str(row["product"])].append((float(hours), float(cost)))
    return dict(lines)


def _cheapest(lines: Mapping[tuple[str, str], Line]) -> dict[str, Line]:
    """One line for each vendor, as many as there are colours."""
    chosen: dict[str, Line] = {}
    for (vendor, _), line in sorted(lines.items(), key=lambda item: item[1][-1][1]):
        chosen.setdefault(vendor, line)
    return dict(list(chosen.items())[:_MOST])
