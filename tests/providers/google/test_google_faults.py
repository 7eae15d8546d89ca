"""What goes wrong at Google, through its own SDK: which error of ours it is, and that what was said before stays."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from tests.providers.google.rehearsing import ENGLISH, hear, needs_sdk, opened, pieces, rehearsal, speech
from tests.providers.rehearsal import transcript
from tests.scripted import numbered
from tests.waiting import until

from twopass.errors import (
    RecognizerBusy,
    RecognizerCrashed,
    RecognizerError,
    RecognizerRejected,
    RecognizerTimeout,
    RecognizerUnauthorized,
    StreamLimitReached,
)
from twopass_providers.google import StreamingGoogle
from twopass_providers.google.connection import load
from twopass_providers.google.standin import LIMITS, stand_in
from twopass_providers.google.standin_faults import KINDS
from twopass_providers.standins import StandInSettings
from twopass_providers.standins.ears import CodedEar

pytestmark = needs_sdk
versions = pytest.mark.parametrize("api", ["v2", "v1"])
WORDS = numbered(8, start=300) + tuple(word.shifted(4_000) for word in numbered(12))
SPOKEN = speech(WORDS, 8_000)
FIRST = WORDS[:8]

ENDS: dict[str, tuple[type[RecognizerError], str]] = {
    "stream_limit": (StreamLimitReached, "stream_limit"),
    "no_audio": (StreamLimitReached, "no_audio"),
    "quota": (RecognizerBusy, "recognizer_busy"),
    "quota_detailed": (RecognizerBusy, "recognizer_busy"),
    "unavailable": (RecognizerCrashed, "recognizer_crashed"),
    "internal": (RecognizerCrashed, "recognizer_crashed"),
    "invalid_argument": (RecognizerRejected, "recognizer_rejected"),
    "unauthenticated": (RecognizerUnauthorized, "recognizer_unauthorized"),
    "permission_denied": (RecognizerUnauthorized, "recognizer_unauthorized"),
    "deadline": (RecognizerTimeout, "recognizer_timeout"),
    "ended": (RecognizerCrashed, "recognizer_ended_early"),
    "server_stopped": (RecognizerCrashed, "recognizer_crashed"),
}
"""What ends a stream, as what."""
SILENCES = {"hang", "not_reading", "silent_at_end"}
"""What does not end it."""


def test_every_fault_of_the_stand_in_is_tested() -> None:
    """A new one needs an answer here."""
    assert set(KINDS) == set(ENDS) | SILENCES


@versions
@pytest.mark.parametrize("kind", ENDS)
async def test_a_break_in_the_middle(kind: str, api: str) -> None:
    """It is told as what it is, with a way out where there is one, and what was said before has arrived."""
    async with rehearsal(f"1:{kind}@5", settings={"api": api}) as on:
        heard = await hear(on.recognizer, SPOKEN)
        error, code = ENDS[kind]
        assert error is type(heard.error)
        assert code == heard.error.code
        assert "google" == heard.error.provider
        assert heard.error.retryable or heard.error.fix or error is StreamLimitReached
        assert transcript(FIRST) == heard.words
        assert any(interim.end > 4_000 for interim in heard.interims)
        assert kind == on.stand_in.received[0].ended
        assert 5_000 <= on.stand_in.received[0].audio_ms < 5_200
        await until_well(on.recognizer)


@versions
@pytest.mark.parametrize("kind", sorted(set(ENDS) - {"server_stopped"}))
async def test_a_break_at_the_beginning(kind: str, api: str) -> None:
    """The same error before any audio was taken, at the first attempt: the SDK does not try again behind our back."""
    async with rehearsal(f"1:{kind}", settings={"api": api}) as on:
        heard = await hear(on.recognizer, SPOKEN)
        assert ENDS[kind][0] is type(heard.error)
        assert [] == heard.hypotheses
        assert [(1, 0)] == [(received.number, received.audio_ms) for received in on.stand_in.received]


async def until_well(recognizer: StreamingGoogle) -> None:
    """The recognizer finds its server again by itself, and hears everything."""
    heard = await hear(recognizer, SPOKEN)
    while isinstance(heard.error, RecognizerCrashed):
        await asyncio.sleep(0.05)
        heard = await hear(recognizer, SPOKEN)
    assert heard.error is None
    assert transcript(WORDS) == heard.words


@versions
@pytest.mark.parametrize("kind", sorted(SILENCES))
async def test_a_server_that_falls_silent_is_given_up(kind: str, api: str) -> None:
    """The SDK alone would wait for ever; the stream ends by itself soon after its audio, and what was said stays."""
    async with rehearsal(f"1:{kind}@5", settings={"api": api, "finish_seconds": 0.5}) as on:
        began = time.monotonic()
        heard = await hear(on.recognizer, SPOKEN)
        assert time.monotonic() - began < 30
        assert isinstance(heard.error, RecognizerTimeout)
        assert transcript(FIRST) == transcript(tuple(w for final in heard.finals for w in final.words))[:8]
        await until(lambda: kind == on.stand_in.received[0].ended)
        if kind == "not_reading":
            assert on.stand_in.received[0].audio_ms < 5_200
        else:
            await until(lambda: on.stand_in.received[0].audio_ms == 8_000)
        await until_well(on.recognizer)


async def test_googles_wish_to_wait_is_told() -> None:
    """What RetryInfo says stands in the fix."""
    async with rehearsal("1:quota_detailed") as on:
        heard = await hear(on.recognizer, SPOKEN)
    assert heard.error is not None
    assert "wait 7 s" in heard.error.fix


@versions
async def test_nobody_listens(api: str) -> None:
    """Refused at once, although v1's SDK by default tries for more than an hour; when somebody listens, it is found."""
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]
    async with opened({"endpoint": f"127.0.0.1:{port}", "api": api, "connect_seconds": 30}) as recognizer:
        began = time.monotonic()
        heard = await hear(recognizer, SPOKEN)
        assert time.monotonic() - began < 15
        assert isinstance(heard.error, RecognizerCrashed)
        assert "unreachable" == heard.error.code
        async with stand_in(StandInSettings(CodedEar(), port=port)):
            await until_well(recognizer)


@asynccontextmanager
async def black_hole() -> AsyncIterator[str]:
    """The address of something that takes connections and never says a word."""
    taken: list[asyncio.StreamWriter] = []

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()
        for writer in taken:
            writer.close()
        await server.wait_closed()


@versions
async def test_a_server_that_never_answers_the_connection_is_given_up(api: str) -> None:
    """gRPC alone would wait for 20 s and more."""
    settings = {"api": api, "connect_seconds": 0.3}
    async with black_hole() as address, opened({"endpoint": address, **settings}) as recognizer:
        began = time.monotonic()
        heard = await hear(recognizer, SPOKEN)
        assert time.monotonic() - began < 15
    assert isinstance(heard.error, RecognizerTimeout)


@pytest.mark.parametrize(
    ("api", "text"),
    [
        ("v2", "Max duration of 6 seconds reached for stream."),
        ("v1", "Exceeded maximum allowed stream duration of 6 seconds."),
    ],
)
async def test_the_longest_stream(api: str, text: str) -> None:
    """At its limit Google ends the stream in its own words; that is no failure."""
    async with rehearsal(settings={"api": api}, max_stream_seconds=6) as on:
        heard = await hear(on.recognizer, SPOKEN)
    assert isinstance(heard.error, StreamLimitReached)
    assert text in heard.error.message
    assert transcript(FIRST) == heard.words


def test_the_real_limits_are_said_in_the_real_words() -> None:
    """Five minutes (v2), 305 seconds (v1), as the recognizer knows them too."""
    from twopass_providers.google import provider
    from twopass_providers.google.standin_wire import WireV1, WireV2

    texts = [wire.limit(LIMITS[wire.version].stream_seconds).text for wire in (WireV2(), WireV1())]
    assert "Max duration of 5 minutes reached for stream." == texts[0]
    assert "Exceeded maximum allowed stream duration of 305 seconds." == texts[1]
    for api, limits in LIMITS.items():
        recognizer = provider.streaming({"api": api, "endpoint": "127.0.0.1:1"})
        assert limits.stream_seconds == recognizer.capabilities.max_stream_seconds


@versions
async def test_a_speaker_who_pauses_longer_than_google_waits(api: str) -> None:
    """Google ends the stream; that is no failure of Google's either, and the next one waits for audio by itself."""
    silent = asyncio.Event()

    async def paused() -> AsyncIterator[bytes]:
        async for piece in pieces(SPOKEN[: 3_000 * 32]):
            yield piece
        await silent.wait()

    limits = {api: replace(LIMITS[api], silent_seconds=0.5)}
    async with rehearsal(limits={**LIMITS, **limits}, settings={"api": api}) as on:
        heard = await hear(on.recognizer, paused())
        assert isinstance(heard.error, StreamLimitReached)
        assert "no_audio" == heard.error.code
        assert transcript(FIRST) == heard.words
        waiting = asyncio.create_task(hear(on.recognizer, _after(silent)))
        await asyncio.sleep(0)
        silent.set()
        assert (await waiting).error is None
    assert ["no_audio", "ok"] == [received.ended for received in on.stand_in.received]


async def _after(event: asyncio.Event) -> AsyncIterator[bytes]:
    await event.wait()
    yield bytes(3_200)


@versions
async def test_audio_that_comes_too_fast_is_refused(api: str) -> None:
    """A backlog of minutes in one go exceeds what Google takes; the first pass's pace keeps clear of it."""
    async with rehearsal(settings={"api": api}) as on:
        heard = await hear(on.recognizer, pieces(bytes(60_000 * 32), size=32_000))
    assert isinstance(heard.error, RecognizerBusy)
    assert "Resource has been exhausted (e.g. check quota)." in heard.error.message
    assert "too_fast" == on.stand_in.received[0].ended
    mine = on.recognizer.capabilities
    assert mine.burst_seconds is not None
    assert (mine.burst_seconds, mine.pace) < (LIMITS[api].burst_seconds, LIMITS[api].pace)


@versions
async def test_more_streams_than_the_quota_are_refused(api: str) -> None:
    """The one too many is told to be that; the others go on."""
    gate = asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        async for piece in pieces(SPOKEN):
            yield piece
        await gate.wait()

    async with rehearsal(settings={"api": api}, max_streams=2) as on:
        running = [asyncio.create_task(hear(on.recognizer, held())) for _ in range(2)]
        await until(lambda: [8_000, 8_000] == [received.audio_ms for received in on.stand_in.received])
        refused = await hear(on.recognizer, SPOKEN)
        gate.set()
        heard = await asyncio.gather(*running)
    assert isinstance(refused.error, RecognizerBusy)
    assert "Quota exceeded for quota metric" in refused.error.message
    assert [None, None] == [one.error for one in heard]


async def bare(address: str, *requests: dict[str, Any]) -> BaseException | None:
    """These requests by the SDK alone, to v2; the error that it raises."""
    sdk = load("v2")
    channel = sdk.grpc.aio.insecure_channel(address)
    client = sdk.client(transport=sdk.transport(channel=channel))

    async def all_of() -> AsyncIterator[Any]:
        for fields in requests:
            yield sdk.types.StreamingRecognizeRequest(fields)

    try:
        async for _ in await client.streaming_recognize(all_of(), timeout=60):
            pass
    except Exception as error:
        return error
    finally:
        await channel.close()
    return None


def opening(**changes: Any) -> dict[str, Any]:
    """A first request to v2 as the stand-in takes it, but for these changes of its config."""
    decoding = {"encoding": "LINEAR16", "sample_rate_hertz": 16_000, "audio_channel_count": 1}
    config = {"explicit_decoding_config": decoding, "language_codes": ["en-US"], "model": "long", **changes}
    return {"recognizer": "projects/p/locations/global/recognizers/_", "streaming_config": {"config": config}}


@pytest.mark.parametrize(
    ("requests", "text"),
    [
        ([opening(), {"audio": bytes(294_400)}], "maximum of 25600 bytes. Received audio of 294400 bytes instead"),
        ([{"audio": bytes(10)}], "first request"),
        ([opening(), opening()], "audio only"),
        ([{**opening(), "recognizer": "mine"}], "recognizer"),
        ([opening(language_codes=["en-US", "de-DE", "fr-FR", "it-IT"])], "language codes"),
        ([opening(language_codes=[])], "language codes"),
        ([opening(explicit_decoding_config={"encoding": "MULAW", "sample_rate_hertz": 8_000})], "LINEAR16"),
    ],
)
async def test_requests_that_google_refuses(requests: list[dict[str, Any]], text: str) -> None:
    """The stand-in is as strict as Google, so that a client which passes here is not refused there."""
    async with stand_in(StandInSettings(CodedEar())) as running:
        error = await bare(running.address, *requests)
    assert "InvalidArgument" == type(error).__name__
    assert text in str(error)
    assert "invalid_argument" == running.received[0].ended


async def test_the_stand_in_hears_8_khz() -> None:
    """Audio of another rate is heard at ours: its length comes out right."""
    decoding = {"encoding": "LINEAR16", "sample_rate_hertz": 8_000, "audio_channel_count": 1}
    async with stand_in(StandInSettings(CodedEar())) as running:
        assert await bare(running.address, opening(explicit_decoding_config=decoding), {"audio": bytes(16_001)}) is None
    assert 1_000 == running.received[0].audio_ms


async def test_a_port_that_is_taken_is_said() -> None:
    """The stand-in does not share a port with something else."""
    from twopass.errors import ConfigError

    async with stand_in(StandInSettings(CodedEar())) as running:
        port = int(running.address.split(":")[1])
        with pytest.raises(ConfigError, match=str(port)):
            async with stand_in(StandInSettings(CodedEar(), port=port)):
                pass


async def test_a_late_answer_is_waited_for() -> None:
    """A stand-in that thinks before each answer says the same."""
    async with rehearsal(latency_ms=5) as on:
        heard = await hear(on.recognizer, SPOKEN, ENGLISH)
    assert transcript(WORDS) == heard.words
