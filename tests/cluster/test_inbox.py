"""What comes from a broker, until it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.conftest import PATIENCE

from twopass.cluster import inbox
from twopass.cluster.inbox import Delivery, Inbox, NoTicket


async def test_a_client_that_hangs_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first question is never answered: what comes with the second is delivered, and it is told that it is back."""
    monkeypatch.setattr(inbox, "_STUCK_SECONDS", 0.02)
    asked, back = 0, asyncio.Event()

    async def fetch(_: int) -> Sequence[Delivery]:
        nonlocal asked
        asked += 1
        if asked != 2:
            await asyncio.sleep(PATIENCE)
        return (Delivery(b"at last", NoTicket()),)

    box = Inbox(1, fetch, returned=back.set)
    async with asyncio.timeout(PATIENCE):
        delivery = await anext(box)
        await back.wait()
    assert b"at last" == delivery.body
    await delivery.ack()
    await box.abandon()
