"""Running the gateway: as the program's main job, or inside another command for as long as it needs one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from fastapi import FastAPI

from twopass.errors import ConfigError

_MAX_FRAME_BYTES = 4 << 20


class _Quiet(uvicorn.Server):
    """
    A server that leaves signals to whoever started it, and does not end the program.

    Attributes:
        up: It answers.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:
            fix = "The lines above say why."
            raise ConfigError("The server did not start.", code="not_started", fix=fix) from None
        self.up.set()


def _settings(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning",
        ws="websockets-sansio",
        ws_max_size=_MAX_FRAME_BYTES,
        ws_per_message_deflate=False,  # sound hardly compresses, and a bomb would unpack in the event loop
        timeout_graceful_shutdown=5,
    )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises ConfigError if the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        fix = "Choose another port with --port, or 0 for any free one; --host is an address of this machine."
        raise ConfigError(f"Cannot listen on {host}:{port}: {error.strerror}.", fix=fix) from None
    return listener


def url_of(listener: socket.socket) -> str:
    """Where people reach it."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.asynccontextmanager
async def served(app: FastAPI, listener: socket.socket | None = None) -> AsyncIterator[str]:
    """
    Serve in this event loop; gives the URL. Whoever leaves the context stops the server.

    Raises ConfigError if the server cannot start.
    """
    with contextlib.closing(listener or listen("127.0.0.1", 0)) as listener:
        server = _Quiet(_settings(app))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            up = asyncio.create_task(server.up.wait())
            await asyncio.wait((running, up), return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
            if server.started:
                yield url_of(listener)
        finally:
            server.should_exit = True
            await running
