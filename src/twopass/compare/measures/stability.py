"""
How steady the words are that a reader sees. Pure.

Counted are written words, without case and punctuation; a sign alone is no word. Whoever wants a ratio divides by the
words of the final transcript.

A word that goes from one utterance to another is neither unstable nor erased: a reader sees it stay where it is. It
is taken for the same word if the other utterance (of the same channel) begins to show it at the same place
(SAME_PLACE_MS) and the same moment (TOGETHER_MS, before or after).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twopass.alignment import SAME_PLACE_MS, folded
from twopass.compare.measures.staying import in_common, staying
from twopass.compare.measures.timeline import Seen, Timeline
from twopass.types import Pass, Revision, Word, Words

TOGETHER_MS = 100
"""Revisions that come so close together are one change to a reader."""


def unstable_words(timeline: Timeline) -> int:
    """
    How many words of partials the next hypothesis does not have any more, or has differently.

    The numerator of UPWR, the unstable partial word ratio (Shangguan et al., Analyzing the Quality and Stability of a
    Streaming End-to-End On-Device Speech Recognizer, Interspeech 2020): it judges one recognizer's partials, so only
    revisions by the first pass count, its final one included; what a second pass changes is rewritten, not unstable.
    How a change is counted is our reading: both hypotheses of an utterance are aligned so that most words stay (longest
    common subsequence), so a word that comes in between makes none of the words after it unstable; a word that changes
    twice counts twice.
    """
    changes = _changes(timeline)
    moved = _moved(changes)
    first = ((k, change) for k, change in enumerate(changes) if change.source is Pass.FIRST)
    return sum((k, i) not in moved.left for k, change in first for i in change.gone)


def erased_words(timeline: Timeline) -> int:
    """
    How many words a reader saw taken back, though the same ones may have come again at once.

    The numerator of normalized erasure (Arivazhagan et al., Re-translation versus Streaming for Simultaneous
    Translation, IWSLT 2020): from one output to the next, everything after the first word that differs is erased. As
    a reader sees it: partials, finals and the second pass's words count alike. Taken per utterance: words after it
    stand still when an earlier utterance changes.
    """
    changes = _changes(timeline)
    moved = _moved(changes)
    return sum(_erased(change, k, moved) for k, change in enumerate(changes))


@dataclass(frozen=True, slots=True)
class _Change:
    """
    What one revision made of what an utterance showed.

    Attributes:
        gone: Indexes into `before` of words that are not in `after`.
        new: Indexes into `after` of words that were not in `before`.
    """

    at: float
    utterance: str
    channel: int
    source: Pass
    before: Words
    after: Words
    gone: tuple[int, ...]
    new: tuple[int, ...]

    def may_give(self, word: Word, other: _Change, at_other: int) -> bool:
        """Whether a word that this change takes away is the one that another change shows."""
        return (
            self.utterance != other.utterance
            and self.channel == other.channel
            and abs(self.at - other.at) <= TOGETHER_MS
            and abs(word.middle - other.after[at_other].middle) <= SAME_PLACE_MS
        )


@dataclass(frozen=True, slots=True)
class _Moved:
    """Words that went from one utterance to another: (number of the change, index of the word) where they left `before`
    and where they came into `after`."""

    left: frozenset[tuple[int, int]]
    come: frozenset[tuple[int, int]]


def _changes(timeline: Timeline) -> list[_Change]:
    """In the order in which a reader saw them."""
    shown: dict[str, Words] = defaultdict(tuple)
    changes = []
    for seen in timeline.seen:
        name, after = seen.revision.utterance, _readable(seen.revision)
        changes.append(_change(seen, shown[name], after))
        shown[name] = after
    return changes


def _change(seen: Seen, before: Words, after: Words) -> _Change:
    revision = seen.revision
    stay = staying([folded(word.text) for word in before], [folded(word.text) for word in after])
    gone = sorted(set(range(len(before))) - {i for i, _ in stay})
    new = sorted(set(range(len(after))) - {j for _, j in stay})
    name, channel, source = revision.utterance, revision.channel, revision.source
    return _Change(seen.at, name, channel, source, before, after, tuple(gone), tuple(new))


def _readable(revision: Revision) -> Words:
    return tuple(word for word in revision.words if folded(word.text))


def _moved(changes: Sequence[_Change]) -> _Moved:
    """Pair words that go with words that come; each at most once, the earliest first."""
    coming: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for k, change in enumerate(changes):
        for i in change.new:
            coming[folded(change.after[i].text)].append((k, i))
    left, come = set(), set()
    for k, i, word in _going(changes):
        candidates = coming[folded(word.text)]
        taken = next((place for place in candidates if changes[k].may_give(word, changes[place[0]], place[1])), None)
        if taken is not None:
            candidates.remove(taken)
            left.add((k, i))
            come.add(taken)
    return _Moved(frozenset(left), frozenset(come))


def _going(changes: Sequence[_Change]) -> Iterator[tuple[int, int, Word]]:
    return ((k, i, change.before[i]) for k, change in enumerate(changes) for i in change.gone)


def _erased(change: _Change, number: int, moved: _Moved) -> int:
    before = [folded(word.text) for i, word in enumerate(change.before) if (number, i) not in moved.left]
    after = [folded(word.text) for i, word in enumerate(change.after) if (number, i) not in moved.come]
    return len(before) - in_common(before, after)
