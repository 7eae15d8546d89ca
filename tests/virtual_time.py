"""An event loop whose time passes only while all wait: tests of minutes take no time, and latencies are exact."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Instead of sleeping it sets its clock forward. What comes from threads and sockets is waited for as ever."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._patient = self._selector.select  # type: ignore[attr-defined]
        self._selector.select = self._select  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now

    def _select(self, timeout: float | None = None) -> Any:
        events = self._patient(None if timeout is None else 0)
        if not events and timeout:
            self._now += timeout
        return events


def virtually(work: Coroutine[Any, Any, _T]) -> _T:
    """Run it in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
