"""Visitors with and without keys, for the tests of what stands in front of a server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx
from tests.conftest import PATIENCE
from tests.gateway.stream_driver import END, Heard, chunks, folded, in_order, say, start
from tests.speech import load
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from twopass.gateway.keys import Key, KeyFile
from twopass.gateway.messages import parse_server

SHORT = load("short_slt")
PIECES = list(chunks(SHORT.pcm))
NOBODY = "127.0.0.1"


def new_key(path: Path, max_sessions: int | None = None) -> tuple[Key, str]:
    """Create a key as `twopass keys create` does."""
    return KeyFile(path).add(name="test", tenant="tests", now=datetime.now(UTC), max_sessions=max_sessions)


def bearer(credential: str | None) -> dict[str, str]:
    """The header for a key or a token."""
    return {} if credential is None else {"Authorization": f"Bearer {credential}"}


def token_for(url: str, key: str) -> str:
    """What a browser gets for a key."""
    token = httpx.post(f"{url}/v1/tokens", headers=bearer(key), timeout=PATIENCE).raise_for_status().json()["token"]
    assert isinstance(token, str)
    return token


def visit(
    url: str,
    key: str | None = None,
    *,
    protocols: Sequence[str] = (),
    origin: str | None = None,
    source: str = NOBODY,
    tls: ssl.SSLContext | None = None,
    headers: dict[str, str] | None = None,
) -> connect:
    """A socket to the server, from an address of this machine; a context manager."""
    return connect(
        url.replace("http", "ws", 1) + "/v1/stream",
        additional_headers=bearer(key) | (headers or {}),
        subprotocols=[Subprotocol(name) for name in protocols] or None,
        origin=None if origin is None else Origin(origin),
        local_addr=(source, 0),
        ssl=tls,
        max_size=None,
        open_timeout=PATIENCE,
        proxy=None,
    )


async def heard_to_the_end(socket: ClientConnection, heard: Heard | None = None) -> Heard:
    """What the server says until it closes, added to what was heard before."""
    heard = heard or Heard()
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionClosed):
            async for message in socket:
                heard.take(message)
        await socket.wait_closed()
    heard.code, heard.reason = socket.close_code or 0, socket.close_reason or ""
    return heard


async def whole_session(visitor: connect) -> Heard:
    """A session over the short recording; of one who is not let in, the refusal."""
    async with visitor as socket:
        saying = asyncio.create_task(say(socket, [start(), *PIECES, END]))
        heard = await heard_to_the_end(socket)
        await saying
    return heard


@contextlib.asynccontextmanager
async def undisturbed(visitor: connect) -> AsyncIterator[None]:
    """A session that has begun before, goes on meanwhile, and must come to its right end afterwards."""
    middle = len(PIECES) // 2
    async with visitor as socket:
        await socket.send(start())
        heard = Heard([parse_server(await socket.recv())])
        listening = asyncio.create_task(heard_to_the_end(socket, heard))
        await say(socket, PIECES[:middle])
        yield
        assert heard.started.session
        assert not listening.done()
        await say(socket, [*PIECES[middle:], END])
        well(await listening)


def well(heard: Heard) -> None:
    """It was a session with nothing wrong."""
    assert (1000, []) == (heard.code, heard.codes)
    assert folded(SHORT.text) == folded(heard.text())
    in_order(heard)
