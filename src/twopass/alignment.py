"""
Aligning two hypotheses of the same speech, word by word. Pure.

Used at forced cuts (which words did both sides hear?), for local agreement (what do two decodes agree on?) and to
mark what the second pass rewrote.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from twopass.types import Word, Words

SAME_PLACE_MS = 400
"""Two hearings of one word lie closer than this."""


_LONGEST_HALF_MS = 100


def folded(text: str) -> str:
    """A word for comparison: no case, no punctuation, one Unicode form. "Don't," and "dont" are equal."""
    kept = (c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())
    return "".join(kept)


def common_prefix(left: Words, right: Words) -> int:
    """How many leading words two hypotheses share (LocalAgreement-2, Liu et al., Interspeech 2020)."""
    count = 0
    for a, b in zip(left, right, strict=False):
        if folded(a.text) != folded(b.text):
            break
        count += 1
    return count


def changed_words(before: Sequence[Word], after: Sequence[Word]) -> tuple[int, ...]:
    """Indexes into `after` of words that were not in `before` at that place; case and punctuation do not count."""
    matcher = SequenceMatcher(None, [folded(w.text) for w in before], [folded(w.text) for w in after], autojunk=False)
    kept = {i + k for _, i, size in matcher.get_matching_blocks() for k in range(size)}
    return tuple(i for i in range(len(after)) if i not in kept)


def labelled(words: Words, heard: Words) -> Words:
    """The same words, each with the speaker of the word of `heard` that is nearest in time, as far as it has any."""
    known = [word for word in heard if word.speaker is not None]
    if not known or any(word.speaker is not None for word in words):
        return words
    return tuple(
        replace(word, speaker=min(known, key=lambda other: abs(other.middle - word.middle)).speaker) for word in words
    )


def matches(left: Words, right: Words) -> list[tuple[int, int]]:
    """
    Pairs (i, j) of words that are the same word heard twice: most equal texts in the same order and place.

    Longest common subsequence over pairs that are equal when folded and lie within SAME_PLACE_MS of each other; of
    equally long ones the one with the smallest sum of time differences. Costs len(left) * len(right).
    """
    best: list[list[tuple[int, float]]] = [[(0, 0.0)] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in range(len(left) - 1, -1, -1):
        for j in range(len(right) - 1, -1, -1):
            options = [best[i + 1][j], best[i][j + 1]]
            if (apart := _apart(left[i], right[j])) is not None:
                count, nearness = best[i + 1][j + 1]
                options.append((count + 1, nearness - apart))
            best[i][j] = max(options)
    return _walk(best, left, right)


def _walk(best: list[list[tuple[int, float]]], left: Words, right: Words) -> list[tuple[int, int]]:
    pairs, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if best[i][j] == best[i + 1][j]:
            i += 1
        elif best[i][j] == best[i][j + 1]:
            j += 1
        else:
            pairs.append((i, j))
            i, j = i + 1, j + 1
    return pairs


def _apart(a: Word, b: Word) -> float | None:
    """Milliseconds between two hearings if they can be of one word, else None."""
    apart = abs(_heart(a) - _heart(b))
    return apart if apart <= SAME_PLACE_MS and folded(a.text) == folded(b.text) else None


def first_unshown(shown: Words, beyond: Words, right: Words, cut: int) -> int:
    """
    Where the right side of a forced cut begins: the index of its first word that the left side did not show.

    Args:
        shown: The left side's last words, all shown already.
        beyond: The left side's words after the cut, heard with its right context but not shown.
        right: What the right side heard, beginning with its left context.
        cut: The place of the cut.

    Words that both sides heard decide; only words that one side alone heard are judged by their place.
    """
    pairs = matches(shown + beyond, right)
    last_shown = max((j for i, j in pairs if i < len(shown)), default=-1)
    first_beyond = min((j for i, j in pairs if i >= len(shown)), default=len(right))
    for j in range(last_shown + 1, first_beyond):
        if _heart(right[j]) >= cut:
            return j
    return first_beyond


def _heart(word: Word) -> float:
    """
    Where a word surely is (ms). Ends are exact, but the first word of a decode often begins too early: its time is
    taken from the silence, or the cut-off word, before it.
    """
    return word.end - min(word.end - word.start, 2 * _LONGEST_HALF_MS) / 2
