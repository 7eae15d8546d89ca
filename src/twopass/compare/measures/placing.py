"""When words were said, by those that heard them. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, groupby, pairwise
from statistics import median
from typing import TypeAlias

from twopass.types import Word, Words

_Span: TypeAlias = tuple[int, int]


def placed(words: Sequence[Word], witnesses: Sequence[Sequence[Word]]) -> Words:
    """
    The words at the median begin and end (ms) of their witnesses: what others heard in their place.

    Only true times count; where no word has a witness with one, the estimated ones are better than nothing. Words
    without a witness, and those whose median contradicts their order, share the time between their neighbours by
    their length; at the edges they stand where the nearest begins or ends. All that is not by true times is marked
    estimated. The result is in order and does not overlap, except where there is no witness at all: then the words
    keep their times.

    Raises:
        ValueError: Not as many lists of witnesses as words.
    """
    heard = [[word for word in own if not word.estimated] for own in witnesses]
    surely = any(heard)
    known = _apart(_in_order([_median(own) for own in (heard if surely else witnesses)]))
    spans = {**known, **dict(_between(words, known))} if known else {i: (w.start, w.end) for i, w in enumerate(words)}
    return tuple(
        replace(word, start=spans[i][0], end=spans[i][1], estimated=not surely or i not in known)
        for i, (word, _) in enumerate(zip(words, witnesses, strict=True))
    )


def _median(witnesses: Sequence[Word]) -> _Span | None:
    if not witnesses:
        return None
    return round(median(word.start for word in witnesses)), round(median(word.end for word in witnesses))


def _in_order(spans: Sequence[_Span | None]) -> dict[int, _Span]:
    """As many of them as can be kept so that their middles never go back (longest chain, found by patience sorting)."""
    tops: list[float] = []
    chain: list[int] = []
    before: dict[int, int | None] = {}
    for i, span in enumerate(spans):
        if span is None:
            continue
        pile = bisect_right(tops, _middle(span))
        tops[pile : pile + 1], chain[pile : pile + 1] = [_middle(span)], [i]
        before[i] = chain[pile - 1] if pile else None
    kept: dict[int, _Span] = {}
    at = chain[-1] if chain else None
    while at is not None:
        span = spans[at]
        assert span is not None
        kept[at], at = span, before[at]
    return dict(sorted(kept.items()))


def _apart(spans: Mapping[int, _Span]) -> dict[int, _Span]:
    """The same without overlaps: two that do are parted in the middle of the overlap."""
    parted = dict(spans)
    for i, j in pairwise(spans):
        (start, end), (next_start, next_end) = parted[i], parted[j]
        if end > next_start:
            border = min(max((end + next_start) // 2, _middle(spans[i])), _middle(spans[j]))
            parted[i], parted[j] = (start, border), (border, next_end)
    return parted


def _middle(span: _Span) -> int:
    return sum(span) // 2


def _between(words: Sequence[Word], known: Mapping[int, _Span]) -> Iterator[tuple[int, _Span]]:
    """Spans for the words that are not known."""
    for missing, run in groupby(range(len(words)), lambda i: i not in known):
        if missing:
            yield from _shared(words, list(run), known)


def _shared(words: Sequence[Word], run: Sequence[int], known: Mapping[int, _Span]) -> Iterator[tuple[int, _Span]]:
    left, right = known.get(run[0] - 1), known.get(run[-1] + 1)
    start = left[1] if left else right[0] if right else 0
    end = right[0] if right else start
    lengths = list(accumulate((max(1, len(words[i].text)) for i in run), initial=0))
    borders = [start + (end - start) * length // lengths[-1] for length in lengths]
    yield from zip(run, pairwise(borders), strict=True)
