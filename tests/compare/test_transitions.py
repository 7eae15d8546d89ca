"""Transcripts side by side: nothing is lost, and no alignment is cheaper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from twopass.compare.measures.transitions import Network, Slot, network
from twopass.types import Word, Words

TRANSCRIPTS = st.lists(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 6_000)), max_size=4), min_size=1, max_size=4
).map(lambda lists: [tuple(Word(text, at, at + 100) for text, at in words) for words in lists])


def said(text: str, *starts: int) -> Words:
    """Words of 100 ms, 200 ms apart unless it is said where they are."""
    tokens = text.split()
    return tuple(
        Word(t, at, at + 100) for t, at in zip(tokens, starts or range(0, 200 * len(tokens), 200), strict=True)
    )


def columns(slots: Network) -> list[str]:
    """What each transcript has at each place, "-" for nothing."""
    return [" ".join(word.text if word else "-" for word in slot) for slot in slots]


@given(TRANSCRIPTS)
def test_every_transcript_can_be_read_from_the_network(transcripts: list[Words]) -> None:
    """Each row, without the places where it has nothing, is the transcript; no place is empty."""
    slots = network(transcripts)
    rows = [tuple(slot[i] for slot in slots if slot[i] is not None) for i in range(len(transcripts))]
    assert transcripts == rows
    assert all(any(slot) for slot in slots)


@settings(max_examples=50)
@given(TRANSCRIPTS)
def test_no_other_alignment_is_cheaper(transcripts: list[Words]) -> None:
    """Of all ways to lay the last transcript beside the others, written out one by one, the cheapest is taken."""
    before, after = network(transcripts[:-1]), network(transcripts)
    ways = [price(way) for way in all_ways(before, transcripts[-1], len(transcripts) - 1)]
    assert min(ways) == price(after)


def all_ways(slots: Network, words: Words, voters: int) -> Iterator[Network]:
    """Every way to lay words beside a network."""
    if not slots and not words:
        yield ()
    if slots:
        yield from (((*slots[0], None), *rest) for rest in all_ways(slots[1:], words, voters))
    if words:
        alone: Slot = (*[None] * voters, words[0])
        yield from ((alone, *rest) for rest in all_ways(slots, words[1:], voters))
    if slots and words:
        yield from (((*slots[0], words[0]), *rest) for rest in all_ways(slots[1:], words[1:], voters))


def price(slots: Sequence[Slot]) -> tuple[int, int]:
    """What the last transcript costs, and how far its words are from those that they meet (ms)."""
    cost = distance = 0
    for *others, last in slots:
        for other in others:
            if (other is None) != (last is None):
                cost += 3
            elif other and last and other.text != last.text:
                cost += 4
        middles = [(other.start + other.end) / 2 for other in others if other]
        if last and middles:
            distance += int(min(2_000, abs(sum(middles) / len(middles) - (last.start + last.end) / 2)))
    return cost, distance


def test_a_word_goes_where_most_have_it() -> None:
    """A third transcript meets the words that it shares, and what it has alone gets a place of its own."""
    slots = network([said("t c s"), said("a c s"), said("t big c")])
    assert ["t a t", "- - big", "c c c", "s s -"] == columns(slots)


def test_of_a_word_said_twice_the_nearer_one_is_heard() -> None:
    """Where text alone cannot tell, time does."""
    twice = said("no no", 0, 5_000)
    assert ["no no", "no -"] == columns(network([twice, said("no", 100)]))
    assert ["no -", "no no"] == columns(network([twice, said("no", 4_700)]))
    assert ["no no", "no -"] == columns(network([said("no no", 0, 4_600), said("no", 1_700)]))
    assert ["no -", "no no"] == columns(network([said("no no", 0, 4_600), said("no", 2_900)]))
