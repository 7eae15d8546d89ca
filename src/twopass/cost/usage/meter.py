"""
The meter: takes usage entries from sessions and brings them to the ledger, whatever happens to it meanwhile.

Entries go to a file first (see `waiting`) and to the ledger a moment later, in the background. If the ledger cannot be
reached, they wait; if this process dies, the next one brings what it left. Writing an entry twice changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from twopass.cost.usage.entries import Entry
from twopass.cost.usage.waiting import WaitingFile, left_behind

log = structlog.get_logger()

_EVERY_SECONDS = 0.5
_MOST_AT_ONCE = 2_000
_LOOK_AROUND_EVERY = 60.0
_STOP_SECONDS = 5.0


class Book(Protocol):
    """What the meter needs of a ledger. Blocks."""

    def write(self, entries: Iterable[Entry]) -> int:
        """Add those that are new, all or none; returns how many. Raises TwopassError."""

    def close(self) -> None:
        """Let go of it."""


class Meter:
    """
    Args:
        open_book: Opens the ledger. Raises TwopassError as long as it cannot be reached. Blocks.
        directory: Where entries wait.
    """

    def __init__(self, open_book: Callable[[], Book], directory: Path) -> None:
        self._open_book = open_book
        self._directory = directory
        self._book: Book | None = None
        self._file: WaitingFile | None = None
        self._homeless: list[Entry] = []  # what the disk did not take
        self._arrived = asyncio.Event()
        self._shipping = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """About how many bytes of entries the ledger does not have yet."""
        file = self._file
        return len(self._homeless) + (file.written - file.shipped if file is not None else 0)

    def take(self, entries: Sequence[Entry]) -> None:
        """Keep entries. Never raises."""
        try:
            if self._file is None:
                self._file = WaitingFile.create(self._directory)
            self._file.append(entries)
        except OSError as error:
            if not self._homeless:
                log.error("usage entries wait in memory: the disk takes none", reason=error.strerror)
            self._homeless += entries
        self._arrived.set()

    async def run(self) -> None:
        """Bring entries to the ledger. For ever."""
        last_look = -_LOOK_AROUND_EVERY
        while True:
            now = asyncio.get_running_loop().time()
            if now - last_look >= _LOOK_AROUND_EVERY:
                last_look = now
                await self._bring(self._ship_left_behind)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AROUND_EVERY):
                    await self._arrived.wait()
            self._arrived.clear()
            await self._bring(self._ship_own)
            await asyncio.sleep(_EVERY_SECONDS)

    async def stop(self) -> None:
        """After `run` was cancelled: bring the rest, as far as there is time. The next process brings what is left."""
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._ship_own()
        except Exception as error:  # whatever it is: the entries lie in the file
            log.warning("usage entries wait for the next process", reason=str(error) or repr(error))
        if self._homeless:
            log.error("usage entries are lost: neither disk nor ledger took them", entries=len(self._homeless))
        if self._file is not None:
            self._file.close()
        if self._book is not None:
            await asyncio.to_thread(self._book.close)

    async def _bring(self, work: Callable[[], Awaitable[None]]) -> None:
        """Until it is done: a ledger that is away comes back."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Exception), wait=wait_exponential(0.5, max=30.0), before_sleep=_tell
        )
        await retrying(work)

    @contextlib.asynccontextmanager
    async def settled(self) -> AsyncIterator[Book]:
        """Nothing waits at the beginning of this context, and nothing is written in it. Raises TwopassError."""
        async with self._shipping:
            await self._ship_all()
            yield await self._opened()

    async def _ship_own(self) -> None:
        async with self._shipping:
            await self._ship_all()

    async def _ship_all(self) -> None:
        if self._homeless:
            homeless, count = list(self._homeless), len(self._homeless)
            await self._write(homeless)
            del self._homeless[:count]
        if self._file is not None:
            await self._ship(self._file)

    async def _ship_left_behind(self) -> None:
        async with self._shipping:
            for file in left_behind(self._directory):
                if self._file is not None and file.path == self._file.path:
                    continue
                try:
                    await self._ship(file)
                    log.info("usage entries of an earlier process are in the ledger", file=file.path.name)
                finally:
                    file.close()

    async def _ship(self, file: WaitingFile) -> None:
        while file.shipped < file.written:
            entries, until = await asyncio.to_thread(file.next, _MOST_AT_ONCE)
            await self._write(entries)
            file.ship(until)

    async def _write(self, entries: list[Entry]) -> None:
        book = await self._opened()
        await asyncio.to_thread(book.write, entries)

    async def _opened(self) -> Book:
        if self._book is None:
            self._book = await asyncio.to_thread(self._open_book)
        return self._book


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("the ledger cannot be written: usage entries wait", reason=str(error) or repr(error))
