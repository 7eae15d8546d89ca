"""
A local server that speaks Google's protocol (v1 and v2), for Google's own SDK to connect to. See `twopass standin`.

It keeps Google's limits, gives Google's texts of errors, and reports what it would bill. What it hears with is given.
Nothing here was compared with the real service: message shapes come from what the SDK sends and accepts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from twopass.errors import ConfigError
from twopass_providers.google.connection import load
from twopass_providers.google.standin_faults import FAULTS
from twopass_providers.google.standin_stream import Limits, Stream
from twopass_providers.google.standin_wire import Fields, Refused, Wire, WireV1, WireV2, too_many
from twopass_providers.standins import Received, StandInSettings
from twopass_providers.standins.faults import of_connection

__all__ = ["FAULTS", "SETTINGS", "GoogleStandIn", "stand_in"]

SETTINGS = """\
provider: google
endpoint: "{address}"
"""
_RETURN_SECONDS = 0.3
_RETRY_SECONDS = 7
LIMITS = {
    "v2": Limits(stream_seconds=300, silent_seconds=5),
    # Assumption: v1 waits for audio for 10 s.
    "v1": Limits(stream_seconds=305, silent_seconds=10),
}


class GoogleStandIn:
    """
    A running stand-in.

    Attributes:
        received: Every stream so far.
    """

    def __init__(self, settings: StandInSettings, limits: Mapping[str, Limits]) -> None:
        self.received: list[Received] = []
        self._set = settings
        self._usual = limits
        self._port = settings.port
        self._server: Any = None
        self._active = 0
        self._returning: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"{self._set.host}:{self._port}"

    async def start(self) -> None:
        """Raises ConfigError if the port is taken."""
        wires: tuple[Wire, ...] = (WireV2(), WireV1())
        sdks = {wire.version: load(wire.version) for wire in wires}
        grpc = sdks["v2"].grpc
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers(tuple(self._handler(wire, sdks[wire.version]) for wire in wires))
        try:
            self._port = server.add_insecure_port(self.address)
        except RuntimeError as error:
            raise ConfigError(f"{self.address} cannot be used: {error}", fix="Choose another port.") from error
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """All streams break."""
        for task in self._returning:
            task.cancel()
        if self._returning:
            await asyncio.wait(self._returning)
        await self._server.stop(0)

    def _handler(self, wire: Wire, sdk: Any) -> Any:
        async def handle(_: Any, context: Any) -> None:
            await self._serve(wire, sdk, context)

        method = sdk.grpc.stream_stream_rpc_method_handler(
            handle,
            request_deserializer=sdk.types.StreamingRecognizeRequest.deserialize,
            response_serializer=sdk.types.StreamingRecognizeResponse.serialize,
        )
        return sdk.grpc.method_handlers_generic_handler(wire.service, {"StreamingRecognize": method})

    async def _serve(self, wire: Wire, sdk: Any, context: Any) -> None:
        entry = Received(len(self.received) + 1)
        self.received.append(entry)
        self._active += 1
        try:
            await self._stream(wire, sdk, context, entry).run()
            entry.ended = entry.ended or "ok"
        except Refused as refused:
            entry.ended = entry.ended or refused.kind
            await context.abort(getattr(sdk.grpc.StatusCode, refused.code), refused.text, _details(refused))
        except asyncio.CancelledError:
            entry.ended = entry.ended or "cancelled"
            raise
        finally:
            self._active -= 1

    def _stream(self, wire: Wire, sdk: Any, context: Any, entry: Received) -> Stream:
        if self._active > self._limits(wire).streams:
            raise too_many()

        async def read() -> Any:
            request = await context.read()
            return None if request is sdk.grpc.aio.EOF else request

        async def write(fields: Fields) -> None:
            await context.write(sdk.types.StreamingRecognizeResponse(fields))

        return Stream(
            wire,
            self._limits(wire),
            self._set.ear,
            of_connection(self._set.faults, entry.number),
            self._set.latency_ms,
            entry,
            read,
            write,
            self._go_and_return,
        )

    def _limits(self, wire: Wire) -> Limits:
        usual = self._usual[wire.version]
        return replace(
            usual,
            stream_seconds=self._set.max_stream_seconds or usual.stream_seconds,
            streams=usual.streams if self._set.max_streams is None else self._set.max_streams,
        )

    def _go_and_return(self) -> None:
        async def restart() -> None:
            await self._server.stop(0)
            await asyncio.sleep(_RETURN_SECONDS)
            await self.start()

        task = asyncio.create_task(restart())
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)


@asynccontextmanager
async def stand_in(settings: StandInSettings, limits: Mapping[str, Limits] = LIMITS) -> AsyncIterator[GoogleStandIn]:
    """Run one until the end of the block, with these limits by version. Raises ConfigError if the port is taken."""
    running = GoogleStandIn(settings, limits)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


def _details(refused: Refused) -> tuple[tuple[str, bytes], ...]:
    """Google's error details, as they travel: in a trailer."""
    if not refused.detailed:
        return ()
    from google.protobuf import any_pb2, duration_pb2
    from google.rpc import error_details_pb2, status_pb2

    retry = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=_RETRY_SECONDS))
    info = error_details_pb2.ErrorInfo(reason="RATE_LIMIT_EXCEEDED", domain="googleapis.com")
    status = status_pb2.Status(code=8, message=refused.text)
    for detail in (retry, info):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return (("grpc-status-details-bin", status.SerializeToString()),)
