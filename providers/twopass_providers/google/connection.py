"""The connection to Google, or to a stand-in: one channel that all streams of a recognizer share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from twopass.errors import RecognizerTimeout, RecognizerUnavailable
from twopass_providers.google import messages
from twopass_providers.google.credentials import FIX
from twopass_providers.google.settings import NAME, GoogleSettings

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LONGEST_SECONDS = 600.0
"""No stream lasts so long. v2 has no deadline of its own, and this one ends what everything else overlooked."""


@dataclass(frozen=True, slots=True)
class _Sdk:
    """The parts of the SDK for one version of the API."""

    client: Any
    transport: Any
    types: Any
    grpc: Any


@dataclass(frozen=True, slots=True)
class Status:
    """How a call ended, as gRPC tells it."""

    code: Any
    details: str
    trailers: Any


class Connection:
    """
    Opened once, in the event loop that uses it. gRPC connects at the first stream and again whenever that is needed.

    Attributes:
        read: Reads a response of this version of the API.
    """

    def __init__(self, settings: GoogleSettings) -> None:
        self.read: Callable[[Any], messages.Reply] = messages.read_v1 if settings.api == "v1" else messages.read_v2
        self._set = settings
        self._sdk: _Sdk | None = None
        self._channel: Any = None
        self._client: Any = None

    async def open(self) -> None:
        """Load the SDK and the credentials; nothing is sent yet. Raises ImportError, RecognizerUnavailable."""
        if self._client is not None:
            return
        # Both take long, and other sessions are running.
        sdk = self._sdk = await asyncio.to_thread(load, self._set.api)
        keys = None if self._set.endpoint else await asyncio.to_thread(_load_credentials, self._set.credentials_file)
        self._channel = self._new_channel(sdk, keys)
        self._client = sdk.client(transport=sdk.transport(channel=self._channel))

    async def close(self) -> None:
        """Let go of the channel. Streams that still run are cancelled."""
        client, self._client = self._client, None
        if client is not None:
            await client.transport.close()

    def request(self, fields: dict[str, Any]) -> Any:
        """A request with these fields."""
        assert self._sdk is not None
        return self._sdk.types.StreamingRecognizeRequest(fields)

    async def call(self, requests: AsyncIterator[Any] | None = None) -> Any:
        """
        Begin a stream, to be written to and read from.

        Raises what the SDK raises, RecognizerTimeout if nothing answers for `connect_seconds`.
        """
        await self.open()
        try:
            async with asyncio.timeout(self._set.connect_seconds):
                await self._ready()
                # Without retries of the SDK: v1's go on for more than an hour, and nobody is told.
                return await self._client.streaming_recognize(requests, retry=None, timeout=_LONGEST_SECONDS)
        except TimeoutError:
            where = self._set.endpoint or self._set.host
            raise RecognizerTimeout(f"Google ({where}) could not be reached in time.", provider=NAME) from None

    def error_of(self, status: Status) -> Exception | None:
        """The exception that the SDK raises for a status; None if that is OK."""
        assert self._sdk is not None
        aio = self._sdk.grpc.aio
        if status.code is self._sdk.grpc.StatusCode.OK:
            return None
        error = aio.AioRpcError(status.code, aio.Metadata(), status.trailers, status.details)
        exceptions = import_module("google.api_core.exceptions")
        return cast("Exception", exceptions.from_grpc_error(error))

    async def _ready(self) -> None:
        """Wait until gRPC is connected or has failed to; if it has failed, the call says why."""
        assert self._sdk is not None
        waiting = (self._sdk.grpc.ChannelConnectivity.IDLE, self._sdk.grpc.ChannelConnectivity.CONNECTING)
        state = self._channel.get_state(try_to_connect=True)
        while state in waiting:
            await self._channel.wait_for_state_change(state)
            state = self._channel.get_state(try_to_connect=True)

    def _new_channel(self, sdk: _Sdk, keys: Any) -> Any:
        options = [
            ("grpc.use_local_subchannel_pool", 1),  # another recognizer's outage is not ours
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", round(self._set.connect_seconds * 1000)),
            ("grpc.max_reconnect_backoff_ms", 1_000),  # by default two minutes, in which every stream is refused
            ("grpc.dns_min_time_between_resolutions_ms", 1_000),
        ]
        if self._set.endpoint:
            return sdk.grpc.aio.insecure_channel(self._set.endpoint, options=options)
        return sdk.transport.create_channel(self._set.host, credentials=keys, options=options)


def load(api: str) -> _Sdk:
    """The SDK for a version of the API. Takes a second the first time. Raises ImportError."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # otherwise it writes to stderr whenever a server goes away
    package = f"google.cloud.speech_{api}"
    transports = import_module(f"{package}.services.speech.transports")
    return _Sdk(
        client=import_module(package).SpeechAsyncClient,
        transport=transports.SpeechGrpcAsyncIOTransport,
        types=import_module(f"{package}.types"),
        grpc=import_module("grpc"),
    )


def _load_credentials(named: str) -> Any:
    """Those of a service account's file; if none is named, what Google's libraries find in the environment."""
    try:
        if not named:
            return import_module("google.auth").default(scopes=[_SCOPE])[0]
        kind = import_module("google.oauth2.service_account").Credentials
        return kind.from_service_account_file(str(Path(named).expanduser()), scopes=[_SCOPE])
    except ImportError:
        raise
    except Exception as error:  # whatever stands in such a file
        message = f"Google's credentials ({named or 'of the environment'}) cannot be used: {type(error).__name__}."
        raise RecognizerUnavailable(message, provider=NAME, code="bad_key", fix=FIX) from error
