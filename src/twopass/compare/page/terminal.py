"""The ranking on the terminal."""

from __future__ import annotations

from typing import Literal

from rich import box
from rich.markup import escape
from rich.table import Column, Table

from twopass.compare.page.figures import Figures
from twopass.compare.results import Comparison, Percentiles, Score

_COLUMNS = ("system", "WER", "95 %", "final p50", "p95", "first words p50", "unstable", "per hour")
_CONSENSUS = "* not accuracy: measured against what most of the systems heard"


def ranking(comparison: Comparison, language: str = "en") -> Table:
    """Who is best: word errors, latencies and cost."""
    figures, stand_ins = Figures(language), {system.name for system in comparison.systems if system.stand_in}
    agreed = any(score.wer is None and score.agreement_wer is not None for score in comparison.scores)
    # Cut, two names look alike and an interval loses its end: a narrow terminal folds them.
    columns = [Column(name, overflow="fold") for name in _COLUMNS]
    table = Table(*columns, caption=_CONSENSUS if agreed else None, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for score in comparison.scores:
        name = f"{score.system} (stand-in)" if score.system in stand_ins else score.system
        table.add_row(escape(name), *_figures(score, figures))
    return table


def _figures(score: Score, figures: Figures) -> tuple[str, ...]:
    interval = score.wer or score.agreement_wer
    rate = figures.percent(interval.value if interval is not None else None)
    return (
        f"{rate} *" if score.wer is None and interval is not None else rate,
        figures.ends(interval),
        *(_seconds(score.final, percent, figures) for percent in ("p50", "p95")),
        _seconds(score.first_partial, "p50", figures),
        figures.number(score.unstable),
        figures.money(score.cost_per_hour),
    )


def _seconds(percentiles: Percentiles | None, percent: Literal["p50", "p95"], figures: Figures) -> str:
    return figures.seconds(None if percentiles is None else getattr(percentiles, percent))
