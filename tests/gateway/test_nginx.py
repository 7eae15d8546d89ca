"""twopass behind a real nginx, with the configuration that is shipped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from tests.conftest import CONFIG, PATIENCE, Server, running_server
from tests.gateway.doors_driver import new_key, undisturbed, visit, well, whole_session
from tests.gateway.nginx_driver import HOST, free_port, shipped_nginx
from tests.gateway.stream_driver import REFERENCE, SAMPLE, folded
from websockets.asyncio.client import connect

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
SHIPPED = Path(__file__).parents[2] / "configs" / "deploy" / "nginx.conf"
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

ADDRESSES = (f"127.0.1.{number}" for number in range(1, 255))
"""Of this machine, for clients. Each is used by one test only: a server notices a little later who has gone."""


@dataclass(frozen=True)
class Deployed:
    """
    A server, and nginx in front of it.

    Attributes:
        url: Of nginx.
        logs: Where nginx writes.
        trusting: For clients: whose certificates are good.
    """

    url: str
    server: Server
    key: str
    logs: Path
    trusting: ssl.SSLContext

    def client(self, source: str | None = None) -> httpx.AsyncClient:
        """An HTTP client with an address of its own."""
        transport = httpx.AsyncHTTPTransport(local_address=source or next(ADDRESSES), verify=self.trusting)
        return httpx.AsyncClient(base_url=self.url, transport=transport, timeout=PATIENCE)

    def visit(self, source: str | None = None, *, past: bool = False, **options: Any) -> connect:
        """A socket to nginx, or past it, from an address of its own."""
        url, tls = (self.server.url, None) if past else (self.url, self.trusting)
        options = {"key": self.key, **options}
        return visit(url, source=source or next(ADDRESSES), tls=tls, **options)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Deployed]:
    """twopass that trusts nginx and allows each address one connection, and nginx as shipped."""
    directory = tmp_path_factory.mktemp("deployed")
    keys, config = directory / "keys.json", directory / "twopass.yaml"
    doors = f"doors: {{keys: {keys}, trusted_proxies: [{HOST}], connections_per_address: 1}}\n"
    config.write_text(re.sub(r"  live:.*?(?=prices)", "", CONFIG, flags=re.DOTALL) + doors)
    _, key = new_key(keys)
    authority, trusting = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trusting)
    with (
        running_server(directory, config, environment) as server,
        running_nginx(directory / "nginx", server, authority) as (url, logs),
    ):
        yield Deployed(url, server, key, logs, trusting)


@contextlib.contextmanager
def running_nginx(directory: Path, server: Server, authority: trustme.CA) -> Iterator[tuple[str, Path]]:
    """nginx with the shipped file; only its addresses and paths are those of the test. Gives its URL and its logs."""
    directory.mkdir()
    made = authority.issue_cert(HOST)
    made.private_key_and_cert_chain_pem.write_to_path(directory / "pem")
    port = free_port()
    changes = {
        "listen 443 ssl;": f"listen {HOST}:{port} ssl;",
        "server 127.0.0.1:8765;": f"server {server.url.removeprefix('http://')};",
        "/etc/ssl/certs/twopass.pem": f"{directory}/pem",
        "/etc/ssl/private/twopass.key": f"{directory}/pem",
    }
    assert NGINX is not None
    with shipped_nginx(NGINX, SHIPPED, directory, port, changes):
        yield f"https://{HOST}:{port}", directory


async def test_session_through_nginx(deployed: Deployed) -> None:
    """A page that nginx serves may open a socket to nginx, and the session comes to its right end."""
    well(await whole_session(deployed.visit(origin=deployed.url)))
    assert 4403 == (await whole_session(deployed.visit(origin="https://evil.example"))).code


async def test_pages_and_uploads_through_nginx(deployed: Deployed) -> None:
    """The page, an upload and a token go through; a missing key gets its 401."""
    key = {"Authorization": f"Bearer {deployed.key}"}
    async with deployed.client() as client:
        assert "<html" in (await client.get("/")).text
        answer = await client.post("/v1/transcriptions", files={"file": SAMPLE.read_bytes()}, headers=key)
        assert folded(REFERENCE) == folded(" ".join(line["text"] for line in answer.json()["segments"]))
        token = (await client.post("/v1/tokens", headers=key)).json()["token"]
        assert 401 == (await client.post("/v1/transcriptions", files={"file": b""})).status_code
    well(await whole_session(deployed.visit(key=None, protocols=["twopass", f"bearer.{token}"])))


async def test_addresses_come_from_nginx(deployed: Deployed) -> None:
    """Two clients of nginx are two addresses; a second connection of one of them is one too many."""
    one = next(ADDRESSES)
    async with undisturbed(deployed.visit(one)):
        well(await whole_session(deployed.visit()))
        assert 4429 == (await whole_session(deployed.visit(one))).code


@pytest.mark.parametrize("past", [False, True])
@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
async def test_forged_addresses_count_for_nothing(deployed: Deployed, header: str, past: bool) -> None:
    """What a client says about its own address is not believed: not through nginx, and not past it."""
    one, other = next(ADDRESSES), next(ADDRESSES)
    forged = {header: f"for={other}" if header == "Forwarded" else other}
    async with undisturbed(deployed.visit(one, past=past)):
        assert 4429 == (await whole_session(deployed.visit(one, past=past, headers=forged))).code


async def test_metrics_are_for_this_machine(deployed: Deployed) -> None:
    """Monitoring on the same machine reads them; nobody else does, through nginx."""
    async with deployed.client(HOST) as here, deployed.client() as elsewhere:
        assert 200 == (await here.get("/metrics")).status_code
        assert 403 == (await elsewhere.get("/metrics")).status_code


async def test_logs_of_nginx_show_no_secret(deployed: Deployed) -> None:
    """No key, no query and no word gets into them; that somebody asked does."""
    async with deployed.client() as client:
        for path in ("/healthz?key=tp_secret1", "/v1/stream?key=tp_secret2", "/nothing?words=tp_secret3"):
            await client.get(path, headers={"Authorization": "Bearer tp_secret4", "Referer": "http://x/?tp_secret5"})
    source = next(ADDRESSES)
    well(await whole_session(deployed.visit(source)))
    log = deployed.logs / "twopass.log"
    for _ in range(600):
        if f"{source} " in log.read_text():
            break
        await asyncio.sleep(0.1)
    text = log.read_text()
    for asked in ('"GET /healthz" 200', '"GET /nothing" 404', '"GET /v1/stream" 101'):
        assert asked in text
    every = "".join(path.read_text() for path in deployed.logs.glob("*.log"))
    assert "tp_secret" not in every
    assert deployed.key not in every
