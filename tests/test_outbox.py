"""The outbox: a reader that comes back gets what it missed, and of each utterance only the latest."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from twopass.cost.prices.running import CostSummary
from twopass.errors import ProtocolError
from twopass.outbox import (
    Acknowledged,
    CostChanged,
    Event,
    Outbox,
    Problem,
    ProviderTrouble,
    SessionEnded,
    SpeechChanged,
)
from twopass.types import Pass, Revision, Status

revisions = st.builds(
    lambda utterance, number: Revision(f"u{utterance}", number, Status.INTERIM, 0, 0, (), Pass.FIRST),
    st.integers(0, 4),
    st.integers(1, 99),
)
single: st.SearchStrategy[Event] = st.sampled_from(
    [
        SpeechChanged("started", 0, 0),
        ProviderTrouble(Pass.FIRST, "p", "failed", "why"),
        Problem(ProtocolError("No."), fatal=False),
        SessionEnded(0, 0, 0, 0),
    ]
)
running: st.SearchStrategy[Event] = st.builds(Acknowledged, st.integers(0, 99)) | st.builds(
    lambda ms: CostChanged(ms, CostSummary()), st.integers(0, 99)
)
events = st.lists(revisions | running | single, max_size=60)


def supersedes(new: Event, old: Event) -> bool:
    """Whether nobody needs the old one any more."""
    if isinstance(new, Revision) and isinstance(old, Revision):
        return new.utterance == old.utterance
    return type(new) is type(old) and isinstance(new, Acknowledged | CostChanged)


def filled(said: list[Event]) -> tuple[Outbox, list[tuple[int, Event]]]:
    """An outbox, and all that was ever put into it with its number."""
    outbox = Outbox()
    return outbox, [(outbox.put(event), event) for event in said]


@given(events, st.integers(-1, 70))
def test_reader_gets_exactly_what_is_not_superseded(said: list[Event], seen: int) -> None:
    """After any number: the later events in their order, without those that a later one replaces."""
    outbox, numbered = filled(said)
    expected = [
        (number, event)
        for place, (number, event) in enumerate(numbered)
        if number > seen and not any(supersedes(later, event) for later in said[place + 1 :])
    ]
    assert expected == outbox.since(seen)


@given(events, st.data())
def test_reader_that_keeps_up_and_one_that_does_not_end_alike(said: list[Event], data: st.DataObject) -> None:
    """However often somebody reads, the latest revision of every utterance arrives, and numbers only grow."""
    outbox, seen, read = Outbox(), 0, []
    for event in said:
        outbox.put(event)
        if data.draw(st.booleans()):
            read += outbox.since(seen)
            seen = read[-1][0] if read else 0
    read += outbox.since(seen)
    numbers = [number for number, _ in read]
    assert sorted(set(numbers)) == numbers
    latest = {event.utterance: event for event in said if isinstance(event, Revision)}
    assert latest == {event.utterance: event for _, event in read if isinstance(event, Revision)}


@given(st.lists(revisions | running, max_size=200))
def test_slow_reader_costs_no_memory(said: list[Event]) -> None:
    """However much is said: one revision an utterance, one acknowledgement, one cost."""
    outbox, _ = filled(said)
    assert len({event.utterance for event in said if isinstance(event, Revision)}) + 2 >= len(outbox.since(0))


@given(st.lists(st.booleans(), max_size=20))
def test_numbers_grow_by_one(kept: list[bool]) -> None:
    """Every message has the next number, whether it is kept or only passes through."""
    outbox = Outbox()
    numbers = [outbox.put(Acknowledged(1)) if keep else outbox.reserve() for keep in kept]
    assert list(range(1, len(kept) + 1)) == numbers


async def test_reader_is_woken() -> None:
    """Who waits beyond a number is woken by the next event, and not by a number that nobody keeps."""
    outbox = Outbox()
    outbox.put(Acknowledged(1))
    await outbox.wait_beyond(0)
    waiting = asyncio.create_task(outbox.wait_beyond(1))
    await asyncio.sleep(0)
    outbox.reserve()
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.put(Acknowledged(2))
    await waiting
    assert [(3, Acknowledged(2))] == outbox.since(1)
