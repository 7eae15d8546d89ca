"""Budgets: what counts, when they are near and spent, and that nothing is counted twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass.cost.usage.budgets import Budget, Level, Period, Policy, Purse, summed
from twopass.cost.usage.entries import Account
from twopass.cost.usage.treasury import dearer

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
NEWS, RADIO = Account("news", "k1"), Account("radio", "k2")
MONTH = Budget(Period.MONTH, Decimal(100), Policy.REFUSE, tenant="news")
DAY = Budget(Period.DAY, Decimal(10), Policy.CHEAPER, key="k1")
ALL = Budget(Period.MONTH, Decimal(150))

accounts = st.sampled_from([NEWS, RADIO, Account("news", "k3")])
times = st.integers(-40, 40).map(lambda days: NOON + timedelta(days=days))
amounts = st.decimals(0, 50, places=9)
spendings = st.lists(st.tuples(accounts, times, amounts), max_size=20)


@given(spendings, st.integers(0, 20))
def test_a_state_is_the_sum_of_what_it_covers(spent: list[tuple[Account, datetime, Decimal]], asked: int) -> None:
    """However much of it the ledger has told and however much came since, each counts once, on its day and month."""
    purse = Purse([MONTH, DAY, ALL])
    for account, at, amount in spent[:asked]:
        purse.add(account, at, amount)
    held = purse.since()
    for account, at, amount in spent[asked:]:
        purse.add(account, at, amount)
    purse.known(summed((who, f"{at:%Y-%m-%d}", amount) for who, at, amount in spent[:asked]), held)
    states = {state.budget: state.spent for state in purse.states(NEWS, NOON)}
    assert {
        MONTH: sum(a for who, at, a in spent if who.tenant == "news" and at.month == 11),
        DAY: sum(a for who, at, a in spent if who.key_id == "k1" and at.date() == NOON.date()),
        ALL: sum(a for _, at, a in spent if at.month == 11),
    } == states


def test_others_budgets_are_not_mine() -> None:
    """A tenant is measured by its own budgets and by everybody's."""
    assert [ALL] == [state.budget for state in Purse([MONTH, DAY, ALL]).states(RADIO, NOON)]


@pytest.mark.parametrize(
    ("spent", "level"),
    [("79.99", Level.WELL), ("80", Level.NEAR), ("99.999999999", Level.NEAR), ("100", Level.SPENT)],
)
def test_near_begins_at_its_share_and_spent_at_the_limit(spent: str, level: Level) -> None:
    """To the billionth."""
    assert level is MONTH.level(Decimal(spent))


def test_a_budget_of_nothing_is_spent_from_the_beginning() -> None:
    """A limit of 0 lets nobody in."""
    assert Level.SPENT is Budget(Period.DAY, Decimal(0)).level(Decimal(0))


@pytest.mark.parametrize(
    ("hours", "dear"),
    [
        ([Decimal(1), Decimal(0)], {0}),
        ([None, Decimal(3)], {0}),
        ([Decimal(2), Decimal(2)], set()),
        ([None, None], set()),
        ([Decimal(1)], set()),
        ([Decimal(3), None, Decimal(1), Decimal(2)], {0, 1, 3}),
    ],
)
def test_dear_is_what_costs_more_than_the_cheapest(hours: list[Decimal | None], dear: set[int]) -> None:
    """One of an unknown price is taken for dear; if nothing is known there is nothing to choose."""
    assert dear == dearer(hours)
