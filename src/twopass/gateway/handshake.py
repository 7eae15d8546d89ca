"""
Connections that ask for nothing, or take for ever to say what they want.

The HTTP server waits without end for the head of a request. Here it must have come after a few seconds, on new
connections and on those that are used again, and only so many may be waiting: one more, and the one that has waited
longest goes. Who sends a request at once never waits that long.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Waiting:
    """The connections of one server whose request has not come yet."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._timers: dict[PunctualProtocol, asyncio.TimerHandle] = {}  # in the order in which they began

    def begin(self, connection: PunctualProtocol) -> None:
        """It has connected, or begun another request. The time of one that waits already goes on."""
        if connection in self._timers:
            return
        if len(self._timers) >= self._most:
            next(iter(self._timers)).expire()
        loop = asyncio.get_running_loop()
        self._timers[connection] = loop.call_later(self._seconds, connection.expire)

    def end(self, connection: PunctualProtocol) -> None:
        """Its request is here, or it has gone."""
        timer = self._timers.pop(connection, None)
        if timer is not None:
            timer.cancel()


class PunctualProtocol(H11Protocol):
    """uvicorn's HTTP, for clients that send the heads of their requests in time."""

    waiting: ClassVar[Waiting]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """A client has connected."""
        super().connection_made(transport)
        self.waiting.begin(self)

    def data_received(self, data: bytes) -> None:
        """Something of a request came: of its head, unless one is being answered or has become a socket."""
        super().data_received(data)
        if self.transport.get_protocol() is not self or self.transport.is_closing() or self._busy():
            self.waiting.end(self)
        else:
            self.waiting.begin(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self.waiting.end(self)
        super().connection_lost(exc)

    def expire(self) -> None:
        """It took too long."""
        self.waiting.end(self)
        if not self.transport.is_closing():
            self.transport.write(_LATE)
            self.transport.close()

    def _busy(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn does not say that there is none before the first head
        return cycle is not None and not cycle.response_complete


def protocol(seconds: float, most: int) -> type[PunctualProtocol]:
    """
    The protocol for one server.

    Args:
        seconds: How long the head of a request may take.
        most: How many connections may wait at once.
    """
    return type("Punctual", (PunctualProtocol,), {"waiting": Waiting(seconds, most)})
