"""Comparisons cost money, too: it is written down like everybody's, and budgets hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from twopass.cost.prices.cards import Cards
from twopass.cost.usage.session_meter import NOWHERE, Sink
from twopass.cost.usage.treasury import NOBODY, Guard, LedgerSettings, open_treasury


@asynccontextmanager
async def accounts(settings: LedgerSettings, cards: Cards) -> AsyncIterator[tuple[Sink, Guard]]:
    """Where usage goes, and who watches the budgets; nowhere and nobody if no ledger is kept."""
    treasury = open_treasury(replace(settings, machines={}), cards)  # the servers' machines are the servers' matter
    if treasury is None:
        yield NOWHERE, NOBODY
        return
    running = asyncio.create_task(treasury.run())
    try:
        yield treasury, treasury
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await treasury.stop()
