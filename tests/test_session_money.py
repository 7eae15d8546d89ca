"""What sessions write down of what they used, and what they do when a budget is spent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import cast

import pytest
from tests.scripted import numbered, scripted_parts, spoken
from tests.test_failover import Vendor
from tests.test_recovery import CHUNK, Disk, lived, script, second_pass

from twopass.cost.usage.budgets import Budget, BudgetState, Period, Policy
from twopass.cost.usage.entries import Account, Entry
from twopass.lane import SessionParts
from twopass.lineup import alone
from twopass.outbox import BudgetTold, Problem, ProviderTrouble, SessionEnded
from twopass.session import Session
from twopass.types import SAMPLE_RATE, Clock, Pass, Reason, Revision, Status

WHO = Account("news", "k1")


@dataclass
class Book:
    """Where entries go; two with the same id must be the same."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def take(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            assert self.entries.setdefault(entry.id, entry) == entry

    def seconds(self, clock: Clock, *reasons: Reason) -> float:
        """How much of a clock, for these reasons or for any."""
        wanted = (e for e in self.entries.values() if e.clock is clock and (not reasons or e.reason in reasons))
        return sum(entry.micros for entry in wanted if entry.provider != "scripted") / 1_000_000


@dataclass
class Purse:
    """Budgets whose spending the test decides."""

    budget: Budget
    spent: Decimal = Decimal(0)

    def check(self, account: Account) -> None: ...

    def states(self, account: Account) -> Sequence[BudgetState]:
        return (BudgetState(self.budget, self.spent),) if self.budget.covers(account) else ()


async def session_of(
    parts: SessionParts, pcm: bytes, meanwhile: Callable[[int, Session], None] = lambda at, session: None
) -> Session:
    """A session that hears this at full speed; `meanwhile` is called with the ms of each piece."""
    session = Session("s", parts)
    running = asyncio.create_task(session.run())
    for at in range(0, len(pcm), CHUNK):
        if session.ended:
            break
        meanwhile(at // 32, session)
        session.write((pcm[at : at + CHUNK],))
        await session.room()
        await asyncio.sleep(0.002)
    session.end()
    async with asyncio.timeout(60):
        await running
    return session


def final_words(session: Session) -> list[str]:
    """All of them, in order."""
    finals = [e for _, e in session.outbox.since(0) if isinstance(e, Revision) and e.status is Status.FINAL]
    return [word.text for revision in sorted(finals, key=lambda r: r.start) for word in revision.words]


async def test_the_book_has_what_both_passes_used_and_what_for() -> None:
    """Audio sent to the vendor, work of the second pass, audio received and speech finalized: all on one account."""
    words = numbered(40)
    book, vendor = Book(), Vendor(endpoints=True)
    async with second_pass() as passing:
        parts = replace(scripted_parts(passing), first_pass=alone(vendor), account=WHO, sink=book)
        session = await session_of(parts, spoken(words, 12_000))
    assert [word.text for word in words] == final_words(session)
    assert {WHO} == {entry.account for entry in book.entries.values()}
    assert 12.0 == pytest.approx(book.seconds(Clock.RECEIVED))
    finals = [e for _, e in session.outbox.since(0) if isinstance(e, Revision)]
    assert sum(final.end - final.start for final in finals) / 1000 == pytest.approx(book.seconds(Clock.FINALIZED))
    assert sum(vendor.heard_ms) / 1000 == pytest.approx(book.seconds(Clock.AUDIO_SENT, Reason.WORK))
    assert {Pass.SECOND} <= {entry.pass_ for entry in book.entries.values() if entry.clock is Clock.CPU_BUSY}


async def test_audio_heard_again_is_told_apart_and_each_stream_is_a_request() -> None:
    """A vendor with a wall: the new audio adds up to the session, the rest is replay, and streams are kept apart."""
    words = numbered(40, gap=0)
    book, vendor = Book(), Vendor(endpoints=True, wall_ms=4_000, final_every_ms=60_000)
    async with second_pass() as passing:
        parts = replace(scripted_parts(passing), first_pass=alone(vendor), sink=book)
        await session_of(parts, spoken(words, 12_000))
    sent = [entry for entry in book.entries.values() if entry.clock is Clock.AUDIO_SENT and entry.sku == "stream"]
    assert 12.0 == pytest.approx(book.seconds(Clock.AUDIO_SENT, Reason.WORK), abs=1e-3)
    assert sum(vendor.heard_ms) / 1000 == pytest.approx(book.seconds(Clock.AUDIO_SENT), abs=1e-3)
    assert book.seconds(Clock.AUDIO_SENT, Reason.REPLAY) > 0
    assert vendor.streams == len({entry.request for entry in sent})


@pytest.mark.parametrize("seed", range(6))
async def test_killed_processes_write_no_entry_twice_and_lose_none_that_was_flushed(seed: int) -> None:
    """A session is killed and goes on: the same entries get the same ids, new ones others, and the time adds up."""
    chance, book, disk, received = random.Random(seed), Book(), Disk(), 0
    _, pcm = script(seed)
    for stop in [*sorted(chance.randrange(0, len(pcm), 2) for _ in range(3)), None]:
        disk = Disk(disk.lines)
        async with second_pass() as passing:
            session = Session("s", replace(scripted_parts(passing, endpoints=True), sink=book))
            session.replay(disk.records())
            session.recover()
            session.reload((pcm[:received],))
            session.reloaded()
            session.keep_in(disk)
            session.flush()
            running = asyncio.create_task(session.run())
            await lived(session, pcm, received, stop, chance)
            if stop is None:
                session.end()
                await running
            else:
                received = max(received, stop)
                disk.gone = True
                session.flush = lambda: None  # type: ignore[method-assign] # a dead process writes nothing
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
    assert len(pcm) / 2 / SAMPLE_RATE == pytest.approx(book.seconds(Clock.RECEIVED), abs=1e-3)
    numbers = sorted(int(identity.split("/")[1]) for identity in book.entries)
    assert list(range(1, len(numbers) + 1)) == numbers


async def test_a_suspended_session_still_writes_what_its_streams_used() -> None:
    """The server stops: the streams' last seconds are in the journal, so the next process goes on counting after."""
    disk, book, vendor = Disk(), Book(), Vendor(endpoints=True)
    async with second_pass() as passing:
        parts = replace(scripted_parts(passing), first_pass=alone(vendor), sink=book)
        session = Session("s", parts, disk)
        running = asyncio.create_task(session.run())
        await lived(session, spoken(numbered(20), 6_000), 0, 3_000 * 32, random.Random(0))
        session.suspend()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        again = Session("s", replace(parts, sink=Book()), disk)
        again.replay(disk.records())
    assert sum(vendor.heard_ms) / 1000 == pytest.approx(book.seconds(Clock.AUDIO_SENT), abs=0.11)
    kept = [record for record in disk.records() if type(record).__name__ == "Metered"]
    assert len(book.entries) == len(kept)


# -- budgets --------------------------------------------------------------------------------------------------------


def told(session: Session, kind: type) -> list[object]:
    """Events of a kind."""
    return [event for _, event in session.outbox.since(0) if isinstance(event, kind)]


def budget(policy: Policy) -> Purse:
    """One for everybody, not spent yet."""
    return Purse(Budget(Period.DAY, Decimal(10), policy))


async def test_a_client_is_told_when_a_budget_is_near_and_when_it_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, and with the policy `warn` nothing else changes."""
    monkeypatch.setattr("twopass.session._COST_EVERY_SECONDS", 0.005)
    purse, words = budget(Policy.WARN), numbered(40)

    def spend(ms: int, session: Session) -> None:
        purse.spent = Decimal(ms) / 1000

    async with second_pass() as passing:
        parts = replace(scripted_parts(passing), first_pass=alone(Vendor()), budgets=purse)
        session = await session_of(parts, spoken(words, 12_000), spend)
    assert [8, 10] == [int(cast("BudgetTold", event).state.spent) for event in told(session, BudgetTold)]
    assert [word.text for word in words] == final_words(session)


async def test_a_cheaper_recognizer_goes_on_when_the_budget_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    """In mid-speech: no word is lost or doubled, the dear one hears nothing more, and nobody goes back to it."""
    monkeypatch.setattr("twopass.session._COST_EVERY_SECONDS", 0.005)
    purse, words, dear = budget(Policy.CHEAPER), numbered(40), Vendor(final_every_ms=60_000)
    lines = (*alone(dear), *alone(Vendor(name="other")))

    def spend(ms: int, session: Session) -> None:
        purse.spent = Decimal(11 if ms > 5_000 else 0)

    async with second_pass() as passing:
        parts = replace(scripted_parts(passing), first_pass=lines, dear=frozenset({0}), budgets=purse)
        session = await session_of(parts, spoken(words, 12_000), spend)
    assert [word.text for word in words] == final_words(session)
    troubles = [cast("ProviderTrouble", event) for event in told(session, ProviderTrouble)]
    changes = [trouble for trouble in troubles if trouble.pass_ is Pass.FIRST]
    assert [("switched", "other")] == [(change.state, change.to) for change in changes]
    assert "budget" in changes[0].reason
    assert 1 == dear.streams
    assert sum(dear.heard_ms) < 12_000


async def test_a_session_ends_with_its_finals_when_no_more_may_be_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the policy `refuse` the client hears why, and everything that was said until then is final."""
    monkeypatch.setattr("twopass.session._COST_EVERY_SECONDS", 0.005)
    purse, words = budget(Policy.REFUSE), numbered(40)

    def spend(ms: int, session: Session) -> None:
        purse.spent = Decimal(11 if ms > 5_000 else 0)

    async with second_pass() as passing:
        session = await session_of(replace(scripted_parts(passing), budgets=purse), spoken(words, 12_000), spend)
    (problem,) = told(session, Problem)
    assert "budget_spent" == cast("Problem", problem).error.code
    (end,) = told(session, SessionEnded)
    heard = [word.text for word in words if word.end <= cast("SessionEnded", end).audio_ms]
    assert heard == final_words(session)[: len(heard)]
    assert 5_000 <= cast("SessionEnded", end).audio_ms < 12_000
