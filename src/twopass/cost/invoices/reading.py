"""
What a vendor says it charged: exported invoices, line by line. Pure; `invoice_layouts` says whose columns mean what.

Days are days in UTC. Google's own pages and invoices cut days and months in US Pacific time, but its export has UTC
timestamps, and those are read here: the first and last hours of a month may be on another invoice than the export's
rows of that calendar month.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from twopass.cost.invoices.cells import Row, plain_name, trouble
from twopass.cost.invoices.layouts import LAYOUTS, Layout
from twopass.cost.invoices.lines import InvoiceLine, LineKind
from twopass.errors import ConfigError

__all__ = ["InvoiceLine", "LineKind", "read_invoice"]

_HEADER_WITHIN = 30
"""A console's download has some rows about the invoice before the columns' names."""
_FORMS = (
    "It may be Google's billing export (sku.id, usage_start_time, usage.amount, usage.unit, cost, currency, credits), "
    "Google's cost table, Azure's actual-cost export (Date, MeterId, MeterName, Quantity, UnitOfMeasure, "
    "CostInBillingCurrency or PreTaxCost, BillingCurrency), or a CSV with day,sku,quantity,unit,cost,currency."
)


def read_invoice(lines: Iterable[str], source: str) -> Iterator[InvoiceLine]:
    """
    The lines of an exported invoice; its columns tell which layout it has.

    Args:
        lines: The file's text, line by line (opened with newline="").
        source: The file's name, for errors.

    Raises:
        ConfigError: It is no such file, or a line cannot be read: which, and what to do.
    """
    rows = _records(lines, source)
    before: list[list[str]] = []
    for number, cells in rows:
        columns = [plain_name(cell) for cell in cells]
        layout = next((layout for layout in LAYOUTS if not layout.missing(columns)), None)
        if layout is not None:
            yield from _read(layout, columns, _said_before(before), rows, source)
            return
        before.append(cells)
        if number >= _HEADER_WITHIN:
            break
    raise _unknown(before, source)


def _records(lines: Iterable[str], source: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, with their numbers."""
    reader = csv.reader(lines, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell.removeprefix("\ufeff").strip() for cell in cells]
    except csv.Error as error:
        fix = "Export it again as CSV with commas and double quotes."
        raise trouble(source, reader.line_num, f"this is no CSV ({error})", fix) from None


def _said_before(rows: list[list[str]]) -> dict[str, str]:
    """What stands above the columns' names: "Currency,USD"."""
    return {plain_name(row[0]): row[1] for row in rows if len(row) > 1}


def _read(
    layout: Layout, columns: list[str], said: dict[str, str], rows: Iterator[tuple[int, list[str]]], source: str
) -> Iterator[InvoiceLine]:
    for number, cells in rows:
        if any(cells[len(columns) :]) or (len(cells) < len(columns) and not layout.ragged):
            what = f"it has {len(cells)} cells, but there are {len(columns)} columns"
            raise trouble(
                source, number, what, "The file may be cut off, or a comma lacks its quotes: export it again."
            )
        # Of two columns with one plain name the first counts.
        named = dict(reversed(list(zip(columns, cells, strict=False))))
        yield from layout.lines(Row(source, number, {**said, **named}, layout.grouped))


def _unknown(before: list[list[str]], source: str) -> ConfigError:
    if not before:
        return ConfigError(f"{source} is empty.", fix=_FORMS)
    if len(before[0]) == 1 and ";" in before[0][0]:
        return trouble(source, 1, "semicolons separate the columns", "Save it with commas, and with decimal points.")
    columns = [plain_name(cell) for cell in max(before, key=len)]
    nearest = min(LAYOUTS, key=lambda layout: len(layout.missing(columns)) / len(layout.needs))
    missing = nearest.missing(columns)
    if len(missing) <= len(nearest.needs) // 2:
        return ConfigError(f"{source} looks like {nearest.name}, but lacks {', '.join(missing)}.", fix=_FORMS)
    return ConfigError(f"{source} has no columns that are known of invoices.", fix=_FORMS)
