"""Reports as one self-contained page: no script, nothing from elsewhere, readable in the dark and on paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from babel.dates import format_date
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from twopass.cost.reports.files import Column, Kind, folder
from twopass.cost.reports.formats import UNKNOWN, Formats
from twopass.cost.reports.plots import Plot, plots_of
from twopass.cost.reports.report import UNPRICED, Missing, Report, Row, Table

_WORDS = frozenset({Kind.TEXT, Kind.DAY})
_LONG = 32
_NOTHING = ("", Missing.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    classes: str
    gap: str = ""


@dataclass(frozen=True, slots=True)
class _Line:
    """A row; `more` is what stands below it: labels and texts."""

    cells: Sequence[_Cell]
    more: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Head:
    label: str
    says: str
    classes: str


@dataclass(frozen=True, slots=True)
class _Shown:
    """A table as the template sees it."""

    id: str
    title: str
    says: str
    heads: Sequence[_Head]
    words: Sequence[_Head]
    rows: Sequence[_Line]
    empty: str
    plots: Sequence[tuple[Markup, str]]


@dataclass(frozen=True, slots=True)
class _Tile:
    label: str
    figure: str
    gap: str
    says: str


def page(reports: Sequence[Report], appendix: Report | None = None, language: str = "en") -> str:
    """The page's HTML. `appendix` (the prices) stands at the end."""
    formats = Formats.of(language)
    before = [report for report in reports if appendix is None or report.name != appendix.name]
    chapters = [_chapter(report, formats) for report in (*before, *([appendix] if appendix else []))]
    first = next(iter(reports))
    return _template().render(
        title=first.title if len(reports) == 1 else "All reports",
        month=format_date(first.month.start, "MMMM yyyy", locale=formats.locale),
        language=str(formats.locale).replace("_", "-"),
        currency=first.currency,
        chapters=chapters,
    )


def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(folder()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("template.html.j2")


def _chapter(report: Report, formats: Formats) -> dict[str, object]:
    plots = plots_of(report, formats)
    tables, said = [], set[str]()
    for table in report.tables:
        if table.page:
            tables.append(_shown(report, table, plots, formats, said))
            said |= {column.label for column in table.columns} if table.rows else set()
    elsewhere = [table.title for table in report.tables if not table.page and table.rows]
    return {
        "id": report.name,
        "title": report.title,
        "says": report.says,
        "tables": tables,
        "tiles": _tiles(report, formats),
        "notes": report.notes,
        "elsewhere": elsewhere,
    }


def _shown(report: Report, table: Table, plots: Sequence[Plot], formats: Formats, said: set[str]) -> _Shown:
    """`said`: the labels that the reader knows already."""
    heads = [_Head(column.label, column.says, _classes(column)) for column in table.columns if not column.wide]
    words = [head for head in heads if head.says and head.label not in said]
    rows = [_line(report, row, table.columns, formats) for row in table.rows]
    mine = [(Markup(plot.svg), plot.caption) for plot in plots if plot.table == table.name]
    return _Shown(f"{report.name}-{table.name}", table.title, table.says, heads, words, rows, table.empty, mine)


def _line(report: Report, row: Row, columns: Sequence[Column], formats: Formats) -> _Line:
    cells = [(column, _cell(report, row, column, formats)) for column in columns]
    more = [(column.label, cell.text) for column, cell in cells if column.wide and row[column.key] not in _NOTHING]
    return _Line([cell for column, cell in cells if not column.wide], more)


def _classes(column: Column) -> str:
    return f"{'word' if column.kind in _WORDS else 'number'} {column.kind.value} {column.key}"


def _cell(report: Report, row: Row, column: Column, formats: Formats) -> _Cell:
    value = row[column.key]
    currency = str(row[column.currency]) if column.currency else report.currency
    text = formats.cell(value, column.kind, currency)
    if value is Missing.UNKNOWN:
        return _Cell(text, f"{_classes(column)} unknown")
    classes = f"{_classes(column)} long" if len(text) > _LONG else _classes(column)
    return _Cell(text, classes, f"+ {UNKNOWN}" if _lacks(row, column) else "")


def _lacks(row: Row, column: Column) -> bool:
    """Whether something without a price is missing from the figure."""
    is_money = column.kind in (Kind.MONEY, Kind.PRICE) and not isinstance(row[column.key], Missing)
    return is_money and not column.complete and row.get(UNPRICED, 0) != 0


def _tiles(report: Report, formats: Formats) -> list[_Tile]:
    """The figures that one looks for first, each with what it is."""
    if report.name != "overview":
        return []
    rows = {row["name"]: row for row in report.table("total").rows}
    table = report.table("total")
    everything = rows["All work"]
    tiles = []
    for key, label in (
        ("cost", "Cost"),
        ("cost_per_audio_hour", "Per audio hour"),
        ("cost_per_final_hour", "Per hour of speech"),
    ):
        column = next(column for column in table.columns if column.key == key)
        cell = _cell(report, everything, column, formats)
        tiles.append(_Tile(label, cell.text, cell.gap, _TILES[key]))
    gaps = report.table("unknown").rows
    return [*tiles, _Tile("Without a price", formats.count(len(gaps)), "", _TILES["unknown"])]


_TILES = {
    "cost": "All work of the month that has a known price: vendors, and own machines while they worked.",
    "cost_per_audio_hour": "That, for each hour of audio that came in. Each channel counts.",
    "cost_per_final_hour": "That, for each hour of speech with final words. Silence does not count.",
    "unknown": "Products that were used and whose price is not known. They are listed first, and in no sum.",
}
