"""What providers are given to work with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass import recognizers
from twopass.errors import ConfigError
from twopass.recognizers import estimated_words


@given(st.lists(st.text("abcdefg", min_size=1, max_size=12), max_size=12), st.integers(0, 5_000), st.integers(0, 9_000))
def test_estimated_times_fill_the_span_in_order(tokens: list[str], start: int, length: int) -> None:
    """Interpolated words cover their span without gap or overlap, and say that they are estimated."""
    words = estimated_words(" ".join(tokens), start, start + length)
    assert tokens == [word.text for word in words]
    assert all(word.estimated for word in words)
    borders = [start, *(word.end for word in words)]
    assert borders[:-1] == [word.start for word in words]
    assert borders == sorted(borders)
    assert not words or words[-1].end == start + length


def test_an_unknown_provider_is_refused_with_the_installed_ones() -> None:
    """A typo in a configuration names what there is."""
    with pytest.raises(ConfigError, match="pocketsphinx"):
        recognizers.find("pocketsfinx")
