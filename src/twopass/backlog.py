"""
How much audio waits for the first pass, what has to be skipped, and when that is told. Pure; milliseconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]
"""[start, end)"""

TOLD_EVERY_MS = 500
"""So much skipped audio is told at once."""


def waiting(spans: Sequence[Span], since: int = 0) -> int:
    """How much of these spans lies after `since`."""
    return sum(max(0, end - max(start, since)) for start, end in spans)


def latest_start(spans: Sequence[Span], limit: int) -> int:
    """Where one must begin, so that not more than `limit` of these spans (one at least) has to be heard."""
    low, high = spans[0][0], spans[-1][1]
    return low + bisect_left(range(low, high), -limit, key=lambda since: -waiting(spans, since))


@dataclass(frozen=True, slots=True)
class Report:
    """
    What the client is told.

    Attributes:
        start, end: What was skipped since the last report; when it is over, all of it from the first to the last.
        depth: How much waits.
        over: The first pass has caught up.
    """

    start: int
    end: int
    depth: int
    over: bool = False


class Skipping:
    """
    From single skips to reports: at once when it begins, then for every 500 ms of skipped audio, and when it is over.

    Attributes:
        limit: How much may wait.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._begun: int | None = None
        self._end = 0
        self._untold_from: int | None = None
        self._untold = 0

    @property
    def enough(self) -> int:
        """What is left after a skip: a little less than the limit, so that not every chunk is torn."""
        return self.limit - min(TOLD_EVERY_MS, self.limit // 4)

    def skip(self, start: int, end: int, depth: int) -> Report | None:
        """[start, end) was skipped and `depth` still waits."""
        begins = self._begun is None
        if self._begun is None:
            self._begun = start
        self._untold_from = start if self._untold_from is None else self._untold_from
        self._untold, self._end = self._untold + end - start, end
        if not begins and self._untold < TOLD_EVERY_MS:
            return None
        report = Report(self._untold_from, end, depth)
        self._untold_from, self._untold = None, 0
        return report

    def relaxed(self, depth: int) -> Report | None:
        """Nothing had to be skipped: only `depth` waits. That is the end of it if it is little."""
        return self.over(depth) if depth < self.limit / 4 else None

    def over(self, depth: int) -> Report | None:
        """The end of it, if it has begun."""
        if self._begun is None:
            return None
        report = Report(self._begun, self._end, depth, over=True)
        self._begun = self._untold_from = None
        self._untold = 0
        return report
