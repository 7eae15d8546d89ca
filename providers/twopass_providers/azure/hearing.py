"""From what Azure says to hypotheses: what was settled, and what is believed of the rest. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from twopass.types import Hypothesis, Word, Words
from twopass_providers.azure import messages, writing
from twopass_providers.azure.messages import Phrase, Said


class Hearing:
    """
    One stream.

    Args:
        punctuated: Punctuation is to be written.
        settled: Azure holds back words that may still change, so all of an interim are stable.
    """

    def __init__(self, *, punctuated: bool = True, settled: bool = False) -> None:
        self._punctuated = punctuated
        self._settled = settled
        self._said = 0  # ms; everything before is settled
        self._open: Hypothesis | None = None  # what is believed and not settled
        self._again = 0  # ms; up to here the same is heard again
        self._finals = 0

    def reconnected(self) -> None:
        """The SDK sends again what was not settled: what is believed of it comes again, in pieces."""
        self._again = self._open.end if self._open is not None else 0

    def hears(self, said: Said, heard: int) -> Iterator[Hypothesis]:
        """What Azure said, when so much audio (ms) was written."""
        phrase = messages.phrase(said)
        if said.final and phrase.matched:
            yield self._final(phrase, heard)
        elif said.final:
            yield from self._nothing(phrase, heard)
        elif phrase.text and phrase.end >= self._again:
            self._again = 0
            self._open = self._interim(phrase, heard)
            yield self._open

    def ends(self, heard: int) -> Hypothesis | None:
        """The last final, when Azure has said everything; None if the last one reached to the end already."""
        if self._finals and self._said >= heard:
            return None
        # Azure settles what it believes before it ends. If it should not, the words are still the best there is.
        left = self._open.words if self._open is not None else ()
        return Hypothesis(self._said, max(self._said, heard), left, final=True, stable=len(left))

    def _final(self, phrase: Phrase, heard: int) -> Hypothesis:
        start = self._said
        latest = max(phrase.end, *(word.end for word in phrase.spoken), start)
        end = max(start, min(latest, heard))
        text = self._text(phrase)
        words = self._placed(writing.written(text, phrase.spoken) or self._estimated(text, phrase, end), end, phrase)
        self._settle(end)
        return Hypothesis(start, end, words, final=True, stable=len(words), language=phrase.language)

    def _nothing(self, phrase: Phrase, heard: int) -> Iterator[Hypothesis]:
        """Azure takes back what it believed; a silence alone needs no answer."""
        end = min(phrase.end, heard)
        if self._open is not None and end > self._said:
            start = self._said
            self._settle(end)
            yield Hypothesis(start, end, final=True)

    def _settle(self, end: int) -> None:
        self._said = end
        self._open = None
        self._again = 0
        self._finals += 1

    def _interim(self, phrase: Phrase, heard: int) -> Hypothesis:
        end = max(self._said, min(phrase.end, heard))
        words = self._placed(self._estimated(self._text(phrase), phrase, end), end, phrase)
        return Hypothesis(self._said, end, words, stable=len(words) if self._settled else 0, language=phrase.language)

    def _text(self, phrase: Phrase) -> str:
        return phrase.text if self._punctuated else writing.unpunctuated(phrase.text)

    def _estimated(self, text: str, phrase: Phrase, end: int) -> Words:
        return writing.estimated(text, min(max(self._said, phrase.start), end), end)

    def _placed(self, words: Sequence[Word], end: int, phrase: Phrase) -> Words:
        """Words in order and within what is not settled yet, with their speaker."""
        at = self._said
        starts: list[int] = []
        for word in words:
            at = min(end, max(at, word.start))
            starts.append(at)
        spans = zip(words, starts, [*starts, end][1:], strict=True)
        return tuple(
            replace(word, start=start, end=max(start, min(word.end, most)), speaker=phrase.speaker)
            for word, start, most in spans
        )
