"""What redis-py's types lack."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, cast


async def replied(reply: Any) -> Any:
    """What Redis says to a call. redis-py's types are for both of its clients, the one that blocks too."""
    return await cast("Awaitable[Any]", reply)
