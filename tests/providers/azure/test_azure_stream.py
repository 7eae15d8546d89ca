"""Azure's own SDK against the stand-in: what one stream says, and what arrives there."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import psutil
import pytest
from tests.providers.azure.rehearsing import (
    ENGLISH,
    Rehearsal,
    endless,
    hear,
    needs_sdk,
    pieces,
    quiet,
    rehearsal,
    threads,
)
from tests.providers.rehearsal import transcript
from tests.scripted import numbered, spoken
from tests.waiting import until

from twopass.errors import RecognizerRejected
from twopass.recognizers import Profanity, StreamOptions
from twopass.types import Hypothesis, Word
from twopass_providers.azure.standin import LIMITS

pytestmark = needs_sdk
TWO_UTTERANCES = numbered(8, start=300) + tuple(word.shifted(5_000) for word in numbered(4))
SPOKEN = spoken(TWO_UTTERANCES, 8_000)


async def test_words_and_times_are_exact() -> None:
    """Every word comes once, with its true time; finals follow each other up to the end of the audio."""
    async with rehearsal() as on:
        heard = await hear(on.recognizer, SPOKEN)
        await until(lambda: on.stand_in.received[0].ended == "ok")
    assert heard.error is None
    assert transcript(TWO_UTTERANCES) == heard.words
    assert not any(word.estimated for final in heard.finals for word in final.words)
    assert {0.9} == {word.confidence for final in heard.finals for word in final.words}
    assert [0, *(final.end for final in heard.finals)] == [*(final.start for final in heard.finals), 8_000]
    assert [8_000] == [received.audio_ms for received in on.stand_in.received]
    assert [None] == [received.billed_ms for received in on.stand_in.received]


async def test_an_interim_covers_what_is_not_settled() -> None:
    """It begins at the last final; its words are estimated, from where Azure heard the voice on."""
    async with rehearsal() as on:
        heard = await hear(on.recognizer, SPOKEN)
    said = 0
    for answer in heard.hypotheses:
        assert said == answer.start <= answer.end
        said = answer.end if answer.final else said
    assert heard.interims
    for interim in heard.interims:
        assert interim.words[0].start in (300, 5_000)
        assert interim.end >= interim.words[-1].end
        assert all(word.estimated for word in interim.words)
        assert all(one.end <= other.start for one, other in pairwise(interim.words))


class Writer:
    """An ear that hears one sentence as people write it."""

    WORDS = (
        Word("Hello,", 500, 900, 0.7),
        Word("Mr.", 900, 1_000, 0.8),
        Word("O'Neil.", 1_100, 1_500, 0.6),
    )

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def listen(self, pcm: AsyncIterator[bytes]) -> AsyncIterator[Hypothesis]:
        async for _ in pcm:
            pass
        yield Hypothesis(0, 1_800, self.WORDS, stable=2)
        yield Hypothesis(0, 1_800, self.WORDS, final=True)


@pytest.mark.parametrize(("punctuation", "text"), [(None, "Hello, Mr. O'Neil."), (False, "Hello Mr O'Neil")])
async def test_words_are_written_as_people_write_them(punctuation: bool | None, text: str) -> None:
    """Capitals and punctuation belong to the words, whose times are those of the spoken ones; or none is wished."""
    async with rehearsal(ear=Writer()) as on:
        heard = await hear(on.recognizer, bytes(2_000 * 32), StreamOptions(language="en-US", punctuation=punctuation))
    assert [text, ""] == [final.text for final in heard.finals]
    assert [(500, 900, 0.7), (900, 1_000, 0.8), (1_100, 1_500, 0.6)] == [
        (word.start, word.end, word.confidence) for word in heard.finals[0].words
    ]
    assert ["hello mr o'neil"] == [interim.text for interim in heard.interims]


async def test_options_arrive() -> None:
    """Language, phrases, silences, threshold and mode, as the protocol has them; no key is sent to a stand-in."""
    settings = {
        "segmentation_silence_ms": 700,
        "initial_silence_ms": 9_000,
        "stable_threshold": 3,
    }
    options = StreamOptions(language="en_GB", phrases=("Zwiebelfisch", "Kerning"))
    async with rehearsal(settings=settings) as on:
        await hear(on.recognizer, SPOKEN, options)
    found = dict(on.stand_in.received[0].options)
    assert {"context", "system", "connection"} < set(found)
    for name in ("context", "system", "connection"):
        del found[name]
    assert {
        "path": "/stt/speech/universal/v2",
        "key": False,
        "mode": "CONVERSATION",
        "language": "en-GB",
        "languages": [],
        "detection": "",
        "phrases": ["Zwiebelfisch", "Kerning"],
        "diarization": False,
        "word_times": True,
        "stable_threshold": 3,
        "segmentation_silence_ms": 700,
        "initial_silence_ms": 9_000,
        "turns": 1,
    } == found


async def test_words_that_are_held_back_until_they_are_stable_are_told_to_be() -> None:
    """With a threshold the interims are shorter, and all of each is stable."""
    async with rehearsal(settings={"stable_threshold": 2}) as on:
        heard = await hear(on.recognizer, SPOKEN)
    assert heard.interims
    assert all(interim.stable == len(interim.words) for interim in heard.interims)
    assert transcript(TWO_UTTERANCES) == heard.words


async def test_the_language_is_found_out_continuously() -> None:
    """Several languages are candidates all the time, and each final says which one it was."""
    options = StreamOptions(language="en-US", languages=("de-DE", "fr-FR"))
    async with rehearsal() as on:
        heard = await hear(on.recognizer, SPOKEN, options)
    assert ["en-US", "de-DE", "fr-FR"] == on.stand_in.received[0].options["languages"]
    assert "DetectContinuous" == on.stand_in.received[0].options["detection"]
    assert {"en-US"} == {final.language for final in heard.finals if final.words}
    assert transcript(TWO_UTTERANCES) == heard.words


async def test_too_many_languages_are_refused_before_anything_is_sent() -> None:
    """Azure's limit is said as a sentence with a way out, and costs nothing."""
    async with rehearsal() as on:
        options = StreamOptions(language="en-US", languages=tuple(f"x{letter}-XX" for letter in "abcdefghij"))
        heard = await hear(on.recognizer, SPOKEN, options)
        assert isinstance(heard.error, RecognizerRejected)
        assert [] == on.stand_in.received


async def test_where_no_language_is_named_the_settings_is_taken() -> None:
    """Azure must know what is spoken."""
    async with rehearsal(settings={"language": "hi-IN"}) as on:
        await hear(on.recognizer, SPOKEN, StreamOptions())
    assert "hi-IN" == on.stand_in.received[0].options["language"]


@pytest.mark.parametrize("profanity", Profanity)
async def test_a_wish_about_swear_words_arrives(profanity: Profanity) -> None:
    """Somewhere in what the SDK asks for stands the SDK's word for it."""
    async with rehearsal() as on:
        await hear(on.recognizer, SPOKEN, StreamOptions(language="en-US", profanity=profanity))
    assert profanity.value in str(on.stand_in.received[0].options["context"]).lower()


async def test_dictation_arrives() -> None:
    """The mode in which speakers say their punctuation."""
    async with rehearsal(settings={"dictation": True}) as on:
        heard = await hear(on.recognizer, SPOKEN)
    assert "DICTATION" == str(on.stand_in.received[0].options["mode"]).upper()
    assert transcript(TWO_UTTERANCES) == heard.words


async def test_words_are_labelled_with_their_speaker() -> None:
    """Azure's transcriber of conversations is asked then; words and times are the same."""
    options = StreamOptions(language="en-US", diarization=True, phrases=("Kerning",))
    async with rehearsal() as on:
        heard = await hear(on.recognizer, SPOKEN, options)
    assert on.stand_in.received[0].options["diarization"]
    assert ["Kerning"] == on.stand_in.received[0].options["phrases"]
    assert {"Guest-1"} == {word.speaker for final in heard.finals for word in final.words}
    assert {"Guest-1"} == {word.speaker for interim in heard.interims for word in interim.words}
    assert transcript(TWO_UTTERANCES) == heard.words


async def test_speakers_and_languages_together() -> None:
    """Both wishes at once."""
    options = StreamOptions(language="en-US", languages=("de-DE",), diarization=True)
    async with rehearsal() as on:
        heard = await hear(on.recognizer, SPOKEN, options)
    assert ["en-US", "de-DE"] == on.stand_in.received[0].options["languages"]
    assert transcript(TWO_UTTERANCES) == heard.words


async def test_large_pieces_are_heard_too() -> None:
    """Audio that comes in one piece of seconds."""
    async with rehearsal() as on:
        heard = await hear(on.recognizer, pieces(SPOKEN, size=1 << 20))
    assert transcript(TWO_UTTERANCES) == heard.words


@pytest.mark.parametrize("diarization", [False, True])
@pytest.mark.parametrize("ms", [0, 20, 1_000])
async def test_a_stream_without_a_word_ends_with_one_empty_final(ms: int, diarization: bool) -> None:
    """Nothing, less than a word, or silence: exactly one answer, which reaches to the end of the audio."""
    async with rehearsal() as on:
        heard = await hear(on.recognizer, bytes(ms * 32), replace(ENGLISH, diarization=diarization))
    assert heard.error is None
    assert [(0, ms, (), True)] == [(h.start, h.end, h.words, h.final) for h in heard.hypotheses]
    assert (0 if ms == 0 else 1) == len(on.stand_in.received)


async def test_a_long_silence_is_acknowledged_and_the_words_after_it_are_exact() -> None:
    """Else the SDK would keep all of it and give up; nothing is said of it."""
    words = tuple(word.shifted(20_000) for word in numbered(4))
    settings = {"max_waiting_seconds": 10, "initial_silence_ms": 3_000}
    async with rehearsal(settings=settings) as on:
        heard = await hear(on.recognizer, pieces(spoken(words, 22_000), size=640))
    assert heard.error is None
    assert transcript(words) == heard.words


async def test_turns_that_azure_ends_in_the_middle_are_not_noticed() -> None:
    """The SDK begins another one and sends again what was not settled: words and times are the same."""
    async with rehearsal(limits=replace(LIMITS, turn_seconds=2.9)) as on:
        heard = await hear(on.recognizer, SPOKEN)
    assert heard.error is None
    assert transcript(TWO_UTTERANCES) == heard.words
    turns = on.stand_in.received[0].options["turns"]
    assert isinstance(turns, int)
    assert turns > 2
    assert on.stand_in.received[0].audio_ms > 8_000


async def test_streams_of_one_recognizer_share_nothing() -> None:
    """Eight at once hear each their own words."""
    scripts = [tuple(word.shifted(100 * i) for word in numbered(6)) for i in range(8)]
    async with rehearsal() as on:
        heard = await asyncio.gather(*(hear(on.recognizer, spoken(words, 3_000)) for words in scripts))
    assert [transcript(words) for words in scripts] == [one.words for one in heard]
    assert 8 == len({one.options["connection"] for one in on.stand_in.received})


async def _abandoned(on: Rehearsal, how: str) -> None:
    """Begin a stream and end it in the middle."""
    audio = pieces(SPOKEN) if how == "closed after an answer" else endless()
    answers: Any = on.recognizer.stream(audio, ENGLISH)
    if how == "closed after an answer":
        await anext(answers)
    else:
        waiting = asyncio.create_task(anext(answers))
        count = len(on.stand_in.received)
        if how == "cancelled while it waits":
            await until(lambda: len(on.stand_in.received) > count and on.stand_in.received[-1].audio_ms > 0)
        else:
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
    await answers.aclose()


@pytest.mark.parametrize("how", ["closed after an answer", "cancelled while it waits", "cancelled at once"])
async def test_an_abandoned_stream_leaves_nothing_behind(how: str) -> None:
    """No task, thread or socket of 20 of them stays, nor an object of the SDK; the next stream hears its sentence."""
    async with rehearsal() as on:
        before = await quiet()
        tasks, sockets = len(asyncio.all_tasks()), len(psutil.Process().net_connections())
        await hear(on.recognizer, spoken(numbered(4), 1_500))
        for _ in range(20):
            await _abandoned(on, how)
        await until(lambda: threads() <= before)
        await until(lambda: all(received.ended for received in on.stand_in.received))
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        await until(lambda: len(psutil.Process().net_connections()) <= sockets)
        assert [] == _of_sdk()
        heard = await hear(on.recognizer, spoken(numbered(4), 1_500))
    assert transcript(numbered(4)) == heard.words


def _of_sdk() -> list[str]:
    """Recognizers and streams that somebody still holds."""
    names = {"SpeechRecognizer", "PushAudioInputStream", "Connection", "SpeechConfig"}
    kinds = [type(each) for each in gc.get_objects()]
    return [kind.__name__ for kind in kinds if kind.__name__ in names and kind.__module__.startswith("azure.")]


@pytest.mark.parametrize("fault", ["1:no_upgrade", "1:silent@0.1", "1:not_reading@0.1", "1:no_turn_end"])
async def test_abandoning_a_stream_waits_for_nobody(fault: str) -> None:
    """Where the SDK waits for an answer before it stops, the event loop does not; the threads go by themselves."""
    async with rehearsal(fault) as on:
        before = await quiet()
        answers: Any = on.recognizer.stream(endless(), ENGLISH)
        waiting = asyncio.create_task(anext(answers))
        await until(lambda: bool(on.stand_in.received))
        waiting.cancel()
        await asyncio.wait({waiting})
        closing = asyncio.create_task(answers.aclose())
        for _ in range(10):  # passes of the event loop, not time
            await asyncio.sleep(0)
        assert closing.done()
        await until(lambda: threads() <= before)


async def test_an_error_of_the_audio_is_passed_on() -> None:
    """What breaks on our side is not called an error of Azure."""

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(3_200)
        raise LookupError("no tape")

    async with rehearsal() as on:
        before = await quiet()
        with pytest.raises(LookupError, match="no tape"):
            await hear(on.recognizer, broken())
        await until(lambda: threads() <= before)


async def test_an_answer_that_is_waited_for() -> None:
    """A stand-in that thinks before each answer says the same."""
    async with rehearsal(latency_ms=5) as on:
        heard = await hear(on.recognizer, SPOKEN)
    assert transcript(TWO_UTTERANCES) == heard.words
