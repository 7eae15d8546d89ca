"""Comparisons cost money, too: it is written down like everybody's, and budgets hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from twopass.cost.prices.cards import Cards
from twopass.cost.usage.session_meter import NOWHERE, Sink
from twopass.cost.usage.treasury import NOBODY, Guard, LedgerSettings, open_treasury, running


@asynccontextmanager
async def accounts(settings: LedgerSettings, cards: Cards) -> AsyncIterator[tuple[Sink, Guard]]:
    """Where usage goes, and who watches the budgets; nowhere and nobody if no ledger is kept."""
    treasury = open_treasury(replace(settings, machines={}), cards)  # the servers' machines are the servers' matter
    async with running(treasury):
        yield treasury or NOWHERE, treasury or NOBODY
