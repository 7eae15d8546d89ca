"""Which plots a report has. Each says the same as one of its tables; its text alternative says it in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate

from twopass.cost.reports import drawing as plots
from twopass.cost.reports.drawing import COLOURS, SOFT, Bars
from twopass.cost.reports.files import Kind
from twopass.cost.reports.formats import Formats
from twopass.cost.reports.report import Cell, Report, Row

_MOST_BARS = 30
_MOST_COLOURS = len(COLOURS)
_ROW_HEIGHT = 0.3
_OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Plot:
    """
    Attributes:
        table: The table above which it stands.
        svg: An element to put into a page.
        caption: What it shows.
    """

    table: str
    svg: str
    caption: str


def plots_of(report: Report, formats: Formats) -> list[Plot]:
    """The report's plots. None of what has no figures."""
    plot = _PLOTS.get(report.name)
    return list(plot(report, formats)) if plot else []


# -- bars from left to right ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Bar:
    label: str
    value: Decimal
    text: str


def _bars(report: Report, table: str, figure: str, formats: Formats, *, kind: Kind = Kind.MONEY) -> list[_Bar]:
    """Of those rows that have the figure and it is not 0, the largest first."""
    rows = [row for row in report.table(table).rows if _number(row[figure])]
    found = [_Bar(_name(row), _number(row[figure]), formats.cell(row[figure], kind, report.currency)) for row in rows]
    return sorted(found, key=lambda bar: -bar.value)[:_MOST_BARS]


def _bar_plot(name: str, table: str, bars: Sequence[_Bar], caption: str, mark: Decimal | None = None) -> Iterator[Plot]:
    if not bars:
        return
    series = Bars("", [float(bar.value) for bar in bars], COLOURS[0])
    paint = plots.across(
        [bar.label for bar in bars], [series], [bar.text for bar in bars], None if mark is None else float(mark)
    )
    words = f"{caption} " + "; ".join(f"{bar.label}: {bar.text}" for bar in bars)
    yield Plot(table, plots.draw(name, _height(len(bars)), paint, words), caption)


def _height(bars: int) -> float:
    return 0.35 + _ROW_HEIGHT * bars


def _name(row: Row) -> str:
    return str(row.get("name", row.get("reason", row.get("tenant"))))


def _number(cell: Cell) -> Decimal:
    return cell if isinstance(cell, Decimal) else Decimal(0)


# -- the reports ----------------------------------------------------------------------------------------------------


def _overview(report: Report, formats: Formats) -> Iterator[Plot]:
    for table, whom in (("provider", "each provider"), ("tenant", "each tenant")):
        bars = _bars(report, table, "cost", formats)
        yield from _bar_plot(f"overview-{table}", table, bars, f"Cost of {whom}, the largest first.")


def _hours(report: Report, formats: Formats) -> Iterator[Plot]:
    yield from _daily(report, formats)
    rows = {str(row["hour"]): _number(row["cost"]) for row in report.table("hour").rows}
    if rows:
        hours = [f"{hour:02}" for hour in range(24)]
        values = [float(rows.get(hour, 0)) for hour in hours]
        paint = plots.upright(hours, [Bars("", values, COLOURS[0])], _scale(report, formats))
        dearest = max(rows, key=lambda hour: rows[hour])
        caption = "Cost by the hour of the day (UTC) in which work began, all days together."
        words = f"{caption} Most in hour {dearest}: {formats.money(rows[dearest], report.currency)}"
        yield Plot("hour", plots.draw("hours-hour", 2.4, paint, words), caption)


def _daily(report: Report, formats: Formats) -> Iterator[Plot]:
    rows = report.table("detail").rows
    length = (report.month.end - report.month.start).days
    days = [report.month.start + timedelta(days=number) for number in range(length)]
    providers = _largest(rows)
    if not providers:
        return
    series = []
    for colour, provider in zip(COLOURS, providers, strict=False):
        mine = [row for row in rows if _shown_as(row, providers) == provider]
        values = [float(sum(_number(row["cost"]) for row in mine if row["day"] == day)) for day in days]
        series.append(Bars(provider, values, colour if provider != _OTHERS else SOFT))
    paint = plots.upright([str(day.day) for day in days], series, _scale(report, formats))
    caption = "Cost of each day of the month, by provider."
    sums = [f"{bars.label}: {formats.money(Decimal(sum(bars.values)), report.currency)}" for bars in series]
    yield Plot("day", plots.draw("hours-day", 3.2, paint, f"{caption} {'; '.join(sums)}"), caption)


def _largest(rows: Sequence[Row]) -> list[str]:
    """The providers that cost most; if there are more than colours, the rest is "others"."""
    sums: dict[str, Decimal] = {}
    for row in rows:
        sums[str(row["provider"])] = sums.get(str(row["provider"]), Decimal(0)) + _number(row["cost"])
    ranked = sorted((name for name in sums if sums[name]), key=lambda name: -sums[name])
    return ranked if len(ranked) <= _MOST_COLOURS else [*ranked[: _MOST_COLOURS - 1], _OTHERS]


def _shown_as(row: Row, providers: Sequence[str]) -> str:
    return str(row["provider"]) if row["provider"] in providers else _OTHERS


def _silence(report: Report, formats: Formats) -> Iterator[Plot]:
    rows = [row for row in report.table("tenant").rows if _number(row["audio_hours"])][:_MOST_BARS]
    if not rows:
        return
    speech = [float(min(_number(row["speech_hours"]), _number(row["audio_hours"]))) for row in rows]
    rest = [float(_number(row["audio_hours"])) - part for row, part in zip(rows, speech, strict=True)]
    texts = [f"{formats.cell(row['silence_share'], Kind.SHARE, '')} silence" for row in rows]
    series = [Bars("speech", speech, COLOURS[0]), Bars("silence", rest, COLOURS[2])]
    caption = "Hours of audio of each tenant: how much was speech, and how much silence."
    words = f"{caption} " + "; ".join(f"{_name(row)}: {text}" for row, text in zip(rows, texts, strict=True))
    paint = plots.across([_name(row) for row in rows], series, texts)
    yield Plot("tenant", plots.draw("silence", _height(len(rows)) + 0.25, paint, words), caption)


def _waste(report: Report, formats: Formats) -> Iterator[Plot]:
    bars = [bar for bar in _bars(report, "reason", "cost", formats) if bar.label != "work"]
    yield from _bar_plot("waste", "reason", bars, "What was paid for anything but work, by reason.")


def _vendors(report: Report, formats: Formats) -> Iterator[Plot]:
    bars = _bars(report, "card", "would_cost", formats)[::-1]
    paid = _paid(report)
    caption = "What this month's audio would have cost with each vendor alone, at list price."
    if paid:
        caption += f" The dashed line is what was paid: {formats.money(paid, report.currency)}."
    yield from _bar_plot("vendors-cost", "card", bars, caption, paid)


def _paid(report: Report) -> Decimal | None:
    """By vendors and own machines: idle included where that is known."""
    paid = {str(row["name"]): _number(row["cost"]) for row in report.table("paid").rows}
    machines = paid.get("Own machines, idle included") or paid.get("Own machines, busy", Decimal(0))
    return paid.get("Vendors", Decimal(0)) + machines or None


def _forecast(report: Report, formats: Formats) -> Iterator[Plot]:
    rows = report.table("day").rows
    if not rows:
        return
    sums = list(accumulate(float(_number(row["amount"])) for row in rows))
    spent = sum(row["is"] == "spent" for row in rows)
    labels = [str(row["day"].day) if isinstance(row["day"], date) else "" for row in rows]
    paint = plots.curve(labels, sums[:spent], sums[max(spent - 1, 0) :], _scale(report, formats))
    caption = "Cost of the month up to each day: spent, and what is expected (dashed)."
    words = f"{caption} At the end: {formats.money(Decimal(sums[-1]), report.currency)}"
    yield Plot("total", plots.draw("forecast", 2.8, paint, words), caption)


def _budgets(report: Report, formats: Formats) -> Iterator[Plot]:
    rows = report.table("budget").rows[:_MOST_BARS]
    if not rows:
        return
    named = [(f"{row['tenant']} {'' if row['key'] == 'all' else row['key']} ({row['period']})", row) for row in rows]
    bars = [_Bar(name, _number(row["share"]), formats.cell(row["share"], Kind.SHARE, "")) for name, row in named]
    caption = "How much of each budget is spent. The dashed line is the limit."
    yield from _bar_plot("budgets", "budget", bars, caption, Decimal(1))


def _self_hosting(report: Report, formats: Formats) -> Iterator[Plot]:
    from twopass.cost.reports.self_hosting_plot import curves

    drawn = curves(report, formats)
    if drawn is not None:
        yield Plot("break_even", *drawn)


def _scale(report: Report, formats: Formats) -> Callable[[float], str]:
    return lambda value: formats.money(Decimal(str(value)), report.currency)


_PLOTS: Mapping[str, Callable[[Report, Formats], Iterator[Plot]]] = {
    "overview": _overview,
    "hours": _hours,
    "silence": _silence,
    "waste": _waste,
    "vendors": _vendors,
    "forecast": _forecast,
    "budgets": _budgets,
    "self-hosting": _self_hosting,
}
