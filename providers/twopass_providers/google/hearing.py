"""From what Google replies to hypotheses: what was settled, where speech began, what is believed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from twopass.recognizers import estimated_words
from twopass.types import Hypothesis, Word, Words
from twopass_providers.google.messages import Reply, Result

STABLE = 0.8
"""From this stability on Google itself treats interim text as settled."""
_MASKED = re.compile(r"^\W*\w\*{2,}\W*$")


class Hearing:
    """
    One stream.

    Args:
        repeats: Every final carries all words since the stream's beginning (v1 with diarization).
        unmasks: Leave out what Google masked as swear words.
    """

    def __init__(self, *, repeats: bool = False, unmasks: bool = False) -> None:
        self._repeats = repeats
        self._unmasks = unmasks
        self._said = 0  # ms; everything before is settled
        self._speech = 0  # ms; where the words that are not settled began
        self._begun = 0  # ms; where somebody began to speak last
        self._open: Hypothesis | None = None  # what is believed and not settled
        self._finals = 0

    def hears(self, reply: Reply, heard: int) -> Iterator[Hypothesis]:
        """What a reply says, when so much audio (ms) was sent."""
        if reply.speech_begins is not None:
            self._begins(min(reply.speech_begins, heard))
        for result in reply.results:
            if result.final:
                yield self._final(result, heard)
        believed = [result for result in reply.results if not result.final]
        if believed:
            self._open = self._interim(believed, heard)
            yield self._open

    def ends(self, heard: int) -> Hypothesis | None:
        """The last final, when Google has said everything; None if the last one reached to the end already."""
        if self._finals and self._said >= heard:
            return None
        # Google settles what it believes before it ends. If it should not, the words are still the best there is.
        left = self._open.words if self._open is not None else ()
        return Hypothesis(self._said, max(self._said, heard), left, final=True, stable=len(left))

    def _begins(self, at: int) -> None:
        self._begun = at
        if self._open is None or not self._open.words:
            self._speech = max(self._said, at)

    def _final(self, result: Result, heard: int) -> Hypothesis:
        start = self._said
        words = [w for w in result.words if not self._repeats or w.middle >= start]
        latest = max([result.end or 0, *(word.end for word in words)]) if result.end or words else heard
        end = max(start, min(latest, heard))
        settled = self._shown(words or self._estimated(result.text, self._speech, end), end)
        self._said = end
        self._speech = max(end, self._begun)
        self._open = None
        self._finals += 1
        return Hypothesis(start, end, settled, final=True, stable=len(settled), language=result.language)

    def _interim(self, results: Sequence[Result], heard: int) -> Hypothesis:
        words: list[Word] = []
        at, stable, settling = max(self._said, self._speech), 0, True
        end = self._said
        for result in results:
            end = max(end, at, min(heard, heard if result.end is None else result.end))
            words += result.words or self._estimated(result.text, at, end)
            settling = settling and result.stability >= STABLE
            stable = len(words) if settling else stable
            at = end
        shown = self._shown(words, end)
        stable = len(self._shown(words[:stable], end))
        return Hypothesis(self._said, end, shown, stable=stable, language=results[0].language)

    def _estimated(self, text: str, start: int, end: int) -> Words:
        return estimated_words(text, min(start, end), end)

    def _shown(self, words: Sequence[Word], end: int) -> Words:
        """Words in order and within what is not settled yet."""
        kept = [word for word in words if not (self._unmasks and _MASKED.match(word.text))]
        at = self._said
        starts: list[int] = []
        for word in kept:
            at = min(end, max(at, word.start))
            starts.append(at)
        spans = zip(kept, starts, [*starts, end][1:], strict=True)
        return tuple(replace(w, start=start, end=max(start, min(w.end, most))) for w, start, most in spans)
