"""
Budgets: what a tenant or a key may spend per day or month, and what happens when it has. Pure.

Amounts are in the ledger's currency. Days and months are UTC's. What has no known price is on no budget: it cannot be
counted, and the reports list it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from itertools import chain

from twopass.cost.usage.entries import Account


class Period(StrEnum):
    """How long a budget lasts."""

    DAY = "day"
    MONTH = "month"

    def name_of(self, at: datetime) -> str:
        """Which one a time (with its zone) belongs to: 2026-11-21, or 2026-11."""
        return at.astimezone(UTC).strftime("%Y-%m-%d" if self is Period.DAY else "%Y-%m")


class Policy(StrEnum):
    """What happens when a budget is spent."""

    WARN = "warn"  # the client is told
    CHEAPER = "cheaper"  # ... and the first pass goes on with the cheapest recognizer of its list
    REFUSE = "refuse"  # ... and no session begins; those that run get their finals and end


class Level(StrEnum):
    """How far a budget has come."""

    WELL = "well"
    NEAR = "near"
    SPENT = "spent"


@dataclass(frozen=True, slots=True)
class Budget:
    """
    Attributes:
        tenant, key: Whose; None is everybody's together. A key is named by its id.
        limit: In the ledger's currency.
        warn_at: From this share of it on the client is warned.
    """

    period: Period
    limit: Decimal
    policy: Policy = Policy.WARN
    tenant: str | None = None
    key: str | None = None
    warn_at: Decimal = Decimal("0.8")

    def covers(self, account: Account) -> bool:
        """Whether what this account spends counts."""
        return self.tenant in (None, account.tenant) and self.key in (None, account.key_id)

    def level(self, spent: Decimal) -> Level:
        """How far it has come."""
        if spent >= self.limit:
            return Level.SPENT
        return Level.NEAR if spent >= self.limit * self.warn_at else Level.WELL


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget and what is spent of it."""

    budget: Budget
    spent: Decimal

    @property
    def level(self) -> Level:
        """How far it has come."""
        return self.budget.level(self.spent)


Spent = Mapping[tuple[Account, str], Decimal]
"""What accounts spent, by account and name of the day (2026-11-21)."""


class Purse:
    """What was spent: what the ledger knew when it was asked last, and what has come since."""

    def __init__(self, budgets: Sequence[Budget]) -> None:
        self.budgets = budgets
        self._known: Spent = {}
        self._since: dict[tuple[Account, str], Decimal] = defaultdict(Decimal)

    def add(self, account: Account, at: datetime, amount: Decimal) -> None:
        """Something was spent."""
        self._since[account, Period.DAY.name_of(at)] += amount

    def since(self) -> Spent:
        """What has come since the ledger was asked last."""
        return dict(self._since)

    def known(self, spent: Spent, held: Spent) -> None:
        """The ledger's sums, in which all of `held` (an earlier answer of `since`) is counted."""
        self._known = spent
        for name, amount in held.items():
            self._since[name] -= amount

    def states(self, account: Account, at: datetime) -> tuple[BudgetState, ...]:
        """All budgets that cover an account."""
        covering = (budget for budget in self.budgets if budget.covers(account))
        return tuple(BudgetState(budget, self._spent(budget, budget.period.name_of(at))) for budget in covering)

    def _spent(self, budget: Budget, period: str) -> Decimal:
        parts = chain(self._known.items(), self._since.items())
        return sum((part for (who, day), part in parts if budget.covers(who) and day.startswith(period)), Decimal(0))


def summed(rows: Iterable[tuple[Account, str, Decimal]]) -> Spent:
    """Amounts of the same account and day, added up."""
    sums: dict[tuple[Account, str], Decimal] = defaultdict(Decimal)
    for account, day, amount in rows:
        sums[account, day] += amount
    return dict(sums)
