"""How fast a vendor may be sent audio that has waited. Pure; seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """
    Attributes:
        burst: So much audio may be sent at once; None: there is no limit.
        speed: Beyond, so many times faster than real time.
    """

    burst: float | None
    speed: float

    def wait(self, sent: float, elapsed: float) -> float:
        """How long to wait before more audio, after `sent` seconds of it within `elapsed` seconds."""
        if self.burst is None:
            return 0.0
        return max(0.0, (sent - self.burst) / self.speed - elapsed)
