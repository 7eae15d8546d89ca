"""
Reports as values: what a query says of a month, in units that people use. Rendering is somebody else's matter.

Two things are no number: what is not known (a price, an exchange rate: it shows as "unknown", never as 0), and what
does not apply (the price of an hour where there was no hour).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, Protocol, TypeAlias

from twopass.cost.prices.fees import Fee
from twopass.cost.reports.calculating import evaluate, names_in
from twopass.cost.reports.files import Column, Kind, ReportFile, Section, read
from twopass.cost.usage.budgets import Budget
from twopass.errors import ConfigError

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")
_SCALES = {"nanos": 1_000_000_000, "micros": 3_600_000_000}
_DIGITS = {Kind.MONEY: 9, Kind.PRICE: 9, Kind.HOURS: 6, Kind.SHARE: 6}
UNPRICED = "unpriced_count"
"""How many lines behind a figure have no price: if any, the figure is too small."""


class Missing(Enum):
    """Why there is no number."""

    UNKNOWN = "unknown"
    NOT_APPLICABLE = ""


Cell: TypeAlias = str | int | date | Decimal | Missing
Row: TypeAlias = Mapping[str, Cell]
Raw: TypeAlias = dict[str, Any]


class Ledger(Protocol):
    """What reports need of the ledger."""

    def rows(self, sql: str, **parameters: Any) -> Sequence[Any]:
        """The answer to a query; rows are named tuples."""


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month, UTC. `end` is the first day after it."""

    start: date
    end: date

    @classmethod
    def parse(cls, text: str) -> Month:
        """From 2026-11. Raises ConfigError."""
        try:
            return cls.of(datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date())
        except ValueError:
            raise ConfigError(f"{text} is no month.", code="bad_month", fix="Write it as 2026-11.") from None

    @classmethod
    def of(cls, day: date) -> Month:
        """The one that a day belongs to."""
        start = day.replace(day=1)
        return cls(start, (start + timedelta(days=31)).replace(day=1))

    def __str__(self) -> str:
        return f"{self.start:%Y-%m}"


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What a report is asked for.

    Attributes:
        today: The first day that is not over, for the forecast.
        budgets: In the ledger's currency.
        fees: Of the month's commitments.
    """

    month: Month
    today: date
    budgets: tuple[Budget, ...] = ()
    fees: tuple[Fee, ...] = ()

    def parameters(self) -> dict[str, str]:
        """For the queries: ISO dates."""
        window_start = self.today - timedelta(days=7)
        days = {"month_start": self.month.start, "month_end": self.month.end, "today": self.today}
        return {name: day.isoformat() for name, day in (days | {"window_start": window_start}).items()}


@dataclass(frozen=True, slots=True)
class Table:
    """
    Attributes:
        empty: What to say if there are no rows.
        page: Whether it is in the HTML too.
    """

    name: str
    title: str
    says: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    empty: str = ""
    page: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """
    Attributes:
        currency: The ledger's: of all money that names no other.
        whole: A table that alone makes up the CSV, in a format that others prescribe.
        notes: What the reader has to know.
    """

    name: str
    title: str
    says: str
    month: Month
    currency: str
    tables: tuple[Table, ...]
    whole: Table | None = None
    notes: tuple[str, ...] = field(default=())

    def table(self, name: str) -> Table:
        """The one of that name."""
        return next(table for table in self.tables if table.name == name)


Step: TypeAlias = Callable[[list[Raw], Asked], list[Raw]]
"""What is done to a query's rows before they are shown."""


def run(name: str, ledger: Ledger, asked: Asked) -> Report:
    """The report of that name. Raises ConfigError if there is none."""
    from twopass.cost.reports.focus import focus_report
    from twopass.cost.reports.steps import STEPS

    file = read(name)
    rows = query(file, ledger, asked)
    if name == "focus":
        return focus_report(file, rows, asked.month, currency_of(ledger))
    return build(file, STEPS.get(name, _unchanged)(rows, asked), asked.month, currency_of(ledger))


def _unchanged(rows: list[Raw], _: Asked) -> list[Raw]:
    return rows


def query(file: ReportFile, ledger: Ledger, asked: Asked) -> list[Raw]:
    """The rows as the database gives them, but days as dates, and sums as whole numbers."""
    known = asked.parameters()
    named = {name: known[name] for name in set(_PARAMETER.findall(file.sql))}
    return [
        {name: _plain(name, value) for name, value in row._asdict().items()} for row in ledger.rows(file.sql, **named)
    ]


def currency_of(ledger: Ledger) -> str:
    """The ledger's currency."""
    rows = ledger.rows("SELECT value FROM facts WHERE name = 'currency'")
    if not rows:
        raise ConfigError("The ledger has no charges yet.", code="no_charges", fix="Load usage into it first.")
    return str(rows[0]._asdict()["value"])


def _plain(name: str, value: Any) -> Any:
    """SQLite has days as text; PostgreSQL adds whole numbers up to decimals."""
    if name.endswith("day") and isinstance(value, str):
        return date.fromisoformat(value)
    return int(value) if isinstance(value, Decimal) else value


def build(file: ReportFile, rows: Sequence[Raw], month: Month, currency: str) -> Report:
    """A report of rows that its query gave."""
    tables = tuple(_table(file, section, rows) for section in file.sections)
    return Report(file.name, file.title, file.says, month, currency, tables)


def _table(file: ReportFile, section: Section, rows: Sequence[Raw]) -> Table:
    columns = _with_companions(file, section)
    mine = (_natural(row) for row in rows if row["section"] == section.name)
    shown = [{column.key: _cell(column, row) for column in columns} for row in mine]
    if section.order:
        shown.sort(key=lambda row: _rank(row[section.order]))
    return Table(section.name, section.title, section.says, section.columns, tuple(shown), section.empty, section.page)


def _rank(cell: Cell) -> tuple[bool, Any]:
    missing = isinstance(cell, Missing)
    return not missing, 0 if missing else cell


def _with_companions(file: ReportFile, section: Section) -> list[Column]:
    """The section's columns, the currencies that they are in, and how much is missing from them."""
    needed = [column.currency for column in section.columns if column.currency]
    companions = [file.columns[name] for name in (*needed, UNPRICED) if name in file.columns]
    return list(dict.fromkeys((*section.columns, *companions)))


def _natural(row: Raw) -> Raw:
    """Money in currency units, time in hours; exact."""
    return {name: _in_units(name, value) for name, value in row.items()}


def _in_units(name: str, value: Any) -> Any:
    scale = _SCALES.get(name.rpartition("_")[2])
    return Fraction(value, scale) if scale and value is not None else value


def _cell(column: Column, row: Raw) -> Cell:
    value: Any = evaluate(column.formula, row) if column.formula else row[column.raw]
    if value is None or isinstance(value, Missing):
        return value or _missing(column, row)
    digits = _DIGITS.get(column.kind)
    cell: Cell = value if digits is None else rounded(Fraction(value), digits)
    return cell


def _missing(column: Column, row: Raw) -> Missing:
    """A price or cost that is not there is not known; so is what is worked out from it."""
    if not column.formula:
        return Missing.UNKNOWN if column.kind in (Kind.MONEY, Kind.PRICE) else Missing.NOT_APPLICABLE
    gaps = [name for name in names_in(column.formula) if row[name] is None]
    return Missing.UNKNOWN if any(name.endswith("_nanos") for name in gaps) else Missing.NOT_APPLICABLE


def rounded(value: Fraction, digits: int) -> Decimal:
    """Half to even. Exact however large."""
    return Decimal(round(value * 10**digits)).scaleb(-digits)
