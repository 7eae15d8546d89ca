"""The clock of a stream that did not hear everything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twopass.stream_clock import StreamClock
from twopass.types import Hypothesis, Word, milliseconds, samples

STEPS = st.lists(st.tuples(st.booleans(), st.integers(1, 40_000)), max_size=30)
"""Whether so many samples are heard or skipped."""


def played(origin: int, steps: list[tuple[bool, int]]) -> tuple[StreamClock, list[tuple[int, int, int]]]:
    """A clock after these steps, and what was heard: (stream sample, tape sample, samples)."""
    clock, heard, at, taken = StreamClock(origin), [], origin, 0
    for hears, count in steps:
        if hears:
            heard.append((taken, at, count))
            taken += count
        else:
            clock.skip(at, at + count)
        at += count
    return clock, heard


@given(st.integers(0, 10**9), STEPS)
def test_every_moment_that_was_heard_has_its_true_time(origin: int, steps: list[tuple[bool, int]]) -> None:
    """However often audio was skipped, no error adds up: each ms is right to the ms, and `beginning` after a skip."""
    clock, heard = played(origin, steps)
    for taken, at, count in heard:
        for ms in range(-(-taken // 16), milliseconds(taken + count - 1) + 1, 97):
            assert milliseconds(at + samples(ms) - taken) == clock.beginning(ms)
            if samples(ms) > taken:
                assert clock.beginning(ms) == clock.session(ms)


@given(st.integers(0, 10**6), STEPS, st.lists(st.integers(0, 100_000), min_size=2))
def test_time_never_runs_backwards(origin: int, steps: list[tuple[bool, int]], times: list[int]) -> None:
    """Later in the stream is later in the session, and what begins at a moment never begins before it."""
    clock, _ = played(origin, steps)
    ordered = sorted(times)
    assert sorted(map(clock.session, ordered)) == [clock.session(ms) for ms in ordered]
    assert sorted(map(clock.beginning, ordered)) == [clock.beginning(ms) for ms in ordered]
    assert all(clock.session(ms) <= clock.beginning(ms) for ms in ordered)


@given(st.integers(0, 10**6), STEPS, st.lists(st.integers(1, 3_000), min_size=1))
def test_words_keep_their_order_and_never_grow(origin: int, steps: list[tuple[bool, int]], lengths: list[int]) -> None:
    """A word that seems to lie across a skip is put on one side of it."""
    clock, _ = played(origin, steps)
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    words = tuple(Word("w", end - length, end) for end, length in zip(ends, lengths, strict=True))
    rebased = clock.rebased(Hypothesis(0, ends[-1], words))
    times = [time for word in rebased.words for time in (word.start, word.end)]
    assert sorted(times) == times
    assert all(0 <= new.end - new.start <= old.end - old.start for new, old in zip(rebased.words, words, strict=True))
    assert rebased.start <= rebased.end


def test_what_the_stream_is_done_with_is_forgotten() -> None:
    """A stream of many hours that skips all the time remembers only what it may still speak of."""
    clock = StreamClock(0)
    for i in range(100):
        clock.skip(samples(100 * i + 50), samples(100 * i + 100))
    before = clock.session(4_970)
    clock.forget(4_960)
    assert (before, 2) == (clock.session(4_970), clock.pieces)


def test_a_moment_at_a_skip() -> None:
    """Heard [1 000, 1 500), skipped 2 s, heard on: what ends there ends before the hole, what begins there, after."""
    clock = StreamClock(samples(1_000))
    clock.skip(samples(1_500), samples(3_500))
    assert (1_500, 3_500, 3_501) == (clock.session(500), clock.beginning(500), clock.session(501))
    words = clock.rebased(Hypothesis(0, 700, (Word("a", 300, 500), Word("b", 500, 700), Word("c", 450, 700)))).words
    assert [(1_300, 1_500), (3_500, 3_700), (3_500, 3_700)] == [(word.start, word.end) for word in words]
