"""What Google says, as ours; no server, no SDK."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass.recognizers import StreamOptions
from twopass.types import Hypothesis, Word
from twopass_providers.google import messages
from twopass_providers.google.hearing import Hearing
from twopass_providers.google.messages import Reply, Result
from twopass_providers.google.settings import GoogleSettings

V2 = GoogleSettings.model_validate({})


@pytest.mark.parametrize(
    ("code", "tag"),
    [("en-us", "en-US"), ("de-DE", "de-DE"), ("cmn-hans-cn", "cmn-hans-CN"), ("fr", "fr"), ("", None), ("auto!", None)],
)
def test_language_codes_become_tags(code: str, tag: str | None) -> None:
    """Google's spelling of a language is read, and what is none is none."""
    assert tag == messages.tag(code)


def test_words_are_joined_as_they_are_written() -> None:
    """A word that stands in the text without a space before it is glued to the one before."""
    words = tuple(Word(text, i, i + 1) for i, text in enumerate(["今日", "は", "good", "day"]))
    assert [False, True, True, False] == [word.glued for word in messages.glued("今日はgood day", words)]
    assert [False] * 4 == [word.glued for word in messages.glued("something else", words)]


def test_a_word_is_read_without_its_marks() -> None:
    """Word pieces and readings that some models write beside a word are left out."""
    for written, read in (("▁Hello", "Hello"), ("今日|キョウ", "今日")):
        info = SimpleNamespace(
            word=written,
            start_offset=timedelta(seconds=1),
            end_offset=timedelta(seconds=1.5),
            confidence=0.0,
            speaker_label="",
        )
        reply = messages.read_v2(response(words=[info], transcript=read))
        assert (Word(read, 1_000, 1_500),) == reply.results[0].words


def response(*, words: list[Any], transcript: str) -> Any:
    """A v2 response, by its attributes."""
    result = SimpleNamespace(
        alternatives=[SimpleNamespace(transcript=transcript, words=words)],
        is_final=True,
        stability=0.0,
        result_end_offset=timedelta(seconds=2),
        language_code="en-us",
    )
    return SimpleNamespace(
        results=[result],
        metadata=SimpleNamespace(total_billed_duration=None),
        speech_event_type=SimpleNamespace(name="SPEECH_EVENT_TYPE_UNSPECIFIED"),
        speech_event_offset=None,
    )


@given(st.binary(max_size=100_000))
def test_audio_is_cut_without_loss(pcm: bytes) -> None:
    """The pieces are the audio, and none is larger than Google takes."""
    pieces = list(messages.pieces(pcm))
    assert pcm == b"".join(pieces)
    assert all(0 < len(piece) <= 25_600 for piece in pieces)


def test_an_option_that_is_not_asked_for_is_not_sent() -> None:
    """None means Google's default."""
    config = messages.opening(V2, "p", StreamOptions(language="en-US"))["streaming_config"]["config"]
    assert {"enable_word_time_offsets": True} == config["features"]
    assert "adaptation" not in config


def test_a_stable_head_and_an_unstable_tail_become_one_interim() -> None:
    """As in Google's own example: "to be" is stable, " or not to be" is not."""
    reply = Reply((Result("to be", stability=0.9, end=800), Result(" or not to be", stability=0.01, end=2_000)))
    (interim,) = Hearing().hears(reply, 5_000)
    assert "to be or not to be" == interim.text
    assert (0, 2_000, 2, False) == (interim.start, interim.end, interim.stable, interim.final)
    assert (800, 800) == (interim.words[1].end, interim.words[2].start)


def test_a_final_may_be_followed_by_an_interim_in_one_response() -> None:
    """What is newly settled comes first, what is believed begins where it ends."""
    settled = Result("to be", (Word("to", 100, 300), Word("be", 300, 600)), final=True, end=700)
    final, interim = Hearing().hears(Reply((settled, Result(" or", stability=0.5, end=900))), 1_000)
    assert (0, 700, True, "to be") == (final.start, final.end, final.final, final.text)
    assert (700, 900, False, "or", 0) == (interim.start, interim.end, interim.final, interim.text, interim.stable)


def test_a_head_that_is_less_stable_settles_nothing_after_it() -> None:
    """Stable words are leading words."""
    reply = Reply((Result("a b", stability=0.5, end=100), Result(" c", stability=0.9, end=200)))
    (interim,) = Hearing().hears(reply, 1_000)
    assert 0 == interim.stable


def test_masked_words_can_be_removed() -> None:
    """Google masks; what it masked is left out if the wish is to have it removed."""
    words = (Word("what", 0, 100), Word("the", 100, 200), Word("f***,", 200, 300), Word("man", 300, 400))
    reply = Reply((Result("what the f***, man", words, final=True, end=400),))
    (final,) = Hearing(unmasks=True).hears(reply, 500)
    assert "what the man" == final.text
    interim = Reply((Result("what the f***", stability=0.9, end=300),))
    (believed,) = Hearing(unmasks=True).hears(interim, 500)
    assert ("what the", 2) == (believed.text, believed.stable)
    (kept,) = Hearing().hears(interim, 500)
    assert "what the f***" == kept.text


def test_an_interim_that_google_never_settles_is_the_last_word() -> None:
    """If Google ends in order without a final for it, the words are not lost."""
    hearing = Hearing()
    list(hearing.hears(Reply((Result("lost words", stability=0.1, end=900),)), 1_000))
    last = hearing.ends(1_000)
    assert last is not None
    assert (0, 1_000, True, "lost words") == (last.start, last.end, last.final, last.text)


def test_the_voice_is_remembered_over_a_late_final() -> None:
    """Somebody speaks again before the last words are settled: the next interim begins at the voice all the same."""
    hearing = Hearing()
    list(hearing.hears(Reply((Result("one", stability=0.1, end=900),)), 1_000))
    list(hearing.hears(Reply(speech_begins=5_000), 5_100))
    list(hearing.hears(Reply((Result("one", final=True, end=1_000),)), 5_200))
    (interim,) = hearing.hears(Reply((Result("two", stability=0.1, end=5_400),)), 5_400)
    assert (1_000, 5_000, 5_400) == (interim.start, interim.words[0].start, interim.words[0].end)


TIMES = st.integers(-50, 12_000)
WORDS = st.lists(st.builds(lambda t, a, b: Word(t, min(a, b), max(a, b)), st.sampled_from("ab"), TIMES, TIMES))
RESULTS = st.builds(
    Result,
    text=st.sampled_from(["", "a", " a b", "a b c "]),
    words=st.one_of(st.just(()), WORDS.map(tuple)),
    final=st.booleans(),
    stability=st.sampled_from([0.0, 0.01, 0.8, 0.9]),
    end=st.none() | TIMES,
)
REPLIES = st.builds(Reply, results=st.lists(RESULTS, max_size=3).map(tuple), speech_begins=st.none() | TIMES)


@given(st.lists(st.tuples(REPLIES, st.integers(0, 500)), max_size=8), st.booleans(), st.booleans())
def test_whatever_google_says_is_in_order(said: list[tuple[Reply, int]], repeats: bool, unmasks: bool) -> None:
    """Finals follow each other without gap or overlap, words grow and lie within, up to the end of what was heard."""
    hearing, heard = Hearing(repeats=repeats, unmasks=unmasks), 0
    answers: list[tuple[Hypothesis, int]] = []
    for reply, more in said:
        heard += more
        answers += [(hypothesis, heard) for hypothesis in hearing.hears(reply, heard)]
    last = hearing.ends(heard)
    answers += [(last, heard)] if last is not None else []
    settled = 0
    for hypothesis, until in answers:
        assert settled == hypothesis.start <= hypothesis.end <= max(until, settled)
        assert 0 <= hypothesis.stable <= len(hypothesis.words)
        for word in hypothesis.words:
            assert hypothesis.start <= word.start <= word.end <= hypothesis.end
        assert all(one.end <= other.start for one, other in pairwise(hypothesis.words))
        settled = hypothesis.end if hypothesis.final else settled
    assert heard == settled
    assert any(hypothesis.final for hypothesis, _ in answers)
