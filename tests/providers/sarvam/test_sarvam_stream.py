"""Sarvam's own SDK against the stand-in: what one stream says, and what arrives there."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise

import psutil
import pytest
from tests.providers.sarvam.rehearsing import ENGLISH, Rehearsal, endless, hear, needs_sdk, pieces, rehearsal
from tests.scripted import numbered, spoken
from tests.waiting import until

from twopass.errors import RecognizerRejected
from twopass.recognizers import StreamOptions
from twopass.types import Clock, Usage
from twopass_providers.sarvam import StreamingSarvam
from twopass_providers.sarvam.settings import SarvamSettings
from twopass_providers.sarvam.standin import LIMITS

pytestmark = needs_sdk
TWO_UTTERANCES = numbered(8, start=300) + tuple(word.shifted(5_000) for word in numbered(4))


async def test_words_are_exact_and_their_times_estimated_within_their_utterances() -> None:
    """Every word comes once, in the span that Sarvam gives its utterance; finals follow each other to the end."""
    async with rehearsal() as on:
        heard = await hear(on.recognizer, spoken(TWO_UTTERANCES, 8_000))
    assert heard.error is None
    assert [word.text for word in TWO_UTTERANCES] == heard.texts
    assert all(word.estimated for word in heard.words)
    for first, last in ((0, 7), (8, 11)):
        assert TWO_UTTERANCES[first].start == heard.words[first].start
        assert TWO_UTTERANCES[last].end == heard.words[last].end
    assert all(one.end <= other.start for one, other in pairwise(heard.words))
    assert [0, *(final.end for final in heard.finals)] == [*(final.start for final in heard.finals), 8_000]
    assert [(8_000, "ok")] == [(received.audio_ms, received.ended) for received in on.stand_in.received]
    assert not on.recognizer.capabilities.word_times


async def test_an_interim_covers_what_is_not_settled() -> None:
    """It begins at the last final and reaches to the audio that was sent; its words begin about where speech did."""
    words = numbered(4, start=6_000)
    async with rehearsal() as on:
        heard = await hear(on.recognizer, spoken(words, 8_000))
    said = 0
    for answer in heard.hypotheses:
        assert said == answer.start <= answer.end
        said = answer.end if answer.final else said
    assert heard.interims
    for interim in heard.interims:
        assert 5_500 <= interim.words[0].start
        assert interim.words[-1].end <= interim.end <= 8_000
        assert all(word.estimated for word in interim.words)
        assert 0 == interim.stable


async def test_settings_arrive() -> None:
    """Everything that can be set reaches Sarvam under Sarvam's names; what is not set is left to Sarvam."""
    settings = {
        "mode": "translit",
        "stream_type": "fast",
        "prompt": "Trains.",
        "threshold": 0.4,
        "silence_duration_ms": 700,
        "min_speech_duration_ms": 90,
        "prefix_padding_ms": 200,
    }
    async with rehearsal(settings=settings) as on:
        await hear(on.recognizer, spoken(numbered(2), 1_000), StreamOptions(language="hi-IN"))
    expected = {name: str(value) for name, value in settings.items()}
    always = {
        "language_code": "hi-IN",
        "model": "saaras:v3-realtime",
        "endpointing": "vad",
        "encoding": "linear16",
        "sample_rate": "16000",
        "return_timestamps": "true",
    }
    assert always | expected | {"prompt": "Trains"} == on.stand_in.received[0].options


async def test_what_is_not_set_is_left_to_sarvam() -> None:
    """No thresholds of ours, no empty prompt."""
    async with rehearsal() as on:
        await hear(on.recognizer, spoken(numbered(2), 1_000))
    assert not {"prompt", "keyterms", "threshold", "silence_duration_ms"} & set(on.stand_in.received[0].options)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (StreamOptions(), "auto"),
        (StreamOptions(language="en-US"), "en-IN"),
        (StreamOptions(language="ta"), "ta-IN"),
        (StreamOptions(language="kok_IN"), "kok-IN"),
        (StreamOptions(language="en-IN", languages=("hi-IN",)), "auto"),
    ],
)
async def test_the_language_arrives(options: StreamOptions, code: str) -> None:
    """One is named in Sarvam's way; none or several are found out."""
    async with rehearsal() as on:
        heard = await hear(on.recognizer, spoken(numbered(2), 1_000), options)
    assert code == on.stand_in.received[0].options["language_code"]
    assert {"en-IN" if code == "auto" else None} == {final.language for final in heard.finals if final.words}


async def test_phrases_arrive_as_the_model_takes_them() -> None:
    """As a list where there is one for them, and in the prompt where there is none."""
    options = StreamOptions(language="hi-IN", phrases=("Sarvam", "नई दिल्ली"))
    for model in ("saaras:v4", "saaras:v3-realtime"):
        async with rehearsal(settings={"model": model, "prompt": "Cities."}) as on:
            assert (await hear(on.recognizer, spoken(numbered(2), 1_000), options)).error is None
        sent = on.stand_in.received[0].options
        if model == "saaras:v4":
            assert ["Sarvam", "नई दिल्ली"] == json.loads(str(sent["keyterms"]))
            assert "Cities" == sent["prompt"]
        else:
            assert "Cities. Sarvam, नई दिल्ली" == sent["prompt"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (StreamOptions(language="de-DE"), "de-DE"),
        (StreamOptions(language="en-IN", phrases=("a",) * 51), "50"),
        (StreamOptions(language="en-IN", phrases=("a" * 65,)), "64"),
    ],
)
async def test_what_sarvam_would_not_take_is_refused_before_anything_is_sent(options: StreamOptions, what: str) -> None:
    """Sarvam's limits are said as a sentence with a way out, and take no socket."""
    async with rehearsal(settings={"model": "saaras:v4"}) as on:
        heard = await hear(on.recognizer, bytes(3_200), options)
    assert isinstance(heard.error, RecognizerRejected)
    assert what in heard.error.message
    assert heard.error.fix
    assert [] == on.stand_in.received


async def test_a_stream_without_interims_still_has_its_finals() -> None:
    """`stream_type: simulated` says nothing before the end of an utterance."""
    async with rehearsal(settings={"stream_type": "simulated"}) as on:
        heard = await hear(on.recognizer, spoken(TWO_UTTERANCES, 8_000))
    assert [] == heard.interims
    assert [word.text for word in TWO_UTTERANCES] == heard.texts


async def test_large_pieces_are_heard() -> None:
    """Audio that comes in one piece of seconds is sent in pieces that Sarvam takes."""
    words = numbered(20, start=100)
    async with rehearsal() as on:
        heard = await hear(on.recognizer, pieces(spoken(words, 6_000), size=1 << 20))
    assert heard.error is None
    assert [word.text for word in words] == heard.texts


@pytest.mark.parametrize("ms", [0, 20, 1_000])
async def test_a_stream_without_a_word_ends_with_one_empty_final(ms: int) -> None:
    """Nothing, less than a word, or silence: exactly one answer, which reaches to the end of the audio."""
    async with rehearsal() as on:
        heard = await hear(on.recognizer, bytes(ms * 32))
    assert [(0, ms, (), True)] == [(h.start, h.end, h.words, h.final) for h in heard.hypotheses]
    assert (0 if ms == 0 else 1) == len(on.stand_in.received)


async def test_what_sarvam_bills_is_told_once() -> None:
    """The billed duration stands beside what was sent."""
    async with rehearsal() as on:
        heard = await hear(on.recognizer, spoken(TWO_UTTERANCES, 7_300))
    assert [Usage("sarvam", "stt_realtime", Clock.VENDOR_REPORTED, 7.3)] == heard.usage
    assert 7_300 == on.stand_in.received[0].billed_ms


async def test_what_sarvam_bills_is_told_of_a_broken_stream() -> None:
    """Where Sarvam says it before it closes."""
    async with rehearsal("1:internal@6") as on:
        heard = await hear(on.recognizer, spoken(TWO_UTTERANCES, 8_000))
    assert heard.error is not None
    assert [6.0] == [usage.seconds for usage in heard.usage]


async def test_a_missing_bill_is_no_failure() -> None:
    """The words are complete; what was sent is metered anyway."""
    async with rehearsal("1:no_bill") as on:
        heard = await hear(on.recognizer, spoken(TWO_UTTERANCES, 8_000))
    assert heard.error is None
    assert [] == heard.usage
    assert [word.text for word in TWO_UTTERANCES] == heard.texts


async def test_silence_on_our_side_does_not_end_the_stream() -> None:
    """While no audio comes, Sarvam is told that somebody is still there."""
    pause = asyncio.Event()

    async def paused() -> AsyncIterator[bytes]:
        pcm = spoken(TWO_UTTERANCES, 8_000)
        async for piece in pieces(pcm[: 3_000 * 32]):
            yield piece
        await pause.wait()
        async for piece in pieces(pcm[3_000 * 32 :]):
            yield piece

    patience = 3.0
    limits = replace(LIMITS, silent_seconds=patience)
    async with rehearsal(limits=limits, settings={"ping_seconds": 0.05}) as on:
        hearing = asyncio.create_task(hear(on.recognizer, paused()))
        await until(lambda: bool(on.stand_in.received) and on.stand_in.received[0].audio_ms == 3_000)
        await asyncio.sleep(patience * 1.3)
        pause.set()
        heard = await hearing
    assert heard.error is None
    assert [word.text for word in TWO_UTTERANCES] == heard.texts


async def test_streams_of_one_recognizer_share_nothing() -> None:
    """Ten at once hear each their own words."""
    scripts = [numbered(3 + i, start=100 * i) for i in range(10)]
    async with rehearsal() as on:
        heard = await asyncio.gather(*(hear(on.recognizer, spoken(words, 5_000)) for words in scripts))
    assert [[word.text for word in words] for words in scripts] == [one.texts for one in heard]


async def _abandoned(on: Rehearsal, how: str) -> None:
    """Begin a stream and end it in the middle."""
    audio = pieces(spoken(TWO_UTTERANCES, 8_000)) if how == "closed after an answer" else endless()
    answers = on.recognizer.stream(audio, ENGLISH)
    if how == "closed after an answer":
        await anext(answers)
        await answers.aclose()  # type: ignore[attr-defined]
        return
    waiting = asyncio.ensure_future(anext(answers))
    count = len(on.stand_in.received)
    if how == "cancelled while it waits":
        await until(lambda: len(on.stand_in.received) > count and on.stand_in.received[-1].audio_ms > 0)
    else:
        await until(lambda: len(on.stand_in.received) > count)
    waiting.cancel()
    await asyncio.wait({waiting})
    await answers.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["closed after an answer", "cancelled while it waits", "cancelled while it connects"])
async def test_an_abandoned_stream_leaves_nothing_behind(how: str) -> None:
    """No task, thread or socket of it stays; the server sees it end; the next stream hears its sentence."""
    async with rehearsal() as on:
        await hear(on.recognizer, spoken(numbered(4), 1_500))
        await until(lambda: "ok" == on.stand_in.received[0].ended)
        tasks, sockets = set(asyncio.all_tasks()), len(psutil.Process().net_connections())
        threads = threading.active_count()
        for _ in range(3):
            await _abandoned(on, how)
        await until(lambda: asyncio.all_tasks() <= tasks)
        assert threads >= threading.active_count()
        assert sockets >= len(psutil.Process().net_connections())
        heard = await hear(on.recognizer, spoken(numbered(4), 1_500))
    assert ["1", "2", "3", "4"] == heard.texts
    assert "ok" == on.stand_in.received[-1].ended


async def test_closing_the_recognizer_leaves_no_connection() -> None:
    """Its sockets go with it."""
    sockets = len(psutil.Process().net_connections())
    async with rehearsal() as on:
        await hear(on.recognizer, spoken(numbered(4), 1_500))
    await until(lambda: len(psutil.Process().net_connections()) <= sockets)


async def test_an_error_of_the_audio_is_passed_on() -> None:
    """What breaks on our side is not called an error of Sarvam."""

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(3_200)
        raise LookupError("no tape")

    async with rehearsal() as on:
        with pytest.raises(LookupError, match="no tape"):
            await hear(on.recognizer, broken())
        await until(lambda: on.stand_in.received[0].ended == "cancelled")


async def test_neither_the_key_nor_the_words_go_to_a_log(caplog: pytest.LogCaptureFixture) -> None:
    """Also where everything is logged, and when the connection is refused."""
    caplog.set_level(logging.DEBUG)
    async with rehearsal("2:upgrade_401", "3:bad_key") as on:
        settings = SarvamSettings.model_validate({"endpoint": on.stand_in.address})
        recognizer = StreamingSarvam(settings, "sk_secret")
        await recognizer.open()
        heard = [await hear(recognizer, spoken(numbered(3), 1_500)) for _ in range(3)]
        await recognizer.close()
    assert ["1", "2", "3"] == heard[0].texts
    assert [True, False, False] == [one.error is None for one in heard]
    assert not any("sk_secret" in repr(one.error) + str(one.error) for one in heard)
    logged = [record.getMessage() for record in caplog.records if record.name == "websockets.client"]
    assert not any("sk_secret" in line or "transcript" in line for line in logged)
