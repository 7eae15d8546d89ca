"""What hears a recording: one system, ready for use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from twopass.compare.records import Hearing
from twopass.compare.results import System
from twopass.cost.usage.entries import Account
from twopass.recognizers import Capabilities, StreamOptions

ACCOUNT = Account("compare")
"""On whose account comparisons are."""
Payees: TypeAlias = tuple[tuple[Capabilities, ...], ...]
"""Who is paid for hearing: recognizers that stand in for each other, and in each place all that hear at once."""


def _unwatched(ms: int) -> None:
    """Nobody looks."""


@dataclass(frozen=True, slots=True)
class Piece:
    """
    What is played to a system.

    Attributes:
        recording: Its name.
        pcm: 16 kHz mono s16.
        realtime: As fast as it was spoken; if not, as fast as it can be heard.
        session: An identity that no other hearing has.
        played: Told how far it was played, ms.
    """

    recording: str
    pcm: bytes
    options: StreamOptions
    realtime: bool
    session: str
    played: Callable[[int], None] = _unwatched


class Hearer(Protocol):
    """
    Attributes:
        system: Who it is, for the report.
        capabilities: Of what hears the audio first.
        payees: Vendors among all that may hear it; local recognizers and stand-ins are left out.
        paceless: Its final words do not depend on how fast the audio comes.
    """

    @property
    def system(self) -> System: ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def payees(self) -> Payees: ...

    @property
    def paceless(self) -> bool: ...

    async def hear(self, piece: Piece) -> Hearing:
        """Never raises for a recognizer's failure: that is `Hearing.failed`."""
