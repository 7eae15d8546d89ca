"""Budgets from a file of their own: a YAML or JSON list."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from twopass.cost.usage.budgets import Budget, Period
from twopass.errors import ConfigError

_FIX = "It is a list: - {tenant: newsroom, period: month, limit: 500, currency: USD}"


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    period: Period
    limit: Annotated[Decimal, Field(gt=0)]
    tenant: str | None = None
    key: str | None = None
    currency: str | None = None
    warn_at: Annotated[Decimal, Field(gt=0, le=1)] = Decimal("0.8")


def read_budgets(path: Path, currency: str) -> tuple[Budget, ...]:
    """The file's budgets. `currency` is the ledger's: budgets are in no other. Raises ConfigError that says where."""
    try:
        # Decimals as they are written, never by way of binary fractions.
        lines = TypeAdapter(list[_Line]).validate_python(yaml.load(path.read_text("utf-8"), yaml.BaseLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}.", fix=_FIX) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "top level"
        raise ConfigError(f"{path}, {place}: {first['msg']}.", fix=_FIX) from None
    return tuple(_budget(line, currency) for line in lines)


def _budget(line: _Line, currency: str) -> Budget:
    if line.currency not in (None, currency):
        fix = f"Give the limit in {currency}."
        raise ConfigError(f"A budget is in {line.currency}, the ledger in {currency}.", fix=fix)
    return Budget(line.period, line.limit, tenant=line.tenant, key=line.key, warn_at=line.warn_at)
