"""Intervals and p against every possible draw, counted out in plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from random import Random

import pytest

from twopass.compare.measures.accuracy import Errors
from twopass.compare.measures.bootstrap import paired_difference, rate_interval
from twopass.compare.results import Interval

SAMPLES = 20_000
FIVE = [Errors(3, 1, 0, 20), Errors(0, 0, 0, 35), Errors(9, 2, 4, 30), Errors(1, 0, 0, 8), Errors(2, 2, 1, 60)]
OTHER_FIVE = [Errors(4, 1, 1, 20), Errors(1, 1, 0, 35), Errors(7, 2, 4, 30), Errors(0, 0, 0, 8), Errors(6, 2, 5, 60)]


def rate(errors: Sequence[Errors]) -> float:
    """All errors over all units."""
    return sum(one.total for one in errors) / sum(one.reference for one in errors)


def holds_95(interval: Interval | None, possible: Sequence[float]) -> None:
    """Below it lie 2.5 % of what is possible, and as much above: as exactly as so many samples can tell."""
    assert interval is not None
    assert interval.low is not None
    assert interval.high is not None
    below = sum(value < interval.low - 1e-9 for value in possible), sum(v <= interval.low + 1e-9 for v in possible)
    above = sum(value > interval.high + 1e-9 for value in possible), sum(v >= interval.high - 1e-9 for v in possible)
    for beyond, with_border in (below, above):
        assert beyond / len(possible) < 0.025 + 0.004
        assert with_border / len(possible) > 0.025 - 0.004


def recordings(chance: Random, count: int, rate: float) -> list[Errors]:
    """Recordings of a hundred words in which some of the words are wrong, in some more than in others."""
    hardness = (chance.uniform(0, 2 * rate) for _ in range(count))
    return [Errors(sum(chance.random() < hard for _ in range(100)), reference=100) for hard in hardness]


def test_an_interval_is_that_of_all_possible_resamples() -> None:
    """Five recordings can be drawn in 5^5 ways: the interval is where the middle 95 % of their rates lie."""
    exact = [rate([FIVE[i] for i in drawn]) for drawn in product(range(5), repeat=5)]
    interval = rate_interval(FIVE, samples=SAMPLES, seed=1)
    holds_95(interval, exact)
    assert interval is not None
    assert rate(FIVE) == pytest.approx(interval.value)


def test_a_difference_is_resampled_in_pairs() -> None:
    """Both systems' results of a recording are drawn together."""
    exact = [
        rate([FIVE[i] for i in drawn]) - rate([OTHER_FIVE[i] for i in drawn]) for drawn in product(range(5), repeat=5)
    ]
    compared = paired_difference(FIVE, OTHER_FIVE, samples=SAMPLES, seed=1)
    assert compared is not None
    holds_95(compared[0], exact)
    assert rate(FIVE) - rate(OTHER_FIVE) == pytest.approx(compared[0].value)


def test_p_is_the_share_of_assignments_that_differ_as_much() -> None:
    """Five pairs can be swapped in 2^5 ways: p is how many of them differ at least as much as what was seen."""
    observed = abs(rate(FIVE) - rate(OTHER_FIVE))
    either_way = [((a, b), (b, a)) for a, b in zip(FIVE, OTHER_FIVE, strict=True)]
    differing = [abs(rate([a for a, _ in one]) - rate([b for _, b in one])) for one in product(*either_way)]
    exact = sum(difference > observed - 1e-9 for difference in differing) / 32
    compared = paired_difference(FIVE, OTHER_FIVE, samples=SAMPLES, seed=1)
    assert 0 < exact < 1
    assert exact == pytest.approx(compared and compared[1], abs=0.02)


def test_systems_that_are_alike_do_not_differ() -> None:
    """Identical results are no evidence: p is exactly 1."""
    assert (Interval(0, 0, 0), 1) == paired_difference(FIVE, FIVE, samples=500, seed=3)


def test_a_system_that_is_always_worse_is_told_apart() -> None:
    """One error more in each of twelve recordings is hardly chance, and the sign says who is worse."""
    good = recordings(Random(1), 12, 0.1)
    bad = [one + Errors(insertions=1) for one in good]
    compared = paired_difference(bad, good, samples=2_000, seed=1)
    assert compared is not None
    difference, p = compared
    assert (0.01, 0.01, 0.01) == pytest.approx((difference.value, difference.low, difference.high))
    assert 1 / 2_001 <= p < 0.01
    opposite = paired_difference(good, bad, samples=2_000, seed=1)
    assert opposite is not None
    assert -difference.value == opposite[0].value


def test_few_recordings_have_no_interval() -> None:
    """Four are too few to be resampled; the rate itself is known."""
    assert Interval(rate(FIVE[:4])) == rate_interval(FIVE[:4], samples=100, seed=1)
    compared = paired_difference(FIVE[:4], OTHER_FIVE[:4], samples=100, seed=1)
    assert compared is not None
    assert (None, None) == (compared[0].low, compared[0].high)


@pytest.mark.parametrize("nothing", [[], [Errors(insertions=3)] * 6])
def test_without_a_truth_there_is_no_rate(nothing: list[Errors]) -> None:
    """Where nothing was said at all errors have no rate, however many words were made up."""
    assert rate_interval(nothing, samples=100, seed=1) is None
    assert paired_difference(nothing, nothing, samples=100, seed=1) is None


def test_resamples_without_any_truth_are_left_out() -> None:
    """Words made up in silence count where there is speech besides."""
    silent = [Errors(insertions=1)] * 5
    interval = rate_interval([*silent, Errors(reference=10)], samples=200, seed=1)
    assert interval is not None
    assert interval.low is not None
    assert 0 < interval.low <= interval.value == 0.5


def test_the_seed_decides() -> None:
    """The same figures come out again; another seed draws otherwise."""
    one, other = recordings(Random(1), 30, 0.1), recordings(Random(2), 30, 0.12)
    again = [paired_difference(one, other, samples=300, seed=seed) for seed in (7, 7, 8)]
    assert again[0] == again[1] != again[2]
    intervals = [rate_interval(one, samples=300, seed=seed) for seed in (7, 7, 8)]
    assert intervals[0] == intervals[1] != intervals[2]


def test_as_many_recordings_on_both_sides() -> None:
    """Pairs of nothing are refused."""
    with pytest.raises(ValueError, match="5 recordings are not paired with 4"):
        paired_difference(FIVE, FIVE[:4], samples=10, seed=1)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """In about 95 of 100 worlds the true rate lies in the interval, and p is below 5 % in about 5 of them."""
    chance, held, false_alarms = Random(5), 0, 0
    for world in range(100):
        one, other = recordings(chance, 25, 0.2), recordings(chance, 25, 0.2)
        interval = rate_interval(one, samples=400, seed=world)
        assert interval is not None
        assert interval.low is not None
        assert interval.high is not None
        held += interval.low <= 0.2 <= interval.high
        compared = paired_difference(one, other, samples=400, seed=world)
        false_alarms += compared is not None and compared[1] < 0.05
    assert 87 <= held <= 99
    assert 1 <= false_alarms <= 12
