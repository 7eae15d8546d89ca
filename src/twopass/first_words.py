"""
What the first pass says at the moment, by place. Pure.

Hypotheses come in any order, several times, and from several streams whose audio overlaps (a new stream begins
before the old one ends). Each carries a sequence (stream, number): the order in which they were *said*, whatever
the order in which they arrive. A place belongs to the earliest final that covers it; what no final covers belongs to
the latest interim of the earliest stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from twopass.types import Hypothesis, Word, Words

Sequence: TypeAlias = tuple[int, int]
Span: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Said:
    """The first pass's words for a region, and how many leading ones will not change."""

    words: Words
    stable: int


class FirstWords:
    """The store."""

    def __init__(self) -> None:
        self._finals: dict[Sequence, Hypothesis] = {}
        self._interims: dict[int, tuple[int, Hypothesis]] = {}
        self._last_final: dict[int, int] = {}
        self._forgotten = 0.0

    @property
    def held(self) -> int:
        """How many hypotheses are remembered."""
        return len(self._finals) + len(self._interims)

    def add(self, hypothesis: Hypothesis, sequence: Sequence) -> Span | None:
        """Take a hypothesis; returns the span whose words may have changed, None if it was old or known."""
        stream, number = sequence
        if hypothesis.end < self._forgotten:
            return None
        if hypothesis.final:
            return self._add_final(hypothesis, stream, number)
        latest, old = self._interims.get(stream, (-1, hypothesis))
        if number <= max(latest, self._last_final.get(stream, -1)):
            return None
        self._interims[stream] = (number, hypothesis)
        return min(old.start, hypothesis.start), max(old.end, hypothesis.end)

    def said(self, low: float, high: float) -> Said:
        """All words whose midpoint lies in [low, high), in order of time."""
        known = [(word, True) for word in self._final_words(low, high)]
        known += self._interim_words(low, high)
        known.sort(key=_time)
        stable = next((i for i, (_, sure) in enumerate(known) if not sure), len(known))
        return Said(tuple(word for word, _ in known), stable)

    def final_words(self, low: float, high: float) -> Words:
        """Only what no stream will change any more."""
        return tuple(sorted(self._final_words(low, high), key=lambda word: (word.start, word.end)))

    def forget(self, before: float) -> None:
        """Nobody will ask about times before this."""
        self._forgotten = max(self._forgotten, before)
        self._finals = {key: h for key, h in self._finals.items() if h.end >= before}
        self._interims = {key: entry for key, entry in self._interims.items() if entry[1].end >= before}
        alive = {stream for stream, _ in self._finals} | set(self._interims)
        newest = max(self._last_final, default=0)
        self._last_final = {key: n for key, n in self._last_final.items() if key in alive or key == newest}

    def _add_final(self, hypothesis: Hypothesis, stream: int, number: int) -> Span | None:
        if (stream, number) in self._finals:
            return None
        self._finals[stream, number] = hypothesis
        self._last_final[stream] = max(number, self._last_final.get(stream, -1))
        gone = [h for key, (_, h) in self._interims.items() if key <= stream]
        if stream in self._interims and self._interims[stream][0] < number:
            del self._interims[stream]
        return min(h.start for h in (hypothesis, *gone)), max(h.end for h in (hypothesis, *gone))

    def _final_words(self, low: float, high: float) -> Iterator[Word]:
        taken: list[Span] = []
        for _, hypothesis in sorted(self._finals.items(), key=_sequence):
            yield from (word for word in hypothesis.words if _free(word, taken, low, high))
            taken.append((hypothesis.start, hypothesis.end))

    def _interim_words(self, low: float, high: float) -> Iterator[tuple[Word, bool]]:
        taken: list[Span] = [(h.start, h.end) for h in self._finals.values()]
        for stream, (_, hypothesis) in sorted(self._interims.items(), key=_sequence):
            if self._overtaken(stream, hypothesis):
                continue
            for i, word in enumerate(hypothesis.words):
                if _free(word, taken, low, high):
                    yield word, i < hypothesis.stable
            taken.append((hypothesis.start, hypothesis.end))

    def _overtaken(self, stream: int, interim: Hypothesis) -> bool:
        """Whether a later stream has finally spoken where this one, which has broken off, had only begun to."""
        return any(later > stream and final.end > interim.start for (later, _), final in self._finals.items())


def _sequence(item: tuple[Any, Any]) -> Any:
    return item[0]


def _time(entry: tuple[Word, bool]) -> tuple[int, int]:
    return entry[0].start, entry[0].end


def _free(word: Word, taken: list[Span], low: float, high: float) -> bool:
    """Whether the word lies in the region and in a place that nobody else has spoken for."""
    middle = word.middle
    return low <= middle < high and not any(start <= middle < end for start, end in taken)


def fitted(words: Iterable[Word], start: int, end: int) -> Words:
    """The same words with times that grow and stay within [start, end]."""
    result: list[Word] = []
    floor = start
    for word in words:
        begin = min(max(word.start, floor), end)
        finish = min(max(word.end, begin), end)
        result.append(word if (begin, finish) == (word.start, word.end) else replace(word, start=begin, end=finish))
        floor = begin
    return tuple(result)
