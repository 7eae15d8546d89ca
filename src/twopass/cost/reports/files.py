"""
The files in `cost_reports`: one SQL query each, for SQLite and PostgreSQL alike, below a comment that is YAML.

The comment says what the report is about, which tables the lines make up (the query's column `section` says which
table a line belongs to), what each column means, and which figures are worked out from the query's whole numbers:
`from: cost_nanos / audio_micros`. Units are in the names: `_nanos` is money, `_micros` time, `_count` a number, and
`day` a date. Such a calculation takes money in currency units and time in hours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from twopass.errors import ConfigError

_SUFFIX = re.compile(r"_(nanos|micros)$")


REPORTS = ("overview", "hours", "silence", "waste", "vendors", "reported", "forecast", "budgets", "focus", "prices")
"""Those that need nothing but a month, in the order in which people read them."""


class Kind(StrEnum):
    """What a column holds, and so how it is written."""

    TEXT = "text"
    DAY = "day"
    COUNT = "count"
    MONEY = "money"
    PRICE = "price"  # of one unit or hour: more digits than money
    HOURS = "hours"
    SHARE = "share"  # 0..1


@dataclass(frozen=True, slots=True)
class Column:
    """
    Attributes:
        key: Its name in files: `cost`, `audio_hours`.
        raw: Its name in the query, or of the calculation.
        currency: The column with the currency of this one; None if it is the ledger's.
        formula: How it is worked out; empty if the query says it.
        complete: It lacks nothing, even if other figures of its row do.
        wide: It is long: on the page it stands below its row, not in it.
    """

    key: str
    raw: str
    label: str
    says: str
    kind: Kind
    currency: str | None = None
    formula: str = ""
    complete: bool = False
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """
    One table of a report.

    Attributes:
        page: It is in the HTML too, not only in the other formats.
        order: The column by which it is sorted, what is unknown first; empty leaves it as the query has it.
    """

    name: str
    title: str
    says: str
    columns: tuple[Column, ...]
    empty: str
    page: bool
    order: str = ""


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A report as it is written down: `sql` without the comment, the columns by their names in it."""

    name: str
    title: str
    says: str
    sections: tuple[Section, ...]
    columns: Mapping[str, Column]
    sql: str


class _ColumnModel(BaseModel):
    model_config = ConfigDict(extra="forbid")
    label: str
    says: str
    kind: Kind | None = None
    currency: str | None = None
    formula: str = Field("", alias="from")
    complete: bool = False
    wide: bool = False


class _SectionModel(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str
    says: str
    columns: tuple[str, ...]
    empty: str = "Nothing in this month."
    page: bool = True
    order: str = ""


class _HeaderModel(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str
    says: str
    parameters: Mapping[str, str]
    sections: Mapping[str, _SectionModel]
    columns: Mapping[str, _ColumnModel]


def folder() -> Path:
    """`cost_reports` in the checkout, or as it was packed into the wheel."""
    package = Path(str(files("twopass")))
    candidates = (package / "assets" / "cost_reports", package.parent.parent / "cost_reports")
    return next((path for path in candidates if path.is_dir()), candidates[0])


def available() -> tuple[str, ...]:
    """The names of all reports."""
    return tuple(sorted(path.stem for path in folder().glob("*.sql")))


def read(name: str) -> ReportFile:
    """The report of that name. Raises ConfigError."""
    if name not in available():
        fix = f"There are: {', '.join(available())}."
        raise ConfigError(f"There is no report {name}.", code="no_report", fix=fix)
    return parse(name, (folder() / f"{name}.sql").read_text(encoding="utf-8"))


def parse(name: str, text: str) -> ReportFile:
    """A report from its file's text. Raises ValueError (pydantic) or YAMLError if its comment is not as said above."""
    comment = re.match(r"(?:--.*\n)+", text)
    if comment is None:
        raise ValueError(f"{name}: a comment with title, sections and columns is missing")
    header = _HeaderModel.model_validate(_yaml(comment[0]))
    columns = {raw: _column(raw, model) for raw, model in header.columns.items()}
    sections = tuple(
        Section(key, one.title, one.says, tuple(columns[raw] for raw in one.columns), one.empty, one.page, one.order)
        for key, one in header.sections.items()
    )
    return ReportFile(name, header.title, header.says, sections, columns, text[comment.end() :].strip())


def _yaml(comment: str) -> Any:
    return yaml.safe_load(re.sub(r"^-- ?", "", comment, flags=re.MULTILINE))


def _column(raw: str, model: _ColumnModel) -> Column:
    key = _SUFFIX.sub(lambda unit: "_hours" if unit[1] == "micros" else "", raw)
    kind = model.kind or _kind(raw, model.formula)
    return Column(key, raw, model.label, model.says, kind, model.currency, model.formula, model.complete, model.wide)


def _kind(raw: str, formula: str) -> Kind:
    """From its name; a quotient of money and time is a price, one of equals a share."""
    if formula:
        return Kind.PRICE if re.fullmatch(r"\w+_nanos / \w+_micros", formula) else Kind.SHARE
    suffixes = {"nanos": Kind.MONEY, "micros": Kind.HOURS, "count": Kind.COUNT, "day": Kind.DAY}
    return suffixes.get(raw.rpartition("_")[2], Kind.TEXT)
