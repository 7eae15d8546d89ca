"""Who hears what, and how much at once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from twopass.compare.recordings.recordings import Recording, pcm
from twopass.compare.records import Hearing
from twopass.compare.running.hearer import ACCOUNT, Hearer, Piece
from twopass.compare.running.store import Store
from twopass.cost.usage.treasury import Guard
from twopass.errors import BudgetSpent
from twopass.recognizers import StreamOptions


@dataclass(frozen=True, slots=True)
class Task:
    """
    Attributes:
        key: Of everything that the answer depends on; see `store`.
        realtime: Whether it is to be played as fast as it was spoken.
    """

    hearer: Hearer
    recording: Recording
    key: str
    options: StreamOptions
    realtime: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """
    How many recordings are played at once.

    Attributes:
        local: To everything on this machine together: more, and they take each other's time.
        vendor: To each vendor.
    """

    local: int
    vendor: int


class Schedule:
    """
    Hears tasks and keeps what was heard at once, so that nothing is lost when it is interrupted.

    Args:
        budgets: Asked before each hearing whether there is money left.
        played: Told how much more (ms) was played to which system.
    """

    def __init__(self, store: Store, limits: Limits, budgets: Guard, played: Callable[[str, int], None]) -> None:
        self._store = store
        self._limits = limits
        self._budgets = budgets
        self._played = played
        self._rooms: Mapping[str, asyncio.Semaphore] = {}

    async def hear(self, tasks: Sequence[Task]) -> list[Hearing]:
        """
        Hear all of them. Raises ConfigError if what was heard cannot be kept; BudgetSpent if money is short, when those
        have ended that were begun: they are paid for.
        """
        self._rooms = rooms([task.hearer for task in tasks], self._limits)
        running = [asyncio.create_task(self._affordable(task)) for task in tasks]
        try:
            heard = await asyncio.gather(*running)
        finally:
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        for one in heard:
            if isinstance(one, BudgetSpent):
                raise one
        return [one for one in heard if isinstance(one, Hearing)]

    async def _affordable(self, task: Task) -> Hearing | BudgetSpent:
        try:
            return await self._one(task)
        except BudgetSpent as error:
            return error

    async def _one(self, task: Task) -> Hearing:
        name = task.hearer.system.name
        async with self._rooms[name]:
            self._budgets.check(ACCOUNT)
            before = 0

            def played(ms: int) -> None:
                nonlocal before
                self._played(name, ms - before)
                before = ms

            audio = await asyncio.to_thread(pcm, task.recording)
            session = f"compare-{secrets.token_urlsafe(12)}"
            piece = Piece(task.recording.name, audio, task.options, task.realtime, session, played)
            hearing = await task.hearer.hear(piece)
            await asyncio.to_thread(self._store.keep, hearing, task.key)
            return hearing


def rooms(hearers: Sequence[Hearer], limits: Limits) -> Mapping[str, asyncio.Semaphore]:
    """By the system's name: one room for all that hear on this machine, and one for all systems of a vendor."""
    at_home = asyncio.Semaphore(limits.local)
    abroad = {hearer.capabilities.provider: asyncio.Semaphore(limits.vendor) for hearer in hearers}
    return {
        hearer.system.name: at_home if _at_home(hearer) else abroad[hearer.capabilities.provider] for hearer in hearers
    }


def _at_home(hearer: Hearer) -> bool:
    """Stand-ins take this machine's time, too."""
    return hearer.capabilities.local or hearer.system.stand_in or hearer.system.two_pass
