"""The figures as CSV, a line for each score and cell: fractions (0.062 is 6.2 %), ms, money with its currency."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from twopass.compare.measures.accuracy import Errors
from twopass.compare.measures.timeline import percentile
from twopass.compare.results import Cell, Comparison, Interval, Percentiles, Played, Score
from twopass.cost.prices.rates import Money
from twopass.cost.reports.rendering import harmless, plain
from twopass.cost.reports.report import rounded

Value: TypeAlias = str | int | float | Decimal | bool | None
_DIGITS = 6
_PERCENTS = ("p50", "p90", "p95", "p99")
_ALL = "all"


def ranking(comparison: Comparison) -> str:
    """Scores, over all recordings and then by condition."""
    rows = [_score(_ALL, score) for score in comparison.scores]
    rows += [_score(name, score) for name, scores in comparison.conditions.items() for score in scores]
    return _csv(rows)


def recordings(comparison: Comparison) -> str:
    """Cells: what each system made of each recording."""
    played = {recording.name: recording for recording in comparison.recordings}
    return _csv([_cell(cell, played.get(cell.recording)) for cell in comparison.cells])


def _score(condition: str, score: Score) -> dict[str, Value]:
    row: dict[str, Value] = {"condition": condition, "system": score.system}
    row |= {name: getattr(score, name) for name in ("recordings", "failed", "audio_ms")}
    row |= _errors("words", score.errors)
    for name in ("wer", "cer", "agreement_wer"):
        row |= _interval(name, getattr(score, name))
    row |= {name: getattr(score, name) for name in ("punctuation", "capitals", "word_time_ms")}
    for name in ("first_partial", "first_word", "emission", "final", "rewrite"):
        row |= _percentiles(name, getattr(score, name))
    row |= {name: getattr(score, name) for name in _PLAIN_SCORES}
    row |= _money("cost_per_hour", score.cost_per_hour)
    return row | {"unpriced": "; ".join(score.unpriced), "troubles": score.troubles}


_PLAIN_SCORES = (
    *("unstable", "erasure", "laal_ms", "rewrite_rate", "rewrite_gain", "harmful", "helpful"),
    *("cuts", "seam_losses", "degraded", "cpu_seconds_per_hour", "gpu_seconds_per_hour", "real_time_factor"),
)


def _cell(cell: Cell, played: Played | None) -> dict[str, Value]:
    row: dict[str, Value] = {"recording": cell.recording, "system": cell.system}
    row |= {name: getattr(played, name) if played else None for name in ("source", "path", "condition", "language")}
    row |= {"truth_is": _truth(played), "truth": played.truth if played else None, "text": cell.text}
    row |= {"failed": cell.failed, "troubles": "; ".join(cell.troubles)}
    row |= _errors("words", cell.words) | {"wer": cell.words.rate if cell.words else None}
    row |= _errors("characters", cell.characters) | {"cer": cell.characters.rate if cell.characters else None}
    for name in ("first_partial_ms", "emission_ms", "final_ms", "word_time_ms"):
        row[f"{name.removesuffix('_ms')}_p50_ms"] = percentile(getattr(cell, name), 50)
    row |= {name: getattr(cell, name) for name in _PLAIN_CELLS}
    row |= _money("cost", cell.cost)
    return row | {"unpriced": "; ".join(cell.unpriced)}


_PLAIN_CELLS = (
    *("first_word_ms", "unstable", "erased", "final_words", "laal_ms", "cuts", "degraded"),
    *("audio_ms", "wall_ms", "realtime", "cpu_seconds", "gpu_seconds"),
)


def _truth(played: Played | None) -> str:
    if played is None or played.truth is None:
        return "none"
    return "consensus" if played.consensus else "reference"


def _errors(name: str, errors: Errors | None) -> dict[str, Value]:
    kinds = ("substitutions", "deletions", "insertions", "reference")
    return {f"{name}_{kind}": getattr(errors, kind) if errors else None for kind in kinds}


def _money(name: str, money: Money | None) -> dict[str, Value]:
    if money is None:
        return {name: None, "currency": None}
    return {name: rounded(Fraction(money.amount), 9), "currency": money.currency}


def _interval(name: str, interval: Interval | None) -> dict[str, Value]:
    ends: Mapping[str, str] = {name: "value", f"{name}_low": "low", f"{name}_high": "high"}
    return {column: getattr(interval, end) if interval else None for column, end in ends.items()}


def _percentiles(name: str, percentiles: Percentiles | None) -> dict[str, Value]:
    named = {f"{name}_{percent}_ms": getattr(percentiles, percent) if percentiles else None for percent in _PERCENTS}
    return {f"{name}_count": percentiles.count if percentiles else None, **named}


def _csv(rows: Sequence[Mapping[str, Value]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    if rows:
        writer.writerow(rows[0])
    writer.writerows(map(_line, rows))
    return file.getvalue()


def _line(row: Mapping[str, Value]) -> Iterable[str]:
    return [_text(value) for value in row.values()]


def _text(value: Value) -> str:
    for kind, written in _WRITTEN.items():
        if isinstance(value, kind):
            return written(value)
    return ""


_WRITTEN: Mapping[type, Callable[..., str]] = {
    str: harmless,
    bool: lambda value: str(value).lower(),
    int: str,
    float: lambda value: plain(Decimal(f"{value:.{_DIGITS}f}")),
    Decimal: plain,
}
"""A bool is an int too: the first that fits."""
