"""Running the gateway: as the program's main job, or inside another command for as long as it needs one."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator

import structlog
import uvicorn
from fastapi import FastAPI

from twopass.config import DoorsConfig, ServerConfig, TlsConfig
from twopass.errors import ConfigError
from twopass.gateway import handshake

log = structlog.get_logger()

_MAX_FRAME_BYTES = 4 << 20
_MAPPED_BITS = 96
"""What comes before an IPv4 address that is written as an IPv6 one."""


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


def _settings(app: FastAPI, doors: DoorsConfig, tls: TlsConfig | None) -> uvicorn.Config:
    """Raises ConfigError if the certificate cannot be used."""
    settings = uvicorn.Config(
        app,
        log_level="warning",
        http=handshake.protocol(doors.handshake_seconds, doors.waiting_connections),
        ws="websockets-sansio",
        ws_max_size=_MAX_FRAME_BYTES,
        ws_per_message_deflate=False,  # sound hardly compresses, and a bomb would unpack in the event loop
        timeout_graceful_shutdown=5,
        proxy_headers=bool(doors.trusted_proxies),
        forwarded_allow_ips=_trusted(doors),
        ssl_certfile=tls.certificate if tls else None,
        ssl_keyfile=tls.key if tls else None,
    )
    try:
        settings.load()
    except OSError as error:  # an SSLError is one
        fix = "server.tls names a certificate and its key, both in PEM format."
        raise ConfigError(f"The certificate cannot be used: {error.strerror or error}.", fix=fix) from None
    return settings


def _trusted(doors: DoorsConfig) -> list[str]:
    """The proxies whose word is taken; IPv4 also as a socket for both families sees it."""
    mapped = [
        f"::ffff:{network.network_address}/{_MAPPED_BITS + network.prefixlen}"
        for network in doors.trusted_proxies
        if network.version == 4
    ]
    return [*map(str, doors.trusted_proxies), *mapped]


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


def url_of(listener: socket.socket, *, tls: bool = False) -> str:
    """Where people reach it."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _warn_if_open(listener: socket.socket, doors: DoorsConfig) -> None:
    host = listener.getsockname()[0]
    if doors.keys is None and not ipaddress.ip_address(host).is_loopback:
        fix = "Name a file in doors.keys and create a key with `twopass keys create`."
        log.warning("everybody who can reach this server may use it: it has no keys", address=host, fix=fix)


@contextlib.asynccontextmanager
async def served(
    app: FastAPI,
    listener: socket.socket | None = None,
    server: ServerConfig | None = None,
    doors: DoorsConfig | None = None,
) -> AsyncIterator[str]:
    """
    Serve in this event loop; gives the URL. Whoever leaves the context stops the server.

    `server` and `doors`: how to deal with connections; the defaults are for a server that only this program uses.

    Raises ConfigError if the server cannot start.
    """
    tls, doors = server.tls if server else None, doors or DoorsConfig()
    with contextlib.closing(listener or listen("127.0.0.1", 0)) as listener:
        gateway = _Quiet(_settings(app, doors, tls))
        _warn_if_open(listener, doors)
        running = asyncio.create_task(gateway.serve(sockets=[listener]))
        try:
            up = asyncio.create_task(gateway.up.wait())
            await asyncio.wait((running, up), return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
            if gateway.started:
                yield url_of(listener, tls=tls is not None)
        finally:
            gateway.should_exit = True
            await running
