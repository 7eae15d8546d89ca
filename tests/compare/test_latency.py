"""Latencies of recognizers whose delays are known, because a script put them in."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compare.shows import Dictation, dictations, estimated, final, say, shown, timeline

from twopass.compare.measures.accuracy import aligned
from twopass.compare.measures.latency import (
    emission_delays,
    finals,
    first_partials,
    first_word,
    laal,
    percentiles,
    stream_laal,
    word_time_errors,
)
from twopass.compare.measures.timeline import Seen, Timeline
from twopass.types import Pass, Status, Word, Words


def as_it_is(words: Words) -> Words:
    """Words that need no normalization."""
    return words


def lowered(words: Words) -> Words:
    """A normalization that is easy to follow."""
    return tuple(replace(word, text=word.text.lower().strip(",.")) for word in words)


# -- first partials ---------------------------------------------------------------------------------------------------


def test_first_partials_are_measured_from_where_each_stretch_of_speech_begins() -> None:
    """Two stretches, shown 450 and 620 ms after their beginnings, in one utterance that goes on over the pause."""
    one, two = say("one", 1_000), say("two", 3_000)
    seen = timeline(shown(1_200, ()), shown(1_450, one), shown(1_900, say("won")), shown(3_620, one + two))
    assert (450, 620) == first_partials(seen, [(1_000, 1_300), (3_000, 3_300)])
    assert 1_450 == first_word(seen)


def test_stretches_with_less_than_half_a_second_between_them_are_one() -> None:
    """A pause of 499 ms is within a sentence, one of 500 ms is not."""
    seen = timeline(shown(1_450, say("one")), shown(2_400, say("one") + say("two", 1_900)))
    assert (450,) == first_partials(seen, [(1_799, 2_200), (1_000, 1_300)])
    assert (450, 600) == first_partials(seen, [(1_000, 1_300), (1_800, 2_200)])


def test_a_word_that_is_placed_a_little_beside_its_stretch_counts() -> None:
    """The middle may lie a quarter of a second outside, no more."""
    speech = [(1_000, 2_000)]
    beside, outside = Word("one", 2_200, 2_298), Word("one", 2_200, 2_300)
    assert (500,) == first_partials(timeline(shown(1_500, (beside,))), speech)
    assert () == first_partials(timeline(shown(1_500, (outside,))), speech)


def test_what_is_shown_before_a_stretch_begins_is_not_of_it() -> None:
    """A word of the first stretch that the recognizer places in the second one gives no negative latency."""
    late = say("one", 3_000)
    seen = timeline(shown(1_500, late), shown(3_400, say("two", 3_100), "v"))
    assert (400,) == first_partials(seen, [(1_000, 1_300), (3_000, 3_500)])


def test_signs_are_no_words() -> None:
    """A comma alone is not the first word."""
    comma = (Word(",", 1_000, 1_100),)
    assert None is first_word(timeline(shown(1_200, comma)))
    assert () == first_partials(timeline(shown(1_200, comma)), [(1_000, 1_500)])


# -- finals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [(4,), (2, 4), (1, 2, 3, 4)])
def test_finals_do_not_depend_on_how_a_system_cuts_utterances(cuts: tuple[int, ...]) -> None:
    """The same words, final at the same time, in one, two or four utterances: 600 ms after the end of speech."""
    words, seen = say("one two three four"), []
    for begin, end in pairwise((0, *cuts)):
        seen += [shown(1_500, words[begin:end], f"u{begin}"), final(2_800, words[begin:end], f"u{begin}")]
    assert (600,) == finals(timeline(*seen), [(1_000, 2_200)])


def test_a_stretch_is_final_when_all_before_its_end_is() -> None:
    """The second utterance is final before the first: both stretches wait for the first, which the second pass ends."""
    one, two = say("one"), say("two", 3_000)
    seen = timeline(
        final(3_500, two, "v"),
        shown(1_500, one, status=Status.PROVISIONAL),
        final(3_900, one, source=Pass.SECOND),
    )
    assert (2_600, 600) == finals(seen, [(1_000, 1_300), (3_000, 3_300)])


def test_a_final_that_changes_again_was_none() -> None:
    """A vendor that sends a correction after its final is final with the correction; a repeated final was it before."""
    seen = [shown(1_400, say("won")), final(1_500, say("won")), final(1_700, say("one")), final(1_900, say("one"))]
    assert (400,) == finals(timeline(*seen), [(1_000, 1_300)])


def test_words_that_never_become_final_give_no_latency() -> None:
    """The stretch before has one; so has none that stands after the broken one, since not all is final there."""
    seen = timeline(
        final(1_600, say("one")), shown(3_400, say("two", 3_000), "v"), final(5_600, say("three", 5_000), "w")
    )
    assert (300,) == finals(seen, [(1_000, 1_300), (3_000, 3_300), (5_000, 5_300)])


def test_stretches_without_words_have_no_final() -> None:
    """Where nobody wrote anything there is nothing to wait for."""
    assert (300,) == finals(timeline(final(1_600, say("one"))), [(1_000, 1_300), (4_000, 5_000)])
    assert () == finals(Timeline(), [(1_000, 1_300)])


def test_an_utterance_that_goes_on_counts_only_up_to_the_end_of_the_stretch() -> None:
    """Later words of the same utterance may change after the final of the stretch before them."""
    one = say("one")
    seen = [final(1_600, one + say("to", 3_000)), final(3_500, one + say("two", 3_000))]
    assert (300, 200) == finals(timeline(*seen), [(1_000, 1_300), (3_000, 3_300)])


# -- emission ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(dictations())
def test_emission_delays_are_the_ones_that_were_put_in(dictation: Dictation) -> None:
    """Exactly, also where the same few words are said over and over."""
    delays = emission_delays(dictation.timeline, dictation.said, as_it_is)
    assert [at - word.end for at, word in zip(dictation.written, dictation.said, strict=True)] == pytest.approx(delays)


@settings(max_examples=40)
@given(dictations(unique=True))
def test_words_without_times_are_found_by_their_order(dictation: Dictation) -> None:
    """The same delays from a recognizer that only says what, not when."""
    seen = [
        replace(each, revision=replace(each.revision, words=estimated(each.revision.words))) for each in dictation.seen
    ]
    delays = emission_delays(Timeline(seen), dictation.said, as_it_is)
    assert [at - word.end for at, word in zip(dictation.written, dictation.said, strict=True)] == pytest.approx(delays)


def test_words_said_again_are_not_seen_too_early_without_times() -> None:
    """The first "no" is not taken for the second one, which has not been said yet."""
    truth = say("no no no")
    seen = timeline(*(shown(word.end + 100, estimated(truth[: i + 1])) for i, word in enumerate(truth)))
    assert (100, 100, 100) == emission_delays(seen, truth, as_it_is)


def test_a_word_is_not_seen_before_it_begins() -> None:
    """One "no" is shown when only one was said: it is not the next one, as which it would fit as well."""
    truth = say("yes no no")
    seen = timeline(shown(1_580, estimated(truth[1:2])), shown(2_000, estimated(truth)))
    assert (700, -20, 100) == emission_delays(seen, truth, as_it_is)


def test_estimated_times_are_not_believed() -> None:
    """The first "no" is shown, and guessed to be where the second one is just being said."""
    truth = say("no yes no")
    seen = timeline(shown(1_700, estimated(truth[2:])), shown(2_100, truth))
    assert (400, 500, 200) == emission_delays(seen, truth, as_it_is)


def test_an_utterance_without_times_shows_only_what_was_said_around_it() -> None:
    """The "no" of 10 s does not stand for the one of 1 s, which was misheard until the final corrected it."""
    early, late = say("no"), say("no", 10_000)
    seen = timeline(
        shown(1_500, estimated(say("know"))), shown(10_500, estimated(late), "v"), final(12_000, estimated(early))
    )
    assert (10_700, 200) == emission_delays(seen, early + late, as_it_is)


def test_times_are_believed_where_they_are_given() -> None:
    """A timed "one" far away is another one, whatever its order; it comes to its place with the next revision."""
    truth = say("one two three")
    first = (truth[0].shifted(600), replace(truth[1].shifted(400), estimated=True))
    seen = timeline(shown(1_800, first), shown(2_000, truth))
    assert (700, 200, 100) == emission_delays(seen, truth, as_it_is)


def test_only_right_words_have_a_delay() -> None:
    """A word that the transcript has wrong has none, though a partial had it right; nor one with an estimated time."""
    truth = say("one two three four")
    truth = (*truth[:3], replace(truth[3], estimated=True))
    heard = say("One, too three four")
    seen = timeline(shown(1_500, say("one two")), shown(2_400, heard), final(2_600, heard))
    assert (200, 500) == emission_delays(seen, truth, lowered)


def test_a_word_is_seen_where_it_is_shown_first_in_whatever_utterance() -> None:
    """It goes from one utterance to the next, is gone for a while, and is rewritten: the first time counts."""
    one, two = say("one"), say("two", 1_300)
    seen = timeline(
        shown(1_500, one),
        shown(1_700, one + two),
        shown(1_800, one),
        shown(2_500, two, "v"),
        final(2_600, one, source=Pass.SECOND),
        final(2_700, two, "v", Pass.SECOND),
    )
    assert (200, 100) == emission_delays(seen, one + two, as_it_is)


def test_a_first_pass_without_times_is_not_forgotten_for_a_second_one_with_times() -> None:
    """The word is seen with the partial, not only with the final that places it."""
    truth = say("one two")
    seen = timeline(shown(1_900, estimated(truth)), final(3_000, truth, source=Pass.SECOND))
    assert (600, 300) == emission_delays(seen, truth, as_it_is)


def test_a_recognizer_whose_clock_is_wrong_is_read_by_order() -> None:
    """All its times are 700 ms late: no word is at its place in time, but their order tells which is which."""
    truth = say("one two three")
    seen = timeline(*(shown(word.end + 250, say("one two three", 1_700)[: i + 1]) for i, word in enumerate(truth)))
    assert (250, 250, 250) == emission_delays(seen, truth, as_it_is)


# -- word times -------------------------------------------------------------------------------------------------------


def test_word_times_are_compared_at_their_middles() -> None:
    """Right words with times of their own only: 40 ms early, and 25 ms late."""
    truth, heard = say("one two three four"), list(say("one too three four"))
    heard[0] = heard[0].shifted(-40)
    heard[2] = replace(heard[2], end=heard[2].end + 50)
    heard[3] = replace(heard[3].shifted(500), estimated=True)
    assert (40, 25) == word_time_errors(aligned(truth, tuple(heard)))
    assert () == word_time_errors(aligned(tuple(replace(word, estimated=True) for word in truth), truth))


# -- lagging ----------------------------------------------------------------------------------------------------------


def lagging_as_published(delays: list[float], words: int, audio_ms: int) -> float:
    """LAAL as its formula reads, word by word."""
    if delays[0] > audio_ms:
        return delays[0]
    tau = min((i for i, delay in enumerate(delays, 1) if delay >= audio_ms), default=len(delays))
    return sum(delays[i - 1] - (i - 1) * audio_ms / max(len(delays), words) for i in range(1, tau + 1)) / tau


@settings(max_examples=40)
@given(dictations(), st.integers(1, 40), st.integers(500, 20_000))
def test_lagging_of_words_that_stay_is_the_published_formula(dictation: Dictation, words: int, audio_ms: int) -> None:
    """Where nothing is taken back, D_i is when word i was written."""
    expected = lagging_as_published(list(dictation.written), words, audio_ms)
    assert expected == pytest.approx(laal(dictation.timeline, words, audio_ms))


def test_lagging_of_an_even_writer_is_its_delay() -> None:
    """Four words of 500 ms in 2 s, each shown 120 ms after it began; the last one not after the end."""
    words = say("a b c d", 0, 500)
    seen = timeline(*(shown(word.start + 120, words[: i + 1]) for i, word in enumerate(words)))
    assert 120 == laal(seen, 4, 2_000)
    assert 120 + 1.5 * 250 == laal(seen, 8, 2_000)  # half of what was said is missing: the ideal was twice as fast


def test_words_after_the_first_one_at_the_end_do_not_count() -> None:
    """The third of four words comes as the audio ends: it is the last one of the mean."""
    words = say("a b c d", 0, 500)
    seen = timeline(*(shown(at, words[: i + 1]) for i, at in enumerate((500, 1_000, 2_000, 9_000))))
    assert (500 + (1_000 - 500) + (2_000 - 1_000)) / 3 == pytest.approx(laal(seen, 4, 2_000))


def test_what_is_taken_back_counts_from_where_it_comes_again() -> None:
    """ "two" is there at once, but "one" is corrected at 1 s: all words stand from then on."""
    seen = timeline(shown(300, say("won two", 0)), shown(1_000, say("one two", 0)))
    assert (1_000 + 1_000 - 1_000) / 2 == laal(seen, 2, 2_000)


def test_a_word_that_goes_to_another_utterance_stands() -> None:
    """For 2 ms it is in neither; for half a second would be another matter."""
    one, two = say("one", 0), say("two", 300)
    before, gone = [shown(400, one), shown(700, one + two)], final(1_000, one)
    assert (400 + 700 - 1_000) / 2 == laal(timeline(*before, gone, final(1_002, two, "v")), 2, 2_000)
    assert (400 + 1_500 - 1_000) / 2 == laal(timeline(*before, gone, final(1_500, two, "v")), 2, 2_000)


def test_nothing_lags_nothing() -> None:
    """No words or no audio: no figure. All after the end: the first word's time."""
    assert (None, None) == (laal(Timeline(), 3, 1_000), laal(timeline(final(500, say("one"))), 1, 0))
    assert 1_500 == laal(timeline(final(1_500, say("one two"))), 2, 1_000)


def test_a_long_recordings_lag_is_that_of_its_stretches() -> None:
    """An even writer with 120 ms of delay: pauses between its sentences make no difference, for `laal` they do."""
    sentences = [say("a b c d", start, 500) for start in (10_000, 14_000, 30_000)]
    seen = timeline(
        *(
            shown(word.start + 120, words[: i + 1], f"u{words[0].start}")
            for words in sentences
            for i, word in enumerate(words)
        )
    )
    speech = [(words[0].start, words[-1].end) for words in sentences]
    assert 120 == stream_laal(seen, sum(sentences, ()), [*speech, (40_000, 41_000)])
    assert 120 == stream_laal(seen, (), speech)
    whole = laal(seen, 12, 32_000)
    assert whole is not None
    assert whole > 2_000
    assert None is stream_laal(seen, (), [(40_000, 41_000)])


def test_a_stretch_of_which_half_is_missing_lags_behind_the_whole() -> None:
    """As in `laal`, the ideal writes what the truth has in the stretch, not more."""
    words = say("a b c d", 5_000, 500)
    truth = (*say("a x b x c x d x", 5_000, 250), *say("far off", 9_000))
    seen = timeline(*(shown(word.start + 120, words[: i + 1]) for i, word in enumerate(words)))
    assert 120 + 1.5 * 250 == stream_laal(seen, truth, [(5_000, 7_000)])


def standing_by_looking(seen: list[Seen]) -> list[float]:
    """For each word of the transcript: go back from the end while the transcript begins as it ends."""
    order = sorted({each.revision.utterance for each in seen}, key=lambda name: int(name[1:]))
    states, current = [], dict.fromkeys(order, "")
    for each in seen:
        current[each.revision.utterance] = each.revision.text
        states.append(" ".join(text for text in current.values() if text).split())
    since = []
    for count in range(1, len(states[-1]) + 1):
        k = len(states) - 1
        while k > 0 and states[k - 1][:count] == states[-1][:count]:
            k -= 1
        since.append(seen[k].at)
    return since


@settings(max_examples=60)
@given(st.integers(0, 1 << 32))
def test_standing_is_found_by_looking_back(seed: int) -> None:
    """Random revisions of three utterances: LAAL is the formula over what a look back from the end finds."""
    chance, seen = random.Random(seed), [shown(0, say("a"), "u0"), shown(50, (), "u1", start=5_000)]
    seen.append(shown(80, (), "u2", start=9_000))
    for i in range(12):
        name = chance.randrange(3)
        words = " ".join(chance.choices("abc", k=chance.randrange(4)))
        seen.append(shown(100.0 * (i + 1), say(words, 4_000 * name + 1_000), f"u{name}", start=4_000 * name + 1_000))
    since = standing_by_looking(seen)
    expected = lagging_as_published(since, 5, 10_000) if since else None
    assert expected == pytest.approx(laal(Timeline(seen), 5, 10_000))


# -- percentiles ------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_percentiles_are_numpys(values: list[float]) -> None:
    """All four, and the count."""
    found = percentiles(values)
    assert found is not None
    assert len(values) == found.count
    figures = [found.p50, found.p90, found.p95, found.p99]
    assert np.percentile(values, [50, 90, 95, 99]) == pytest.approx(figures, rel=1e-9, abs=1e-6)
    assert percentiles([]) is None
