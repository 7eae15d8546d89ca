"""What the first pass is told, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twopass.errors import RecognizerError
from twopass.reconciler import FirstPass, Settled
from twopass.types import BYTES_PER_SAMPLE, Usage, milliseconds


@dataclass(frozen=True, slots=True)
class FirstPassSettings:
    """
    Attributes:
        attempts: How many streams in a row may break without a new final word, before the place is given up to the
            second pass.
        backoff_seconds: First wait between attempts; doubles, with jitter.
        silence_seconds: A recognizer that says nothing for so long after its audio ended, or after audio had to be
            skipped because it took none, is taken for dead.
        overlap_ms: After a forced cut the new stream hears this much of what came before.
        max_waiting_chunks: So many chunks of audio may wait for the recognizer; beyond, the oldest is skipped.
        max_waiting_ms: The same in time.
        max_waiting_bytes: The same in bytes. Whichever is least counts, but one chunk may always wait.
        catch_up_ms: So much more may wait, if it is heard again because a stream broke.
        back_after_seconds: A recognizer that failed is tried again after so long, if there is another one meanwhile;
            doubles each time.
    """

    attempts: int = 6
    backoff_seconds: float = 0.1
    silence_seconds: float = 5.0
    overlap_ms: int = 500
    max_waiting_chunks: int = 50
    max_waiting_ms: int = 5_000
    max_waiting_bytes: int = 160_000
    catch_up_ms: int = 20_000
    back_after_seconds: float = 10.0

    def most_waiting(self, chunk_ms: int) -> int:
        """How much audio (ms) may wait for a recognizer that likes chunks of this size."""
        in_bytes = milliseconds(self.max_waiting_bytes // BYTES_PER_SAMPLE)
        return max(chunk_ms, min(self.max_waiting_chunks * chunk_ms, self.max_waiting_ms, in_bytes))


class Listener(Protocol):
    """Where the first pass's news go. All are plain functions called in the event loop."""

    def fact(self, fact: FirstPass | Settled) -> None: ...

    def used(self, usage: Usage) -> None: ...

    def trouble(self, error: RecognizerError, *, retrying: bool) -> None: ...

    def switched(self, provider: str, to: str, reason: str) -> None:
        """Recognizer `to` goes on for `provider`."""

    def recovered(self, provider: str) -> None:
        """The recognizer that had failed is well again."""

    def skipped(self, start: int, end: int, depth: int, *, over: bool) -> None:
        """See `backlog.Report`; ms."""
