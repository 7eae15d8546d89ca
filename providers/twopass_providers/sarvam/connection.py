"""The way to Sarvam, or to a stand-in: the SDK, loaded when it is needed, and sockets that can be dropped at once."""

from __future__ import annotations

import asyncio
import base64
import logging
import threading
import traceback
import warnings
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from twopass.errors import RecognizerTimeout
from twopass_providers.sarvam import refusals
from twopass_providers.sarvam.settings import NAME, SarvamSettings

_loading = threading.Lock()
_NO_KEY = "stand-in"
_NOWHERE = "http://127.0.0.1:1"


@dataclass(frozen=True, slots=True)
class Sdk:
    """The parts of the SDK that are used, and the exception for a socket that is closed."""

    client: Any
    environment: Any
    types: Any
    http_client: Any
    nobody: Any
    closed: type[Exception]


def load() -> Sdk:
    """The SDK. Takes half a second the first time. Raises ImportError."""
    with _loading:  # what is to be ignored while it loads is a matter of the whole process
        return _loaded()


@cache
def _loaded() -> Sdk:
    with warnings.catch_warnings():
        # It uses a part of `websockets` that warns of being old.
        warnings.simplefilter("ignore", DeprecationWarning)
        # That part would log, with everything else, the key and what was said.
        logging.getLogger("websockets.client").setLevel(logging.INFO)
        import_module("sarvamai.speech_to_text_realtime_streaming.client")
        sarvamai = import_module("sarvamai")
        return Sdk(
            client=sarvamai.AsyncSarvamAI,
            environment=import_module("sarvamai.environment").SarvamAIEnvironment,
            types=import_module("sarvamai.types"),
            http_client=import_module("httpx").AsyncClient,
            nobody=import_module("httpx").AsyncBaseTransport,
            closed=import_module("websockets.exceptions").ConnectionClosed,
        )


class Line:
    """
    An open socket.

    Attributes:
        closed: What the methods raise when it is closed.
    """

    def __init__(self, sdk: Sdk, socket: Any) -> None:
        self.closed = sdk.closed
        self._types = sdk.types
        self._socket = socket
        # The SDK can end a connection only by a closing handshake: with a server that is silent, that takes a minute.
        self._wire = getattr(socket, "_websocket")  # noqa: B009 - it is the SDK's own

    @property
    def end_code(self) -> tuple[int | None, str]:
        """The code and the reason with which it was closed."""
        return self._wire.close_code, self._wire.close_reason or ""

    def messages(self) -> Any:
        """An async generator of the SDK's events; ends with the socket, or raises `closed`."""
        return aiter(self._socket)

    async def audio(self, pcm: bytes) -> None:
        await self._socket.send_realtime_audio_input(
            self._types.RealtimeAudioInput(audio=base64.b64encode(pcm).decode("ascii"))
        )

    async def ping(self) -> None:
        await self._socket.send_realtime_ping(self._types.RealtimePing())

    async def end(self) -> None:
        """No more audio."""
        await self._socket.send_realtime_end(self._types.RealtimeEnd())

    def drop(self) -> None:
        """Break it, at once."""
        self._wire.transport.abort()

    async def gone(self) -> None:
        """Wait until nothing of it is left. Quick once it was dropped."""
        await self._wire.wait_closed()


class Client:
    """
    Opened once; every stream has a socket of its own.

    Args:
        key: Empty at a stand-in.
    """

    def __init__(self, settings: SarvamSettings, key: str) -> None:
        self._set = settings
        self._key = key
        self._sdk: Sdk | None = None
        self._http: Any = None
        self._sarvam: Any = None

    async def open(self) -> None:
        """Load the SDK; nothing is sent yet. Raises ImportError."""
        if self._sarvam is None:
            await asyncio.to_thread(self._load)  # other sessions are running

    async def close(self) -> None:
        """Let go of what the SDK holds."""
        http, self._http, self._sarvam = self._http, None, None
        if http is not None:
            await http.aclose()

    @asynccontextmanager
    async def line(self, query: dict[str, str]) -> AsyncIterator[Line]:
        """A socket for one stream; however the block ends, nothing stays. Raises RecognizerError."""
        await self.open()
        assert self._sdk is not None
        connecting = self._sarvam.speech_to_text_realtime_streaming.connect(**query)
        line = Line(self._sdk, await self._connected(connecting))
        try:
            yield line
        finally:
            line.drop()
            await line.gone()
            await connecting.__aexit__(None, None, None)

    def _load(self) -> None:
        sdk = self._sdk = load()
        # The SDK wants one, and never closes its own. It is for what is not used here, so it reaches nobody: one that
        # could takes a tenth of a second to make.
        self._http = sdk.http_client(transport=sdk.nobody())
        place = sdk.environment.PRODUCTION
        if self._set.endpoint:
            place = sdk.environment(base=_NOWHERE, creative=_NOWHERE, production=self._set.endpoint)
        self._sarvam = sdk.client(api_subscription_key=self._key or _NO_KEY, environment=place, httpx_client=self._http)

    async def _connected(self, connecting: AbstractAsyncContextManager[Any]) -> Any:
        attempt = _Attempt(connecting)
        try:
            await asyncio.wait({attempt.task}, timeout=self._set.connect_seconds)
        except asyncio.CancelledError:
            await attempt.give_up()
            raise
        if not attempt.task.done():
            await attempt.give_up()
            raise RecognizerTimeout("Sarvam could not be reached in time.", provider=NAME)
        try:
            return attempt.task.result()
        except Exception as error:
            known = refusals.of_exception(error)
            if known is None:
                raise
            raise known from None  # the SDK's error holds the headers that were sent, with the key


class _Attempt:
    """To connect, until it is given up."""

    def __init__(self, connecting: AbstractAsyncContextManager[Any]) -> None:
        self._connecting = connecting
        self._half_open: Any = None
        self.task = asyncio.create_task(self._enter())

    async def give_up(self) -> None:
        """
        Now. To be cancelled is not enough: the SDK's WebSocket library would then wait for twenty seconds for a server
        that has not even answered the greeting.
        """
        while not self.task.done():
            self.task.cancel()
            await asyncio.sleep(0)
        if not self.task.cancelled() and self.task.exception() is None:
            self._half_open = getattr(self.task.result(), "_websocket")  # noqa: B009
        if self._half_open is not None:
            self._half_open.transport.abort()
            await self._half_open.wait_closed()

    async def _enter(self) -> Any:
        try:
            return await self._connecting.__aenter__()
        except asyncio.CancelledError as error:
            frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
            protocols = [frame.f_locals["protocol"] for frame in frames if "protocol" in frame.f_locals]
            self._half_open = protocols[-1] if protocols else None
            raise
