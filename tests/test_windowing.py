"""Windows and local agreement: an utterance recognizer as a streaming one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scripted import ScriptedUtterances, crash, numbered, spoken

from twopass.errors import RecognizerCrashed
from twopass.recognizers import StreamOptions
from twopass.types import Hypothesis, Pass, Usage, Words
from twopass.windowing import Agreement, Windowed, WindowSettings


async def slowly(pcm: bytes) -> AsyncIterator[bytes]:
    """100 ms at a time, with time to decode in between."""
    for at in range(0, len(pcm), 3_200):
        yield pcm[at : at + 3_200]
        await asyncio.sleep(0.002)


async def beliefs(words: Words, ms: int, settings: WindowSettings) -> list[Hypothesis]:
    """What a windowed recognizer believes while it hears these words."""
    recognizer = Windowed(ScriptedUtterances(), settings)
    answers = [a async for a in recognizer.stream(slowly(spoken(words, ms)), StreamOptions())]
    assert all(a.pass_ is Pass.FIRST for a in answers if isinstance(a, Usage))
    return [a for a in answers if isinstance(a, Hypothesis)]


async def test_partials_grow_and_end_final() -> None:
    """A belief per step, stable words never change, the last belief is final and whole."""
    words = numbered(20)
    heard = await beliefs(words, 5_000, WindowSettings(window_ms=20_000, step_ms=500))
    assert len(heard) > 5
    assert [w.text for w in words] == [w.text for w in heard[-1].words]
    assert heard[-1].final
    for before, after in pairwise(heard):
        assert [w.text for w in before.words[: before.stable]] == [w.text for w in after.words[: before.stable]]


@pytest.mark.parametrize("window_ms", [2_000, 4_000, 7_000])
async def test_speech_longer_than_the_window_loses_nothing(window_ms: int) -> None:
    """The window slides over stable words: each is there once, at its time."""
    words = numbered(80)
    heard = await beliefs(words, 20_000, WindowSettings(window_ms=window_ms, step_ms=500))
    assert [(w.text, w.start) for w in words] == [(w.text, w.start) for w in heard[-1].words]


async def test_a_crash_reaches_whoever_streams() -> None:
    """The recognizer's error comes out of the stream as it is."""
    recognizer = Windowed(ScriptedUtterances(fault=lambda call, ms: crash()), WindowSettings(step_ms=500))
    with pytest.raises(RecognizerCrashed):
        async for _ in recognizer.stream(slowly(spoken(numbered(8), 2_000)), StreamOptions()):
            pass


@given(st.lists(st.integers(0, 6), min_size=1, max_size=10))
def test_agreement_is_the_common_prefix_of_two_decodes(lengths: list[int]) -> None:
    """Of decodes that agree as far as they go, the shorter one of the last two is stable."""
    agreement, previous = Agreement(), 0
    for length in lengths:
        belief = agreement.update(Hypothesis(0, 2_000, numbered(length)))
        assert min(previous, length) == belief.stable
        previous = length
