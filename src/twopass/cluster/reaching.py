"""Reaching a broker that may be away when a process begins, and parting from one that may be away when it ends."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from twopass.cluster.broker import Broker, BrokerSettings, broker_for
from twopass.cluster.inbox import Inbox
from twopass.errors import BrokerUnavailable

log = structlog.get_logger()

_AGAIN_SECONDS = 1.0
_PART_SECONDS = 5.0


async def reached(settings: BrokerSettings) -> Broker:
    """The broker at an address, open; one that is away is waited for. Raises ConfigError if it never can be used."""
    away = False
    while True:
        broker = await broker_for(settings)
        try:
            await broker.open()
        except BrokerUnavailable as error:
            await parted(broker)
            if not away:
                log.warning("the broker is away: it is waited for", reason=str(error))
            away = True
            await asyncio.sleep(_AGAIN_SECONDS)
        except BaseException:  # also when the program ends meanwhile
            await parted(broker)
            raise
        else:
            if away:
                log.info("the broker is there", broker=settings.shown)
            return broker


async def parted(broker: Broker, *inboxes: Inbox) -> None:
    """Close a connection and what was read from it. Never raises: a broker that is away need not know."""
    with contextlib.suppress(Exception):  # clients raise many kinds
        async with asyncio.timeout(_PART_SECONDS):
            for inbox in inboxes:
                await inbox.abandon()
            await broker.close()
