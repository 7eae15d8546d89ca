"""What comes from a broker, until it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import structlog

log = structlog.get_logger()

_AGAIN_SECONDS = 0.25
_STUCK_SECONDS = 30.0
"""A client that does not come back for so long hangs, as they do now and then when their server has gone."""
POLL_SECONDS = 0.25
"""How long to wait for messages at a time. Whoever closes an inbox waits as long, so that nothing comes afterwards."""


class Ticket(Protocol):
    """How a broker is told what became of a message. Anything may be raised: it will deliver the message again."""

    async def ack(self) -> None:
        """It is done with."""

    async def nack(self) -> None:
        """Another one shall have it, at once."""

    async def touch(self) -> None:
        """It is still being worked at."""


class NoTicket:
    """For messages that nobody waits for."""

    async def ack(self) -> None:
        """Nothing."""

    async def nack(self) -> None:
        """Nothing."""

    async def touch(self) -> None:
        """Nothing."""


@dataclass(eq=False, slots=True)
class Delivery:
    """
    A message that was delivered. Answer it once, with `ack` or `nack`; that never raises.

    Attributes:
        count: How often it was delivered, this time included.
        answered: Called then.
    """

    body: bytes = field(repr=False)
    ticket: Ticket
    count: int = 1
    answered: Callable[[], None] = lambda: None

    async def ack(self) -> None:
        """It is done with."""
        await self._answer(self.ticket.ack)

    async def nack(self) -> None:
        """Another one shall have it."""
        await self._answer(self.ticket.nack)

    async def touch(self) -> None:
        """It is still being worked at."""
        await _told(self.ticket.touch)

    async def _answer(self, answer: Callable[[], Awaitable[None]]) -> None:
        try:
            await _told(answer)
        finally:
            self.answered()


async def _told(answer: Callable[[], Awaitable[None]]) -> None:
    try:
        await answer()
    except Exception as error:  # clients raise many kinds; the broker delivers it again, which does no harm
        log.warning("the broker could not be told", what=answer.__name__, error=type(error).__name__)


Fetch: TypeAlias = Callable[[int], Awaitable[Sequence[Delivery]]]
"""Gets at most so many messages that are there, and waits POLL_SECONDS if there are none. May raise anything."""


class Inbox:
    """
    Deliveries, one after the other, at most `room` of them unanswered.

    Either `fetch` is called for them, or somebody else calls `put` and minds the room.

    Args:
        returned: Called when fetching succeeds after it had failed.
    """

    def __init__(self, room: int, fetch: Fetch | None = None, returned: Callable[[], None] = lambda: None) -> None:
        self._room = room
        self._returned = returned
        self._came: asyncio.Queue[Delivery] = asyncio.Queue()
        self._unanswered = 0
        self._space = asyncio.Event()
        self._closing = False
        self._fetching = asyncio.create_task(self._fetch(fetch)) if fetch else None
        self._closers: list[Callable[[], Awaitable[None]]] = []

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> Delivery:
        return await self._came.get()

    def put(self, delivery: Delivery) -> None:
        """Something came."""
        delivery.answered = self._answered
        self._unanswered += 1
        self._came.put_nowait(delivery)

    def at_close(self, closer: Callable[[], Awaitable[None]]) -> None:
        """What is to be done before the last are given back."""
        self._closers.append(closer)

    async def close(self) -> None:
        """Take nothing more, and give back what nobody took. What was taken can still be answered."""
        self._closing = True
        self._space.set()
        if self._fetching is not None:
            await self._fetching
        await self._run_closers()
        while not self._came.empty():
            await self._came.get_nowait().nack()

    async def abandon(self) -> None:
        """Take nothing more, at once. What is neither answered nor given back will be delivered again, if at all."""
        self._closing = True  # clients swallow a cancellation now and then
        self._space.set()
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)
        await self._run_closers()

    async def _run_closers(self) -> None:
        """Once."""
        while self._closers:
            await _told(self._closers.pop())

    def _answered(self) -> None:
        self._unanswered -= 1
        self._space.set()

    async def _fetch(self, fetch: Fetch) -> None:
        failed = False
        while not self._closing:
            await self._space_for_one()
            try:
                async with asyncio.timeout(_STUCK_SECONDS):
                    deliveries = await fetch(self._room - self._unanswered)
            except Exception as error:
                if not failed:
                    log.warning("the broker cannot be read", error=type(error).__name__)
                failed = True
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            if failed:
                failed = False
                self._returned()
            for delivery in deliveries:
                self.put(delivery)

    async def _space_for_one(self) -> None:
        while self._unanswered >= self._room and not self._closing:
            self._space.clear()
            await self._space.wait()
