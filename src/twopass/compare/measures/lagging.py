"""When the transcript's beginning, up to each word, was there to stay. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

from twopass.alignment import folded
from twopass.compare.measures.staying import in_common
from twopass.compare.measures.timeline import Timeline
from twopass.types import Words

AT_ONCE_MS = 10
"""What is shown for less is not seen."""


def standing_since(timeline: Timeline) -> tuple[float, ...]:
    """
    For each word of the transcript (without case and punctuation; a sign alone is no word): the first moment (ms) from
    which it and all words before it are shown as in the end. Grows from word to word.

    Revisions that come at once (AT_ONCE_MS) are one change: a word that goes from one utterance to the next stands,
    although for a moment it may be in both or in neither.
    """
    transcript, moments = _texts(timeline.last_words()), [seen.at for seen in timeline.seen]
    shown = [in_common(transcript, state) for state in _states(timeline)]
    stay = _stay(shown, moments, len(transcript))
    since: list[float] = []
    for at, now, later in zip(moments, shown, stay, strict=True):
        since += [at] * (min(now, later) - len(since))
    return tuple(since)


def _stay(shown: Sequence[int], moments: Sequence[float], whole: int) -> list[int]:
    """After each state: how many leading words all later states that last have right."""
    lasts = [later - at >= AT_ONCE_MS for at, later in pairwise(moments)] + [True]
    stay, least = [], whole
    for words, long_enough in zip(reversed(shown), reversed(lasts), strict=False):
        stay.append(least)
        least = min(least, words) if long_enough else least
    return stay[::-1]


def _states(timeline: Timeline) -> Iterator[list[str]]:
    """The whole transcript as it was shown after each revision."""
    shown: dict[str, list[str]] = {history[0].revision.utterance: [] for history in timeline.utterances()}
    for seen in timeline.seen:
        shown[seen.revision.utterance] = _texts(seen.revision.words)
        yield list(chain.from_iterable(shown.values()))


def _texts(words: Words) -> list[str]:
    return [text for word in words if (text := folded(word.text))]
