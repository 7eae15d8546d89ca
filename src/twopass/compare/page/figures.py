"""Figures as people read them: percent, seconds, money, in the way of a language. What was not measured is a dash."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from babel.dates import format_datetime
from babel.numbers import format_decimal

from twopass.compare.results import Interval
from twopass.cost.prices.rates import Money
from twopass.cost.reports.formats import NONE, UNKNOWN, Formats

_MINUS = "−"
_FEW_SECONDS = 60
_SMALLEST_P = 0.001


class Figures:
    """How figures are written in a language."""

    def __init__(self, language: str = "en") -> None:
        self._formats = Formats.of(language)
        self._locale = self._formats.locale

    def percent(self, share: float | None) -> str:
        """A share of 1 as percent: 6.2 %."""
        return NONE if share is None else self._formats.share(Decimal(str(share)))

    def ends(self, interval: Interval | None) -> str:
        """An interval of shares: 4.1–8.9 %. Empty if there is none."""
        if interval is None or interval.low is None or interval.high is None:
            return ""
        return f"{self._plain(interval.low * 100)}–{self.percent(interval.high)}"

    def points(self, difference: float | None) -> str:
        """A difference of shares in percentage points, with its sign: +1.2."""
        if difference is None:
            return NONE
        return format_decimal(round(difference * 100, 1) + 0.0, "+0.0;-0.0", locale=self._locale).replace("-", _MINUS)

    def points_ends(self, interval: Interval | None) -> str:
        """The interval of such a difference: −0.4 to +2.9. Empty if there is none."""
        if interval is None or interval.low is None or interval.high is None:
            return ""
        return f"{self.points(interval.low)} to {self.points(interval.high)}"

    def seconds(self, ms: float | None) -> str:
        """Milliseconds as seconds to a hundredth: 0.42 s."""
        return NONE if ms is None else f"{format_decimal(round(ms / 1000, 2), '0.00', locale=self._locale)} s"

    def milliseconds(self, ms: float | None) -> str:
        """Whole milliseconds."""
        return NONE if ms is None else f"{self.count(round(ms))} ms"

    def length(self, ms: float) -> str:
        """How long something is: 11.0 s, 3 min 42 s."""
        if ms < _FEW_SECONDS * 1000:
            return f"{self._plain(ms / 1000)} s"
        minutes, seconds = divmod(round(ms / 1000), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"

    def money(self, money: Money | None) -> str:
        """An amount; unknown is a word, never 0."""
        return UNKNOWN if money is None else self._formats.money(money.amount, money.currency)

    def count(self, number: int) -> str:
        """A whole number."""
        return self._formats.count(number)

    def number(self, value: float | None, digits: int = 2) -> str:
        """A plain number."""
        return NONE if value is None else format_decimal(round(value, digits), f"#,##0.{'0' * digits}", self._locale)

    def probability(self, p: float | None) -> str:
        """0.31, or < 0.001."""
        if p is None:
            return NONE
        return f"< {_SMALLEST_P}" if p < _SMALLEST_P else format_decimal(p, "0.00#", locale=self._locale)

    def moment(self, iso: str) -> str:
        """A moment in ISO 8601 as a date and time; as it is if it is none."""
        try:
            moment = datetime.fromisoformat(iso)
        except ValueError:
            return iso
        return f"{format_datetime(moment, 'd MMMM yyyy, HH:mm', locale=self._locale)} UTC"

    def _plain(self, value: float) -> str:
        return format_decimal(round(value, 1), "#,##0.0", locale=self._locale)
