"""The load balancer in front of a cluster does what clients of a cluster meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tests.faults.balancer import Balancer
from tests.faults.proxy import Weather

_GIVE_UP = 60


@asynccontextmanager
async def _naming(name: bytes) -> AsyncIterator[int]:
    """A server that says its name and hangs up when the client does; gives its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name)
        try:
            await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def _who(balancer: Balancer) -> bytes:
    """Who answers now; nobody is empty."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(balancer.url.rpartition(":")[2]))
    try:
        return await reader.read(1)
    finally:
        writer.close()
        await writer.wait_closed()
        while balancer.connected:  # noqa: ASYNC110 - the proxy has no event for it
            await asyncio.sleep(0.01)


@asynccontextmanager
async def _before(*ports: int) -> AsyncIterator[Balancer]:
    async with asyncio.timeout(_GIVE_UP), Balancer(ports[0], Weather(), 1, targets=ports).running() as balancer:
        yield balancer


async def test_who_comes_back_lands_elsewhere() -> None:
    """Connections are given to the servers in turn, and each change of the server is counted as a move."""
    async with _naming(b"a") as first, _naming(b"b") as second, _before(first, second) as balancer:
        assert [await _who(balancer) for _ in range(3)] == [b"a", b"b", b"a"]
        assert balancer.given == [first, second, first]
        assert balancer.moves == 2


async def test_a_server_that_refuses_is_skipped() -> None:
    """Nobody is sent to a server that is down, and everybody to it again when it is back."""
    async with AsyncExitStack() as stack:
        async with _naming(b"a") as first, _naming(b"b") as second:
            balancer = await stack.enter_async_context(_before(first, second))
            assert [await _who(balancer) for _ in range(2)] == [b"a", b"b"]
        assert await _who(balancer) == b""
        assert balancer.moves == 1
        revived = await stack.enter_async_context(_naming(b"c"))
        balancer.targets = (*balancer.targets, revived)
        assert [await _who(balancer) for _ in range(2)] == [b"c", b"c"]


async def test_it_knows_where_its_client_is() -> None:
    """A connection is at one server as long as it lasts, and at none afterwards."""
    async with _naming(b"a") as port, _before(port) as balancer:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(balancer.url.rpartition(":")[2]))
        assert await reader.read(1) == b"a"
        during = balancer.now
        writer.close()
        while balancer.connected:  # noqa: ASYNC110 - the proxy has no event for it
            await asyncio.sleep(0.01)
        afterwards, was_open = balancer.now, balancer.open
    assert (during, afterwards) == (port, None)
    assert (was_open, balancer.open) == (True, False)
