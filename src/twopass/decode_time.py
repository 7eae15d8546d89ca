"""
How long a batch takes, learned from batches: seconds as a function of its size and its longest utterance. Pure.

    seconds(n, l) = level * (a + b n + c l + d n l)        n utterances, the longest of l seconds; a, b, c, d >= 0

The bracket is the recognizer's shape: an accelerator pays for the longest utterance (c), a processor for every one
(b, d). It changes slowly. The level follows quickly what the machine does now. Both start from a recognizer that
profits from batches, and what was not seen for a while comes to be believed cheap again, so that it is tried.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.floating[Any]]
Vector: TypeAlias = tuple[float, ...]
Matrix: TypeAlias = tuple[Vector, ...]

_ZERO: Vector = (0.0,) * 4
_FORGET = 0.95
"""What a batch weighs when the next one comes: the shape is that of the last twenty or so."""
_HOPE = 0.02
"""Weight of the belief that twice as many, twice as long, would have taken no longer."""
_ENOUGH = 2.5
_SPREAD = 0.25
"""From this ratio of deviation to mean on, sizes are told apart."""
_ROUNDS = 2
_DAMPING = 0.003
_SHAPE: Vector = (1.0, 0.02, 0.1, 0.002)
"""Of a recognizer that profits from batches, as long as nothing else is known."""
_LEAST = 0.05
"""No part of the shape falls below this share of its first value: from nothing it could not grow again."""
_SHORTEST = 1e-6
"""Seconds; no batch is taken for quicker."""


@dataclass(frozen=True, slots=True)
class DecodeTime:
    """
    What is known of a recognizer's speed. Grows with the size of the batch and with its longest utterance.

    Attributes:
        level: Factor on the shape, in seconds; 0 as long as nothing is known.
        shape: a, b, c and d, all positive.
        matrix, vector: What the shape is fitted to: sums over what was seen, each relative to the time it took.
        largest: About the largest batch of late.
        seen: How many batches that is worth; each counts less with every later one.
    """

    level: float = 0.0
    shape: Vector = _SHAPE
    matrix: Matrix = (_ZERO,) * 4
    vector: Vector = _ZERO
    largest: float = 1.0
    seen: float = 0.0

    @property
    def one_size(self) -> bool:
        """Whether the batches of late were all about of one size, so that it cannot be known what the size costs."""
        if self.seen < _ENOUGH:
            return False
        weight, mean, square = self.matrix[0][0], self.matrix[0][1], self.matrix[1][1]
        return square * weight < (1 + _SPREAD**2) * mean**2

    def seconds(self, size: int, longest: float) -> float:
        """
        How long a batch of `size` takes, the longest of `longest` seconds; 0 as long as nothing is known. A batch more
        than twice as large as any of late is taken to gain nothing over several.
        """
        return self.level * self.relative(size, longest) * max(1.0, size / (2 * self.largest))

    def relative(self, size: int, longest: float) -> float:
        """The same in unknown units, but also when nothing is known: to compare batches with."""
        return _dot(self.shape, _features(size, longest))

    def learned(self, size: int, longest: float, seconds: float) -> DecodeTime:
        """With one more batch that took so many seconds."""
        after = self._fitted(size, longest, max(seconds, _SHORTEST))
        believed = self.level * self.relative(size, longest)
        step = seconds - believed
        # Good news count more: who believes that all takes long turns away what could be done.
        now = seconds if self.level == 0 else believed + step / (8 if step > 0 else 2)
        largest = max(size, _FORGET * self.largest)
        level, seen = now / after.relative(size, longest), 1 + _FORGET * self.seen
        return replace(after, level=level, largest=largest, seen=seen)

    def _fitted(self, size: int, longest: float, seconds: float) -> DecodeTime:
        """The shape that fits this batch, too: in seconds, so that the level is one."""
        matrix: Array = np.array(self.matrix) * _FORGET
        vector: Array = np.array(self.vector) * _FORGET
        for x, weight in ((_features(size, longest), 1.0), (_features(2 * size, 2 * longest), _HOPE)):
            relative = np.array(x) / seconds
            matrix, vector = matrix + weight * np.outer(relative, relative), vector + weight * relative
        shape: Array = np.array(self.shape)
        shape = shape * (shape @ vector) / (shape @ matrix @ shape)
        one = _features(1, longest)
        least = _LEAST * np.array(_SHAPE) * _dot(_vector(shape), one) / _dot(_SHAPE, one)
        for _ in range(_ROUNDS):
            shape = np.maximum(_nearer(shape, matrix, vector), np.maximum(shape / 4, least))
        rows = tuple(_vector(row) for row in matrix)
        return replace(self, level=1.0, shape=_vector(shape), matrix=rows, vector=_vector(vector))


def _nearer(shape: Array, matrix: Array, vector: Array) -> Array:
    """
    A step to the least squares. Damped as the multiplicative steps for non-negative factors are: what the batches seen
    do not tell apart grows and shrinks together.
    """
    damping = _DAMPING * (matrix @ shape) / shape
    step: Array = np.linalg.solve(matrix + np.diag(damping), vector + damping * shape)
    return step


def _features(size: int, longest: float) -> Vector:
    return 1.0, float(size), longest, size * longest


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3]


def _vector(array: Array) -> Vector:
    return tuple(array.tolist())
