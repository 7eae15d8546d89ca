"""The event loop of a command."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run it in an event loop. SIGTERM ends it in order, as Ctrl-C does: no process and no file stays behind."""

    async def until_terminated() -> _T:
        running = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
        return await running

    return asyncio.run(until_terminated())
