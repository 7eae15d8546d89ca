"""Reports in the formats that people and programs take them in: a page, a spreadsheet, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum

from twopass.cost.reports.files import Column
from twopass.cost.reports.report import UNPRICED, Cell, Missing, Report, Table
from twopass.errors import ConfigError

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_LEDGER_CURRENCY = "ledger_currency"


class Output(StrEnum):
    """A format."""

    HTML = "html"
    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"


def render(reports: Sequence[Report], output: Output, appendix: Report | None = None, language: str = "en") -> bytes:
    """
    The reports as one file.

    Args:
        appendix: The prices that they rest on, for the page.
        language: How figures are written on the page.

    Raises ConfigError if several are wanted as CSV, which has room for one.
    """
    if output is Output.HTML:
        from twopass.cost.reports.page import page

        return page(reports, appendix, language).encode()
    if output is Output.XLSX:
        from twopass.cost.reports.sheet import workbook

        return workbook(reports)
    if output is Output.JSON:
        return as_json(reports).encode()
    if len(reports) != 1:
        fix = "Ask for one of them, or for html, xlsx or json."
        raise ConfigError("A CSV has room for one report only.", code="one_report", fix=fix)
    return as_csv(reports[0]).encode()


# -- CSV ------------------------------------------------------------------------------------------------------------


def as_csv(report: Report) -> str:
    """One line for each row, its table's name in front. Money of no named currency is in `ledger_currency`."""
    if report.whole is not None:
        names = [column.key for column in report.whole.columns]
        return _lines(names, ([_text(row[name]) for name in names] for row in report.whole.rows))
    keys = csv_columns(report)
    rows = (
        ["" if key not in row else _text(row[key]) for key in keys] + [table.name, report.currency]
        for table in report.tables
        for row in table.rows
    )
    return _lines(
        ["section", *keys, _LEDGER_CURRENCY], ([section, *cells, currency] for *cells, section, currency in rows)
    )


def csv_columns(report: Report) -> list[str]:
    """The columns of all tables, those that several have once."""
    keys = [column.key for table in report.tables for column in table.columns]
    companions = [key for table in report.tables for row in table.rows[:1] for key in row if key != UNPRICED]
    gaps = [UNPRICED] if any(UNPRICED in row for table in report.tables for row in table.rows) else []
    return [*(key for key in dict.fromkeys([*keys, *companions]) if key != UNPRICED), *gaps]


def _lines(head: Sequence[str], rows: object) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)  # type: ignore[arg-type]
    return file.getvalue()


def _text(cell: Cell) -> str:
    return harmless(cell) if isinstance(cell, str) else plain(cell)


def plain(cell: Cell) -> str:
    """As programs read it: decimals with a dot and without exponent, days as 2026-11-21."""
    if isinstance(cell, Missing):
        return cell.value
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return f"{cell.normalize():f}" if cell else "0"
    return str(cell)


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula: names are what others chose."""
    return f"'{text}" if text.startswith(_FORMULA) else text


# -- JSON -----------------------------------------------------------------------------------------------------------


def as_json(reports: Sequence[Report]) -> str:
    """Numbers as text, so that no reader rounds them; what does not apply is null, what is not known "unknown"."""
    return json.dumps({"reports": [_report(report) for report in reports]}, indent=1, ensure_ascii=False) + "\n"


def _report(report: Report) -> Mapping[str, object]:
    tables = [*report.tables, *([report.whole] if report.whole else [])]
    return {
        "name": report.name,
        "title": report.title,
        "says": report.says,
        "month": str(report.month),
        "currency": report.currency,
        "notes": list(report.notes),
        "tables": [_table(table) for table in tables],
    }


def _table(table: Table) -> Mapping[str, object]:
    return {
        "name": table.name,
        "title": table.title,
        "says": table.says,
        "columns": [_column(column) for column in table.columns],
        "rows": [{key: _value(cell) for key, cell in row.items()} for row in table.rows],
    }


def _column(column: Column) -> Mapping[str, object]:
    return {"key": column.key, "label": column.label, "says": column.says, "kind": column.kind.value}


def _value(cell: Cell) -> object:
    if cell is Missing.NOT_APPLICABLE:
        return None
    return cell if isinstance(cell, int) else plain(cell)
