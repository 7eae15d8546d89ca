"""
How sure an error rate is, and a difference of two. Pure; the same seed gives the same figures.

Recordings are what is drawn at random, not words: errors of one recording come together (one speaker, one microphone),
so that words are no independent samples.

Sources: confidence intervals by bootstrap over the recordings, also of the difference of two systems on the same
recordings: Bisani and Ney, Bootstrap estimates for confidence intervals in ASR performance evaluation, ICASSP 2004
(percentile method: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). Significance by a paired
permutation test (approximate randomization): Noreen, Computer-Intensive Methods for Testing Hypotheses, 1989, chapter
2; counted as (k + 1) / (n + 1), because the observed assignment is one of the possible ones: Phipson and Smyth,
Permutation P-values should never be zero, 2010.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from twopass.compare.measures.accuracy import Errors
from twopass.compare.results import Interval

FEWEST_RECORDINGS = 5
"""With fewer there is no interval: resampling them says little."""
_TAILS = (2.5, 97.5)
_AT_ONCE = 250_000
"""Recordings drawn at once, so that memory is bounded."""


def rate_interval(errors: Sequence[Errors], *, samples: int, seed: int) -> Interval | None:
    """
    The pooled error rate of these recordings (one entry each) with its 95 % interval, by as many resamples.

    No interval with fewer than FEWEST_RECORDINGS; None if the truths have no units at all.
    """
    counts = _counts(errors)
    value = _rates(counts.sum(axis=0))
    if np.isnan(value):
        return None
    pooled = (_rates(counts[drawn].sum(axis=1)) for drawn in _draws(len(errors), samples, seed))
    return _interval(float(value), len(errors), pooled)


def paired_difference(
    left: Sequence[Errors], right: Sequence[Errors], *, samples: int, seed: int
) -> tuple[Interval, float] | None:
    """
    The pooled error rate of the left system minus that of the right one, with its 95 % interval, and p: how probable
    so large a difference, either way, is if it were chance which of the two results of a recording is whose.

    Both hold the same recordings in the same order (ValueError if not as many). No interval with fewer than
    FEWEST_RECORDINGS; None if the truths have no units at all.
    """
    if len(left) != len(right):
        raise ValueError(f"{len(left)} recordings are not paired with {len(right)}")
    both = np.stack([_counts(left), _counts(right)])
    value = _difference(both.sum(axis=1))
    if np.isnan(value):
        return None
    pooled = (_difference(both[:, drawn].sum(axis=2)) for drawn in _draws(len(left), samples, seed))
    return _interval(float(value), len(left), pooled), _p(both, float(value), samples, seed)


def _counts(errors: Sequence[Errors]) -> NDArray[np.int64]:
    """Recordings by (errors, units of the truth)."""
    return np.array([(one.total, one.reference) for one in errors], dtype=np.int64).reshape(-1, 2)


def _rates(pooled: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of (..., 2) sums; NaN where the truths have no units."""
    wrong, units = pooled[..., 0], pooled[..., 1]
    rates = np.full(wrong.shape, np.nan)
    np.divide(wrong, units, out=rates, where=units > 0)
    return rates


def _difference(pooled: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of the (left, right) sums."""
    return _rates(pooled[0]) - _rates(pooled[1])


def _blocks(recordings: int, samples: int) -> Iterator[tuple[int, int]]:
    """The shapes of arrays of samples by recordings that are drawn at once."""
    rows = max(1, _AT_ONCE // max(1, recordings))
    for done in range(0, samples, rows):
        yield min(rows, samples - done), recordings


def _draws(recordings: int, samples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Which recordings are in each resample: as many as there are, some of them several times."""
    chance = np.random.default_rng(seed)
    for shape in _blocks(recordings, samples):
        yield chance.integers(recordings, size=shape)


def _interval(value: float, recordings: int, pooled: Iterator[NDArray[np.float64]]) -> Interval:
    resampled = np.concatenate(list(pooled))
    known = resampled[~np.isnan(resampled)]
    if recordings < FEWEST_RECORDINGS or not known.size:
        return Interval(value)
    low, high = np.percentile(known, _TAILS)
    return Interval(value, float(low), float(high))


def _p(both: NDArray[np.int64], observed: float, samples: int, seed: int) -> float:
    """The share of assignments, drawn at random, that differ as much. Compared are quotients of equal integers."""
    chance = np.random.default_rng(seed)
    as_large = 0
    for shape in _blocks(both.shape[1], samples):
        swapped = chance.integers(2, size=(*shape, 1)).astype(bool)
        pooled = np.stack([np.where(swapped, both[1 - side], both[side]).sum(axis=1) for side in (0, 1)])
        as_large += int((np.abs(_difference(pooled)) >= abs(observed)).sum())
    return (as_large + 1) / (samples + 1)
