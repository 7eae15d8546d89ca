"""What goes wrong at Azure, through its own SDK: what the SDK hides, which error of ours the rest is, what stays."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from tests.providers.azure.rehearsing import (
    ENGLISH,
    Heard,
    Rehearsal,
    hear,
    needs_sdk,
    opened,
    pieces,
    quiet,
    rehearsal,
    threads,
)
from tests.providers.rehearsal import transcript
from tests.scripted import numbered, spoken
from tests.waiting import until

from twopass.errors import (
    RecognizerBusy,
    RecognizerCrashed,
    RecognizerError,
    RecognizerRejected,
    RecognizerTimeout,
    RecognizerUnauthorized,
)
from twopass.types import Word
from twopass_providers.azure.standin import LIMITS
from twopass_providers.azure.standin_faults import CLOSES, KINDS, STATUSES, UPGRADES

pytestmark = needs_sdk
WORDS = numbered(8, start=300) + tuple(word.shifted(4_000) for word in numbered(12))
SPOKEN = spoken(WORDS, 8_000)
FIRST = WORDS[:8]
SETTLED_MS = FIRST[-1].end
GENEROUS_SECONDS = 30
"""Where the SDK alone would take a minute, or for ever."""

HEALS = {"close_1000", "close_1001", "close_1008", "close_1011", "close_1012", "close_1013", "abort"}
"""What ends a connection, and the SDK opens another one."""
ENDS: dict[str, type[RecognizerError]] = {
    "close_1002": RecognizerCrashed,
    "close_1007": RecognizerRejected,
    "close_4000": RecognizerCrashed,
    "close_4429": RecognizerBusy,
    "quota": RecognizerBusy,
}
"""What ends a connection for good."""
REFUSALS: dict[str, tuple[type[RecognizerError], int]] = {
    "upgrade_400": (RecognizerRejected, 1),
    "upgrade_401": (RecognizerUnauthorized, 1),
    "upgrade_403": (RecognizerUnauthorized, 1),
    "upgrade_404": (RecognizerRejected, 2),
    "upgrade_429": (RecognizerBusy, 2),
    "upgrade_500": (RecognizerCrashed, 2),
    "upgrade_502": (RecognizerCrashed, 2),
    "upgrade_503": (RecognizerCrashed, 2),
}
"""What refuses a connection, and how often the SDK asks for one."""
PHRASES: dict[str, type[RecognizerError]] = {
    "phrase_error": RecognizerCrashed,
    "phrase_too_many_requests": RecognizerBusy,
    "phrase_bad_request": RecognizerRejected,
    "phrase_forbidden": RecognizerBusy,
    "phrase_service_unavailable": RecognizerCrashed,
}
"""What comes in the place of words."""
SILENCES = {"silent", "not_reading", "no_finals"}
ENDLESS = {"silent_at_end", "no_turn_end"}
OTHERS = {"upgrade_307", "no_upgrade", "turn_end"}


def test_every_fault_of_the_stand_in_is_tested() -> None:
    """A new one needs an answer here."""
    known = HEALS | set(ENDS) | set(REFUSALS) | set(PHRASES) | SILENCES | ENDLESS | OTHERS
    assert set(KINDS) == known
    assert set(CLOSES) == (HEALS - {"abort"}) | set(ENDS)
    assert (set(UPGRADES), set(STATUSES)) == (set(REFUSALS), set(PHRASES))


def check(heard: Heard, error: type[RecognizerError]) -> None:
    """It is this error, with a way out where trying again does not help."""
    assert error is type(heard.error)
    assert isinstance(heard.error, RecognizerError)
    assert "azure" == heard.error.provider
    assert heard.error.retryable or heard.error.fix


async def check_well(on: Rehearsal) -> None:
    """The next stream hears everything, and nothing of the broken one is left."""
    heard = await hear(on.recognizer, SPOKEN)
    assert heard.error is None
    assert transcript(WORDS) == heard.words


# -- a connection breaks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(HEALS))
async def test_a_break_that_the_sdk_heals_is_not_seen(kind: str) -> None:
    """It connects again, sends again what was not settled, and words and times are exact; no interim goes back."""
    async with rehearsal(f"1:{kind}@5") as on:
        heard = await hear(on.recognizer, SPOKEN)
        await until(lambda: on.stand_in.received[-1].ended == "ok")
    assert heard.error is None
    assert transcript(WORDS) == heard.words
    assert [(kind, 5_000), ("ok", 8_000 - SETTLED_MS)] == [(r.ended, r.audio_ms) for r in on.stand_in.received]
    assert 1 == len({received.options["connection"] for received in on.stand_in.received})
    ends = [(interim.start, interim.end) for interim in heard.interims]
    assert sorted(ends) == ends


async def test_a_break_before_any_final_sends_everything_again() -> None:
    """What is billed for that is not known; what was sent is told by connection."""
    async with rehearsal("1:abort@1.5") as on:
        heard = await hear(on.recognizer, SPOKEN)
    assert transcript(WORDS) == heard.words
    assert [1_500, 8_000] == [received.audio_ms for received in on.stand_in.received]


async def test_breaks_with_finals_between_them_are_healed_for_ever() -> None:
    """The SDK counts retries anew with each final."""
    starts = range(300, 15_000, 2_000)
    words = tuple(Word(str(100 * at + int(w.text)), w.start, w.end) for at in starts for w in numbered(3, start=at))
    words = tuple(Word(str(i + 1), word.start, word.end) for i, word in enumerate(words))
    async with rehearsal("*:abort@4.5") as on:
        heard = await hear(on.recognizer, spoken(words, 16_000))
    assert heard.error is None
    assert transcript(words) == heard.words
    assert len(on.stand_in.received) > 3


@pytest.mark.parametrize("kind", sorted(HEALS))
async def test_breaks_without_a_final_between_them_end_the_stream(kind: str) -> None:
    """At the second in a row; what was said before stays. Of code 1000 the SDK alone would never tell."""
    async with rehearsal(f"*:{kind}@5") as on:
        heard = await hear(on.recognizer, SPOKEN)
    check(heard, RecognizerCrashed)
    assert transcript(FIRST) == heard.words
    assert [kind, kind] == [received.ended for received in on.stand_in.received]


@pytest.mark.parametrize("kind", ["abort", "close_1000", "close_1011"])
async def test_without_the_sdks_retries_every_break_is_seen(kind: str) -> None:
    """For those who want to fail over at once, and to meter whatever is sent again."""
    async with rehearsal(f"1:{kind}@5", settings={"sdk_retries": 0}) as on:
        heard = await hear(on.recognizer, SPOKEN)
        check(heard, RecognizerCrashed)
        assert transcript(FIRST) == heard.words
        assert 1 == len(on.stand_in.received)
        await check_well(on)


@pytest.mark.parametrize("at", ["", "@5"])
@pytest.mark.parametrize("kind", ENDS)
async def test_a_break_that_the_sdk_does_not_heal(kind: str, at: str) -> None:
    """It is told as what it is, at the first attempt; what was said before has arrived."""
    async with rehearsal(f"1:{kind}{at}") as on:
        heard = await hear(on.recognizer, SPOKEN)
        check(heard, ENDS[kind])
        assert (transcript(FIRST) if at else []) == heard.words
        assert [kind] == [received.ended for received in on.stand_in.received]
        await check_well(on)


async def test_a_quota_is_told_in_azures_words() -> None:
    """1007 means a bad request, unless it says that it means the quota."""
    async with rehearsal("1:quota@5") as on:
        heard = await hear(on.recognizer, SPOKEN)
    assert heard.error is not None
    assert "Quota exceeded." in heard.error.message


# -- no connection is made --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REFUSALS)
async def test_a_refusal(kind: str) -> None:
    """Each status is the error that it means; the SDK asks once again only where that can help."""
    async with rehearsal(f"1-2:{kind}") as on:
        heard = await hear(on.recognizer, SPOKEN)
        error, attempts = REFUSALS[kind]
        check(heard, error)
        assert [] == heard.hypotheses
        assert [(kind, 0)] * attempts == [(received.ended, received.audio_ms) for received in on.stand_in.received]


@pytest.mark.parametrize("kind", REFUSALS)
async def test_a_refusal_when_the_sdk_connects_again(kind: str) -> None:
    """In the middle of a session it is the same error; what was said before stays."""
    async with rehearsal("1:abort@5", f"2-3:{kind}") as on:
        heard = await hear(on.recognizer, SPOKEN)
    check(heard, REFUSALS[kind][0])
    assert transcript(FIRST) == heard.words
    assert {kind} == {received.ended for received in on.stand_in.received[1:]}


@pytest.mark.parametrize("kind", [kind for kind, (_, attempts) in REFUSALS.items() if attempts > 1])
async def test_one_refusal_is_healed(kind: str) -> None:
    """Early audio is kept."""
    async with rehearsal(f"1:{kind}") as on:
        heard = await hear(on.recognizer, SPOKEN)
    assert heard.error is None
    assert transcript(WORDS) == heard.words


async def test_a_redirection_is_followed() -> None:
    """To wherever Azure says."""
    async with rehearsal("1:upgrade_307") as on:
        heard = await hear(on.recognizer, SPOKEN)
    assert transcript(WORDS) == heard.words
    assert ["upgrade_307", 8_000] == [on.stand_in.received[0].ended, on.stand_in.received[1].audio_ms]


async def test_nobody_listens() -> None:
    """Refused: trying again can help."""
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]
        async with opened(f"ws://127.0.0.1:{port}") as recognizer:
            heard = await hear(recognizer, SPOKEN)
    check(heard, RecognizerCrashed)
    assert heard.error is not None
    assert "unreachable" == heard.error.code


async def test_a_server_that_does_not_exist() -> None:
    """No such name; where even the question is not answered in time, that is told."""
    async with opened("ws://speech.invalid:80", connect_seconds=5) as recognizer:
        heard = await hear(recognizer, SPOKEN)
    assert heard.error is not None
    assert heard.error.code in {"unreachable", "connect_timeout"}
    assert heard.error.retryable


@asynccontextmanager
async def black_hole() -> AsyncIterator[str]:
    """The address of something that takes connections and never says a word."""
    taken: list[asyncio.StreamWriter] = []

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield "ws://{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()
        for writer in taken:
            writer.close()
        await server.wait_closed()


async def test_a_server_that_never_answers_the_connection_is_given_up() -> None:
    """The SDK alone would take 20 s, and by default 51; its threads go by themselves."""
    async with black_hole() as address, opened(address, connect_seconds=0.3) as recognizer:
        before, began = await quiet(), time.monotonic()
        heard = await hear(recognizer, SPOKEN)
        assert time.monotonic() - began < GENEROUS_SECONDS / 2
        await until(lambda: threads() <= before)
    check(heard, RecognizerTimeout)
    assert heard.error is not None
    assert "connect_timeout" == heard.error.code


async def test_a_server_that_never_answers_when_the_sdk_connects_again_is_given_up() -> None:
    """The same in the middle of a session."""
    async with rehearsal("1:abort@5", "2:no_upgrade", settings={"connect_seconds": 3}) as on:
        heard = await hear(on.recognizer, SPOKEN)
        check(heard, RecognizerTimeout)
        assert transcript(FIRST) == heard.words
        await check_well(on)


async def test_more_connections_than_the_quota_are_refused() -> None:
    """The one too many is told to be that; the others go on."""
    gate = asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        async for piece in pieces(SPOKEN):
            yield piece
        await gate.wait()

    async with rehearsal(max_streams=2) as on:
        running = [asyncio.create_task(hear(on.recognizer, held())) for _ in range(2)]
        await until(lambda: [8_000, 8_000] == [received.audio_ms for received in on.stand_in.received])
        refused = await hear(on.recognizer, SPOKEN)
        gate.set()
        heard = await asyncio.gather(*running)
    check(refused, RecognizerBusy)
    assert [transcript(WORDS)] * 2 == [one.words for one in heard]
    assert "too_many_streams" == on.stand_in.received[2].ended


# -- Azure says something else than words, or nothing -----------------------------------------------------------------


@pytest.mark.parametrize("kind", PHRASES)
async def test_an_error_in_the_place_of_words_is_healed_once(kind: str) -> None:
    """The SDK drops the connection and sends everything again; the words are complete."""
    async with rehearsal(f"1:{kind}") as on:
        heard = await hear(on.recognizer, SPOKEN)
    assert heard.error is None
    assert transcript(WORDS) == heard.words
    assert 2 == len(on.stand_in.received)


@pytest.mark.parametrize("kind", PHRASES)
async def test_an_error_in_the_place_of_words_every_time(kind: str) -> None:
    """It is told as what it is, and what was said stands in no message."""
    async with rehearsal(f"1-2:{kind}") as on:
        heard = await hear(on.recognizer, SPOKEN)
        check(heard, PHRASES[kind])
        assert heard.error is not None
        assert "RecognitionStatus" not in heard.error.message
        assert [] == heard.finals
        assert [kind, kind] == [received.ended for received in on.stand_in.received]
        await check_well(on)


@pytest.mark.parametrize("kind", sorted(SILENCES))
async def test_audio_that_is_never_settled(kind: str) -> None:
    """At its limit of audio without a final the SDK gives up; hypotheses alone do not help."""
    words = FIRST + tuple(word.shifted(4_000) for word in numbered(80))
    async with rehearsal(f"1:{kind}@3", settings={"max_waiting_seconds": 8}) as on:
        heard = await hear(on.recognizer, spoken(words, 25_000))
        check(heard, RecognizerTimeout)
        assert heard.error is not None
        assert "for too long" in heard.error.message
        assert transcript(FIRST) == heard.words
        assert (kind == "no_finals") == any(interim.end > 4_000 for interim in heard.interims)
        await check_well(on)


@pytest.mark.parametrize("kind", sorted((SILENCES - {"no_finals"}) | ENDLESS))
async def test_no_answer_to_the_end_of_the_audio(kind: str) -> None:
    """The SDK alone would wait for ever; the stream ends by itself, and what was said stays."""
    async with rehearsal(f"1:{kind}@3", settings={"finish_seconds": 1}) as on:
        before, began = await quiet(), time.monotonic()
        heard = await hear(on.recognizer, SPOKEN)
        assert time.monotonic() - began < GENEROUS_SECONDS
        check(heard, RecognizerTimeout)
        assert transcript(WORDS if kind in ENDLESS else FIRST) == heard.words
        await until(lambda: threads() <= before)
        await check_well(on)


async def test_words_that_azure_believes_and_never_settles() -> None:
    """When it has said everything, what it believed is the best there is; its times are marked as estimated."""
    async with rehearsal("1:no_finals@3") as on:
        heard = await hear(on.recognizer, SPOKEN)
    assert heard.error is None
    assert [word.text for word in WORDS] == [text for text, _, _ in heard.words]
    assert [False, True] == [all(word.estimated for word in final.words) for final in heard.finals]


async def test_audio_that_the_sdk_has_not_sent_yet_is_waited_for() -> None:
    """Of much audio at once it sends the rest at twice real time: that is no silence of Azure's."""
    settings = {"burst_seconds": 0.5, "finish_seconds": 1.0}
    async with rehearsal(settings=settings) as on:
        heard = await hear(on.recognizer, pieces(bytes(4_500 * 32), size=1 << 20))
    assert heard.error is None
    assert [(0, 4_500)] == [(final.start, final.end) for final in heard.finals]


async def test_a_turn_that_ends_in_a_word() -> None:
    """The SDK sends again what was not settled."""
    async with rehearsal("1:turn_end@5") as on:
        heard = await hear(on.recognizer, pieces(SPOKEN))
    assert heard.error is None
    assert transcript(WORDS) == heard.words
    assert 2 == on.stand_in.received[0].options["turns"]


async def test_a_connection_that_is_dropped_at_its_longest() -> None:
    """As Azure once did after ten minutes: nobody sees it."""
    gate = asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        async for piece in pieces(SPOKEN[: 5_000 * 32]):
            yield piece
        await gate.wait()
        async for piece in pieces(SPOKEN[5_000 * 32 :]):
            yield piece

    async with rehearsal(max_stream_seconds=1) as on:
        hearing = asyncio.create_task(hear(on.recognizer, held()))
        await until(lambda: len(on.stand_in.received) == 2)
        gate.set()
        heard = await hearing
    assert heard.error is None
    assert transcript(WORDS) == heard.words
    assert "connection_limit" == on.stand_in.received[0].ended


async def test_a_speaker_who_is_quiet_for_longer_than_azure_waits() -> None:
    """The connection is dropped for want of audio; the SDK opens another one, and no word is lost."""
    first, rest = SPOKEN[: 3_000 * 32], SPOKEN[3_000 * 32 :]
    gate = asyncio.Event()

    async def paused() -> AsyncIterator[bytes]:
        async for piece in pieces(first):
            yield piece
        await gate.wait()
        async for piece in pieces(rest):
            yield piece

    async with rehearsal(limits=replace(LIMITS, idle_seconds=0.5)) as on:
        hearing = asyncio.create_task(hear(on.recognizer, paused()))
        await until(lambda: any(received.ended == "idle" for received in on.stand_in.received))
        gate.set()
        heard = await hearing
    assert heard.error is None
    assert transcript(WORDS) == heard.words


async def test_what_azure_does_after_the_end_is_not_noticed() -> None:
    """The SDK tells of a connection that is closed later: the stream is over by then."""
    async with rehearsal() as on:
        answers: Any = on.recognizer.stream(pieces(SPOKEN), ENGLISH)
        heard = [answer async for answer in answers]
        await on.stand_in.stop()
        assert heard[-1].final
        assert 8_000 == heard[-1].end
