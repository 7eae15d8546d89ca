"""What the second pass changed, for better and for worse, against scripts and against counting place by place."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compare.shows import final, say, shown, timeline

from twopass.compare.measures.accuracy import aligned
from twopass.compare.measures.rewrites import Rewrites, rewrites, right
from twopass.compare.measures.timeline import Timeline
from twopass.types import Pass, Status, Words


def lowered(words: Words) -> Words:
    """A normalization that is easy to follow."""
    return tuple(replace(word, text=word.text.lower().strip(",.")) for word in words)


def rewritten(before: str, after: str) -> Timeline:
    """One utterance: the first pass's words at 1.5 s, the second's at 2.1 s."""
    return timeline(shown(1_500, say(before)), final(2_100, say(after), source=Pass.SECOND))


def test_without_a_second_pass_there_is_nothing_to_judge() -> None:
    """A first pass alone has no rewrites, not zero of them; nor has a session in which no second pass got through."""
    assert None is rewrites(timeline(shown(100, say("one")), final(200, say("won"))), say("one"), lowered)
    assert None is rewrites(Timeline(), say("one"), lowered)


def test_helpful_and_harmful_changes_are_told_apart() -> None:
    """ "to" is corrected, "three" is spoiled, "for" stays wrong in another way, "uh" becomes "six"."""
    found = rewrites(
        rewritten("One, to three for five uh", "one two tree fore five six"),
        say("one two three four five six"),
        lowered,
    )
    # before: one TO three FOR five UH; after: one two TREE FORE five six
    assert Rewrites(6, 4, 6, 3, 2, harmful=1, helpful=2, latency_ms=(600,)) == found


def test_case_and_punctuation_are_no_rewrites() -> None:
    """What normalization takes away is not counted as changed."""
    assert Rewrites(2, 0, 2, 0, 0, latency_ms=(600,)) == rewrites(
        rewritten("one two", "One, two."), say("one two"), lowered
    )


def test_without_truth_only_the_changes_are_known() -> None:
    """Words, changed words and latency; nothing that needs a truth."""
    assert Rewrites(3, 1, latency_ms=(600,)) == rewrites(rewritten("one to three", "one two three"), None, lowered)


def test_words_taken_away_change_none_of_the_transcript_but_count_against_the_truth() -> None:
    """A second pass that swallows a right word changes no word that is left, and is harmful."""
    found = rewrites(rewritten("one two three", "one three"), say("one two three"), lowered)
    assert Rewrites(2, 0, 3, 0, 1, harmful=1, latency_ms=(600,)) == found


def test_where_the_second_pass_fails_the_first_one_counts_on_both_sides() -> None:
    """An utterance that ends with the first pass's words is neither changed nor late."""
    one, two = say("won"), say("to", 3_000)
    seen = timeline(
        shown(1_400, one), final(2_000, say("one"), source=Pass.SECOND), shown(3_400, two, "v"), final(4_000, two, "v")
    )
    assert Rewrites(2, 1, 2, 2, 1, helpful=1, latency_ms=(600,)) == rewrites(
        seen, say("one") + say("two", 3_000), lowered
    )


def test_what_only_the_second_pass_heard_is_a_change_without_latency() -> None:
    """There were no words of the first pass to wait from."""
    seen = timeline(final(2_000, say("one two"), source=Pass.SECOND))
    assert Rewrites(2, 2, 2, 2, 0, helpful=2) == rewrites(seen, say("one two"), lowered)


def test_latency_counts_from_the_first_passs_last_words() -> None:
    """Not from its first ones, nor from where it only says that they are provisional now; to the second's first."""
    one, two = say("one"), say("one two")
    seen = timeline(
        shown(1_400, one),
        shown(1_700, two),
        shown(1_900, two, status=Status.PROVISIONAL),
        final(2_000, two, source=Pass.SECOND),
        final(2_900, two, source=Pass.SECOND),
    )
    assert (300,) == latencies(seen)


def test_words_that_the_first_pass_took_back_are_not_waited_from() -> None:
    """Nothing stood there when the second pass's words came."""
    assert () == latencies(
        timeline(shown(1_400, say("one")), shown(1_700, ()), final(2_000, say("one"), source=Pass.SECOND))
    )


def latencies(seen: Timeline) -> tuple[float, ...]:
    """Rewrite latencies alone."""
    found = rewrites(seen, None, lowered)
    assert found is not None
    return found.latency_ms


def test_right_words_are_counted_on_the_side_of_the_truth() -> None:
    """Words left out and words too many do not shift which ones are meant."""
    assert {0, 2, 4} == right(aligned(say("a b c d e"), say("a c x e")))
    assert {0, 1, 3} == right(aligned(say("a b c d"), say("a uh b d")))


def test_a_word_that_moves_over_a_cut_is_not_rewritten() -> None:
    """The first pass had it in the left utterance, the second in the right one: the transcript is the same."""
    words = say("one two three")
    seen = timeline(
        shown(2_000, words[:2]),
        shown(2_400, words[2:], "v"),
        final(3_000, words[:1], source=Pass.SECOND),
        final(3_100, words[1:], "v", Pass.SECOND),
    )
    assert Rewrites(3, 0, 3, 0, 0, latency_ms=(1_000, 700)) == rewrites(seen, words, lowered)


@settings(max_examples=60)
@given(st.lists(st.tuples(*[st.booleans()] * 3), min_size=1, max_size=25))
def test_with_substitutions_only_all_figures_can_be_counted_place_by_place(
    places: list[tuple[bool, bool, bool]],
) -> None:
    """Each place right or wrong before and after: gain is helpful - harmful, and changed is what differs."""
    truth = " ".join(f"word{i}" for i in range(len(places)))
    before = " ".join(f"word{i}" if right else f"miss{i}" for i, (right, _, _) in enumerate(places))
    after = " ".join(
        f"word{i}" if right else f"other{i}" if other else f"miss{i}" for i, (_, right, other) in enumerate(places)
    )
    found = rewrites(rewritten(before, after), say(truth), lowered)
    assert found is not None
    assert found.harmful == sum(was and not is_ for was, is_, _ in places)
    assert found.helpful == sum(is_ and not was for was, is_, _ in places)
    assert found.errors_before - found.errors_after == found.helpful - found.harmful
    differing = sum(a != b for a, b in zip(before.split(), after.split(), strict=True))
    assert (len(places), differing) == (found.words, found.changed)
