"""
When a recognizer that failed may be tried again. Pure: whoever asks says what time it is (seconds of any clock).

A circuit breaker belongs to a vendor's region and is shared by all sessions, so that not each of them has to find out
for itself that it is down. Closed, it lets everybody through; after several failures without a success between them,
or one that says that trying cannot help, it opens and rests; then it lets one try through per rest, until one succeeds.
"""

from __future__ import annotations

from dataclasses import dataclass

from twopass.errors import RecognizerError


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """
    Attributes:
        failures: So many in a row, over all sessions, open it.
        rest_seconds: How long it stays open the first time; doubles with each try that fails.
        longest_rest_seconds: ... up to this.
    """

    failures: int = 3
    rest_seconds: float = 1.0
    longest_rest_seconds: float = 300.0


class Breaker:
    """One vendor's region."""

    def __init__(self, settings: BreakerSettings = BreakerSettings()) -> None:
        self._set = settings
        self._failures = 0
        self._rest = 0.0  # seconds; 0 while closed
        self._until = 0.0

    @property
    def open(self) -> bool:
        """Whether it is taken for down."""
        return self._rest > 0

    @property
    def barred_until(self) -> float:
        """When a stream may be opened next; asks only."""
        return self._until

    def allow(self, now: float) -> bool:
        """Whether a stream may be opened. While open, a yes is for this one stream: the next has to wait."""
        if now < self._until:
            return False
        if self.open:
            self._until = now + self._rest
        return True

    def succeeded(self) -> None:
        """A stream gave an answer."""
        self._failures, self._rest, self._until = 0, 0.0, 0.0

    def failed(self, error: RecognizerError, now: float) -> None:
        """A stream failed."""
        self._failures += 1
        if self.open or not error.retryable or self._failures >= self._set.failures:
            doubled = 2 * self._rest or self._set.rest_seconds
            self._rest = min(doubled, self._set.longest_rest_seconds)
            self._until = now + self._rest
