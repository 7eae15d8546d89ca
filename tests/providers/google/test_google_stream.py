"""Google's own SDK against the stand-in: what one stream says, and what arrives there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import psutil
import pytest
from tests.providers.google.rehearsing import ENGLISH, endless, hear, needs_sdk, others, pieces, rehearsal, speech
from tests.providers.rehearsal import transcript
from tests.scripted import numbered
from tests.waiting import until

from twopass.errors import RecognizerRejected
from twopass.recognizers import Profanity, StreamOptions
from twopass.types import Clock, Usage

pytestmark = needs_sdk
versions = pytest.mark.parametrize("api", ["v2", "v1"])
TWO_UTTERANCES = numbered(8, start=300) + tuple(word.shifted(5_000) for word in numbered(4))


@versions
async def test_words_and_times_are_exact(api: str) -> None:
    """Every word comes once, with its true time; finals follow each other up to the end of the audio."""
    async with rehearsal(settings={"api": api}) as on:
        heard = await hear(on.recognizer, speech(TWO_UTTERANCES, 8_000))
    assert heard.error is None
    assert transcript(TWO_UTTERANCES) == heard.words
    assert not any(word.estimated for final in heard.finals for word in final.words)
    assert [0, *(final.end for final in heard.finals)] == [*(final.start for final in heard.finals), 8_000]
    assert [8_000] == [received.audio_ms for received in on.stand_in.received]
    assert ["ok"] == [received.ended for received in on.stand_in.received]


@versions
async def test_an_interim_covers_what_is_not_settled(api: str) -> None:
    """Google's two results, a stable head and an unstable tail, become one interim that begins at the last final."""
    async with rehearsal(settings={"api": api}) as on:
        heard = await hear(on.recognizer, speech(TWO_UTTERANCES, 8_000))
    said = 0
    for answer in heard.hypotheses:
        assert said == answer.start <= answer.end
        said = answer.end if answer.final else said
    assert any(0 < interim.stable < len(interim.words) for interim in heard.interims)
    for interim in heard.interims:
        assert max(0, len(interim.words) - 2) == interim.stable
        assert all(word.estimated for word in interim.words)
        assert all(one.end <= other.start for one, other in pairwise(interim.words))
        assert interim.end >= interim.words[-1].end


async def test_words_of_an_interim_begin_where_google_heard_the_voice() -> None:
    """A long silence before them does not draw estimated times apart."""
    words = numbered(4, start=6_000)
    async with rehearsal() as on:
        heard = await hear(on.recognizer, speech(words, 8_000))
    assert heard.interims
    assert all(interim.words[0].start == 6_000 for interim in heard.interims)


async def test_options_arrive_at_v2() -> None:
    """Languages, phrases, punctuation, profanity, diarization, model, region and endpointing, as v2 wants them."""
    options = StreamOptions(
        language="en_US",
        languages=("de-DE", "fr-FR"),
        phrases=("Zwiebelfisch", "Kerning"),
        punctuation=True,
        profanity=Profanity.MASKED,
        diarization=True,
    )
    settings = {"project": "typefaces", "region": "eu", "recognizer": "mine", "endpointing_sensitivity": "short"}
    async with rehearsal(settings=settings) as on:
        heard = await hear(on.recognizer, speech(numbered(4), 2_000), options)
    assert {
        "api": "v2",
        "recognizer": "projects/typefaces/locations/eu/recognizers/mine",
        "model": "long",
        "languages": ["en-US", "de-DE", "fr-FR"],
        "phrases": ["Zwiebelfisch", "Kerning"],
        "punctuation": True,
        "profanity_filter": True,
        "diarization": True,
        "word_times": True,
        "endpointing_sensitivity": "ENDPOINTING_SENSITIVITY_SHORT",
    } == on.stand_in.received[0].options
    assert {"1"} == {word.speaker for final in heard.finals for word in final.words}
    assert {"en-US"} == {final.language for final in heard.finals if final.words}


async def test_options_arrive_at_v1() -> None:
    """The same by the names that they have in v1."""
    options = StreamOptions(
        language="en-US",
        languages=("de-DE", "fr-FR", "it-IT"),
        phrases=("Kerning",),
        punctuation=False,
        profanity=Profanity.RAW,
    )
    async with rehearsal(settings={"api": "v1", "model": "phone_call"}) as on:
        await hear(on.recognizer, speech(numbered(4), 2_000), options)
    assert {
        "api": "v1",
        "model": "phone_call",
        "languages": ["en-US", "de-DE", "fr-FR", "it-IT"],
        "phrases": ["Kerning"],
        "punctuation": False,
        "profanity_filter": False,
        "diarization": False,
        "word_times": True,
    } == on.stand_in.received[0].options


async def test_v1_repeats_all_words_with_diarization_and_none_is_doubled() -> None:
    """Of a final that carries all words since the stream's beginning, only the new ones count."""
    options = StreamOptions(language="en-US", diarization=True)
    async with rehearsal(settings={"api": "v1"}) as on:
        heard = await hear(on.recognizer, speech(TWO_UTTERANCES, 8_000), options)
    assert transcript(TWO_UTTERANCES) == heard.words
    assert {"1"} == {word.speaker for final in heard.finals for word in final.words}


@pytest.mark.parametrize("model", ["chirp_2", "chirp_3"])
async def test_chirp_finds_out_the_language_and_its_times_are_estimated(model: str) -> None:
    """Without a language Google is asked to find it out; words without times get some, marked as estimated."""
    words = numbered(8, start=2_000)
    async with rehearsal(settings={"model": model}) as on:
        heard = await hear(on.recognizer, speech(words, 6_000), StreamOptions())
    assert ["auto"] == on.stand_in.received[0].options["languages"]
    assert (model != "chirp_3") == on.stand_in.received[0].options["word_times"]
    settled = [word for final in heard.finals for word in final.words]
    assert [word.text for word in words] == [word.text for word in settled]
    assert all(word.estimated for word in settled)
    assert 2_000 == settled[0].start
    assert not on.recognizer.capabilities.word_times


async def test_a_model_that_must_know_the_language_is_told_one() -> None:
    """Where the client names none, the setting's is taken."""
    async with rehearsal(settings={"language": "hi-IN"}) as on:
        await hear(on.recognizer, speech(numbered(2), 1_000), StreamOptions())
    assert ["hi-IN"] == on.stand_in.received[0].options["languages"]


@pytest.mark.parametrize(("api", "most"), [("v2", 3), ("v1", 4)])
async def test_too_many_languages_are_refused_before_anything_is_sent(api: str, most: int) -> None:
    """Google's limit is said as a sentence with a way out, and costs nothing."""
    tags = ("de-DE", "fr-FR", "it-IT", "es-ES")
    async with rehearsal(settings={"api": api}) as on:
        heard = await hear(on.recognizer, bytes(3_200), StreamOptions(language="en-US", languages=tags[: most - 1]))
        assert heard.error is None
        heard = await hear(on.recognizer, bytes(3_200), StreamOptions(language="en-US", languages=tags[:most]))
    assert isinstance(heard.error, RecognizerRejected)
    assert str(most) in heard.error.fix
    assert 1 == len(on.stand_in.received)


async def test_large_pieces_are_cut_as_google_takes_them() -> None:
    """Audio that comes in one piece of seconds is not refused."""
    words = numbered(20, start=100)
    async with rehearsal() as on:
        heard = await hear(on.recognizer, pieces(speech(words, 6_000), size=1 << 20))
    assert heard.error is None
    assert transcript(words) == heard.words


@versions
@pytest.mark.parametrize("ms", [0, 20, 1_000])
async def test_a_stream_without_a_word_ends_with_one_empty_final(api: str, ms: int) -> None:
    """Nothing, less than a word, or silence: exactly one answer, which reaches to the end of the audio."""
    async with rehearsal(settings={"api": api}) as on:
        heard = await hear(on.recognizer, bytes(ms * 32))
    assert [(0, ms, (), True)] == [(h.start, h.end, h.words, h.final) for h in heard.hypotheses]
    assert (0 if ms == 0 else 1) == len(on.stand_in.received)


@versions
async def test_what_google_bills_is_told_once(api: str) -> None:
    """The billed duration, rounded up by Google, stands beside what was sent."""
    async with rehearsal(settings={"api": api}) as on:
        heard = await hear(on.recognizer, speech(TWO_UTTERANCES, 7_300))
    assert [Usage("google", f"{api}-standard", Clock.VENDOR_REPORTED, 8.0)] == heard.usage
    assert 8_000 == on.stand_in.received[0].billed_ms


async def test_what_google_bills_is_told_of_a_broken_stream() -> None:
    """As far as Google has told it: up to the last settled result."""
    async with rehearsal("1:unavailable@6") as on:
        heard = await hear(on.recognizer, speech(TWO_UTTERANCES, 8_000))
    assert heard.error is not None
    assert [3.0] == [usage.seconds for usage in heard.usage]


async def test_what_google_bills_is_told_of_an_abandoned_stream() -> None:
    """Nobody takes answers any more, but the money is spent."""
    used: list[Usage] = []
    audio = pieces(speech(TWO_UTTERANCES, 8_000))
    async with rehearsal() as on:
        answers = on.recognizer.stream(audio, StreamOptions(language="en-US", used=used.append))
        async for answer in answers:
            if not isinstance(answer, Usage) and answer.final:
                break
        await answers.aclose()  # type: ignore[attr-defined]
    assert [Clock.VENDOR_REPORTED] == [usage.clock for usage in used]


async def test_streams_of_one_recognizer_share_a_connection_and_nothing_else() -> None:
    """Ten at once hear each their own words."""
    scripts = [tuple(word.shifted(100 * i) for word in numbered(6)) for i in range(10)]
    async with rehearsal() as on:
        heard = await asyncio.gather(*(hear(on.recognizer, speech(words, 3_000)) for words in scripts))
    assert [transcript(words) for words in scripts] == [one.words for one in heard]


async def _abandoned(on: Any, how: str) -> None:
    """Begin a stream and end it in the middle."""
    audio = pieces(speech(TWO_UTTERANCES, 8_000)) if how == "closed after an answer" else endless()
    answers = on.recognizer.stream(audio, ENGLISH)
    if how == "closed after an answer":
        await anext(answers)
        await answers.aclose()
        return
    waiting = asyncio.create_task(anext(answers))
    count = len(on.stand_in.received)
    await until(lambda: len(on.stand_in.received) > count and on.stand_in.received[-1].audio_ms > 0)
    waiting.cancel()
    await asyncio.wait({waiting})
    await answers.aclose()


@versions
@pytest.mark.parametrize("how", ["closed after an answer", "cancelled while it waits"])
async def test_an_abandoned_stream_leaves_nothing_behind(api: str, how: str) -> None:
    """No task, thread or socket of it stays; the server sees it end; the next stream hears its sentence."""
    async with rehearsal(settings={"api": api}) as on:
        await hear(on.recognizer, speech(numbered(4), 1_500))  # what the SDK keeps for the connection is there now
        tasks, sockets = list(asyncio.all_tasks()), len(psutil.Process().net_connections())
        threads = threading.active_count()
        for _ in range(3):
            await _abandoned(on, how)
        await until(lambda: all(received.ended for received in on.stand_in.received))
        await until(lambda: not others(tasks))
        assert threads >= threading.active_count()
        assert sockets >= len(psutil.Process().net_connections())
        heard = await hear(on.recognizer, speech(numbered(4), 1_500))
    assert transcript(numbered(4)) == heard.words
    assert ["ok", "cancelled", "cancelled", "cancelled", "ok"] == [one.ended for one in on.stand_in.received]


async def test_closing_the_recognizer_leaves_no_connection() -> None:
    """Its sockets go with it."""
    sockets = len(psutil.Process().net_connections())
    async with rehearsal() as on:
        await hear(on.recognizer, speech(numbered(4), 1_500))
    await until(lambda: len(psutil.Process().net_connections()) <= sockets)


async def test_an_error_of_the_audio_is_passed_on() -> None:
    """What breaks on our side is not called an error of Google."""

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(3_200)
        raise LookupError("no tape")

    async with rehearsal() as on:
        with pytest.raises(LookupError, match="no tape"):
            await hear(on.recognizer, broken())
        await until(lambda: on.stand_in.received[0].ended == "cancelled")
