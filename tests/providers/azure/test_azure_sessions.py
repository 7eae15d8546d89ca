"""What the user of a session sees when Azure breaks: everything that was said, once, at its true time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.providers.azure.rehearsing import needs_sdk, rehearsal
from tests.providers.rehearsal import rehearse, transcript
from tests.scripted import numbered

from twopass.first_pass_contract import FirstPassSettings
from twopass.recognizers import StreamOptions
from twopass.types import Clock, Word

pytestmark = needs_sdk
SPEED = 20.0
PLACES = (*numbered(6, start=300), *numbered(10, start=2_700), *numbered(4, start=6_200))
WORDS = tuple(Word(str(i + 1), place.start, place.end) for i, place in enumerate(PLACES))
MS = 8_000
PATIENT = FirstPassSettings(attempts=20)  # there is no other recognizer

HEALED = ["close_1000", "close_1001", "close_1008", "close_1011", "close_1012", "close_1013", "abort", "turn_end"]
"""What the SDK sees to by itself, with one retry."""
RETRIED = ["close_1002", "close_4000", "phrase_error", "phrase_service_unavailable"]
"""What the first pass sees to, or either."""


@pytest.mark.parametrize("kind", HEALED)
async def test_a_break_that_the_sdk_heals_is_seen_by_nobody(kind: str) -> None:
    """The transcript is complete with exact times, and no trouble is told."""
    async with rehearsal(f"1:{kind}@3.8") as on:
        seen = await rehearse(on.recognizer, WORDS, MS, speed=SPEED, settings=PATIENT)
    assert transcript(WORDS) == seen.finals
    assert [] == seen.troubles
    # The SDK sends again what was not settled: that is not metered, and whether Azure bills it is not known.
    assert MS / 1000 == seen.seconds("azure", Clock.AUDIO_SENT)
    assert sum(received.audio_ms for received in on.stand_in.received) > MS


@pytest.mark.parametrize("kind", ["abort", "close_1000", "close_1011", *RETRIED])
async def test_a_break_in_a_word_loses_and_doubles_nothing(kind: str) -> None:
    """Without the SDK's retries the first pass does the same, and whatever is sent again is metered."""
    async with rehearsal(f"1:{kind}@3.8", settings={"sdk_retries": 0}) as on:
        seen = await rehearse(on.recognizer, WORDS, MS, speed=SPEED, settings=PATIENT)
    assert transcript(WORDS) == seen.finals
    assert kind == on.stand_in.received[0].ended
    sent = sum(received.audio_ms for received in on.stand_in.received) / 1000
    assert MS / 1000 < sent <= seen.seconds("azure", Clock.AUDIO_SENT) + 0.001
    assert seen.seconds("azure", Clock.AUDIO_SENT) < 2 * MS / 1000


@pytest.mark.parametrize("kind", RETRIED)
async def test_a_break_with_the_sdks_retry_loses_and_doubles_nothing(kind: str) -> None:
    """As it is by default."""
    async with rehearsal(f"1:{kind}@3.8") as on:
        seen = await rehearse(on.recognizer, WORDS, MS, speed=SPEED, settings=PATIENT)
    assert transcript(WORDS) == seen.finals


async def test_an_outage_of_some_connections() -> None:
    """Nobody is let in for a while, in the middle of a word."""
    async with rehearsal("1:abort@3.8", "2-5:upgrade_503") as on:
        seen = await rehearse(on.recognizer, WORDS, MS, speed=SPEED, settings=PATIENT)
    assert transcript(WORDS) == seen.finals
    assert len(on.stand_in.received) >= 6


@pytest.mark.parametrize("kind", ["silent", "not_reading"])
async def test_a_silence_in_a_word_loses_and_doubles_nothing(kind: str) -> None:
    """A server that stays connected and says nothing is noticed while somebody speaks."""
    words = numbered(24, start=300)
    async with rehearsal(f"1:{kind}@2") as on:
        on.recognizer.capabilities = replace(on.recognizer.capabilities, answers_within_seconds=1.0)
        seen = await rehearse(on.recognizer, words, 7_000, speed=4.0)
    assert transcript(words) == seen.finals
    assert kind == on.stand_in.received[0].ended


async def test_no_answer_to_the_end_of_a_session() -> None:
    """The stream is given up soon, and the next one hears what was not settled."""
    async with rehearsal("1:silent@7", settings={"finish_seconds": 0.5}) as on:
        seen = await rehearse(on.recognizer, WORDS, MS, speed=SPEED)
    assert transcript(WORDS) == seen.finals


async def test_connections_shorter_than_the_session() -> None:
    """As Azure once dropped each after ten minutes: nobody sees anything of it."""
    words = tuple(
        Word(str(8 * i + int(word.text)), word.start, word.end)
        for i in range(5)
        for word in numbered(8, start=300 + 3_000 * i)
    )
    async with rehearsal(max_stream_seconds=0.75) as on:
        seen = await rehearse(on.recognizer, words, 16_000, speed=8.0)
    assert transcript(words) == seen.finals
    assert [] == seen.troubles
    assert len(on.stand_in.received) >= 3


async def test_speakers_are_shown() -> None:
    """The labels come with the words."""
    options = StreamOptions(language="en-US", diarization=True)
    async with rehearsal() as on:
        seen = await rehearse(on.recognizer, WORDS, MS, speed=SPEED, options=options)
    assert transcript(WORDS) == seen.finals
    assert {"Guest-1"} == {word.speaker for revision in seen.revisions for word in revision.words}
