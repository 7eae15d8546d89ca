"""
Currencies by dated rates from a file: what a unit of each was worth, in one base currency, from a day on.

    base: EUR                                          date,currency,rate,base
    rates:                                             2026-10-01,USD,0.91,EUR
      - {date: 2026-10-01, currency: USD, rate: 0.91}

Both forms say the same: from that day on a US dollar is worth 0.91 euro.
"""

from __future__ import annotations

import csv
import io
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from twopass.cost.prices.pricing import EXACT
from twopass.cost.prices.yaml_files import Readable, read_documents
from twopass.errors import ConfigError

Dated: TypeAlias = tuple[tuple[date, Decimal], ...]
_FIX = (
    "It is YAML (`base: EUR` and `rates:` with date, currency and rate) or CSV (date,currency,rate,base); "
    "see configs/exchange-example.yaml."
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """
    Attributes:
        base: What the rates are in; its own is 1.
        rates: For each currency, rising by date, how many of the base one unit is worth from that day on.
    """

    base: str = ""
    rates: Mapping[str, Dated] = field(default_factory=lambda: MappingProxyType({}))

    def convert(self, amount: Decimal, currency: str, to: str, day: date) -> Decimal | None:
        """
        The amount in another currency by the last rates on or before that day (UTC); None if one is not known.

        It is not rounded. An amount that stays in its currency needs no rate.
        """
        if currency == to:
            return amount
        worth, price = self._worth(currency, day), self._worth(to, day)
        if worth is None or price is None:
            return None
        return EXACT.divide(EXACT.multiply(amount, worth), price)

    def _worth(self, currency: str, day: date) -> Decimal | None:
        if currency == self.base:
            return Decimal(1)
        dated = self.rates.get(currency, ())
        known = bisect_right(dated, day, key=lambda entry: entry[0])
        return dated[known - 1][1] if known else None


def load_exchange(path: Path | None) -> Exchange:
    """The file's rates; none without a file. Raises ConfigError that names file, place and fix."""
    if path is None:
        return Exchange()
    table = _from_csv(path) if path.suffix.lower() == ".csv" else _from_yaml(path)
    dated: dict[str, list[tuple[date, Decimal]]] = defaultdict(list)
    for line in table.rates:
        dated[line.currency].append((line.date, line.rate))
    rates = {currency: tuple(sorted(entries)) for currency, entries in sorted(dated.items())}
    return Exchange(table.base, MappingProxyType(rates))


Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    date: date
    currency: Currency
    rate: Annotated[Decimal, Field(gt=0)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    base: Currency
    rates: tuple[_Line, ...]

    @model_validator(mode="after")
    def _clear(self) -> _Table:
        seen = set()
        for line in self.rates:
            if line.currency == self.base:
                raise ValueError(f"{line.currency} is the base; its rate is 1 and does not stand here")
            if (line.currency, line.date) in seen:
                raise ValueError(f"{line.currency} has two rates on {line.date}")
            seen.add((line.currency, line.date))
        return self


def _from_yaml(path: Readable) -> _Table:
    documents = read_documents(path, _Table, _FIX)
    if len(documents) != 1:
        raise ConfigError(f"{path.name}: {len(documents)} documents, one is wanted.", fix=_FIX)
    return documents[0]


class _CsvLine(_Line):
    base: Currency


def _from_csv(path: Path) -> _Table:
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path.name} cannot be read: {error}.", fix=_FIX) from None
    lines = [_csv_line(path, number, row) for number, row in enumerate(rows, start=2)]
    bases = sorted({line.base for line in lines})
    if len(bases) != 1:
        raise ConfigError(f"{path.name}: one base currency is wanted, there are {bases}.", fix=_FIX)
    return _whole(path, bases[0], lines)


def _csv_line(path: Path, number: int, row: Mapping[str, object]) -> _CsvLine:
    try:
        return _CsvLine.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path.name}, line {number}, {place}: {first['msg']}.", fix=_FIX) from None


def _whole(path: Path, base: str, lines: Iterable[_CsvLine]) -> _Table:
    rates = tuple(_Line(date=line.date, currency=line.currency, rate=line.rate) for line in lines)
    try:
        return _Table(base=base, rates=rates)
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{path.name}: {message}.", fix=_FIX) from None
