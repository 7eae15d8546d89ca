"""Which words stay from one output to the next. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def in_common(left: Sequence[str], right: Sequence[str]) -> int:
    """How many words both begin with."""
    differing = (i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b)
    return next(differing, min(len(left), len(right)))


def staying(before: Sequence[str], after: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (i, j) of equal words in the same order: as many as possible (longest common subsequence)."""
    head = in_common(before, after)
    tail = in_common(before[head:][::-1], after[head:][::-1])
    end, new_end = len(before) - tail, len(after) - tail
    return [
        *((i, i) for i in range(head)),
        *((head + i, head + j) for i, j in _longest(before[head:end], after[head:new_end])),
        *((end + i, new_end + i) for i in range(tail)),
    ]


def _longest(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[int, int]]:
    ahead = _still_possible(left, right)
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i] == right[j]:
            yield i, j
            i, j = i + 1, j + 1
        elif ahead[i + 1][j] >= ahead[i][j + 1]:
            i += 1
        else:
            j += 1


def _still_possible(left: Sequence[str], right: Sequence[str]) -> list[list[int]]:
    """[i][j]: how many words left[i:] and right[j:] can share."""
    rows = [[0] * (len(right) + 1)]
    for word in reversed(left):
        below, row, most = rows[-1], [0] * (len(right) + 1), 0
        for j in range(len(right) - 1, -1, -1):
            most = below[j + 1] + 1 if word == right[j] else max(below[j], most)
            row[j] = most
        rows.append(row)
    return rows[::-1]
