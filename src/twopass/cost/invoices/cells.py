"""The cells of an invoice's row: text, amounts and days, read without guessing. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from twopass.errors import ConfigError

_NUMBER = re.compile(r"[+-]?(?:\d{1,18}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,2})?")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3}){1,5}(?:\.\d{0,40})?")
_SLASHES = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?: .*)?")


def plain_name(column: str) -> str:
    """
    A column's name without case, punctuation and currency: `usage.amount`, `usage_amount` and `Usage amount` are one.

    Azure's localized files put the English name behind: "Nombre del medidor (MeterName)".
    """
    english = re.search(r"\(([A-Za-z]{4,})\)\s*$", column)
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\([^)]*\)", "", english[1] if english else column).lower())


def trouble(source: str, line: int, what: str, fix: str) -> ConfigError:
    """An error that says where in the file it is."""
    return ConfigError(f"{source}, line {line}: {what}.", fix=fix)


@dataclass(frozen=True, slots=True)
class Row:
    """
    One row, its cells by the plain names of their columns. Where a method takes several columns, the first that is
    filled counts: vendors have renamed them over time. All raise ConfigError with the place in the file.

    Attributes:
        grouped: Whether it is known that a comma stands between thousands.
    """

    source: str
    line: int
    cells: Mapping[str, str]
    grouped: bool = False

    def text(self, *columns: str) -> str:
        """Empty if none is filled."""
        return next((self.cells[column] for column in columns if self.cells.get(column)), "")

    def amount(self, *columns: str) -> Decimal:
        """A number that has to be there."""
        if not self.text(*columns):
            raise self.trouble(f"the column {columns[0]} is empty", "Export the file again.")
        return self.amount_or_none(*columns)

    def amount_or_none(self, *columns: str) -> Decimal:
        """A number; 0 if there is none: credits and taxes have no quantity."""
        text = self.text(*columns)
        if not text:
            return Decimal(0)
        if _NUMBER.fullmatch(text):
            return Decimal(text)
        # "1,234" may be a decimal comma; "1,234.5" and "1,234,567" cannot.
        if _GROUPED.fullmatch(text) and (self.grouped or "." in text or text.count(",") > 1):
            return Decimal(text.replace(",", ""))
        raise self.trouble(
            f"{text[:40]!r} in the column {columns[0]} is not a number that can be read without doubt",
            "Write numbers with a decimal point and without thousands separators.",
        )

    def moment(self, *columns: str) -> datetime:
        """A time in UTC. Without a zone it is taken to be UTC; MM/DD/YYYY (Azure's) is a day."""
        text = self.text(*columns)
        try:
            if slashes := _SLASHES.fullmatch(text):
                return datetime(int(slashes[3]), int(slashes[1]), int(slashes[2]), tzinfo=UTC)
            found = datetime.fromisoformat(re.sub(r"\s*UTC$", "+00:00", text))
        except ValueError:
            fix = "Days are written YYYY-MM-DD or MM/DD/YYYY, times YYYY-MM-DD HH:MM:SS UTC."
            raise self.trouble(f"{text[:40]!r} in the column {columns[0]} is no day", fix) from None
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)

    def day(self, *columns: str) -> date:
        """The UTC day of a time."""
        return self.moment(*columns).date()

    def day_before(self, column: str, otherwise: date) -> date:
        """The last UTC day before that moment; `otherwise` if there is none."""
        return (self.moment(column) - timedelta(microseconds=1)).date() if self.text(column) else otherwise

    def currency(self, *columns: str) -> str:
        """An ISO 4217 code."""
        text = self.text(*columns).upper()
        if not re.fullmatch("[A-Z]{3}", text):
            raise self.trouble(f"{text[:20]!r} is no currency", "It has to be a code such as USD, EUR or INR.")
        return text

    def trouble(self, what: str, fix: str) -> ConfigError:
        """An error about this row."""
        return trouble(self.source, self.line, what, fix)
