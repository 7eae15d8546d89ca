"""
Bad networks: a TCP proxy whose connections break, fall silent, stutter and crawl, all from a seed.

It knows nothing of WebSockets. Every connection gets its own fate from the proxy's random numbers, so a seed gives the
same fates in the same order, whatever the clocks do.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol, Self

_PIECE = 4_096
BUFFER = 16_384
_MOST_IN_FLIGHT = 64
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() sends RST instead of FIN


@dataclass(frozen=True, slots=True)
class Slow:
    """A stretch of a connection's life, in seconds, in which no more than `rate` bytes a second pass."""

    begin: float
    end: float
    rate: float


@dataclass(frozen=True, slots=True)
class Weather:
    """
    What a network does to connections. Seconds, bytes.

    Attributes:
        cut_after: A connection is cut so long after its beginning, anything between these.
        reset: Half of the cuts are resets instead of ends.
        silent_after: Nothing passes any more from then on, but the connection stays open.
        most_silences: Then the network is well again.
        delay: Every piece comes so much later, never out of order.
        up, down: Too little bandwidth from and to the client.
    """

    cut_after: tuple[float, float] | None = None
    reset: bool = True
    silent_after: tuple[float, float] | None = None
    most_silences: int = 2
    delay: tuple[float, float] | None = None
    up: Slow | None = None
    down: Slow | None = None


class Door(Protocol):
    """
    Where one client connects, again and again.

    Attributes:
        faults: How often it did it harm.
        moves: How often the client came to another server than the time before.
    """

    @property
    def moves(self) -> int: ...

    @property
    def url(self) -> str: ...

    @property
    def faults(self) -> int: ...

    def running(self) -> contextlib.AbstractAsyncContextManager[object]:
        """It is open for as long as the context lasts."""


@dataclass(frozen=True)
class Direct:
    """Nothing between client and server."""

    url: str
    faults: int = 0
    moves: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Direct]:
        """There is nothing to do."""
        yield self


@dataclass
class Proxy:
    """
    A proxy in front of a server on this machine.

    Attributes:
        url: Where clients connect.
        faults: How often it did what its weather says.
    """

    target: int
    weather: Weather
    seed: object
    faults: int = 0
    connections: int = 0
    url: str = ""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._rng = random.Random(f"proxy {self.seed}")
        self._silences = 0

    @property
    def moves(self) -> int:
        """There is only one server."""
        return 0

    @property
    def connected(self) -> bool:
        """Whether somebody is."""
        return bool(self._tasks)

    @property
    def open(self) -> bool:
        """Whether somebody could be."""
        return bool(self.url)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Listen for as long as the context lasts."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=BUFFER)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            self.url = ""
            server.close()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        rng = random.Random(self._rng.random())
        try:
            _narrow(writer)
            await self._connected(reader, writer, rng)
        except asyncio.CancelledError:
            writer.transport.abort()  # the proxy closes
        else:
            writer.close()
        finally:
            self._tasks.discard(task)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rng: random.Random) -> None:
        try:
            there, back = await self._to_server()
        except OSError:
            return  # the server is down: so is the connection
        _narrow(back)
        silence = self._silence(rng)
        up = _Pipe(reader, back, rng.random(), self.weather.delay, self.weather.up, silence, self._strike)
        down = _Pipe(there, writer, rng.random(), self.weather.delay, self.weather.down, silence, self._strike)
        pipes = [asyncio.create_task(pipe.run()) for pipe in (up, down)]
        try:
            await asyncio.wait(pipes, timeout=self._lifetime(rng), return_when=asyncio.FIRST_COMPLETED)
            if not any(pipe.done() for pipe in pipes):
                self._strike()
                if self.weather.reset and rng.random() < 0.5:
                    _reset(writer)
                    _reset(back)
        finally:
            for pipe in pipes:
                pipe.cancel()
            await asyncio.gather(*pipes, return_exceptions=True)
            back.close()

    async def _to_server(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to who answers. Raises OSError."""
        return await asyncio.open_connection("127.0.0.1", self.target, limit=BUFFER)

    def _strike(self) -> None:
        self.faults += 1

    def _lifetime(self, rng: random.Random) -> float | None:
        return rng.uniform(*self.weather.cut_after) if self.weather.cut_after else None

    def _silence(self, rng: random.Random) -> float | None:
        """When the connection falls silent (loop time)."""
        if self.weather.silent_after is None or self._silences >= self.weather.most_silences:
            return None
        self._silences += 1
        return asyncio.get_running_loop().time() + rng.uniform(*self.weather.silent_after)


class _Pipe:
    """One direction of a connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        seed: float,
        delay: tuple[float, float] | None,
        slow: Slow | None,
        silence: float | None,
        strike: Callable[[], None],
    ) -> None:
        self._strike = strike
        self._reader, self._writer = reader, writer
        self._rng = random.Random(seed)
        self._delay, self._slow, self._silence = delay, slow, silence
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._flying: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_IN_FLIGHT)

    async def run(self) -> None:
        """Until one end closes."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take())
            group.create_task(self._give())

    async def _take(self) -> None:
        while True:
            data = b""
            with contextlib.suppress(OSError):
                data = await self._reader.read(_PIECE)
            due = self._loop.time() + (self._rng.uniform(*self._delay) if self._delay else 0)
            await self._flying.put((due, data))
            if not data:
                return

    async def _give(self) -> None:
        while True:
            due, data = await self._flying.get()
            await self._wait(due, len(data))
            if not data:
                return
            try:
                self._writer.write(data)
                await self._writer.drain()
            except OSError:
                return

    async def _wait(self, due: float, size: int) -> None:
        if self._silence is not None and self._loop.time() >= self._silence:
            self._strike()
            await asyncio.Event().wait()  # for ever, with the connection open
        if due > self._loop.time():
            self._strike()
            await asyncio.sleep(due - self._loop.time())
        age = self._loop.time() - self._began
        if self._slow is not None and self._slow.begin <= age < self._slow.end:
            self._strike()
            await asyncio.sleep(size / self._slow.rate)


def _narrow(writer: asyncio.StreamWriter) -> None:
    """Small buffers, so that who is slow is felt at the other end soon."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    writer.transport.set_write_buffer_limits(BUFFER)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: what is on its way is lost."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
