"""An ear for audio that says itself what is spoken: exact, in pieces of any size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.scripted import spoken

from twopass.types import Hypothesis, Word, Words
from twopass_providers.standins.ears import CodedEar, CodedHearing

TAIL_MS = 300


@st.composite
def scripts(draw: st.DrawFn) -> Words:
    """Words with pauses of any length between them, some long enough for a final; neighbours never say the same."""
    lengths = draw(st.lists(st.tuples(st.integers(1, 900), st.integers(1, 400)), min_size=0, max_size=12))
    words, at = [], 0
    for number, (pause, length) in enumerate(lengths, start=1):
        words.append(Word(str(number), at + pause, at + pause + length))
        at += pause + length
    return tuple(words)


cuts = st.lists(st.integers(0, 20_000), max_size=12)


def cut(pcm: bytes, at: Sequence[int]) -> list[bytes]:
    """Audio in pieces, wherever they are cut: also between the two bytes of a sample."""
    borders = [0, *sorted(min(place, len(pcm)) for place in at), len(pcm)]
    return [pcm[low:high] for low, high in pairwise(borders)]


def hears(ear: CodedEar, pieces: Sequence[bytes]) -> list[Hypothesis]:
    """What it says to these pieces."""

    async def audio() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def all_of() -> list[Hypothesis]:
        return [answer async for answer in ear.listen(audio())]

    return asyncio.run(all_of())


def recording(words: Words) -> bytes:
    """The words, and some silence."""
    return spoken(words, (words[-1].end if words else 0) + TAIL_MS)


@given(scripts(), cuts)
def test_hearing_is_exact_wherever_the_pieces_are_cut(words: Words, at: list[int]) -> None:
    """Words, times and length are the same in any pieces."""
    hearing, pcm = CodedHearing(), recording(words)
    for piece in cut(pcm, at):
        hearing.hear(piece)
    assert list(words) == hearing.words
    assert len(pcm) // 32 == hearing.ms


@given(scripts(), cuts)
def test_finals_say_each_word_once_and_follow_each_other(words: Words, at: list[int]) -> None:
    """Together the finals are the script; each begins where the last one ended."""
    finals = [answer for answer in hears(CodedEar(), cut(recording(words), at)) if answer.final]
    assert words == tuple(word for final in finals for word in final.words)
    assert all(left.end == right.start for left, right in pairwise(finals))
    assert not finals or finals[0].start == 0


@given(scripts(), st.integers(10, 400))
def test_a_pause_makes_a_final_and_less_does_not(words: Words, endpoint_ms: int) -> None:
    """In pieces of a millisecond, finals end exactly where a pause of that length follows."""
    pcm = recording(words)
    pieces = [pcm[at : at + 32] for at in range(0, len(pcm), 32)]
    finals = [answer for answer in hears(CodedEar(endpoint_ms=endpoint_ms), pieces) if answer.final]
    pauses = [left.end for left, right in pairwise(words) if right.start - left.end >= endpoint_ms]
    assert pauses == [final.end for final in finals if final.words[-1] != words[-1]]


@given(scripts(), st.integers(50, 500))
def test_interims_cover_what_is_not_settled(words: Words, interim_ms: int) -> None:
    """Each begins at the last final, reaches to what was heard, and promises no more words than it has."""
    pcm, said = recording(words), 0
    pieces = [pcm[at : at + 3_200] for at in range(0, len(pcm), 3_200)]
    for answer in hears(CodedEar(interim_ms=interim_ms), pieces):
        assert said == answer.start
        assert answer.words[-1].end <= answer.end <= len(pcm) // 32
        assert 0 <= answer.stable <= len(answer.words)
        said = answer.end if answer.final else said
