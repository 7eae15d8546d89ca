"""Asking programs of this machine how they are. No proxy of the environment is in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from twopass.cluster.local.programs import HOST

_PATIENCE_SECONDS = 5.0
_OK = " 200 "


async def fetched(url: str) -> str:
    """What an HTTP server of this machine says there. Raises OSError if it does not answer, or with another code."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            try:
                writer.write(f"GET {parts.path} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
                head, _, body = (await reader.read()).decode(errors="replace").partition("\r\n\r\n")
            finally:
                writer.close()
    except TimeoutError as error:
        raise OSError(f"{url} does not answer") from error
    if _OK not in head.partition("\r\n")[0]:
        raise OSError(f"{url} refuses")
    return body


def listens(port: int, host: str = HOST) -> Callable[[], Awaitable[bool]]:
    """Asks whether connections are taken there."""

    async def ask() -> bool:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                _, writer = await asyncio.open_connection(host, port)
        except OSError:  # a TimeoutError is one
            return False
        writer.close()
        return True

    return ask


def well(url: str) -> Callable[[], Awaitable[bool]]:
    """Asks whether an HTTP server says there that it is well."""

    async def ask() -> bool:
        try:
            await fetched(url)
        except OSError:
            return False
        return True

    return ask


def figure(metrics: str, name: str) -> float | None:
    """The sum of a metric over its labels, from Prometheus' text; None if it is not there."""
    lines = (line.rpartition(" ") for line in metrics.splitlines() if not line.startswith("#"))
    values = [float(value) for key, _, value in lines if key.partition("{")[0] == name]
    return sum(values) if values else None
