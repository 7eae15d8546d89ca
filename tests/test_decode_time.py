"""What is learned of a recognizer's speed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass.decode_time import DecodeTime

SECONDS = st.floats(0.001, 100)
BATCHES = st.tuples(st.integers(1, 64), st.floats(0.1, 30), SECONDS)


def accelerator(size: int, longest: float) -> float:
    """Seconds of a recognizer whose batch takes about as long as its longest utterance."""
    return 0.05 + 0.004 * size + 0.012 * longest


def processor(size: int, longest: float) -> float:
    """Seconds of a recognizer whose batch takes as long as its utterances one by one."""
    return size * (0.1 + 0.03 * longest)


def after(batches: list[tuple[int, float, float]], time: DecodeTime | None = None) -> DecodeTime:
    """What is known after these."""
    time = time or DecodeTime()
    for size, longest, seconds in batches:
        time = time.learned(size, longest, seconds)
    return time


@given(st.lists(SECONDS, min_size=1), SECONDS)
def test_what_batches_of_one_shape_take_is_a_mean_that_follows(before: list[float], now: float) -> None:
    """Whatever was before: it stays between the extremes, and soon is near what batches take now."""
    time = DecodeTime()
    for seconds in before:
        time = time.learned(2, 4.0, seconds)
        assert min(before) * 0.999 <= time.seconds(2, 4.0) <= max(before) * 1.001
    time = after([(2, 4.0, now)] * 120, time)
    assert now == pytest.approx(time.seconds(2, 4.0), rel=0.05)


def test_good_news_count_more() -> None:
    """One quick batch after slow ones halves the distance, one slow after quick ones is an eighth of it."""
    assert 5.5 == pytest.approx(after([(1, 1.0, 10.0), (1, 1.0, 1.0)]).seconds(1, 1.0))
    assert 2.125 == pytest.approx(after([(1, 1.0, 1.0), (1, 1.0, 10.0)]).seconds(1, 1.0))


@given(st.lists(BATCHES, max_size=30), st.integers(1, 63), st.floats(0.1, 29), st.floats(0, 1))
def test_more_and_longer_never_take_less(
    batches: list[tuple[int, float, float]], size: int, longest: float, more: float
) -> None:
    """Whatever was seen, the estimate grows with the size and with the longest length, and is never negative."""
    time = after(batches)
    assert 0 <= time.seconds(size, longest) <= time.seconds(size + 1, longest)
    assert time.seconds(size, longest) <= time.seconds(size, longest + more)
    assert 0 < time.relative(size, longest) < time.relative(size + 1, longest)
    assert (time.seconds(size, longest) > 0) == bool(batches)


@pytest.mark.parametrize("recognizer", [accelerator, processor])
def test_the_shape_of_a_recognizer_is_learned_from_its_batches(recognizer: object) -> None:
    """After forty batches of all sizes and lengths, with noise, sizes and lengths not seen are told within a third."""
    assert callable(recognizer)
    chance = random.Random(7)
    time = DecodeTime()
    for _ in range(40):
        size, longest = chance.choice([1, 1, 2, 3, 4, 6, 8]), chance.uniform(1, 20)
        time = time.learned(size, longest, recognizer(size, longest) * chance.uniform(0.9, 1.1))
    for size, longest in ((1, 10.0), (4, 5.0), (12, 15.0)):
        assert time.seconds(size, longest) == pytest.approx(recognizer(size, longest), rel=0.33)


def test_a_batch_much_larger_than_any_of_late_is_taken_to_gain_nothing() -> None:
    """Who saw only single utterances does not promise anybody that sixteen will be quick."""
    time = after([(1, 5.0, 0.2)] * 20)
    assert time.seconds(16, 5.0) > 8 * time.seconds(1, 5.0)
    assert time.relative(16, 5.0) < 4 * time.relative(1, 5.0)


def test_a_recognizer_that_did_not_profit_is_believed_to_after_a_while() -> None:
    """Batches once gained nothing; after many single ones that evidence is old, and batches look worth a try."""
    chance = random.Random(7)
    time = after([(size, 5.0, processor(size, 5.0)) for size in (1, 2, 4, 8, 1, 2, 4, 8)])
    assert time.relative(4, 5.0) > 3 * time.relative(1, 5.0)
    lengths = [chance.uniform(1, 10) for _ in range(300)]
    time = after([(1, longest, processor(1, longest)) for longest in lengths], time)
    assert time.relative(4, 5.0) < 2 * time.relative(1, 5.0)


def test_it_is_known_when_sizes_are_not_told_apart() -> None:
    """Many full batches alone do not say what the size costs; one of another size does."""
    time = after([(16, 5.0, 1.0)] * 2)
    assert not time.one_size
    time = after([(16, 5.0, 1.0)] * 10, time)
    assert time.one_size
    assert not time.learned(8, 5.0, 0.5).one_size
