"""The bad network does what its weather says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.proxy import Proxy, Slow, Weather

DATA = bytes(range(256)) * 40
_GIVE_UP = 60


@asynccontextmanager
async def _echo() -> AsyncIterator[int]:
    """A server that says what it hears; gives its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1_000):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def _through(weather: Weather, seed: int = 1) -> AsyncIterator[tuple[Proxy, asyncio.StreamReader]]:
    """Through a proxy to an echo, with all data said; patience included."""
    async with asyncio.timeout(_GIVE_UP), _echo() as port, Proxy(port, weather, seed).running() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
        try:
            for at in range(0, len(DATA), 2_048):
                writer.write(DATA[at : at + 2_048])
                await asyncio.sleep(0)
            yield proxy, reader
        finally:
            writer.close()


async def test_fair_weather_changes_nothing() -> None:
    """Without weather everything comes back, and nothing counts as a fault."""
    async with _through(Weather()) as (proxy, reader):
        assert await reader.readexactly(len(DATA)) == DATA
        assert proxy.faults == 0


async def test_delays_keep_the_order() -> None:
    """What is delayed comes late, but whole and in order."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with _through(Weather(delay=(0.05, 0.1))) as (proxy, reader):
        assert await reader.readexactly(len(DATA)) == DATA
        assert loop.time() - began >= 0.1  # both ways
        assert proxy.faults


async def test_a_cut_ends_the_connection() -> None:
    """Although neither side closes, the connection ends."""
    async with _through(Weather(cut_after=(0.05, 0.1))) as (proxy, reader):
        try:
            while await reader.read(1_000):
                pass
        except ConnectionResetError:
            pass
        assert proxy.faults == 1


async def test_silence_passes_nothing_and_ends_nothing() -> None:
    """A half-open connection takes what is said and gives nothing back, and the next connection is well again."""
    async with _through(Weather(silent_after=(0.0, 0.0), most_silences=1)) as (proxy, reader):
        while not proxy.faults:  # noqa: ASYNC110 - the proxy has no event for it
            await asyncio.sleep(0.01)
        assert not reader.at_eof()
        again, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
        writer.write(b"well?")
        assert await again.readexactly(5) == b"well?"
        assert reader._buffer == b""  # type: ignore[attr-defined]
        writer.close()


async def test_a_narrow_line_passes_no_more_than_it_can() -> None:
    """As long as bandwidth is short, data takes the time that its size needs; nothing of it is lost."""
    loop = asyncio.get_running_loop()
    began, rate = loop.time(), 40_000
    async with _through(Weather(up=Slow(0.0, 1e9, rate))) as (proxy, reader):
        assert await reader.readexactly(len(DATA)) == DATA
        assert loop.time() - began >= len(DATA) / rate * 0.9  # the first piece may have left before
        assert proxy.faults


async def test_a_server_that_is_down_is_no_end_of_the_proxy() -> None:
    """Who connects while the server is down is sent away, and may come again."""
    async with asyncio.timeout(_GIVE_UP), _echo() as port:
        pass
    async with asyncio.timeout(_GIVE_UP), Proxy(port, Weather(), 1).running() as proxy:
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
            assert await reader.read() == b""
            writer.close()
        assert proxy.connections == 2
