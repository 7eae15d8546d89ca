"""
When a reader first saw each word that was said. Pure.

A revision has a word of the truth *at its place* if it has an equal word there: words with times of their own by time
(within `alignment.SAME_PLACE_MS`; of several, most words first, then the nearest), words with estimated times by
their order, in an alignment with what was said around the revision. A word that the transcript has right but no
revision has at its time is looked for by order too. No word is seen before it begins: an earlier one is another word.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from twopass.alignment import SAME_PLACE_MS, matches
from twopass.compare.measures.accuracy import Edit, aligned
from twopass.compare.measures.rewrites import right
from twopass.compare.measures.timeline import Timeline
from twopass.types import Words

AROUND_MS = 1_000
"""How far from a revision's span lies what it may show."""


def first_appearances(timeline: Timeline, truth: Words, normalize: Callable[[Words], Words]) -> dict[int, float]:
    """
    When (ms) a reader first saw each word of the truth that the transcript has right, by its index.

    Args:
        truth: Normalized words with the times at which they were really said; estimated ones are left out.
        normalize: Gives the words that are compared.
    """
    heard = right(aligned(truth, normalize(timeline.last_words())))
    wanted = {index for index in heard if not truth[index].estimated}
    views = list(_views(timeline, truth, normalize))
    shown = _first_shown(views, wanted)
    return shown | _first_shown((view.by_order for view in views), wanted - shown.keys())


@dataclass(frozen=True, slots=True)
class _View:
    """
    What one revision shows.

    Attributes:
        words: Normalized.
        truth: What was said when the revision came.
        around: Indexes of what was said around the revision.
    """

    at: float
    words: Words
    truth: Words
    around: range

    @property
    def by_order(self) -> _View:
        """The same, with times that nobody believes."""
        return replace(self, words=tuple(replace(word, estimated=True) for word in self.words))

    def shows(self, wanted: Iterable[int]) -> set[int]:
        """Which of these words of the truth are there, at their places."""
        looked_for = [index for index in wanted if index in self.around]
        found = {index for index in looked_for if self._has_in_time(index)}
        if len(found) < len(looked_for) and any(word.estimated for word in self.words):
            found |= set(self._in_order()).intersection(looked_for)
        return found

    def _has_in_time(self, index: int) -> bool:
        middle = self.truth[index].middle
        close = tuple(word for word in self.words if abs(word.middle - middle) <= 2 * SAME_PLACE_MS)
        # The truth reaches further than the words: each can be matched with its own, not only with the next alike.
        near = _spoken(self.truth, middle - 3 * SAME_PLACE_MS, middle + 3 * SAME_PLACE_MS)
        pairs = matches(self.truth[near.start : near.stop], tuple(word for word in close if not word.estimated))
        return any(near[place] == index for place, _ in pairs)

    def _in_order(self) -> Iterator[int]:
        at = self.around.start
        for step in aligned(self.truth[at : self.around.stop], self.words):
            if step.edit is Edit.EQUAL:
                yield from (at + i for i, word in enumerate(step.hypothesis) if word.estimated)
            at += len(step.reference)


def _views(timeline: Timeline, truth: Words, normalize: Callable[[Words], Words]) -> Iterator[_View]:
    """Of the revisions whose words are not those of the one before."""
    before: dict[str, Words] = {}
    for seen in timeline.seen:
        revision = seen.revision
        if revision.words and revision.words != before.get(revision.utterance):
            said = truth[: bisect_right(truth, seen.at, key=lambda word: word.start)]
            around = _spoken(said, revision.start - AROUND_MS, revision.end + AROUND_MS)
            yield _View(seen.at, normalize(revision.words), said, around)
        before[revision.utterance] = revision.words


def _spoken(truth: Words, low: float, high: float) -> range:
    """Indexes of the words whose middles lie in [low, high)."""
    return range(*(bisect_left(truth, limit, key=lambda word: word.middle) for limit in (low, high)))


def _first_shown(views: Iterable[_View], wanted: set[int]) -> dict[int, float]:
    shown: dict[int, float] = {}
    for view in views:
        if len(shown) == len(wanted):
            break
        shown |= dict.fromkeys(view.shows(wanted - shown.keys()), view.at)
    return shown
