"""How much waits, what is skipped, and what is told of it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from twopass.backlog import Report, Skipping, Span, latest_start, waiting


@st.composite
def spans(draw: st.DrawFn) -> list[Span]:
    """Stretches in the order of time that do not overlap."""
    borders = sorted(draw(st.sets(st.integers(0, 30_000), min_size=2, max_size=12)))
    return list(pairwise(borders))[::2]


@given(spans(), st.integers(1, 10_000))
def test_the_latest_start_leaves_as_much_as_may_wait(some: list[Span], limit: int) -> None:
    """From there on exactly the limit waits, or everything if that is less."""
    assert min(limit, waiting(some)) == waiting(some, latest_start(some, limit))


def test_skipping_is_told_at_once_then_now_and_then_and_when_it_is_over() -> None:
    """Small skips add up to reports of 500 ms; the last report tells the whole stretch."""
    skipping = Skipping(400)
    told = [skipping.skip(100 * i, 100 * i + 100, 300) for i in range(8)]
    assert [Report(0, 100, 300), Report(100, 600, 300)] == [report for report in told if report]
    assert skipping.relaxed(100) is None
    assert Report(0, 800, 99, over=True) == skipping.relaxed(99)
    assert (None, None) == (skipping.relaxed(0), skipping.over(0))
    assert Report(900, 950, 1) == skipping.skip(900, 950, 1)


def test_a_skip_leaves_a_little_room() -> None:
    """Half a second, or a quarter of the limit: the recognizer hears pieces, not shreds."""
    assert (4_500, 300) == (Skipping(5_000).enough, Skipping(400).enough)
