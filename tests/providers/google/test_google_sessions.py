"""What the user of a session sees when Google breaks: everything that was said, once, at its true time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.providers.google.rehearsing import needs_sdk, rehearsal
from tests.providers.rehearsal import rehearse, transcript
from tests.scripted import numbered

from twopass.first_pass_contract import FirstPassSettings
from twopass.types import Clock, Word

pytestmark = needs_sdk
versions = pytest.mark.parametrize("api", ["v2", "v1"])
SPEED = 10.0
PLACES = (*numbered(6, start=300), *numbered(10, start=2_700), *numbered(4, start=6_200))
WORDS = tuple(Word(str(i + 1), place.start, place.end) for i, place in enumerate(PLACES))
MS = 8_000
PATIENT = FirstPassSettings(attempts=20)  # there is no other recognizer, and a server takes a moment to come back

RETRYABLE = ["stream_limit", "no_audio", "unavailable", "internal", "deadline", "ended", "server_stopped"]


@versions
@pytest.mark.parametrize("kind", RETRYABLE)
async def test_a_break_in_a_word_loses_and_doubles_nothing(kind: str, api: str) -> None:
    """Whatever ends the stream once, the transcript is complete with exact times, and what was sent is metered."""
    async with rehearsal(f"1:{kind}@3.8", settings={"api": api}) as on:
        seen = await rehearse(on.recognizer, WORDS, MS, speed=SPEED, settings=PATIENT)
    assert transcript(WORDS) == seen.finals
    assert len(on.stand_in.received) >= 2
    assert kind == on.stand_in.received[0].ended
    assert "ok" == on.stand_in.received[-1].ended
    sent = sum(received.audio_ms for received in on.stand_in.received) / 1000
    assert sent <= seen.seconds("google", Clock.AUDIO_SENT) + 0.001
    assert MS / 1000 < seen.seconds("google", Clock.AUDIO_SENT) < 2 * MS / 1000


@pytest.mark.parametrize("kind", ["hang", "not_reading"])
async def test_a_silence_in_a_word_loses_and_doubles_nothing(kind: str) -> None:
    """A server that stays connected and says nothing is noticed while somebody speaks."""
    words = numbered(40, start=300)
    async with rehearsal(f"1:{kind}@2") as on:
        on.recognizer.capabilities = replace(on.recognizer.capabilities, answers_within_seconds=2.0)
        seen = await rehearse(on.recognizer, words, 11_000, speed=2.0)
    assert transcript(words) == seen.finals
    assert kind == on.stand_in.received[0].ended
    assert "ok" == on.stand_in.received[-1].ended


@pytest.mark.parametrize("api", ["v2", "v1"])
async def test_sessions_longer_than_a_stream(api: str) -> None:
    """Nobody sees anything of the vendor's wall: words and times are those of one endless stream."""
    words = tuple(word for i in range(5) for word in _utterance(i))
    async with rehearsal(settings={"api": api, "max_stream_seconds": 6.0}, max_stream_seconds=6.0) as on:
        seen = await rehearse(on.recognizer, words, 16_000, speed=4.0)
    assert transcript(words) == seen.finals
    assert [] == seen.troubles
    assert len(on.stand_in.received) > 2


def _utterance(number: int) -> list[Word]:
    """Eight words, and then a pause that makes a final."""
    return [Word(str(8 * number + int(w.text)), w.start, w.end) for w in numbered(8, start=300 + 3_000 * number)]
