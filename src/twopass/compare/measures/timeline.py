"""
What a reader saw, and when: latency and steadiness of one live session. Pure: the caller brings the clock.

Definitions (all in ms, on a clock that reads t when the speaker is at t on the session clock):

    first partial latency   the first non-empty revision of an utterance - the end of its first word
    word lag                the first revision that shows a word at that place - the end of that word
    final latency           the final of an utterance - the end of its last word (speech end)
    revisions per word      revisions over final words
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from twopass.alignment import folded
from twopass.types import Pass, Revision, Status, Word, Words

_SAME_WORD_MS = 300


@dataclass(frozen=True, slots=True)
class Seen:
    """A revision and when it reached the reader."""

    at: float
    revision: Revision


@dataclass(slots=True)
class Timeline:
    """
    Everything a reader saw in one session.

    Attributes:
        reference: What was really said and when; without it the final words' own times are taken.
    """

    seen: list[Seen] = field(default_factory=list)
    reference: Words = ()

    def add(self, revision: Revision, at: float) -> None:
        """A revision reached the reader `at` ms."""
        self.seen.append(Seen(at, revision))

    def utterances(self) -> list[list[Seen]]:
        """What was seen of each utterance, in order."""
        by_id: dict[str, list[Seen]] = {}
        for seen in self.seen:
            by_id.setdefault(seen.revision.utterance, []).append(seen)
        return sorted(by_id.values(), key=lambda history: history[0].revision.start)

    def finals(self) -> list[Revision]:
        """The transcript."""
        return [history[-1].revision for history in self.utterances()]

    def last_words(self, *, status: Status | None = None, source: Pass | None = None) -> Words:
        """The transcript as it was last shown with this status, or by this pass."""
        words: Words = ()
        for history in self.utterances():
            fitting = [
                seen.revision.words
                for seen in history
                if status in (None, seen.revision.status) and source in (None, seen.revision.source)
            ]
            words += fitting[-1] if fitting else ()
        return words

    def cuts(self) -> list[int]:
        """Where utterances touch: the forced cuts (ms)."""
        finals = self.finals()
        starts = {(revision.start, revision.channel) for revision in finals}
        return [revision.end for revision in finals if (revision.end, revision.channel) in starts]

    def first_partial_latencies(self) -> list[float]:
        """One per utterance that has words and does not begin at a forced cut (that was shown before)."""
        cuts, latencies = set(self.cuts()), []
        for history in self.utterances():
            if history[0].revision.start in cuts:
                continue
            shown = next((seen for seen in history if seen.revision.words), None)
            spoken = self._spoken(history[-1].revision)
            if shown is not None and spoken:
                latencies.append(shown.at - spoken[0].end)
        return latencies

    def final_latencies(self) -> list[float]:
        """One per final that has words and did not end at a forced cut (there speech goes on)."""
        cuts, latencies = set(self.cuts()), []
        for history in self.utterances():
            final = history[-1].revision
            spoken = self._spoken(final)
            if final.status is Status.FINAL and final.words and spoken and final.end not in cuts:
                latencies.append(history[-1].at - spoken[-1].end)
        return latencies

    def word_lags(self) -> list[float]:
        """For each word that the first pass ended with: how long after its end it was first shown."""
        lags = []
        partials = [seen for seen in self.seen if seen.revision.source is Pass.FIRST]
        for history in self.utterances():
            said = [seen for seen in history if seen.revision.source is Pass.FIRST]
            lags += [_first_shown(word, partials, said[-1].at) for word in (said[-1].revision.words if said else ())]
        return lags

    def rewritten_words(self) -> int:
        """Words that the second pass changed."""
        return sum(len(revision.rewritten) for revision in self.finals())

    def _spoken(self, revision: Revision) -> Words:
        """What was said in an utterance."""
        said = tuple(word for word in self.reference if revision.start <= word.middle < revision.end)
        return said or revision.words


def percentile(values: Iterable[float], percent: float) -> float | None:
    """By linear interpolation; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _first_shown(word: Word, partials: Sequence[Seen], latest: float) -> float:
    """How long after its end a word was first shown, by whatever utterance held its place then."""
    for seen in partials:
        if seen.at > latest:
            break
        if word.start < seen.revision.end + _SAME_WORD_MS and any(_same(word, other) for other in seen.revision.words):
            return seen.at - word.end
    return latest - word.end


def _same(word: Word, other: Word) -> bool:
    return abs(word.middle - other.middle) <= _SAME_WORD_MS and folded(word.text) == folded(other.text)
