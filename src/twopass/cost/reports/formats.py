"""Figures as people read them, in the way of a language: money with its sign, thousands divided, unknown in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, format_percent

from twopass.cost.reports.files import Kind
from twopass.cost.reports.report import Cell, Missing

UNKNOWN = "unknown"
NONE = "–"
_FEW = Decimal("0.01")
_SMALLEST = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Formats:
    """How figures are written in a language."""

    locale: Locale

    @classmethod
    def of(cls, language: str = "en") -> Formats:
        """From a language's tag, such as en or de_CH. Raises babel's UnknownLocaleError."""
        return cls(Locale.parse(language, sep="-" if "-" in language else "_"))

    def cell(self, value: Cell, kind: Kind, currency: str) -> str:
        """A figure of that kind; `currency` is for money and prices."""
        if isinstance(value, Missing):
            return UNKNOWN if value is Missing.UNKNOWN else NONE
        if isinstance(value, date):
            return format_date(value, "medium", locale=self.locale)
        if isinstance(value, int):
            return self.count(value)
        return self._decimal(value, kind, currency) if isinstance(value, Decimal) else value

    def _decimal(self, value: Decimal, kind: Kind, currency: str) -> str:
        if kind is Kind.HOURS:
            return self.hours(value)
        if kind is Kind.SHARE:
            return self.share(value)
        return self.money(value, currency, price=kind is Kind.PRICE)

    def count(self, value: int) -> str:
        """A whole number."""
        return format_decimal(value, locale=self.locale)

    def hours(self, value: Decimal) -> str:
        """Hours, to a hundredth; more exactly if that would be 0."""
        digits = "#,##0.0000" if 0 < value < _FEW else "#,##0.00"
        return f"{format_decimal(value, digits, locale=self.locale)} h"

    def share(self, value: Decimal) -> str:
        """A share as percent."""
        return format_percent(value, "#,##0.0 %" if value < 10 else "#,##0 %", locale=self.locale)

    def money(self, value: Decimal, currency: str, *, price: bool = False) -> str:
        """An amount to the cent; a price, or less than a cent, to a hundredth of a cent. Never 0 if it is not."""
        few = price or 0 < abs(value) < _FEW
        if value and abs(value) < _SMALLEST:
            return f"< {self.money(_SMALLEST, currency)}"
        pattern = str(self.locale.currency_formats["standard"].pattern).replace("0.00", "0.0000") if few else None
        return format_currency(value, currency, pattern, locale=self.locale, currency_digits=not few)
