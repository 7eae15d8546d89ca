"""
Where sessions are kept so that they outlive their process: what a spool on the disk (`spool`) and a shared one
(`cluster.shared_spool`) have in common.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from twopass.journal import Journal, Record

About: TypeAlias = Mapping[str, Any]
"""What a session is: how it began, and the hash of its token."""


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where audio ends that was taken from a client.

    Attributes:
        sample: On the tape (16 kHz).
        index: In the client's own count of samples.
        received: In the client's bytes of audio.
    """

    sample: int
    index: int
    received: int


class Kept(Journal, Protocol):
    """
    One session's place. Nothing here raises for a disk or a server that fails: `failure` says so.

    Attributes:
        failure: Why it cannot be kept any more; None while it can.
    """

    failure: str | None

    @property
    def session(self) -> str:
        """The session's name."""

    @property
    def about(self) -> About:
        """What `create` was given. Raises ValueError if it is damaged."""

    @property
    def begins(self) -> Place | None:
        """Where the audio begins that is still kept; None for the beginning of the session."""

    def receive(self, data: bytes, place: Place | None = None) -> None:
        """
        Append what the client sent. Empty data is a mark that the reader knows the meaning of.

        `place`: where everything ends that was received, if it could be gone on from there without what was before.
        """

    def records(self) -> Iterator[Record]:
        """What happened, as an earlier process wrote it."""

    def frames(self) -> Iterator[bytes]:
        """What an earlier process received, as far as it is kept."""

    async def settled(self) -> bool:
        """Wait until what was flushed is safe, but not for long. Whether it is."""

    def close(self) -> None:
        """Leave it to the next process."""

    def complete(self) -> None:
        """The transcript is complete."""

    def discard(self) -> None:
        """Remove it."""


class Keeper(Protocol):
    """
    All places.

    Attributes:
        wanted: Called with the name of a session of ours that another process wants, or has got already.
    """

    wanted: Callable[[str], None]

    async def open(self) -> None:
        """Before anything else."""

    async def shut(self) -> None:
        """After everything else. What was written is brought to where it belongs, if that does not take long."""

    def create(self, session: str, about: About) -> Kept:
        """A place for a new session. Raises OSError."""

    async def take(self, session: str, allowed: Callable[[About], bool]) -> Kept | None:
        """
        A session that is not ours, if it is there and allowed; whoever has it is asked to let it go. None if it is
        not to be had.
        """

    def left_behind(self, fit: Callable[[str], bool]) -> AsyncIterator[Kept]:
        """The sessions whose process is gone, as far as they fit, by name; they are ours from now on."""

    def tidy(self) -> None:
        """Remove what has been kept for long enough. May take a while."""


def nobody_wants(session: str) -> None:
    """What `wanted` is where sessions do not move."""


def anyone(session: str) -> bool:  # noqa: ARG001 - see its uses
    """Every session fits."""
    return True
