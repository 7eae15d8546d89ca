"""
The clock of one recognizer stream that did not hear all of the tape. Pure.

A stream whose recognizer is too slow is spared some audio, so its clock falls behind the session's with every piece
that it did not hear. The clock keeps these pieces, in samples, so that no rounding adds up:

    session   0----1----2----3----4----5----6     [2, 4) was skipped
    stream    0----1----2         ----3----4
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace

from twopass.types import Hypothesis, Word, milliseconds, samples


@dataclass(frozen=True, slots=True)
class _Piece:
    """Audio without a hole: where it begins in the stream and on the tape (samples)."""

    heard: int
    start: int


class StreamClock:
    """
    From one stream's time to the session's.

    Attributes:
        pieces: How many pieces of audio it remembers.
    """

    def __init__(self, origin: int) -> None:
        self._pieces = [_Piece(0, origin)]

    @property
    def pieces(self) -> int:
        return len(self._pieces)

    def skip(self, start: int, end: int) -> None:
        """The stream hears up to sample `start` of the tape and then goes on at `end`."""
        last = self._pieces[-1]
        heard = last.heard + start - last.start
        if heard == last.heard:
            self._pieces.pop()
        self._pieces.append(_Piece(heard, end))

    def session(self, ms: int) -> int:
        """
        The session time (ms) of a stream time (ms). Monotonic.

        The very moment of a skip is still the time before it.
        """
        return self._at(max(0, bisect_left(self._pieces, samples(ms), key=_heard) - 1), ms)

    def beginning(self, ms: int) -> int:
        """The same for what begins then: at the moment of a skip it begins after it."""
        return self._at(max(0, bisect_right(self._pieces, samples(ms), key=_heard) - 1), ms)

    def rebased(self, hypothesis: Hypothesis) -> Hypothesis:
        """A hypothesis of the stream on the session clock."""
        start = self.beginning(hypothesis.start)
        end = max(start, self.session(hypothesis.end))
        return replace(hypothesis, start=start, end=end, words=tuple(self._word(word) for word in hypothesis.words))

    def forget(self, ms: int) -> None:
        """The stream will say nothing more about stream times before this."""
        del self._pieces[: max(0, bisect_left(self._pieces, samples(ms), key=_heard) - 1)]

    def _at(self, index: int, ms: int) -> int:
        piece = self._pieces[index]
        return milliseconds(piece.start + samples(ms) - piece.heard)

    def _word(self, word: Word) -> Word:
        """A word that seems to lie across a skip belongs where its middle is: nobody speaks for so long."""
        index = max(0, bisect_right(self._pieces, samples(1) * word.middle, key=_heard) - 1)
        first = milliseconds(self._pieces[index].start)
        start = max(first, self._at(index, word.start))
        end = self._at(index, word.end)
        if index + 1 < len(self._pieces):
            after, piece = self._pieces[index + 1], self._pieces[index]
            end = min(end, milliseconds(piece.start + after.heard - piece.heard))
        return replace(word, start=start, end=max(start, end))


def _heard(piece: _Piece) -> int:
    return piece.heard
