"""
When a recognizer is taken for dead. Pure: it counts rounds, not seconds.

Rounds, because if this process was stopped for a while, the recognizer has not been quiet.
"""

from __future__ import annotations

import math

_ROUNDS = 4


class Watchdog:
    """
    Args:
        silence_seconds: It has everything that it can get, and nothing moves.
        answers_within_seconds: Somebody speaks, it is sent the audio, and it says nothing; None: that may be.

    Attributes:
        seconds: The length of a round.
    """

    def __init__(self, silence_seconds: float, answers_within_seconds: float | None) -> None:
        self.seconds = min(silence_seconds, answers_within_seconds or math.inf) / _ROUNDS
        self._most_stuck = math.ceil(silence_seconds / self.seconds)
        self._most_deaf = (
            math.ceil((answers_within_seconds or math.inf) / self.seconds) if answers_within_seconds else 0
        )
        self._stuck = self._deaf = 0

    def answered(self) -> None:
        """It said something."""
        self._stuck = self._deaf = 0

    def round(self, *, stuck: bool, unanswered: bool) -> bool:
        """A round is over in which it was so; returns whether it is to be given up."""
        self._stuck = self._stuck + 1 if stuck else 0
        self._deaf += unanswered
        return self._stuck >= self._most_stuck or 0 < self._most_deaf <= self._deaf
