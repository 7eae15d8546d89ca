"""What stand-ins hear with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests import speech
from tests.scripted import numbered, spoken

from twopass.alignment import folded
from twopass.types import Hypothesis, Words
from twopass_providers.standins.ears import CodedEar, Ear
from twopass_providers.standins.recognizing import RecognizerEar
from twopass_providers.standins.scripting import ScriptedEar


async def hears(ear: Ear, pcm: bytes, size: int = 3_200) -> list[Hypothesis]:
    """What it says to this audio."""

    async def audio() -> AsyncIterator[bytes]:
        for at in range(0, len(pcm), size):
            yield pcm[at : at + size]
            await asyncio.sleep(0)

    return [hypothesis async for hypothesis in ear.listen(audio())]


def finals(hypotheses: list[Hypothesis]) -> Words:
    """What is certain; checked to be without gap and overlap."""
    certain = [hypothesis for hypothesis in hypotheses if hypothesis.final]
    assert all(left.end == right.start for left, right in pairwise(certain))
    return tuple(word for hypothesis in certain for word in hypothesis.words)


@given(st.integers(1, 12), st.integers(0, 900), st.integers(1, 7_000))
def test_coded_audio_is_heard_to_the_sample_in_pieces_of_any_size(count: int, gap: int, size: int) -> None:
    """Every word once, at its time, whatever the pauses between words and the size of the pieces."""
    words = numbered(count, start=40, gap=gap)
    heard = asyncio.run(hears(CodedEar(), spoken(words, words[-1].end + 700), size))
    assert words == finals(heard)


async def test_a_real_recognizer_hears_speech_with_pauses() -> None:
    """pocketsphinx behind a vendor's protocol: interims and finals, at least half of the words, times that grow."""
    ear, sentence = RecognizerEar(), speech.load("short_slt")
    await ear.open()
    try:
        heard = await hears(ear, sentence.pcm + bytes(32_000) + sentence.pcm)
        again = await hears(ear, sentence.pcm)
    finally:
        await ear.close()
    assert any(not hypothesis.final for hypothesis in heard)
    for hypotheses, times in ((heard, 2), (again, 1)):
        words = finals(hypotheses)
        wanted = [folded(word.text) for word in sentence.words] * times
        assert sum(folded(word.text) in wanted for word in words) >= len(wanted) / 2
        assert [word.start for word in words] == sorted(word.start for word in words)
        assert words[-1].end <= sentence.duration_ms * times + 1_000


async def test_a_script_goes_on_where_it_was_as_long_as_there_is_sound() -> None:
    """Two and a half words a second of sound, none in silence, a final after a pause, over several streams."""
    ear = ScriptedEar("one two three four five six seven eight")
    sound = (b"\x00\x20" * 160 + b"\x00\xe0" * 160) * 50  # a second
    first = await hears(ear, sound * 2 + bytes(32_000) + sound)
    second = await hears(ear, bytes(64_000) + sound)
    assert "one two three four five six seven" == " ".join(word.text for word in finals(first))
    assert "eight one" in " ".join(word.text for word in finals(second))
