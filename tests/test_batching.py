"""Who is decoded next, together: what holds for every queue."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_decode_time import accelerator, after, processor

from twopass.batching import Situation, Waiting, choose, hold, hopeless, kind_of
from twopass.decode_time import DecodeTime
from twopass.recognizers import StreamOptions

NOW = 100.0
LITTLE = 1e-6
LENGTHS = st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.5, 5.0, 8.0, 13.0, 21.0, 28.0])
DEADLINES = st.one_of(st.floats(NOW - 1, NOW + 12), st.just(math.inf))
WAITING = st.builds(
    Waiting,
    seconds=LENGTHS,
    kind=st.sampled_from(["en", "de"]),
    deadline=DEADLINES,
    speculative=st.booleans(),
    since=st.floats(NOW - 20, NOW),
    alone=st.sampled_from([False, False, False, True]),
)
QUEUES = st.lists(WAITING, min_size=1, max_size=40)
TIMES = st.builds(
    lambda recognizer, scale, seen: after(
        [(size, longest, recognizer(size, longest) * scale) for size, longest in seen]
    ),
    st.sampled_from([accelerator, processor]),
    st.sampled_from([0.1, 1.0, 10.0]),
    st.lists(st.tuples(st.integers(1, 16), LENGTHS), max_size=12),
)
SITUATIONS = st.builds(Situation, now=st.just(NOW), time=TIMES, most=st.integers(1, 16), patience=st.just(5.0))
MIXED = [(size, longest) for size in (1, 2, 4, 8, 16) for longest in (1.0, 5.0, 12.0, 25.0)]


def knowing(recognizer: Callable[[int, float], float], most: int = 16) -> Situation:
    """A queue that has seen a recognizer's batches."""
    time = after([(size, longest, recognizer(size, longest)) for size, longest in MIXED])
    return Situation(NOW, time, most)


def chosen(waiting: Sequence[Waiting], situation: Situation) -> list[Waiting]:
    """The next batch."""
    return [waiting[i] for i in choose(waiting, situation)]


@given(QUEUES, SITUATIONS, st.booleans())
def test_a_batch_is_of_one_kind_and_not_too_large(
    waiting: list[Waiting], situation: Situation, longest_waiting: bool
) -> None:
    """Somebody is always chosen, nobody twice; one language and phrases; what failed before goes alone."""
    indexes = choose(waiting, situation, longest_waiting=longest_waiting)
    batch = [waiting[i] for i in indexes]
    assert 1 <= len(batch) == len(set(indexes)) <= situation.most
    assert 1 == len({each.kind for each in batch})
    assert len(batch) == 1 or not any(each.alone for each in batch)


@given(QUEUES, SITUATIONS)
def test_the_most_urgent_leads(waiting: list[Waiting], situation: Situation) -> None:
    """The earliest deadline is always in the next batch, and speculation leads only if there is nothing else."""
    leader = chosen(waiting, situation)[0]
    assert min(each.urgency for each in waiting) == leader.urgency
    assert not leader.speculative or all(each.speculative for each in waiting)


@given(QUEUES, SITUATIONS)
def test_no_company_goes_before_a_more_urgent_one_like_it(waiting: list[Waiting], situation: Situation) -> None:
    """Of those of one kind and length the more urgent go first, unless their time would be over in this batch."""
    taken = choose(waiting, situation)
    longest = max(waiting[i].seconds for i in taken)
    end = NOW + situation.time.seconds(len(taken), longest)
    for i, each in enumerate(waiting):
        for j in taken[1:]:
            other = waiting[j]
            like = (each.kind, each.seconds, False) == (other.kind, other.seconds, each.alone)
            if like and i not in taken and each.urgency < other.urgency:
                assert each.due < end


def in_time(waiting: Sequence[Waiting], first: Sequence[int], situation: Situation, spare: float) -> set[int]:
    """Who is in time if these are decoded together and then all others one by one, the most urgent first."""
    now = NOW + situation.time.seconds(len(first), max(waiting[i].seconds for i in first))
    kept = {i for i in first if now <= waiting[i].due + spare}
    for i in sorted(set(range(len(waiting))) - set(first), key=lambda i: waiting[i].urgency):
        end = now + situation.time.seconds(1, waiting[i].seconds)
        if not waiting[i].speculative and end <= waiting[i].deadline + spare:
            kept.add(i)
            now = end
    return kept


@given(QUEUES, SITUATIONS)
def test_company_costs_nobody_a_deadline(waiting: list[Waiting], situation: Situation) -> None:
    """As far as is known, whoever is in time if all go one by one is in time with the batch, and so is the company."""
    taken = choose(waiting, situation)
    kept = in_time(waiting, taken, situation, 0.0)
    assert kept >= in_time(waiting, taken[:1], situation, 0.0)
    assert kept >= set(taken[1:])


@given(QUEUES, SITUATIONS)
def test_a_guess_makes_no_wanted_utterance_wait_for_its_length(waiting: list[Waiting], situation: Situation) -> None:
    """Where a wanted utterance leads, speculation is never what makes the batch long."""
    batch = chosen(waiting, situation)
    wanted = [each.seconds for each in batch if not each.speculative]
    assert not wanted or max(wanted) == max(each.seconds for each in batch)


@given(QUEUES, SITUATIONS)
def test_nobody_starves(waiting: list[Waiting], situation: Situation) -> None:
    """Every queue is emptied; and whoever waited longest is next when it is his turn, whatever else is urgent."""
    oldest = min(waiting, key=lambda each: each.since)
    if NOW - oldest.since > situation.patience:
        assert oldest.since == waiting[choose(waiting, situation, longest_waiting=True)[0]].since
    rounds = 0
    while waiting:
        taken = choose(waiting, situation)
        waiting = [each for i, each in enumerate(waiting) if i not in taken]
        rounds += 1
    assert rounds <= 40


@given(LENGTHS, SITUATIONS, st.integers(1, 60))
def test_a_deeper_queue_never_makes_smaller_batches(seconds: float, situation: Situation, depth: int) -> None:
    """Like utterances without deadlines: one more that waits leaves the next batch as large or makes it larger."""
    queue = [Waiting(seconds, since=float(i)) for i in range(depth)]
    one_more = [*queue, Waiting(seconds, since=float(depth))]
    assert len(choose(queue, situation)) <= len(choose(one_more, situation)) <= situation.most


@given(st.lists(WAITING, min_size=1, max_size=20, unique_by=lambda each: each.urgency), SITUATIONS, st.randoms())
def test_the_order_of_the_queue_does_not_matter(waiting: list[Waiting], situation: Situation, chance: object) -> None:
    """The same utterances in any order make the same batch."""
    shuffled = list(waiting)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert chosen(waiting, situation) == chosen(shuffled, situation)


def test_what_would_make_a_batch_long_waits() -> None:
    """An accelerator pays for the longest: of many that wait, those of similar length go together."""
    queue = [
        Waiting(length, since=float(i)) for i, length in enumerate([2.0, 28.0, 2.1, 27.0, 2.2, 26.0, 2.3, 25.0] * 8)
    ]
    assert all(each.seconds < 3 for each in chosen(queue, knowing(accelerator)))
    assert all(each.seconds > 20 for each in chosen(queue[1:], knowing(accelerator)))


def test_no_company_where_it_gains_nothing() -> None:
    """A processor pays for each: an utterance answered alone is answered sooner, and nobody loses by it."""
    queue = [Waiting(4.0, since=float(i)) for i in range(4)]
    assert 1 == len(choose(queue, knowing(processor)))
    assert 4 == len(choose(queue, knowing(accelerator)))


def test_a_near_deadline_keeps_the_batch_small() -> None:
    """Sixteen would take too long for the first: as many go along as leave it in time."""
    situation = knowing(accelerator)
    takes = situation.time.seconds(8, 4.0)
    queue = [Waiting(4.0, deadline=NOW + takes + 0.001), *(Waiting(4.0, since=float(i)) for i in range(30))]
    assert 8 == len(choose(queue, situation))


def test_a_near_deadline_behind_keeps_the_batch_small() -> None:
    """The same for another language's utterance, which can only be next."""
    situation = knowing(accelerator)
    takes = situation.time.seconds(8, 4.0) + situation.time.seconds(1, 4.0)
    behind = Waiting(4.0, "de", deadline=NOW + takes + 0.001)
    queue = [Waiting(4.0, "en", NOW + 0.9 * takes), behind, *(Waiting(4.0, "en", since=float(i)) for i in range(30))]
    assert 8 == len(choose(queue, situation))


def drained(queue: list[Waiting], recognizer: Callable[[int, float], float], most: int) -> float:
    """Seconds until a queue is empty, learning from the first batch on."""
    time, spent = DecodeTime(), 0.0
    while queue:
        taken = choose(queue, Situation(NOW + spent, time, most))
        longest = max(queue[i].seconds for i in taken)
        seconds = recognizer(len(taken), longest)
        time, spent = time.learned(len(taken), longest, seconds), spent + seconds
        queue = [each for i, each in enumerate(queue) if i not in taken]
    return spent


@pytest.mark.parametrize("depth", [10, 40, 200])
def test_a_full_queue_is_served_nearly_as_quickly_as_can_be(depth: int) -> None:
    """
    Mixed lengths and two languages on an accelerator: at most a fifth more time than the best batches, sorted by
    length, would take; without batches it is several times as much.
    """
    queue = [Waiting(1 + 27 * (i * 0.618 % 1), "de" if i % 3 else "en", since=float(i)) for i in range(depth)]
    best = 0.0
    for kind in ("de", "en"):
        lengths = sorted(each.seconds for each in queue if each.kind == kind)
        best += sum(accelerator(len(lengths[i : i + 16]), lengths[i : i + 16][-1]) for i in range(0, len(lengths), 16))
    one_by_one = sum(accelerator(1, each.seconds) for each in queue)
    spent = drained(queue, accelerator, 16)
    assert spent <= 1.2 * best
    assert spent <= one_by_one / 2
    assert one_by_one == pytest.approx(drained(queue, accelerator, 1))


def test_company_is_awaited_only_while_it_is_likely_and_of_use() -> None:
    """Not if hardly anybody comes, not if the batch is full, not for a recognizer that does not profit."""
    few, situation = [Waiting(4.0, since=NOW - 0.005)], knowing(accelerator)
    assert 0.01 == pytest.approx(hold(few, situation, longest=0.015, gap=0.003))
    assert 0 == hold(few, situation, longest=0.015, gap=0.1)
    assert 0 == hold(few * 16, situation, longest=0.015, gap=0.003)
    assert 0 == hold(few, knowing(processor), longest=0.015, gap=0.003)
    assert 0 == hold([replace(few[0], alone=True)], situation, longest=0.015, gap=0.003)
    assert 0 == hold([replace(few[0], since=NOW - 1)], situation, longest=0.015, gap=0.003)
    assert 0 == hold([], situation, longest=0.015, gap=0.003)


@given(QUEUES, SITUATIONS, st.floats(0, 0.5))
def test_waiting_for_company_costs_no_deadline(waiting: list[Waiting], situation: Situation, longest: float) -> None:
    """Not longer than allowed since the first came, nor than the most urgent has time."""
    rest = hold(waiting, situation, longest=longest, gap=0.0)
    assert rest == 0 or NOW + rest <= min(each.since for each in waiting) + longest + LITTLE
    assert rest == 0 or all(NOW + rest + situation.time.seconds(1, 0.5) <= each.due + LITTLE for each in waiting)


@given(QUEUES, SITUATIONS)
def test_only_what_cannot_be_in_time_is_given_up(waiting: list[Waiting], situation: Situation) -> None:
    """Never a guess, never one with time enough; and not all, if one still has any time."""
    lost = hopeless(waiting, situation)
    assert all(waiting[i].due < NOW + situation.time.seconds(1, waiting[i].seconds) + LITTLE for i in lost)
    wanted = [each for each in waiting if not each.speculative]
    assert len(lost) < len(wanted) or all(each.deadline <= NOW for each in wanted)


def test_utterances_of_one_language_are_of_one_kind() -> None:
    """Whatever the region and the session; other phrases or other languages are another."""
    kind = kind_of(StreamOptions("en-US", session="a"))
    assert kind == kind_of(StreamOptions("en_GB", session="b"))
    others = [
        StreamOptions(),
        StreamOptions("de"),
        StreamOptions("en", phrases=("x",)),
        StreamOptions("en", languages=("de",)),
    ]
    assert 5 == len({kind, *map(kind_of, others)})
