"""Reports as a workbook (xlsx): a sheet for each table, with real numbers, which can be added up."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, WriteOnlyCell
from openpyxl.cell.cell import Cell as SheetCell
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter

from twopass.cost.reports.files import Column, Kind
from twopass.cost.reports.report import UNPRICED, Cell, Missing, Report, Row, Table

_FORMATS = {
    Kind.MONEY: '#,##0.00 "{currency}"',
    Kind.PRICE: '#,##0.0000#### "{currency}"',
    Kind.HOURS: "#,##0.00",
    Kind.SHARE: "0.0%",
    Kind.COUNT: "#,##0",
    Kind.DAY: "yyyy-mm-dd",
    Kind.TEXT: "General",
}
_GAPS = Column(UNPRICED, UNPRICED, "Lines without price", "", Kind.COUNT)
_NARROW, _WIDE = 11, 60
_MEASURED = 200


def workbook(reports: Sequence[Report]) -> bytes:
    """The file's bytes."""
    book = Workbook(write_only=True)
    for report in reports:
        for table in [*report.tables, *([report.whole] if report.whole else [])]:
            _sheet(book, report, table)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _sheet(book: Workbook, report: Report, table: Table) -> None:
    name = f"{report.name} {table.name}"[:31]
    sheet: Any = book.create_sheet(re.sub(r"[\[\]:*?/\\]", " ", name))
    columns = list(_columns(table))
    sheet.freeze_panes = "A2"
    for number, column in enumerate(columns, 1):
        sheet.column_dimensions[get_column_letter(number)].width = _width(column, table)
    sheet.append([_head(sheet, column.label) for column in columns])
    for row in table.rows:
        sheet.append([_cell(sheet, row, column, report.currency) for column in columns])


def _columns(table: Table) -> Iterator[Column]:
    yield from table.columns
    shown = {column.key for column in table.columns}
    if table.rows and UNPRICED in table.rows[0] and UNPRICED not in shown:
        yield _GAPS


def _width(column: Column, table: Table) -> float:
    cells = (row[column.key] for row in table.rows[:_MEASURED])
    longest = max((len(cell) for cell in cells if isinstance(cell, str)), default=0)
    return min(max(len(column.label) + 2, longest + 1, _NARROW), _WIDE)


def _head(sheet: Any, label: str) -> SheetCell:
    cell = WriteOnlyCell(sheet, value=label)
    cell.font = Font(bold=True)
    cell.alignment = Alignment(wrap_text=True, vertical="top")
    return cell


def _cell(sheet: Any, row: Row, column: Column, currency: str) -> SheetCell | None:
    value = row[column.key]
    if value is Missing.NOT_APPLICABLE:
        return None
    cell = WriteOnlyCell(sheet, value=_value(value))
    if isinstance(value, Decimal | int | date):
        own = row[column.currency] if column.currency else currency
        cell.number_format = _format(value, column.kind).format(currency=own)
    else:
        cell.data_type = "s"  # a name that begins with = is no formula
    return cell


def _format(value: Cell, kind: Kind) -> str:
    """A number in a column of text (as others prescribe it) shows as it is."""
    return "0.############" if kind is Kind.TEXT and isinstance(value, Decimal) else _FORMATS[kind]


def _value(cell: Cell) -> Any:
    if isinstance(cell, Missing):
        return cell.value
    return ILLEGAL_CHARACTERS_RE.sub("", cell) if isinstance(cell, str) else cell
