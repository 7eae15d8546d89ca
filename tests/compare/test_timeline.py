"""Latency and steadiness from what a reader saw, against a session whose delays are known."""

from __future__ import annotations

from twopass.compare.measures.accuracy import Errors, SeamErrors, seam_errors, word_errors
from twopass.compare.measures.stability import unstable_words
from twopass.compare.measures.timeline import Timeline, percentile
from twopass.types import Pass, Revision, Status, Word, Words


def words(*texts: str, start: int = 1_000) -> Words:
    """Each word 300 ms, one after the other."""
    return tuple(Word(text, start + 300 * i, start + 300 * i + 300) for i, text in enumerate(texts))


def revision(number: int, status: Status, said: Words, source: Pass = Pass.FIRST, end: int = 2_000) -> Revision:
    """A revision of the one utterance."""
    rewritten = (1,) if source is Pass.SECOND else ()
    return Revision("u", number, status, 900, end, said, source, rewritten=rewritten)


def watched() -> Timeline:
    """Words shown 100 ms after they end, "to" corrected to "two" 200 ms later, the final 700 ms after speech end."""
    timeline = Timeline()
    timeline.add(revision(1, Status.INTERIM, words("one")), 1_400)
    timeline.add(revision(2, Status.INTERIM, words("one", "to")), 1_700)
    timeline.add(revision(3, Status.PROVISIONAL, words("one", "two")), 1_800)
    timeline.add(revision(4, Status.FINAL, words("One,", "too."), Pass.SECOND), 2_300)
    return timeline


def test_latencies_are_measured_from_the_word_and_from_the_end_of_speech() -> None:
    """First partial, word lag and final latency are the delays that were put in."""
    timeline = watched()
    assert [100] == timeline.first_partial_latencies()
    assert [100, 200] == timeline.word_lags()
    assert [700] == timeline.final_latencies()


def test_a_reference_takes_precedence_over_the_recognizers_own_times() -> None:
    """With true word times the latencies are true."""
    timeline = watched()
    timeline.reference = words("one", "two", start=1_050)
    assert ([50], [650]) == (timeline.first_partial_latencies(), timeline.final_latencies())


def test_steadiness_counts_what_changed() -> None:
    """One word of a partial was changed by the next, and one was rewritten by the second pass."""
    timeline = watched()
    assert (1, 1) == (unstable_words(timeline), timeline.rewritten_words())
    assert ["one", "to"] == [word.text for word in timeline.last_words(status=Status.INTERIM)]
    assert ["one", "two"] == [word.text for word in timeline.last_words(source=Pass.FIRST)]


def test_a_final_at_a_forced_cut_has_no_speech_end() -> None:
    """Where the next utterance begins at the same millisecond the speaker went on: no final latency."""
    timeline = watched()
    timeline.add(Revision("v", 1, Status.FINAL, 2_000, 3_000, words("three", start=2_100), Pass.SECOND), 3_500)
    assert [1_100] == timeline.final_latencies()
    assert [2_000] == timeline.cuts()


def test_percentiles_interpolate() -> None:
    """As NumPy's default does; nothing has no percentile."""
    assert (2.5, 4.0, None) == (percentile([4, 1, 3, 2], 50), percentile([4, 1, 3, 2], 100), percentile([], 50))


def test_word_errors_ignore_case_and_punctuation_and_add_up() -> None:
    """One substitution, one deletion, one insertion, pooled over two recordings."""
    errors = word_errors(["One,", "two", "three."], ["one", "too"]) + word_errors(["four"], ["Four!", "five"])
    assert (Errors(1, 1, 1, 4), 0.75) == (errors, errors.rate)
    assert Errors(insertions=2) == word_errors([], ["made", "up"])


def test_errors_at_cuts_are_told_from_others() -> None:
    """A word lost within a second of a cut, and one shown twice there; the same far away does not count."""
    said = words("a", "b", "c", "d", start=0) + words("e", "f", "g", start=9_000)
    heard = tuple(w for w in said if w.text not in "bf") + words("d", start=1_150)
    assert SeamErrors(1, 1) == seam_errors(said, sorted(heard, key=lambda w: w.start), [900])
