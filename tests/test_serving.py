"""Running the gateway inside another program: it begins, it ends, and it says why it cannot."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest
from fastapi import FastAPI
from tests.conftest import PATIENCE
from tests.gateway.stream_driver import opened

from twopass.config import load
from twopass.errors import ConfigError
from twopass.gateway.app import create_app
from twopass.serving import listen, served, url_of


async def test_server_lasts_as_long_as_the_context(small_config: Path) -> None:
    """Inside the context it answers at its address; after it, nobody does, and its models are gone."""
    before = psutil.Process().children()
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        async with served(create_app(load(small_config))) as url, asyncio.timeout(PATIENCE):
            while not (await client.get(f"{url}/readyz")).is_success:  # noqa: ASYNC110 - its state, not ours
                await asyncio.sleep(0.1)
            models = [child for child in psutil.Process().children() if child not in before]
            assert len(models) >= 3
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{url}/healthz")
    assert not any(model.is_running() for model in models)


async def test_signals_are_left_to_the_program() -> None:
    """Ctrl-C means what it meant before."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with served(FastAPI()):
        assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


async def test_server_that_cannot_start() -> None:
    """A gateway whose models cannot be loaded is an error, not a server that never answers."""

    @contextlib.asynccontextmanager
    async def broken(app: FastAPI) -> AsyncIterator[None]:
        if app.title == "broken":
            raise ConfigError("No voice detector.")
        yield

    with pytest.raises(ConfigError, match="did not start") as caught:
        async with served(FastAPI(title="broken", lifespan=broken)):
            pytest.fail("it started")
    assert caught.value.fix


async def test_sound_is_not_compressed(server_url: str) -> None:
    """The server takes no compressed frames: sound hardly compresses, and a bomb would."""
    async with opened(server_url) as socket:
        assert socket.response is not None
        assert "permessage-deflate" not in socket.response.headers.get("Sec-WebSocket-Extensions", "")


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::1", "[::1]"),
        ("::", "[::1]"),
        ("localhost", "127.0.0.1"),
    ],
)
def test_address_can_be_opened(host: str, shown: str) -> None:
    """Whatever it listens on, the address that is shown can be typed into a browser on this machine."""
    if ":" in host and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with listen(host, 0) as listener:
        port = listener.getsockname()[1]
        assert f"http://{shown}:{port}" == url_of(listener)


def test_port_that_is_taken() -> None:
    """A port in use, or an address of another machine, is told with the options that help."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for host, port in (taken.getsockname(), ("192.0.2.1", 0), ("no host", 0)):
            with pytest.raises(ConfigError, match=f"Cannot listen on {host}:{port}: ") as caught:
                listen(host, port)
            assert "--port" in caught.value.fix
            assert "--host" in caught.value.fix
