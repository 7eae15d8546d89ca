"""How fast somebody may go: a token bucket without a clock of its own."""

from __future__ import annotations


class Pace:
    """
    So many things a second, and a few at once.

    Args:
        per_second: How many, for as long as one likes.
        burst: How many at once after a rest; at least 1.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._left = burst
        self._at: float | None = None

    def take(self, now: float, amount: float = 1.0) -> float:
        """
        Take, and say how many seconds to wait before going on; 0 if it was not too fast.

        What was taken is taken: who does not wait waits longer the next time. `now`: seconds of any clock.
        """
        rested = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self._left = min(self._burst, self._left + rested * self._per_second) - amount
        return max(0.0, -self._left / self._per_second)
