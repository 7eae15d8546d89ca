"""What the user of a session sees when Sarvam breaks: everything that was said, once, and about where it was said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.providers.rehearsal import Seen, rehearse
from tests.providers.sarvam.rehearsing import needs_sdk, rehearsal
from tests.scripted import numbered

from twopass.types import Clock, Word, Words

pytestmark = needs_sdk
SPEED = 10.0
PLACES = (*numbered(6, start=300), *numbered(10, start=2_700), *numbered(4, start=6_200))
WORDS = tuple(Word(str(i + 1), place.start, place.end) for i, place in enumerate(PLACES))
MS = 8_000
ABOUT_MS = 600
"""Sarvam gives no times of words: those of a whole utterance are spread over it by their length."""

RETRYABLE = """
    stream_limit inactive internal backend close_1008 close_1011 going_away ended abort server_stopped
""".split()


def is_complete(seen: Seen, words: Words = WORDS) -> None:
    """Every word once, in order, about where it was said."""
    assert [word.text for word in words] == [text for text, _, _ in seen.finals]
    for word, (_, start, end) in zip(words, seen.finals, strict=True):
        assert abs(word.middle - (start + end) / 2) <= ABOUT_MS


@pytest.mark.parametrize("kind", RETRYABLE)
async def test_a_break_in_a_word_loses_and_doubles_nothing(kind: str) -> None:
    """Whatever ends the stream once, the transcript is complete, and what was sent is metered."""
    async with rehearsal(f"1:{kind}@3.8") as on:
        seen = await rehearse(on.recognizer, WORDS, MS, speed=SPEED)
    is_complete(seen)
    assert len(on.stand_in.received) >= 2
    assert kind == on.stand_in.received[0].ended
    assert "ok" == on.stand_in.received[-1].ended
    sent = sum(received.audio_ms for received in on.stand_in.received) / 1000
    assert sent <= seen.seconds("sarvam", Clock.AUDIO_SENT) + 0.001
    assert MS / 1000 < seen.seconds("sarvam", Clock.AUDIO_SENT) < 2 * MS / 1000


@pytest.mark.parametrize("kind", ["upgrade_500", "upgrade_503"])
async def test_a_connection_that_is_refused_once_loses_nothing(kind: str) -> None:
    """The audio waits on the tape until the next attempt."""
    async with rehearsal(f"1:{kind}") as on:
        seen = await rehearse(on.recognizer, WORDS, MS, speed=SPEED)
    is_complete(seen)
    assert [kind, "ok"] == [received.ended for received in on.stand_in.received]


@pytest.mark.parametrize("kind", ["hang", "not_reading"])
async def test_a_silence_in_a_word_loses_and_doubles_nothing(kind: str) -> None:
    """A server that stays connected and says nothing is noticed while somebody speaks."""
    words = numbered(40, start=300)
    async with rehearsal(f"1:{kind}@2") as on:
        on.recognizer.capabilities = replace(on.recognizer.capabilities, answers_within_seconds=1.5)
        seen = await rehearse(on.recognizer, words, 11_000, speed=3.0)
    assert [word.text for word in words] == [text for text, _, _ in seen.finals]
    assert kind == on.stand_in.received[0].ended
    assert "ok" == on.stand_in.received[-1].ended


async def test_sessions_longer_than_a_stream() -> None:
    """Nobody sees anything of the vendor's wall: streams are replaced before it."""
    words = tuple(word for i in range(6) for word in _utterance(i))
    # At the real wall there are 15 s for the last words of a stream; here they would be 0.3 s.
    async with rehearsal(settings={"max_stream_seconds": 5.0}, max_stream_seconds=6.5) as on:
        seen = await rehearse(on.recognizer, words, 19_000, speed=3.0)
    is_complete(seen, words)
    assert [] == seen.troubles
    assert len(on.stand_in.received) > 3
    assert "stream_limit" not in {received.ended for received in on.stand_in.received}


def _utterance(number: int) -> list[Word]:
    """Eight words, and then a pause that makes a final."""
    return [Word(str(8 * number + int(w.text)), w.start, w.end) for w in numbered(8, start=300 + 3_000 * number)]
