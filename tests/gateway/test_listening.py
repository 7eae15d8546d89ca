"""How a server listens: silent crowds, TLS, proxies, and an open house."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

import httpx
import pytest
import trustme
from fastapi import FastAPI, Request
from structlog.testing import capture_logs
from tests.conftest import PATIENCE
from tests.gateway.doors_driver import (
    visit,
    well,
    whole_session,
)

from twopass.config import DoorsConfig, ServerConfig, TlsConfig, load
from twopass.errors import ConfigError
from twopass.gateway.app import create_app
from twopass.gateway.doors import address_of
from twopass.serving import listen, served


async def test_crowd_that_says_nothing() -> None:
    """When too many are silent, the one that has been so longest goes, and whoever asks is answered."""
    async with contextlib.AsyncExitStack() as stack:
        doors = DoorsConfig(handshake_seconds=1_000, waiting_connections=3)
        url = await stack.enter_async_context(served(FastAPI(), doors=doors))
        host, port = url.removeprefix("http://").split(":")
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
        for _, writer in silent:
            stack.callback(writer.close)
        waiting = [asyncio.create_task(reader.read()) for reader, _ in silent]
        async with httpx.AsyncClient() as client:
            assert 404 == (await client.get(url)).status_code
        async with asyncio.timeout(PATIENCE):
            assert (await waiting[0]).startswith(b"HTTP/1.1 408 ")
        assert [True, False, False] == [task.done() for task in waiting]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Whom the client trusts."""
    return trustme.CA()


def certified(authority: trustme.CA, directory: Path) -> TlsConfig:
    """A certificate for this machine."""
    made, tls = (
        authority.issue_cert("127.0.0.1", "localhost"),
        TlsConfig(certificate=directory / "c", key=directory / "k"),
    )
    made.private_key_pem.write_to_path(tls.key)
    for number, pem in enumerate(made.cert_chain_pems):
        pem.write_to_path(tls.certificate, append=number > 0)
    return tls


async def test_tls(small_config: Path, authority: trustme.CA, tmp_path: Path) -> None:
    """With a certificate the server speaks https and wss, and its address says so."""
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    config, tls = load(small_config), certified(authority, tmp_path)
    async with served(create_app(config), server=ServerConfig(tls=tls)) as url:
        assert url.startswith("https://127.0.0.1:")
        async with httpx.AsyncClient(verify=trusting, timeout=PATIENCE) as client:
            assert {"status": "ok"} == (await client.get(f"{url}/healthz")).json()
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(url.replace("https", "http"))
        well(await whole_session(visit(url, tls=trusting, origin=url)))


@pytest.mark.parametrize("content", [None, "", "no certificate"])
async def test_certificate_that_cannot_be_used(tmp_path: Path, content: str | None) -> None:
    """It is told before anything begins, with the setting."""
    tls = TlsConfig(certificate=tmp_path / "c", key=tmp_path / "k")
    if content is not None:
        tls.certificate.write_text(content)
        tls.key.write_text(content)
    with pytest.raises(ConfigError, match="certificate cannot be used") as caught:
        async with served(FastAPI(), server=ServerConfig(tls=tls)):
            pytest.fail("it started")
    assert "server.tls" in caught.value.fix


@pytest.mark.parametrize(
    ("host", "trusted", "seen"),
    [
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["127.0.0.2"], "127.0.0.1"),
        ("127.0.0.1", ["127.0.0.1"], "192.0.2.7"),
        ("127.0.0.1", ["127.0.0.0/24", "192.0.2.7"], "192.0.2.6"),
        ("::", [], "127.0.0.1"),
        ("::", ["127.0.0.1"], "192.0.2.7"),
        ("::", ["127.0.0.0/8"], "192.0.2.7"),
    ],
)
async def test_whose_word_is_taken(host: str, trusted: list[str], seen: str) -> None:
    """The client's address comes from trusted proxies only, and is what the last of them has seen."""
    if host == "::" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    app = FastAPI()

    async def where(request: Request) -> str:
        return address_of(request)

    app.get("/where")(where)
    doors = DoorsConfig.model_validate({"trusted_proxies": trusted, "keys": "keys.json"})
    with listen(host, 0) as listener:
        async with served(app, listener, doors=doors), httpx.AsyncClient() as client:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/where"
            answer = await client.get(url, headers={"X-Forwarded-For": "192.0.2.5, 192.0.2.6, 192.0.2.7"})
    assert seen == answer.json()


@pytest.mark.parametrize(
    ("host", "keys", "warnings"), [("127.0.0.1", None, 0), ("0.0.0.0", None, 1), ("0.0.0.0", "keys.json", 0)]
)
async def test_open_house_is_told(host: str, keys: str | None, warnings: int) -> None:
    """A server that others can reach says in its log that they all may use it, if it has no keys."""
    with capture_logs() as logs:
        async with served(FastAPI(), listen(host, 0), doors=DoorsConfig.model_validate({"keys": keys})):
            pass
    assert warnings == len([line for line in logs if "no keys" in line["event"] and "doors.keys" in line["fix"]])
