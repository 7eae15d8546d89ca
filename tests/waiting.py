"""Waiting for what happens, instead of for time to pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait for a condition that nothing announces. Raises TimeoutError if it never comes."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.001)
