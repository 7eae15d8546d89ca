"""How many sessions there may be, and how long they wait and last."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from twopass.errors import TooManySessions


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """
    Attributes:
        resume_seconds: How long a session waits for a client that has gone, and is kept after its end.
        quiet_seconds: The client is told when no audio has come for so long.
        idle_minutes: A session without audio for so long is ended.
        longest_minutes: So is one that has become longer than this.
        warning_seconds: The client is told so long before.
        jitter_ms: How much audio waits for what is missing before it (`indexed` framing) until that is taken for lost.
        stop_seconds: How long the server's stop waits for the finals of sessions that are not kept on disk.
    """

    resume_seconds: float = 60.0
    quiet_seconds: float = 8.0
    idle_minutes: float = 10.0
    longest_minutes: float = 60.0
    warning_seconds: float = 60.0
    jitter_ms: int = 300
    stop_seconds: float = 10.0


@dataclass(slots=True)
class SessionLimit:
    """How many sessions there may be at once, and how many there are."""

    most: int
    now: int = 0

    @contextlib.contextmanager
    def place(self, *, forced: bool = False) -> Iterator[None]:
        """Take a place for as long as the context lasts. Raises TooManySessions unless forced."""
        if self.now >= self.most and not forced:
            raise TooManySessions(f"All {self.most} sessions are taken.", fix="Try again later.")
        self.now += 1
        try:
            yield
        finally:
            self.now -= 1
