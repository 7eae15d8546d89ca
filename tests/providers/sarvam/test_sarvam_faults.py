"""What goes wrong at Sarvam, through its own SDK: which error of ours it is, and that what was said before stays."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlencode

import psutil
import pytest
from tests.providers.sarvam.rehearsing import ENGLISH, Heard, hear, needs_sdk, opened, pieces, rehearsal
from tests.scripted import numbered, spoken
from tests.waiting import until
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from twopass.errors import (
    ConfigError,
    RecognizerBusy,
    RecognizerCrashed,
    RecognizerError,
    RecognizerRejected,
    RecognizerTimeout,
    RecognizerUnauthorized,
    StreamLimitReached,
)
from twopass_providers.sarvam import StreamingSarvam
from twopass_providers.sarvam.standin import LIMITS, stand_in
from twopass_providers.sarvam.standin_faults import KINDS
from twopass_providers.standins import StandInSettings
from twopass_providers.standins.ears import CodedEar

pytestmark = needs_sdk
WORDS = numbered(8, start=300) + tuple(word.shifted(4_000) for word in numbered(12))
SPOKEN = spoken(WORDS, 8_000)
ALL = [word.text for word in WORDS]
FIRST = ALL[:8]

ENDS: dict[str, tuple[type[RecognizerError], str]] = {
    "rate_limit": (RecognizerBusy, "rate_limit"),
    "quota": (RecognizerBusy, "quota"),
    "bad_key": (RecognizerUnauthorized, "recognizer_unauthorized"),
    "inactive": (StreamLimitReached, "no_audio"),
    "internal": (RecognizerCrashed, "recognizer_crashed"),
    "backend": (RecognizerCrashed, "recognizer_crashed"),
    "bad_model": (RecognizerRejected, "recognizer_rejected"),
    "beta": (RecognizerUnauthorized, "recognizer_unauthorized"),
    "stream_limit": (StreamLimitReached, "stream_limit"),
    "close_1003": (RecognizerBusy, "recognizer_busy"),
    "close_1008": (StreamLimitReached, "no_audio"),
    "close_1011": (RecognizerCrashed, "recognizer_crashed"),
    "close_4000": (RecognizerRejected, "recognizer_rejected"),
    "going_away": (RecognizerCrashed, "recognizer_crashed"),
    "ended": (RecognizerCrashed, "recognizer_ended_early"),
    "abort": (RecognizerCrashed, "recognizer_crashed"),
    "server_stopped": (RecognizerCrashed, "recognizer_crashed"),
}
"""What ends a stream, as what."""
REFUSALS: dict[str, tuple[type[RecognizerError], str]] = {
    "upgrade_401": (RecognizerUnauthorized, "recognizer_unauthorized"),
    "upgrade_403": (RecognizerUnauthorized, "recognizer_unauthorized"),
    "upgrade_404": (RecognizerRejected, "recognizer_rejected"),
    "upgrade_429": (RecognizerBusy, "rate_limit"),
    "upgrade_500": (RecognizerCrashed, "recognizer_crashed"),
    "upgrade_503": (RecognizerCrashed, "recognizer_crashed"),
}
"""What does not let one begin."""
SILENCES = {"hang", "not_reading", "silent_at_end"}
"""What does not end it."""
HARMLESS = {"no_bill", "complaint", "unknown_event"}


def test_every_fault_of_the_stand_in_is_tested() -> None:
    """A new one needs an answer here."""
    assert set(KINDS) == set(ENDS) | set(REFUSALS) | SILENCES | HARMLESS


def is_told_as(heard: Heard, error: type[RecognizerError], code: str) -> None:
    """The stream broke so, and a person knows what to do."""
    assert heard.error is not None
    assert (error, code) == (type(heard.error), heard.error.code)
    assert "sarvam" == heard.error.provider
    assert heard.error.retryable or heard.error.fix
    assert "stand-in" not in str(heard.error)  # what was sent as the key


@pytest.mark.parametrize("kind", ENDS)
async def test_a_break_in_the_middle(kind: str) -> None:
    """It is told as what it is, with a way out where there is one, and what was said before has arrived."""
    async with rehearsal(f"1:{kind}@5") as on:
        heard = await hear(on.recognizer, SPOKEN)
        is_told_as(heard, *ENDS[kind])
        assert FIRST == heard.texts
        await until(lambda: kind == on.stand_in.received[0].ended)
        assert 5_000 <= on.stand_in.received[0].audio_ms < 5_200
        await until_well(on.recognizer)


@pytest.mark.parametrize("kind", [*REFUSALS, *sorted(set(ENDS) - {"server_stopped"})])
async def test_a_break_at_the_beginning(kind: str) -> None:
    """The same error before any audio was taken, at the first attempt: nobody tries again behind our back."""
    async with rehearsal(f"1:{kind}") as on:
        heard = await hear(on.recognizer, SPOKEN)
        is_told_as(heard, *(ENDS | REFUSALS)[kind])
        assert [] == heard.hypotheses
        await until(lambda: kind == on.stand_in.received[0].ended)
        assert [(1, 0)] == [(received.number, received.audio_ms) for received in on.stand_in.received]


async def until_well(recognizer: StreamingSarvam) -> None:
    """The recognizer finds its server again by itself, and hears everything."""
    heard = await hear(recognizer, SPOKEN)
    while isinstance(heard.error, RecognizerCrashed):
        await asyncio.sleep(0.05)
        heard = await hear(recognizer, SPOKEN)
    assert heard.error is None
    assert ALL == heard.texts


@pytest.mark.parametrize("kind", sorted(SILENCES))
async def test_a_server_that_falls_silent_is_given_up(kind: str) -> None:
    """The SDK alone would wait for ever; the stream ends by itself soon after its audio, and what was said stays."""
    async with rehearsal(f"1:{kind}@5", settings={"finish_seconds": 1.0}) as on:
        began = time.monotonic()
        heard = await hear(on.recognizer, SPOKEN)
        assert time.monotonic() - began < 30
        assert isinstance(heard.error, RecognizerTimeout)
        assert FIRST == heard.texts[:8]
        await until(lambda: kind == on.stand_in.received[0].ended)
        if kind == "not_reading":
            assert on.stand_in.received[0].audio_ms < 5_200
        else:
            assert 8_000 == on.stand_in.received[0].audio_ms


@pytest.mark.parametrize("kind", ["complaint", "unknown_event"])
async def test_what_is_not_fatal_changes_nothing(kind: str) -> None:
    """Neither an error that Sarvam goes on after, nor an event that this SDK does not know."""
    async with rehearsal(f"1:{kind}@5") as on:
        heard = await hear(on.recognizer, SPOKEN)
    assert heard.error is None
    assert ALL == heard.texts


async def test_a_server_that_takes_no_audio_any_more_is_given_up() -> None:
    """Also while somebody goes on speaking: what is sent does not wait for ever in buffers."""

    async def much() -> AsyncIterator[bytes]:
        while True:
            yield bytes(32_000)

    async with rehearsal("1:not_reading", settings={"finish_seconds": 1.0}) as on:
        heard = await hear(on.recognizer, much())
    assert isinstance(heard.error, RecognizerTimeout)
    assert "takes no audio" in heard.error.message


async def test_nobody_listens() -> None:
    """Refused at once; when somebody listens, it is found."""
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]
    async with opened({"endpoint": f"ws://127.0.0.1:{port}", "connect_seconds": 30}) as recognizer:
        heard = await hear(recognizer, SPOKEN)
        is_told_as(heard, RecognizerCrashed, "unreachable")
        async with stand_in(StandInSettings(CodedEar(), port=port)):
            await until_well(recognizer)


async def test_a_name_that_leads_nowhere() -> None:
    """The same as when nobody listens."""
    async with opened({"endpoint": "ws://nobody.invalid:1", "connect_seconds": 30}) as recognizer:
        heard = await hear(recognizer, SPOKEN)
    is_told_as(heard, RecognizerCrashed, "unreachable")


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
    """The SDK alone would take half a minute; and nothing of the attempt stays."""
    async with black_hole() as address, opened({"endpoint": address, "connect_seconds": 0.3}) as recognizer:
        tasks, sockets = set(asyncio.all_tasks()), len(psutil.Process().net_connections())
        heard = await hear(recognizer, SPOKEN)
        is_told_as(heard, RecognizerTimeout, "recognizer_timeout")
        assert asyncio.all_tasks() <= tasks
        # what the other side still holds
        assert sockets + 1 >= len(psutil.Process().net_connections())


async def test_the_longest_stream() -> None:
    """At its limit Sarvam ends the stream and bills it; that is no failure."""
    async with rehearsal(max_stream_seconds=6) as on:
        heard = await hear(on.recognizer, SPOKEN)
    assert isinstance(heard.error, StreamLimitReached)
    assert FIRST == heard.texts
    assert [6.0] == [usage.seconds for usage in heard.usage]
    assert LIMITS.stream_seconds == on.recognizer.capabilities.max_stream_seconds == 8 * 3600


async def test_a_speaker_who_pauses_longer_than_sarvam_waits() -> None:
    """Without signs of life Sarvam ends the stream; that is no failure of Sarvam's."""

    async def paused() -> AsyncIterator[bytes]:
        async for piece in pieces(SPOKEN[: 3_000 * 32]):
            yield piece
        await asyncio.get_running_loop().create_future()

    limits = replace(LIMITS, silent_seconds=0.5)
    async with rehearsal(limits=limits, settings={"ping_seconds": 50}) as on:
        heard = await hear(on.recognizer, paused())
    is_told_as(heard, StreamLimitReached, "no_audio")
    assert FIRST == heard.texts
    assert "inactive" == on.stand_in.received[0].ended


async def test_more_streams_than_the_plan_allows_are_refused() -> None:
    """The one too many is told to be that, and costs nothing; the others go on."""
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
    is_told_as(refused, RecognizerBusy, "rate_limit")
    assert [] == refused.usage
    assert [None, None] == [one.error for one in heard]
    assert "too_many_streams" == on.stand_in.received[2].ended
    assert 20 == LIMITS.streams


# -- the stand-in itself ----------------------------------------------------------------------------------------------

GOOD = {"language_code": "hi-IN", "encoding": "linear16", "sample_rate": "16000", "return_timestamps": "true"}


async def bare(
    address: str, query: dict[str, str], *messages: dict[str, object] | str, key: str = "any"
) -> tuple[list[dict[str, object]], int | None]:
    """These messages without the SDK; what came back, and the close code."""
    came: list[dict[str, object]] = []
    target = f"{address}/speech-to-text-realtime/ws?{urlencode(query)}"
    async with connect(target, additional_headers={"api-subscription-key": key} if key else {}) as wire:
        try:
            for message in messages:
                await wire.send(message if isinstance(message, str) else json.dumps(message))
            while True:
                came.append(json.loads(await wire.recv()))
        except ConnectionClosed:
            return came, wire.close_code


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"sample_rate": "44100"}, "sample_rate"),
        ({"language_code": "de-DE"}, "language_code"),
        ({"model": "saarika:v2.5"}, "model"),
        ({"stream_type": "quick"}, "stream_type"),
        ({"mode": "sing"}, "mode"),
        ({"encoding": "mp3"}, "encoding"),
        ({"threshold": "2"}, "threshold"),
        ({"silence_duration_ms": "soon"}, "silence_duration_ms"),
        ({"keyterms": '["a"]'}, "keyterms"),
        ({"keyterms": "a", "model": "saaras:v4"}, "keyterms"),
        ({"keyterms": json.dumps(["a"] * 51), "model": "saaras:v4"}, "keyterms"),
        ({"hotwords": "a"}, "hotwords"),
    ],
)
async def test_requests_that_sarvam_refuses(changes: dict[str, str], text: str) -> None:
    """The stand-in is as strict as Sarvam, so that a client which passes here is not refused there."""
    async with stand_in(StandInSettings(CodedEar())) as running:
        came, code = await bare(running.address, GOOD | changes)
    assert 4000 == code
    assert ["error"] == [each["event"] for each in came]
    assert came[0]["is_fatal"] is True
    assert text in str(came[0]["message"])
    assert "rejected" == running.received[0].ended


async def test_a_language_is_required() -> None:
    """Sarvam takes no default."""
    async with stand_in(StandInSettings(CodedEar())) as running:
        came, code = await bare(running.address, {})
    assert (4000, True) == (code, "language_code" in str(came[0]["message"]))


async def test_without_a_key_nobody_is_let_in() -> None:
    """It says so in Sarvam's codes."""
    async with stand_in(StandInSettings(CodedEar())) as running:
        came, code = await bare(running.address, GOOD, key="")
    assert (1003, 403) == (code, came[0]["status_code"])
    assert "bad_key" == running.received[0].ended


async def test_other_messages_are_answered() -> None:
    """A ping by a pong, a change of the settings by its names, nonsense by an error that ends nothing."""
    messages: list[dict[str, object] | str] = [
        {"event": "ping"},
        {"event": "config.update", "prompt": "rice"},
        {"event": "config.update", "stream_type": "simulated"},
        {"event": "flush"},
        {"event": "nonsense"},
        "not even JSON",
        {"event": "audio_input", "audio": "no base64!"},
        {"event": "end"},
    ]
    async with stand_in(StandInSettings(CodedEar())) as running:
        came, code = await bare(running.address, GOOD | {"threshold": "0.5"}, *messages)
    assert "session.begin pong config.updated error error error error session.end".split() == [
        each["event"] for each in came
    ]
    assert {False} == {each["is_fatal"] for each in came if each["event"] == "error"}
    assert 1000 == code
    begin = came[0]["config"]
    assert isinstance(begin, dict)
    assert ("vad", 16_000, 0.5, True) == tuple(
        begin[name] for name in ("turn_detection", "sample_rate", "threshold", "return_timestamps")
    )


async def test_the_stand_in_hears_8_khz_and_gives_no_times_unasked() -> None:
    """Audio of another rate is heard at ours: its length comes out right."""
    audio = base64.b64encode(b"\x00\x20" * 8_000).decode()
    query = {"language_code": "auto", "sample_rate": "8000"}
    messages: list[dict[str, object]] = [{"event": "audio_input", "audio": audio}, {"event": "end"}]
    async with stand_in(StandInSettings(CodedEar())) as running:
        came, _ = await bare(running.address, query, *messages)
    assert 1_000 == running.received[0].audio_ms
    final = next(each for each in came if each["event"] == "transcript.final")
    assert "start_s" not in final
    assert "en-IN" == final["language"]
    assert 1.0 == came[-1]["audio_duration_s"]


async def test_another_path_is_not_found() -> None:
    """The older socket of Sarvam is not here."""
    async with stand_in(StandInSettings(CodedEar())) as running:
        async with opened({"endpoint": running.address}) as recognizer:
            assert (await hear(recognizer, bytes(3_200))).error is None
        with pytest.raises(Exception, match="404"):
            async with connect(f"{running.address}/speech-to-text/ws"):
                pass
    assert ["ok", "not_found"] == [received.ended for received in running.received]


async def test_a_port_that_is_taken_is_said() -> None:
    """The stand-in does not share a port with something else."""
    async with stand_in(StandInSettings(CodedEar())) as running:
        port = int(running.address.rpartition(":")[2])
        with pytest.raises(ConfigError, match=str(port)):
            async with stand_in(StandInSettings(CodedEar(), port=port)):
                pass


async def test_a_late_answer_is_waited_for() -> None:
    """A stand-in that thinks before each answer says the same."""
    async with rehearsal(latency_ms=5) as on:
        heard = await hear(on.recognizer, SPOKEN, ENGLISH)
    assert ALL == heard.texts
