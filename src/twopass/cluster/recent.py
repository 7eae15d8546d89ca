"""A memory of bounded size."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class Recent(OrderedDict[_K, _V], Generic[_K, _V]):
    """The latest `most` of something."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def remember(self, key: _K, value: _V) -> None:
        """Put one in; the oldest goes."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)
