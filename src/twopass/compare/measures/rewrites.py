"""What the second pass did to the first pass's words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from twopass.compare.measures.accuracy import Edit, Step, aligned, errors_of
from twopass.compare.measures.timeline import Seen, Timeline
from twopass.types import Pass, Words


@dataclass(frozen=True, slots=True)
class Rewrites:
    """
    Counts, so that recordings can be added up.

    Attributes:
        words: Words of the transcript.
        changed: Those of them that the second pass changed.
        reference: Words of the truth; 0 without one.
        errors_before, errors_after: Word errors of the first pass's last words, and of the final ones.
        harmful: Words of the truth that the first pass had right and the second made wrong.
        helpful: Words of the truth that the first pass had wrong and the second made right.
        latency_ms: From the first pass's final words to the second's, one per utterance.
    """

    words: int = 0
    changed: int = 0
    reference: int = 0
    errors_before: int = 0
    errors_after: int = 0
    harmful: int = 0
    helpful: int = 0
    latency_ms: tuple[float, ...] = ()


def rewrites(timeline: Timeline, truth: Words | None, normalize: Callable[[Words], Words]) -> Rewrites | None:
    """
    Compare the last words of the first pass with the final transcript. None if no second pass showed anything.

    No paper has these figures; their definitions are our own. "Before" is what each utterance showed last by the first
    pass (nothing if it showed nothing), "after" is the transcript: where the second pass failed, or was too late, both
    are the same. A second pass that is faster than the first one's last word is compared with what stood there then.

    - Rewrite rate, `changed / words`: normalized words of the transcript that are other words before, or none, in the
      alignment with the fewest edits. What the second pass only takes away changes no word of the transcript.
    - Rewrite gain, `(errors_before - errors_after) / reference`: the word error rate that the second pass saves.
    - Harmful and helpful, `/ reference`: words of the truth that only before, and only after, are right (equal in the
      alignment with the truth). Words that are inserted are in the gain alone.
    - Rewrite latency (ms): from where the first pass last changed an utterance to where the second pass first showed
      its words. Means something only for what was played in real time.

    Args:
        truth: Normalized; None if it is not known: then all that needs it is 0.
        normalize: Gives the words that are compared.
    """
    if not any(seen.revision.source is Pass.SECOND for seen in timeline.seen):
        return None
    before, after = normalize(timeline.last_words(source=Pass.FIRST)), normalize(timeline.last_words())
    changed = sum(len(step.hypothesis) for step in aligned(before, after) if step.edit is not Edit.EQUAL)
    latency = tuple(_latencies(timeline))
    if truth is None:
        return Rewrites(len(after), changed, latency_ms=latency)
    first, final = aligned(truth, before), aligned(truth, after)
    right_before, right_after = right(first), right(final)
    return Rewrites(
        len(after),
        changed,
        len(truth),
        errors_of(first).total,
        errors_of(final).total,
        len(right_before - right_after),
        len(right_after - right_before),
        latency,
    )


def right(steps: tuple[Step, ...]) -> frozenset[int]:
    """Which words of the truth a hypothesis has right: their indexes, from the alignment of both."""
    found: set[int] = set()
    at = 0
    for step in steps:
        if step.edit is Edit.EQUAL:
            found.update(range(at, at + len(step.reference)))
        at += len(step.reference)
    return frozenset(found)


def _latencies(timeline: Timeline) -> Iterator[float]:
    for history in timeline.utterances():
        first = [seen for seen in history if seen.revision.source is Pass.FIRST]
        second = [seen for seen in history if seen.revision.source is Pass.SECOND]
        if second and first and first[-1].revision.words:
            yield second[0].at - _last_change(first).at


def _last_change(history: list[Seen]) -> Seen:
    """Where the words came that stood there last: a revision that only says that they are provisional is none."""
    last = history[-1]
    for seen in reversed(history):
        if seen.revision.words != history[-1].revision.words:
            break
        last = seen
    return last
