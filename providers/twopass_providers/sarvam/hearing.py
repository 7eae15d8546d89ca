"""From Sarvam's events to hypotheses: what was settled, where speech began, what is believed. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from twopass.recognizers import estimated_words
from twopass.types import Hypothesis, Word, Words
from twopass_providers.sarvam.messages import Event, Final, Partial, SpeechBegins

ONSET_MS = 300
"""So long a voice has been there, about, before a detector says so."""


@dataclass(slots=True)
class _Open:
    """An utterance that is not settled: what is believed was said from `start` until `end`."""

    start: int
    end: int
    text: str = ""


class Hearing:
    """
    One stream. Sarvam says nothing of the times of words, and of utterances only when they are settled: words are
    spread over where their utterance must have been.
    """

    def __init__(self) -> None:
        self._said = 0  # ms; everything before is settled
        self._open: dict[int, _Open] = {}
        self._settled = -1  # the last utterance that is
        self._finals = 0

    def hears(self, event: Event, heard: int) -> Iterator[Hypothesis]:
        """What an event says, when so much audio (ms) was sent."""
        match event:
            case SpeechBegins(utterance) if utterance > self._settled:
                self._begun(utterance, max(self._said, heard - ONSET_MS))
            case Partial(utterance, text, language) if utterance > self._settled:
                known = self._begun(utterance, self._said)
                known.text, known.end = text, heard
                yield from self._interim(heard, language)
            case Final() if event.utterance > self._settled:
                yield self._final(event, heard)
                yield from self._interim(heard, event.language)

    def ends(self, heard: int) -> Hypothesis | None:
        """The last final, when Sarvam has said everything; None if the last one reached to the end already."""
        if self._finals and self._said >= heard:
            return None
        # Sarvam settles what it believes before it ends. If it should not, the words are still the best there is.
        end = max(self._said, heard)
        left = self._believed(end)
        return Hypothesis(self._said, end, left, final=True, stable=len(left))

    def _begun(self, utterance: int, at: int) -> _Open:
        return self._open.setdefault(utterance, _Open(at, at))

    def _interim(self, heard: int, language: str | None) -> Iterator[Hypothesis]:
        words = self._believed(heard)
        if words:
            yield Hypothesis(self._said, heard, words, language=language)

    def _final(self, final: Final, heard: int) -> Hypothesis:
        start, end = self._said, min(heard, max(self._said, heard if final.end is None else final.end))
        known = self._open.pop(final.utterance, None)
        begun = final.start if final.start is not None else known.start if known else start
        # One that has been overtaken stays as it was believed; if it should be settled later, that is too late.
        overtaken = [self._open.pop(number) for number in sorted(self._open) if number < final.utterance]
        believed = _spread(overtaken, start, end)
        begun = max(start, begun, believed[-1].end if believed else 0)
        words = believed + _within(final.text, begun, end)
        self._said, self._settled = end, final.utterance
        self._finals += 1
        for later in self._open.values():
            later.start, later.end = max(end, later.start), max(end, later.end)
        return Hypothesis(start, end, words, final=True, stable=len(words), language=final.language)

    def _believed(self, heard: int) -> Words:
        return _spread([self._open[number] for number in sorted(self._open)], self._said, heard)


def _spread(utterances: list[_Open], start: int, end: int) -> Words:
    words: list[Word] = []
    for each in utterances:
        start = max(start, min(each.start, end))
        words += _within(each.text, start, min(max(start, each.end), end))
        start = words[-1].end if words else start
    return tuple(words)


def _within(text: str, start: int, end: int) -> Words:
    return estimated_words(text, min(start, end), end)
