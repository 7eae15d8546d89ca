"""
Who gets in: keys, origins, and how much one visitor may do at once.

A visitor who is refused disturbs nobody: everything is counted by key and by address.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from urllib.parse import urlsplit

import structlog
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import Message, Receive
from starlette.websockets import WebSocket

from twopass.config import DoorsConfig
from twopass.cost.usage.entries import HOUSE, Account
from twopass.errors import ForeignOrigin, ProtocolError, TooManySessions, TwopassError, Unauthorized
from twopass.gateway.keys import PREFIX, Key, KeyFile
from twopass.gateway.pace import Pace

log = structlog.get_logger()

_PROTOCOL = "twopass"
_BEARER = "bearer."
_BURST_SECONDS = 2.0
_PORTS = {"http": 80, "https": 443}
_LONG_AGO = 24 * 3600
_V6_NETWORK = 64
"""Bits of an IPv6 address that a provider gives to one customer."""


class Visitor:
    """
    Somebody who got in.

    Attributes:
        address: Where from; an IPv6 customer is one address.
        key: With which key; None on a server without keys.
    """

    def __init__(self, doors: Doors, address: str, key: Key | None) -> None:
        self._doors = doors
        self.address = address
        self.key = key
        settings = doors.settings
        self._messages = _pace(settings.messages_per_second)
        self._frames = _pace(settings.frames_per_second)

    @property
    def tenant(self) -> str | None:
        """On whose behalf; None on a server without keys."""
        return self.key.tenant if self.key else None

    @property
    def account(self) -> Account:
        """Who pays."""
        return Account(self.key.tenant, self.key.id) if self.key else HOUSE

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Have a session for as long as the context lasts. Raises TooManySessions."""
        with self._doors.session(self):
            yield

    async def pace(self, received: str | bytes) -> ProtocolError | None:
        """
        Call it for each frame. Waits while they come too fast, and so does the client: nothing is lost.

        Returns what to tell whoever sends text messages too fast.
        """
        pace = self._messages if isinstance(received, str) else self._frames
        wait = pace.take(asyncio.get_running_loop().time())
        if wait:
            await asyncio.sleep(wait)
        if not wait or isinstance(received, bytes):
            return None
        fix = f"Send at most {self._doors.settings.messages_per_second:g} a second."
        return ProtocolError("Messages come too fast.", code="too_many_messages", fix=fix)


class Doors:
    """The doors of one server."""

    def __init__(self, settings: DoorsConfig) -> None:
        self.settings = settings
        self._keys = KeyFile(settings.keys) if settings.keys else None
        self._connections = _Places()
        self._sessions = _Places()

    @contextlib.contextmanager
    def admit(self, connection: HTTPConnection, *, going_on: bool = False) -> Iterator[Visitor]:
        """
        Let a request or a socket in for as long as the context lasts.

        With `going_on`, a token may be old: a session has a token of its own, and a page that began one in time may
        come back to it. See `check_credential`.

        Raises ForeignOrigin, Unauthorized, TooManySessions.
        """
        address = address_of(connection)
        with contextlib.ExitStack() as stack:
            try:
                self._check_origin(connection)
                key = self._key(connection, _LONG_AGO if going_on else self.settings.token_seconds)
                most = self.settings.connections_per_address
                stack.enter_context(self._connections.take(("address", address), most, "connections", "this address"))
            except TwopassError as error:
                log.info("refused at the door", code=error.code, address=address)
                raise
            yield Visitor(self, address, key)

    @contextlib.contextmanager
    def session(self, visitor: Visitor) -> Iterator[None]:
        """Count a session of a visitor. Raises TooManySessions."""
        with contextlib.ExitStack() as stack:
            most, name = self.settings.sessions_per_address, ("address", visitor.address)
            stack.enter_context(self._sessions.take(name, most, "sessions", "this address"))
            if (key := visitor.key) is not None:
                stack.enter_context(self._sessions.take(("key", key.id), key.max_sessions, "sessions", "this key"))
            yield

    def token(self, connection: HTTPConnection) -> str:
        """A token for whoever comes with a key. Raises Unauthorized; ProtocolError on a server without keys."""
        if self._keys is None:
            raise ProtocolError("This server has no keys.", code="no_keys", fix="Connect without a token.")
        if not (_credential(connection) or "").startswith(PREFIX):
            raise Unauthorized("Tokens are given for keys.", fix='Send "Authorization: Bearer <key>".')
        key = self._key(connection, self.settings.token_seconds)
        assert key is not None
        return self._keys.ring.token(key)

    def check_metrics(self, connection: HTTPConnection) -> None:
        """Whether somebody may read the metrics. Raises Unauthorized if that takes a key and there is none."""
        if not self.settings.open_metrics:
            self.check_credential(connection)

    def check_reports(self, connection: HTTPConnection) -> None:
        """
        Whether somebody may read the cost reports. Raises Unauthorized.

        On a server without keys only this machine's own users may. Browsers ask for the key themselves, as a password.
        """
        key = self._key(connection, self.settings.token_seconds)
        if key is not None and not key.reports:
            fix = "Create one that is: `twopass keys create --reports`."
            raise Unauthorized("This key is not for the cost reports.", fix=fix)
        if key is None and not _from_here(connection):
            fix = "Whoever runs the server can name a file of keys in doors.keys."
            raise Unauthorized("A server without keys shows its cost reports to its own machine only.", fix=fix)

    def check_credential(self, connection: HTTPConnection) -> None:
        """Whether somebody may begin something new now. Raises Unauthorized."""
        self._key(connection, self.settings.token_seconds)

    def _key(self, connection: HTTPConnection, token_seconds: int) -> Key | None:
        if self._keys is None:
            return None
        credential = _credential(connection)
        if not credential:
            fix = 'Send "Authorization: Bearer <key>"; browsers send a token of POST /v1/tokens.'
            raise Unauthorized("This server wants an API key.", fix=fix)
        return self._keys.ring.owner(credential, token_seconds)

    def _check_origin(self, connection: HTTPConnection) -> None:
        """Pages of other sites stay out: browsers let every page open sockets to everywhere."""
        origin = connection.headers.get("origin")
        if origin is None or origin.lower() in self.settings.origins or _same_host(origin, connection):
            return
        fix = "Whoever runs the server can allow this page's site in doors.origins."
        raise ForeignOrigin("Pages of other sites may not use this server.", fix=fix)


class _Places:
    """How much everybody has at the moment."""

    def __init__(self) -> None:
        self._taken: Counter[tuple[str, str]] = Counter()

    @contextlib.contextmanager
    def take(self, name: tuple[str, str], most: int | None, what: str, whose: str) -> Iterator[None]:
        """One more. Raises TooManySessions; None is no limit."""
        if most is not None and self._taken[name] >= most:
            fix = "End one, or try again later."
            raise TooManySessions(
                f"{whose.capitalize()} may have {most} {what} at once.", code=f"too_many_{what}", fix=fix
            )
        self._taken[name] += 1
        try:
            yield
        finally:
            self._taken[name] -= 1
            if not self._taken[name]:
                del self._taken[name]


class GuardedRoute(APIRoute):
    """A route behind the doors, each request being a session. They are asked before any of the body is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of FastAPI, inside."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            doors: Doors = request.app.state.doors
            receive = _prompt(request.receive, doors.settings.upload_seconds)
            with doors.admit(request) as visitor, visitor.place():
                request.scope["account"] = visitor.account
                return await handle(Request(request.scope, receive))

        return guarded


def _prompt(receive: Receive, seconds: float) -> Receive:
    """A body that goes on coming, and if it stops is given up, with its place. What follows it may take its time."""
    complete = False

    async def prompt() -> Message:
        nonlocal complete
        try:
            async with asyncio.timeout(None if complete else seconds):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"Nothing of the upload came for {seconds:g} seconds") from None
        complete = not message.get("more_body", False)
        return message

    return prompt


async def guard_metrics(request: Request) -> None:
    """A dependency of /metrics. Raises Unauthorized."""
    doors: Doors = request.app.state.doors
    doors.check_metrics(request)


def _pace(per_second: float) -> Pace:
    return Pace(per_second, burst=max(1.0, _BURST_SECONDS * per_second))


def subprotocol(socket: WebSocket) -> str | None:
    """What to accept a socket with: browsers that offer any must be answered with one."""
    return _PROTOCOL if _PROTOCOL in socket.scope.get("subprotocols", ()) else None


def address_of(connection: HTTPConnection) -> str:
    """Where it comes from. The same for all addresses of one IPv6 customer; empty for a socket of this machine."""
    host = connection.client.host if connection.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), _V6_NETWORK), strict=False))


def _credential(connection: HTTPConnection) -> str | None:
    """What a visitor shows: in a header, or as a subprotocol, because browsers set no headers on sockets."""
    scheme, _, value = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        return _password(value)
    offered = connection.scope.get("subprotocols", ())
    return next((name.removeprefix(_BEARER) for name in offered if name.startswith(_BEARER)), None)


def _password(basic: str) -> str | None:
    """Of HTTP's basic authentication; the name does not matter."""
    with contextlib.suppress(ValueError):  # binascii.Error and UnicodeDecodeError are some
        return base64.b64decode(basic.strip(), validate=True).decode().partition(":")[2]
    return None


def _from_here(connection: HTTPConnection) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(connection.client.host if connection.client else "").is_loopback
    return False


def _same_host(origin: str, connection: HTTPConnection) -> bool:
    """Whether a page comes from here. `Host` has no scheme: where it names no port, the origin's default counts."""
    try:
        page = urlsplit(origin)
        here = urlsplit(f"//{connection.headers.get('host', '')}")
        port = _PORTS[page.scheme]
        return page.hostname is not None and (page.hostname, page.port or port) == (here.hostname, here.port or port)
    except (ValueError, KeyError):  # no address at all, such as "null"
        return False
