"""
Reading a JetStream consumer: one request after the other, for as many messages as there is room for.

Messages are taken as they come. What nats-py does waits until all that a request asked for are there, or asks for each
message anew, which makes the way to the server the limit of how many can be read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Sequence

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import Header, StatusCode

from twopass.cluster.inbox import POLL_SECONDS

_NEXT = "$JS.API.CONSUMER.MSG.NEXT"
_LATE_SECONDS = 0.25
"""The server's word that a request is over may come so much later."""


class Pull:
    """
    The messages of one consumer. `open` it first.

    Args:
        at_once: How many to ask for at most. The server gives all to whoever asked first: if several share a consumer,
            few at once are fairer.
    """

    def __init__(self, client: Client, stream: str, durable: str, at_once: int) -> None:
        self._client = client
        self._at_once = at_once
        self._next = f"{_NEXT}.{stream}.{durable}"
        self._reply = client.new_inbox()
        self._came: asyncio.Queue[Msg] = asyncio.Queue()
        self._subscription: Subscription | None = None
        self._due = 0  # how many the last request may still bring
        self._ends = 0.0  # loop time by which it surely is over

    async def open(self) -> None:
        """Begin to listen."""
        self._subscription = await self._client.subscribe(self._reply, cb=self._came.put)

    async def fetch(self, most: int) -> Sequence[Msg]:
        """At most so many; waits POLL_SECONDS if there are none. Raises nats.errors.Error."""
        if not self._client.is_connected:  # requests that wait for the server would all be answered together
            await asyncio.sleep(POLL_SECONDS)
            return ()
        loop = asyncio.get_running_loop()
        if self._came.empty() and (self._due <= 0 or loop.time() >= self._ends):
            await self._ask(most)
        try:
            async with asyncio.timeout_at(self._ends):
                first = await self._came.get()
        except TimeoutError:
            self._due = 0
            return ()
        return self._taken([first, *self._waiting()])

    async def close(self) -> Sequence[Msg]:
        """Listen no more; what has come meanwhile."""
        if self._subscription is not None and self._client.is_connected:
            with contextlib.suppress(nats.errors.Error, TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._subscription.drain()  # type: ignore[no-untyped-call]
        return [each for each in self._waiting() if _status(each) is None]

    async def _ask(self, most: int) -> None:
        most = min(most, self._at_once)
        # Not all in step, else the same one could be the first each time that something is given back.
        request = {"batch": most, "expires": round(random.uniform(0.5, 1) * POLL_SECONDS * 1e9)}
        self._due, self._ends = most, asyncio.get_running_loop().time() + POLL_SECONDS + _LATE_SECONDS
        await self._client.publish(self._next, json.dumps(request).encode(), self._reply)

    def _waiting(self) -> list[Msg]:
        return [self._came.get_nowait() for _ in range(self._came.qsize())]

    def _taken(self, come: Sequence[Msg]) -> Sequence[Msg]:
        """Without the server's remarks, each of which ends a request."""
        messages = [each for each in come if _status(each) is None]
        self._due -= len(messages)
        for status in filter(None, map(_status, come)):
            self._due = 0
            if not messages and status != StatusCode.REQUEST_TIMEOUT:
                raise nats.errors.Error(f"nats: no messages, status {status}")
        return messages


def _status(message: Msg) -> str | None:
    return None if message.headers is None else message.headers.get(Header.STATUS)
