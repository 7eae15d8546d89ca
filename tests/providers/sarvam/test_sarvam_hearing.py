"""From events to hypotheses: whatever Sarvam says in whatever order, what is settled is contiguous and said once."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from twopass.types import Hypothesis
from twopass_providers.sarvam.hearing import ONSET_MS, Hearing
from twopass_providers.sarvam.messages import Event, Failure, Final, Partial, SessionEnds, SpeechBegins

utterances = st.integers(0, 6)
texts = st.lists(st.sampled_from("a bb ccc dddd".split()), max_size=5).map(" ".join)
times = st.none() | st.integers(0, 20_000)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(SpeechBegins, utterances),
    st.builds(Partial, utterances, texts),
    st.builds(Final, utterances, texts, times, times),
    st.just(SessionEnds(1.0)),
    st.just(Failure("invalid_config", "no", fatal=False)),
)


@given(st.lists(st.tuples(events, st.integers(0, 900))))
def test_nothing_that_sarvam_says_breaks_the_order_of_time(script: list[tuple[Event, int]]) -> None:
    """Finals follow each other from 0 to the end, interims begin at the last one, words grow within their span."""
    hearing, heard, answers = Hearing(), 0, list[Hypothesis]()
    for event, more in script:
        heard += more
        answers += hearing.hears(event, heard)
    last = hearing.ends(heard)
    answers += [last] if last else []
    said = 0
    for answer in answers:
        assert said == answer.start <= answer.end <= heard
        places = [answer.start, *(time for word in answer.words for time in (word.start, word.end)), answer.end]
        assert places == sorted(places)
        said = answer.end if answer.final else said
    assert any(answer.final for answer in answers)
    assert said == heard


@given(st.lists(st.tuples(texts, st.integers(100, 900)), min_size=1, max_size=6))
def test_finals_in_order_are_said_as_they_are(script: list[tuple[str, int]]) -> None:
    """Their words, each once, between the times that Sarvam gives."""
    hearing, heard = Hearing(), 0
    for number, (text, length) in enumerate(script):
        heard += length
        said = [h for h in hearing.hears(Final(number, text, heard - length + 10, heard - 10), heard) if h.final]
        assert [text] == [each.text for each in said]
        assert all(heard - length + 10 <= word.start <= word.end <= heard - 10 for word in said[0].words)


def test_a_final_that_comes_late_does_not_hide_what_is_said_meanwhile() -> None:
    """The next utterance's words are shown behind those that wait to be settled, and stay when these are."""
    hearing = Hearing()
    list(hearing.hears(SpeechBegins(0), 500))
    list(hearing.hears(Partial(0, "one two"), 1_500))
    list(hearing.hears(SpeechBegins(1), 3_000))
    (both,) = hearing.hears(Partial(1, "three"), 3_400)
    assert "one two three" == both.text
    assert [200, 1_500, 3_000 - ONSET_MS] == [both.words[0].start, both.words[1].end, both.words[2].start]
    final, rest = hearing.hears(Final(0, "One, two.", 210, 1_400), 3_600)
    assert ("One, two.", 0, 1_400) == (final.text, final.start, final.end)
    assert ("three", 1_400, False) == (rest.text, rest.start, rest.final)
    assert 3_000 - ONSET_MS == rest.words[0].start


def test_an_utterance_that_is_overtaken_is_neither_lost_nor_said_twice() -> None:
    """If the next one is settled first, it stays as it was believed; what is settled of it later is too late."""
    hearing = Hearing()
    list(hearing.hears(Partial(0, "one two"), 1_500))
    (final,) = hearing.hears(Final(1, "three", 2_000, 2_400), 3_000)
    assert "one two three" == final.text
    assert 2_000 <= final.words[-1].start
    assert [] == list(hearing.hears(Final(0, "One, two.", 0, 1_500), 3_100))
    assert all(one.end <= other.start for one, other in pairwise(final.words))


def test_what_was_never_settled_is_settled_at_the_end() -> None:
    """If Sarvam ends without a final, the words that were shown stay."""
    hearing = Hearing()
    list(hearing.hears(Partial(0, "one two"), 1_500))
    last = hearing.ends(2_000)
    assert last is not None
    assert ("one two", True, 2_000) == (last.text, last.final, last.end)
