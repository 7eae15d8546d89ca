"""Azure's JSON as hypotheses, and wishes as the SDK's settings: without any SDK."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass.errors import RecognizerRejected
from twopass.recognizers import Profanity, StreamOptions
from twopass.types import Hypothesis
from twopass_providers.azure import messages
from twopass_providers.azure.hearing import Hearing
from twopass_providers.azure.messages import Said
from twopass_providers.azure.settings import AzureSettings

TICKS = 10_000
FAR = 1_000_000


def settings(**values: object) -> AzureSettings:
    """Checked settings."""
    return AzureSettings.model_validate(values)


def span(start: int, end: int) -> dict[str, int]:
    """As Azure writes it."""
    return {"Offset": start * TICKS, "Duration": (end - start) * TICKS}


def believed(text: str, start: int, end: int, **more: Any) -> Said:
    """A hypothesis."""
    return Said(json.dumps({"Id": "1", "Text": text, **span(start, end), "Channel": 0, **more}), final=False)


def settled(text: str, words: list[tuple[str, int, int]], **more: Any) -> Said:
    """A phrase in the detailed format."""
    start, end = words[0][1], words[-1][2]
    timed = [{"Word": word, **span(*times), "Confidence": 0.9} for word, *times in words]
    best = {"Confidence": 0.9, "Lexical": " ".join(word for word, *_ in words), "Display": text, "Words": timed}
    body = {"RecognitionStatus": "Success", "DisplayText": text, **span(start, end), "NBest": [best], **more}
    return Said(json.dumps(body), final=True)


def nothing(status: str, start: int, end: int) -> Said:
    """A phrase without words."""
    return Said(json.dumps({"RecognitionStatus": status, **span(start, end)}), final=True)


def one(hearing: Hearing, said: Said, heard: int = FAR) -> Hypothesis:
    """What it says of this, which is one thing."""
    answers = list(hearing.hears(said, heard))
    assert 1 == len(answers)
    return answers[0]


def test_a_phrase_is_written_with_the_times_of_its_words() -> None:
    """The written form is shown; times, confidence, language and speaker are Azure's; it begins at the last final."""
    said = settled(
        "Hello, world.",
        [("hello", 700, 900), ("world", 1_000, 1_400)],
        PrimaryLanguage={"Language": "en-US", "Confidence": "High"},
        SpeakerId="Guest-2",
    )
    final = one(Hearing(), said)
    assert (0, 1_400, True, "en-US") == (final.start, final.end, final.final, final.language)
    assert [("Hello,", 700, 900, 0.9, "Guest-2"), ("world.", 1_000, 1_400, 0.9, "Guest-2")] == [
        (word.text, word.start, word.end, word.confidence, word.speaker) for word in final.words
    ]
    assert not any(word.estimated for word in final.words)


def test_an_unknown_speaker_is_none() -> None:
    """Azure has a name for nobody in particular."""
    assert one(Hearing(), settled("Yes.", [("yes", 0, 9)], SpeakerId="Unknown")).words[0].speaker is None


def test_a_hypothesis_has_estimated_times() -> None:
    """It covers what is not settled; its words share out what Azure says it spans; none is called stable."""
    hearing = Hearing()
    list(hearing.hears(settled("A.", [("a", 0, 500)]), FAR))
    interim = one(hearing, believed("be see", 1_000, 1_500))
    assert (500, 1_500, False, 0) == (interim.start, interim.end, interim.final, interim.stable)
    assert [("be", 1_000, 1_200), ("see", 1_200, 1_500)] == [(w.text, w.start, w.end) for w in interim.words]
    assert all(word.estimated for word in interim.words)


def test_words_that_azure_holds_back_until_they_are_stable_are_stable() -> None:
    """With a threshold all of an interim are."""
    assert 2 == one(Hearing(settled=True), believed("be see", 0, 500)).stable


def test_a_connection_that_comes_again_does_not_take_words_back() -> None:
    """After the SDK has reconnected the same hypotheses come again: nothing is shown until they reach beyond."""
    hearing = Hearing()
    one(hearing, believed("one two three", 0, 900))
    hearing.reconnected()
    assert [] == list(hearing.hears(believed("one", 0, 300), FAR))
    assert [] == list(hearing.hears(believed("one two", 0, 600), FAR))
    assert "one two three" == one(hearing, believed("one two three", 0, 900)).text
    assert "one two" == one(hearing, believed("one two", 0, 600)).text  # from now on Azure may change its mind again


def test_what_azure_believed_and_takes_back_is_settled_as_nothing() -> None:
    """A phrase without a match after a hypothesis; a silence alone says nothing."""
    hearing = Hearing()
    assert [] == list(hearing.hears(nothing("InitialSilenceTimeout", 0, 3_000), FAR))
    one(hearing, believed("uh", 4_000, 4_200))
    final = one(hearing, nothing("NoMatch", 3_000, 5_000))
    assert (0, 5_000, (), True) == (final.start, final.end, final.words, final.final)
    assert [] == list(hearing.hears(nothing("EndOfDictation", 6_000, 6_000), FAR))


def test_without_punctuation_only_words_are_written() -> None:
    """Azure always writes it; it is taken off here."""
    final = one(Hearing(punctuated=False), settled("Hello, world.", [("hello", 0, 200), ("world", 300, 400)]))
    assert "Hello world" == final.text


def test_the_end_is_settled_to_the_end_of_the_audio() -> None:
    """With nothing, or with what was believed and never settled; and not twice."""
    assert Hypothesis(0, 800, final=True) == Hearing().ends(800)
    hearing = Hearing()
    one(hearing, believed("last words", 0, 500))
    last = hearing.ends(900)
    assert last is not None
    assert ("last words", 0, 900, 2) == (last.text, last.start, last.end, last.stable)
    hearing = Hearing()
    one(hearing, settled("All.", [("all", 0, 900)]), 900)
    assert hearing.ends(900) is None


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", '{"Text": null, "Offset": "12", "Duration": 1.5}', '{"NBest": [3]}']
)
def test_broken_json_is_no_words(body: str) -> None:
    """The stream goes on."""
    for final in (True, False):
        words = [word for answer in Hearing().hears(Said(body, final), FAR) for word in answer.words]
        assert [] == words


bodies = st.tuples(st.booleans(), st.integers(0, 5_000), st.integers(0, 900), st.sampled_from("abc"), st.booleans())


@given(st.lists(bodies, max_size=12), st.integers(0, 6_000))
def test_finals_follow_each_other_whatever_azure_says(said: list[tuple[bool, int, int, str, bool]], heard: int) -> None:
    """Without gap or overlap, within the audio, words in order; each interim begins at the last final."""
    hearing = Hearing()
    answers: list[Hypothesis] = []
    for final, start, length, text, matched in said:
        end = start + length
        spoken = [(text, start, start + length // 2), (text, start + length // 2, end)]
        phrase = settled(f"{text} {text}", spoken) if matched else nothing("NoMatch", start, end)
        answers += hearing.hears(phrase if final else believed(f"{text} {text}", start, end), heard)
    answers += [last for last in [hearing.ends(heard)] if last is not None]
    at = 0
    for answer in answers:
        assert at == answer.start <= answer.end <= heard
        at = answer.end if answer.final else at
        assert all(answer.start <= word.start <= word.end <= answer.end for word in answer.words)
        assert all(one.end <= other.start for one, other in pairwise(answer.words))
    assert at == heard


# -- wishes -----------------------------------------------------------------------------------------------------------


def test_wishes_become_the_sdks_settings() -> None:
    """Under the SDK's names; what nobody wished is left to its defaults."""
    wanted = settings(
        region="westeurope",
        endpoint_id="1-2-3",
        segmentation_silence_ms=700,
        initial_silence_ms=9_000,
        stable_threshold=3,
        dictation=True,
        sdk_retries=2,
        max_waiting_seconds=20,
    )
    options = StreamOptions(language="en_US", languages=("de-DE",), phrases=("Kerning",), profanity=Profanity.REMOVED)
    plan = messages.plan(wanted, options)
    assert (("en-US", "de-DE"), ("Kerning",), "Removed", False) == (
        plan.languages,
        plan.phrases,
        plan.profanity,
        plan.diarization,
    )
    assert {
        "SpeechServiceResponse_RequestDetailedResultTrueFalse": "true",
        "SpeechServiceResponse_RequestWordLevelTimestamps": "true",
        "SpeechServiceConnection_LanguageIdMode": "Continuous",
        "SpeechServiceConnection_EndpointId": "1-2-3",
        "SpeechServiceConnection_RecoMode": "DICTATION",
        "SpeechServiceConnection_InitialSilenceTimeoutMs": "9000",
        "Speech_SegmentationSilenceTimeoutMs": "700",
        "SpeechServiceResponse_StablePartialResultThreshold": "3",
    } == plan.properties
    assert "2" == plan.internals["SPEECH-Error-MaxRetryCount"]
    assert "20000" == plan.internals["SPEECH-MaxBufferSizeMs"]
    bare = messages.plan(settings(), StreamOptions())
    assert (("en-US",), "") == (bare.languages, bare.profanity)
    assert 2 == len(bare.properties)


def test_too_many_languages_are_refused() -> None:
    """Azure's limit is said as a sentence with a way out; the same language twice counts once."""
    tags = tuple(f"x{letter}-XX" for letter in "abcdefghij")
    assert 10 == len(messages.plan(settings(), StreamOptions(language=tags[0], languages=tags)).languages)
    with pytest.raises(RecognizerRejected, match="at most 10") as caught:
        messages.plan(settings(), StreamOptions(language="en-US", languages=tags))
    assert caught.value.fix
