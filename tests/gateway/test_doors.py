"""Who gets in and who does not: each refusal has its own code, and a session next to it does not notice."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from tests.conftest import CONFIG, PATIENCE, Server, running_server
from tests.gateway.doors_driver import (
    SHORT,
    bearer,
    heard_to_the_end,
    new_key,
    token_for,
    undisturbed,
    visit,
    well,
    whole_session,
)
from tests.gateway.stream_driver import END, REFERENCE, SAMPLE, chunks, folded, say, start
from websockets.asyncio.client import connect

from twopass.config import DoorsConfig, load
from twopass.gateway.app import create_app
from twopass.gateway.keys import KeyFile
from twopass.serving import served

FRIEND = "https://friend.example"
MOST = 100
FLOODER = "127.0.0.9"
"""Another address of this machine, so that what is counted there is not counted for the session next to it."""


@dataclass(frozen=True)
class Guarded:
    """A server with keys, and one that is good."""

    server: Server
    keys: Path
    config: Path
    key: str

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.server.url

    def neighbour(self) -> contextlib.AbstractAsyncContextManager[None]:
        """The session next door."""
        return undisturbed(visit(self.url, self.key))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Guarded]:
    """`twopass serve` with a file of keys and small limits."""
    directory = tmp_path_factory.mktemp("guarded")
    keys, config = directory / "keys.json", directory / "guarded.yaml"
    doors = f"""doors:
  keys: {keys}
  origins: ["{FRIEND}"]
  handshake_seconds: 5
  connections_per_address: {MOST}
  sessions_per_address: 200
  messages_per_second: 1
  open_metrics: false
"""
    config.write_text(re.sub(r"  live:.*?(?=prices)", "", CONFIG, flags=re.DOTALL) + doors)
    _, key = new_key(keys)
    with running_server(directory, config, environment) as server:
        yield Guarded(server, keys, config, key)


def revoked(guarded: Guarded) -> connect:
    """With a key that was good a moment ago."""
    key, secret = new_key(guarded.keys)
    httpx.get(f"{guarded.url}/metrics", headers=bearer(secret), timeout=PATIENCE).raise_for_status()
    KeyFile(guarded.keys).revoke(key.id, datetime.now(UTC))
    return visit(guarded.url, secret)


def token_of_a_revoked_key(guarded: Guarded) -> connect:
    """With a token that would live for minutes, but its key does not."""
    key, secret = new_key(guarded.keys)
    token = token_for(guarded.url, secret)
    KeyFile(guarded.keys).revoke(key.id, datetime.now(UTC))
    return visit(guarded.url, protocols=["twopass", f"bearer.{token}"])


REFUSALS: dict[str, tuple[Callable[[Guarded], connect], int, str]] = {
    "no key": (lambda g: visit(g.url), 4401, "unauthorized"),
    "wrong key": (lambda g: visit(g.url, "tp_" + 43 * "A"), 4401, "unauthorized"),
    "revoked key": (revoked, 4401, "unauthorized"),
    "wrong token": (lambda g: visit(g.url, protocols=["twopass", "bearer.no.to.ken"]), 4401, "unauthorized"),
    "token of a revoked key": (token_of_a_revoked_key, 4401, "unauthorized"),
    "foreign origin": (lambda g: visit(g.url, g.key, origin="https://evil.example"), 4403, "foreign_origin"),
    "no origin at all": (lambda g: visit(g.url, g.key, origin="null"), 4403, "foreign_origin"),
}


@pytest.mark.parametrize("who", REFUSALS)
async def test_who_stays_outside(guarded: Guarded, who: str) -> None:
    """Each is told why, with the code of the reason, and a session next door comes to its right end."""
    visitor, code, reason = REFUSALS[who]
    async with guarded.neighbour():
        heard = await whole_session(visitor(guarded))
        assert (code, reason, [reason]) == (heard.code, heard.reason, heard.codes)
        (error,) = heard.errors
        assert error.fatal
        assert error.fix
        assert [error] == heard.messages


async def test_who_gets_in(guarded: Guarded) -> None:
    """A key in the header, a token in the header, a token as a browser sends it, and the page of a listed site."""
    token = token_for(guarded.url, guarded.key)
    browser = visit(guarded.url, protocols=["twopass", f"bearer.{token}"], origin=FRIEND)
    async with browser as opened:
        assert "twopass" == opened.subprotocol
    for visitor in (visit(guarded.url, guarded.key, origin=guarded.url), visit(guarded.url, token), browser):
        well(await whole_session(visitor))


async def test_key_made_while_the_server_runs(guarded: Guarded) -> None:
    """`twopass keys create` makes a key with which one gets in at once."""
    command = [sys.executable, "-m", "twopass.cli", "keys", "create", "--name", "x", "--config", str(guarded.config)]
    key = await asyncio.to_thread(subprocess.check_output, command, text=True)
    well(await whole_session(visit(guarded.url, key.strip())))


async def test_oversize_frame(guarded: Guarded) -> None:
    """A frame of more than 4 MB ends its own socket with 1009, and no other."""
    async with guarded.neighbour(), visit(guarded.url, guarded.key) as opened:
        await say(opened, [start(), bytes((4 << 20) + 1)])
        assert 1009 == (await heard_to_the_end(opened)).code


async def test_connection_beyond_the_limit(guarded: Guarded) -> None:
    """With 100 connections from one address the 101st is refused with 4429; other addresses have their own 100."""
    async with guarded.neighbour(), contextlib.AsyncExitStack() as stack:
        for _ in range(MOST):
            await stack.enter_async_context(upload_that_waits(guarded))
        heard = await whole_session(visit(guarded.url, guarded.key, source=FLOODER))
        assert (4429, ["too_many_connections"]) == (heard.code, heard.codes)
        answer = await post(guarded, source=FLOODER)
        assert (429, "too_many_connections") == (answer.status_code, answer.json()["code"])
    await eventually(lambda: lets_in(visit(guarded.url, guarded.key, source=FLOODER)))


async def lets_in(visitor: connect) -> bool:
    """Whether there is room for one more."""
    return (await whole_session(visitor)).code == 1000


async def eventually(met: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it is so."""
    give_up = asyncio.get_running_loop().time() + PATIENCE
    while asyncio.get_running_loop().time() < give_up:
        if await met():
            return
        await asyncio.sleep(0.1)
    pytest.fail("it never was")


@contextlib.asynccontextmanager
async def upload_that_waits(guarded: Guarded, key: str | None = None) -> AsyncIterator[None]:
    """An upload that has been let in, and of which nothing more comes."""
    host, port = guarded.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(FLOODER, 0))
    head = f"POST /v1/transcriptions HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {key or guarded.key}\r\n"
    more = "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 999\r\nExpect: 100-continue\r\n\r\n"
    writer.write((head + more).encode())
    async with asyncio.timeout(PATIENCE):
        assert b"100 Continue" in await reader.readline()
    try:
        yield
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def post(
    guarded: Guarded, key: str | None = None, sound: bytes = b"", source: str | None = None, **headers: str
) -> httpx.Response:
    """Upload a file. None that will be refused should be large: it may be refused before all of it was sent."""
    sent = bearer(guarded.key if key is None else key) | headers
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address=source), timeout=PATIENCE) as client:
        return await client.post(f"{guarded.url}/v1/transcriptions", files={"file": sound}, headers=sent)


async def test_sessions_of_a_key(guarded: Guarded) -> None:
    """A key with one session at a time has one, by socket or by upload; the next may begin when it has ended."""
    _, key = new_key(guarded.keys, max_sessions=1)
    async with guarded.neighbour():
        async with undisturbed(visit(guarded.url, key)):
            heard = await whole_session(visit(guarded.url, key))
            assert (4429, ["too_many_sessions"]) == (heard.code, heard.codes)
            answer = await post(guarded, key)
            assert (429, "too_many_sessions", True) == (answer.status_code, *refusal(answer))
        await eventually(lambda: lets_in(visit(guarded.url, key)))
        async with contextlib.AsyncExitStack() as stack:
            await eventually(lambda: entered(stack, upload_that_waits(guarded, key)))
            assert 429 == (await post(guarded, key)).status_code


async def entered(stack: contextlib.AsyncExitStack, context: contextlib.AbstractAsyncContextManager[None]) -> bool:
    """Whether it was let in."""
    try:
        await stack.enter_async_context(context)
    except AssertionError:
        return False
    return True


def refusal(answer: httpx.Response) -> tuple[str, bool]:
    """Code and whether trying again can help, of a refusal in the form that all have."""
    problem = answer.json()
    assert {"code", "message", "fix", "retryable"} == set(problem)
    assert problem["fix"]
    return problem["code"], problem["retryable"]


async def test_uploads_have_the_same_doors(guarded: Guarded) -> None:
    """A key or a token gets in; without, 401 says which scheme; a page of another site gets 403."""
    token = token_for(guarded.url, guarded.key)
    async with guarded.neighbour():
        for good in (guarded.key, token):
            answer = await post(guarded, good, SAMPLE.read_bytes())
            assert folded(REFERENCE) == folded(" ".join(line["text"] for line in answer.json()["segments"]))
        for wrong in ("", "Basic Zm9vOmJhcg==", "Bearer", "Bearer tp_wrong", f"Bearer {token[:-1]}"):
            answer = await post(guarded, Authorization=wrong)
            assert (401, "unauthorized", False) == (answer.status_code, *refusal(answer))
            assert "Bearer" == answer.headers["www-authenticate"]
        answer = await post(guarded, origin="https://evil.example")
        assert (403, "foreign_origin", False) == (answer.status_code, *refusal(answer))


async def test_upload_is_refused_before_it_comes(guarded: Guarded) -> None:
    """Who has no key is told so after the head of the request: none of the gigabyte is read."""
    host, port = guarded.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/transcriptions HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000000000\r\n"
    writer.write(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        assert b"401 Unauthorized" in await reader.readline()
    writer.close()


async def test_upload_that_stops(small_config: Path) -> None:
    """An upload of which nothing more comes is given up with 408: it does not hold its place for ever."""
    config = load(small_config).model_copy(update={"doors": DoorsConfig(upload_seconds=0.5)})
    async with served(create_app(config)) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /v1/transcriptions HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000\r\n"
        writer.write(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"upload_stopped"' in answer


def test_tokens_are_for_keys(guarded: Guarded, server_url: str) -> None:
    """A key gets a token and its time; nothing and a token get 401; a server without keys has none to give."""
    answer = httpx.post(f"{guarded.url}/v1/tokens", headers=bearer(guarded.key), timeout=PATIENCE)
    assert {"token": answer.json()["token"], "expires_in": 300} == answer.json()
    for wrong in (None, "tp_wrong", answer.json()["token"]):
        refused = httpx.post(f"{guarded.url}/v1/tokens", headers=bearer(wrong), timeout=PATIENCE)
        assert (401, "unauthorized", False) == (refused.status_code, *refusal(refused))
    foreign = httpx.post(f"{guarded.url}/v1/tokens", headers={"origin": "null"} | bearer(guarded.key), timeout=PATIENCE)
    assert 403 == foreign.status_code
    needless = httpx.post(f"{server_url}/v1/tokens", timeout=PATIENCE)
    assert (404, "no_keys", False) == (needless.status_code, *refusal(needless))


def test_what_stays_open(guarded: Guarded, server_url: str) -> None:
    """Health and the page need no key; neither do metrics, unless the configuration says so."""
    for path in ("/healthz", "/readyz", "/", "/static/sample.json", "/v1/stream/schema.json"):
        assert 200 == httpx.get(guarded.url + path, timeout=PATIENCE).status_code
    assert 200 == httpx.get(f"{server_url}/metrics", timeout=PATIENCE).status_code
    assert 401 == httpx.get(f"{guarded.url}/metrics", timeout=PATIENCE).status_code
    assert 200 == httpx.get(f"{guarded.url}/metrics", headers=bearer(guarded.key), timeout=PATIENCE).status_code


async def test_flood_of_messages(guarded: Guarded) -> None:
    """Text messages that come too fast are told to be a mistake, but not lost; neither is audio, however fast."""
    async with guarded.neighbour(), visit(guarded.url, guarded.key) as opened:
        await say(opened, [start(), *5 * ['{"type": "seen", "event": 0}'], *chunks(SHORT.pcm, 16), END])
        heard = await heard_to_the_end(opened)
        assert 1000 == heard.code
        assert {"too_many_messages"} == set(heard.codes)
        assert folded(SHORT.text) == folded(heard.text())


async def test_log_shows_no_secret(guarded: Guarded) -> None:
    """Keys, tokens, and what was said stay out of the log, also after refusals and mistakes; why somebody was refused
    is in it."""
    token, wrong = token_for(guarded.url, guarded.key), "tp_not-the-right-one"
    heard = await whole_session(visit(guarded.url, guarded.key))
    well(heard)
    await whole_session(visit(guarded.url, wrong))
    await whole_session(visit(guarded.url, protocols=["twopass", f"bearer.{token}x"]))
    await whole_session(visit(guarded.url, protocols=["twopass", f"bearer.{token}"], origin="https://evil.example"))
    assert 200 == (await post(guarded, token, SAMPLE.read_bytes())).status_code
    await post(guarded, wrong)
    async with visit(guarded.url, guarded.key) as opened:
        await opened.send('{"type": "start", "phrases": "Tell nobody"}')
        assert 4400 == (await heard_to_the_end(opened)).code
    log = guarded.server.log.read_text().lower()
    assert "refused at the door" in log
    said = folded(f"{heard.text()} {SHORT.text} {REFERENCE}").split()
    secrets = [guarded.key, token, wrong, "tell nobody", *(f"{one} {two}" for one, two in pairwise(said))]
    assert [] == [secret for secret in secrets if secret.lower() in log]


# -- who takes for ever ----------------------------------------------------------------------------------------------


async def answer_to(url: str, pieces: list[bytes], rest: float) -> bytes:
    """What somebody gets who sends this, slowly, and then nothing more."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answer = asyncio.create_task(reader.read())
    for piece in pieces:
        if answer.done():
            break
        with contextlib.suppress(OSError):
            writer.write(piece)
            await writer.drain()
        await asyncio.wait([answer], timeout=rest)
    async with asyncio.timeout(PATIENCE):
        try:
            return await answer
        finally:
            writer.close()


HEAD = b"GET /v1/stream HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Long: "
SLOW: dict[str, tuple[list[bytes], float]] = {
    "nothing": ([], 0),
    "a byte now and then": ([bytes([byte]) for byte in HEAD + 900 * b"x"], 0.2),
    "a head without end": ([HEAD], 0),
    "a second request without end": ([b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n", HEAD], 0.5),
}


@pytest.mark.parametrize("how", SLOW)
async def test_slow_handshake(guarded: Guarded, how: str) -> None:
    """Who does not come to the point within the time is told so with 408 and let go; others are served meanwhile."""
    async with guarded.neighbour():
        answer = await answer_to(guarded.url, *SLOW[how])
        assert answer.count(b"HTTP/1.1 408 Request Timeout\r\n") == 1
        assert (b"HTTP/1.1 200 OK" in answer) == (how == "a second request without end")


async def test_socket_without_a_first_message(guarded: Guarded) -> None:
    """Who opens a socket and says nothing is told so with 4408."""
    async with guarded.neighbour(), visit(guarded.url, guarded.key) as opened:
        heard = await heard_to_the_end(opened)
        assert (4408, ["handshake_timeout"]) == (heard.code, heard.codes)
