"""What one stream of the first pass says, numbered, and what it believed last. Pure."""

from __future__ import annotations

from dataclasses import replace

from twopass.places import words_between
from twopass.reconciler import FirstPass
from twopass.types import Hypothesis


class Voice:
    """
    One stream.

    Attributes:
        belief: Its last hypothesis, on the session clock, if that was no final one.
    """

    def __init__(self, number: int) -> None:
        self.belief: Hypothesis | None = None
        self._number = number
        self._said = 0

    @property
    def finished(self) -> bool:
        """Whether it has said nothing that is not final."""
        return self.belief is None or not self.belief.words

    def says(self, hypothesis: Hypothesis) -> FirstPass:
        """The next thing that it says."""
        self._said += 1
        return FirstPass(hypothesis, (self._number, self._said))

    def last_word(self, until: int) -> FirstPass | None:
        """It broke, and nobody else hears what lies before `until` (ms): what it believed of that is final."""
        if self.belief is None:
            return None
        belief, self.belief = self.belief, None
        words = words_between(belief.words, 0, until)
        end = max(belief.start, min(belief.end, until))
        return self.says(replace(belief, end=end, words=words, final=True, stable=len(words)))
