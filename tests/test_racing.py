"""Two vendors at once: the first answer shows, nothing is mixed or lost, and both are metered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scripted import ScriptedStreaming, crash, numbered, spoken
from tests.test_failover import SETTINGS, Vendor
from tests.test_first_pass import Notes

from twopass.errors import ConfigError, RecognizerCrashed
from twopass.first_pass import FirstPassRunner
from twopass.first_words import FirstWords
from twopass.lineup import alone
from twopass.racing import Lead, Race
from twopass.recognizers import StreamOptions
from twopass.reconciler import FOREVER
from twopass.tape import Tape
from twopass.types import Clock, Hypothesis, Usage, Utterance, Words

WORDS = numbered(40)
LENGTH = 10_400


async def pieces() -> AsyncIterator[bytes]:
    """Somebody speaks."""
    pcm = spoken(WORDS, LENGTH)
    for at in range(0, len(pcm), 3_200):
        yield pcm[at : at + 3_200]
        await asyncio.sleep(0.001)


async def run(*racers: ScriptedStreaming) -> tuple[list[tuple[str, int, int]], list[Usage]]:
    """What a race shows in the end, and what it used."""
    shown, numbers = FirstWords(), count()
    usages: list[Usage] = []
    options = StreamOptions(used=usages.append)
    async for answer in Race(racers).stream(pieces(), options):
        if isinstance(answer, Usage):
            usages.append(answer)
        else:
            shown.add(answer, (0, next(numbers)))
    return [(word.text, word.start, word.end) for word in shown.said(0, FOREVER).words], usages


def everything() -> list[tuple[str, int, int]]:
    """What has to be heard."""
    return [(word.text, word.start, word.end) for word in WORDS]


@pytest.mark.parametrize("other_finals", [700, 1_000, 60_000])
async def test_a_race_shows_every_word_once_and_meters_both(other_finals: int) -> None:
    """Two vendors whose finals come at different places: the transcript is whole, both took and cost all the audio."""
    shown, usages = await run(Vendor(), Vendor(name="other", final_every_ms=other_finals))
    assert everything() == shown
    sent = [usage for usage in usages if usage.clock is Clock.AUDIO_SENT and usage.sku == "stream"]
    for name in ("vendor", "other"):
        assert LENGTH / 1000 == pytest.approx(sum(usage.seconds for usage in sent if usage.provider == name))


@pytest.mark.parametrize("ms", [100, 1_000, 5_555])
async def test_if_one_dies_the_other_goes_on_alone(ms: int) -> None:
    """The leader dies in mid-word: what the other one had kept to itself is shown, and nothing is missing."""
    for broken in (0, 1):
        racers = [Vendor(fault=lambda number, now: crash() if now >= ms else None), Vendor(name="other")]
        shown, _ = await run(*(racers if broken == 0 else racers[::-1]))
        assert everything() == shown


async def test_if_both_die_the_race_fails() -> None:
    """Nobody is left: the first pass is told, and does what it does with any broken stream."""
    with pytest.raises(RecognizerCrashed):
        await run(*(Vendor(fault=lambda number, now: crash() if now >= 500 else None) for _ in range(2)))


async def test_one_that_takes_no_audio_does_not_hold_up_the_other() -> None:
    """A racer that hangs is left behind."""
    shown, _ = await run(Vendor(fault=lambda number, now: 60.0), Vendor(name="other"))
    assert everything() == shown


@pytest.mark.parametrize("mute_first", [True, False])
async def test_a_leader_that_falls_mute_loses_the_lead(mute_first: bool) -> None:
    """It said the first words, then takes audio and ends in order: what the other one says is shown."""
    racers = [Vendor(mute_after_ms=700), Vendor(name="other", final_every_ms=1_500)]
    shown, _ = await run(*(racers if mute_first else racers[::-1]))
    assert everything() == shown


async def test_if_both_break_in_their_last_words_the_race_fails() -> None:
    """All audio was sent, and nobody ends in order: that is no success."""
    with pytest.raises(RecognizerCrashed):
        await run(*(Vendor(fault=lambda _, now: crash() if now == -1 else None, final_every_ms=60_000) for _ in "ab"))


async def test_a_recording_does_not_outrun_the_racers() -> None:
    """All audio is there at once: it is fed as fast as the faster one takes it, and nobody is taken for dead."""
    tape, notes = Tape(), Notes()
    race = Race([Vendor(), Vendor(name="other", extra={"burst_seconds": 10.0, "pace": 100.0})])
    runner = FirstPassRunner(alone(race), tape, StreamOptions(), notes, SETTINGS)
    words = numbered(72)
    tape.write(spoken(words, 20_000))
    tape.finish()
    runner.opened(Utterance("a", 0))
    runner.closed(Utterance("a", 0, 20_000))
    runner.finish()
    async with asyncio.timeout(60):
        await runner.run()
    assert ([word.text for word in words], []) == ([text for text, _, _ in notes.words()], notes.troubles)


def test_only_recognizers_of_one_kind_can_race() -> None:
    """One that hears the whole session cannot race one that hears utterances: said when the profile is opened."""
    with pytest.raises(ConfigError, match="one kind"):
        Race([Vendor(), ScriptedStreaming()])


def test_a_race_can_what_both_can() -> None:
    """The shorter limit, the common languages and features, the smaller burst."""
    one = Vendor(wall_ms=300_000, extra={"languages": ("en", "de"), "burst_seconds": 5.0})
    two = Vendor(wall_ms=200_000, name="other", extra={"languages": ("de", "hi")})
    both = Race([one, two]).capabilities
    assert ("vendor+other", 200.0, ("de",), 5.0) == (
        both.provider,
        both.max_stream_seconds,
        both.languages,
        both.burst_seconds,
    )


def told(words: Words, borders: list[int]) -> Iterator[Hypothesis]:
    """Interims and finals of one racer; finals end at these borders."""
    said = 0
    for at, word in enumerate(words, 1):
        now = word.end
        mine = tuple(w for w in words[:at] if w.middle >= said)
        if at in borders or at == len(words):
            yield Hypothesis(said, now, mine, final=True, stable=len(mine))
            said = now
        else:
            yield Hypothesis(said, now, mine)


@given(
    st.lists(st.integers(0, 1), min_size=30, max_size=80),
    st.sets(st.integers(1, 20)),
    st.sets(st.integers(1, 20)),
    st.integers(0, 60),
)
def test_in_any_order_of_answers_every_word_is_shown_once(
    order: list[int], left: set[int], right: set[int], dies_at: int
) -> None:
    """Whoever answers when, wherever their finals end, and whenever one dies: the finals shown are all words, once."""
    words = WORDS[:20]
    racers = [told(words, sorted(left)), told(words, sorted(right))]
    lead, finals = Lead(2), []
    dead = -1
    for step, who in enumerate([*order, *[0, 1] * 25]):
        if step == dies_at:
            dead = who
            finals += lead.leaves(who)
        answer = next(racers[who], None) if who != dead else None
        finals += lead.says(who, answer) if answer is not None else []
    shown = [word for hypothesis in finals if hypothesis.final for word in hypothesis.words]
    assert list(words) == shown
