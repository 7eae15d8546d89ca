"""A session whose process ends at any moment goes on in the next one as if nothing had happened."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from tests.scripted import ScriptedUtterances, scripted_parts, spoken
from tests.waiting import until

from twopass import journal
from twopass.errors import RecognizerError, RecognizerRejected
from twopass.journal import Record, nothing
from twopass.outbox import Event, SessionEnded
from twopass.second_pass import SecondPass, SecondPassSettings
from twopass.segmenter import FRAME_SAMPLES
from twopass.session import Session
from twopass.types import BYTES_PER_SAMPLE, Revision, Status, Word

CHUNK = 1_600 * 2
Known = dict[int, Event]
"""Events by their numbers."""


@dataclass
class Disk:
    """
    A journal whose writes survive the end of the process only once they were flushed.

    Attributes:
        begins: Where the audio begins that is still kept, if `forgetful`.
    """

    lines: list[bytes] = field(default_factory=list)
    begins: int = 0
    forgetful: bool = False
    buffered: list[bytes] = field(default_factory=list)
    gone: bool = False
    _released: int = 0

    def write(self, record: Record) -> None:
        if not self.gone:
            self.buffered.append(journal.encode(record))

    def release(self, before: int) -> None:
        self._released = max(self.begins, before)

    def flush(self, then: Callable[[], None] = nothing) -> bool:
        if not self.gone:
            self.lines += self.buffered
            self.buffered = []
            self.begins = self._released if self.forgetful else 0
        then()
        return True

    def records(self) -> list[Record]:
        """What another process can read."""
        return [record for record, _ in journal.decode(b"".join(self.lines))]


def script(seed: int) -> tuple[tuple[Word, ...], bytes]:
    """Random speech: words with short gaps, now and then a pause that ends an utterance, and a long rant."""
    chance = random.Random(seed)
    words: list[Word] = []
    now = 200
    for number in range(1, 60):
        length = chance.choice((120, 180, 240))
        words.append(Word(str(number), now, now + length))
        now += length + (chance.choice((900, 1_400)) if chance.random() < 0.12 else chance.choice((30, 60, 90)))
    return tuple(words), spoken(words, now + 1_000)


def sometimes(call: int, ms: int) -> RecognizerError | None:
    """Refuse some utterances, always the same ones: their first-pass words become final."""
    return RecognizerRejected("Not this one.", provider="scripted") if ms % 64 >= 32 else None


@asynccontextmanager
async def second_pass() -> AsyncIterator[SecondPass]:
    """A second pass of scripted recognizers, running."""
    passing = SecondPass(ScriptedUtterances(fault=sometimes), SecondPassSettings())
    running = asyncio.create_task(passing.run())
    try:
        yield passing
    finally:
        running.cancel()


async def lived(session: Session, pcm: bytes, start: int, stop: int | None, steps: random.Random) -> None:
    """Send audio from one byte to another; with `stop`, the process ends there, else the session ends well."""
    for at in range(start, len(pcm) if stop is None else stop, CHUNK):
        end = at + CHUNK if stop is None else min(stop, at + CHUNK)
        session.write((pcm[at:end],))
        for _ in range(steps.randrange(12)):
            await asyncio.sleep(0)
        await session.room()


def collect(session: Session, known: Known) -> None:
    """What a client gets: flushed first, then everything that is new."""
    session.flush()
    for number, event in session.outbox.since(max(known, default=1)):
        assert number not in known
        known[number] = event


async def whole(pcm: bytes, *, endpoints: bool) -> Known:
    """The session that nothing happens to."""
    known: Known = {}
    async with second_pass() as passing:
        session = Session("s", scripted_parts(passing, endpoints=endpoints))
        running = asyncio.create_task(session.run())
        await lived(session, pcm, 0, None, random.Random(0))
        session.end()
        await running
        collect(session, known)
    return known


async def broken(pcm: bytes, seed: int, *, endpoints: bool, forgetful: bool = False) -> Known:
    """A session whose process is killed three times. The client sends again what was not received before."""
    chance = random.Random(seed)
    disk, known = Disk(forgetful=forgetful), Known()
    received = 0
    kills = sorted(chance.randrange(0, len(pcm), 2) for _ in range(3))
    for stop in [*kills, None]:
        disk = Disk(disk.lines, disk.begins, forgetful)
        async with second_pass() as passing:
            session = Session("s", scripted_parts(passing, endpoints=endpoints))
            session.replay(disk.records())
            session.recover()
            session.begin_at(disk.begins)
            # A resampler that begins anew holds back a little of what it was given: that comes with the next audio.
            held_back = chance.randrange(900) * BYTES_PER_SAMPLE if forgetful and disk.begins else 0
            reloaded = max(disk.begins * BYTES_PER_SAMPLE, received - held_back)
            for at in range(disk.begins * BYTES_PER_SAMPLE, reloaded, CHUNK):
                session.reload((pcm[at : min(reloaded, at + CHUNK)],))
            session.reloaded()
            session.keep_in(disk)
            collect(session, known)
            running = asyncio.create_task(session.run())
            feeding = asyncio.create_task(lived(session, pcm, reloaded, stop, chance))
            while not feeding.done():
                await asyncio.sleep(0)
                if chance.random() < 0.3:
                    collect(session, known)
            await feeding
            if stop is None:
                session.end()
                await running
                collect(session, known)
            else:
                received = max(received, stop)
                disk.gone = True
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
    assert forgetful == (disk.begins > 0)
    return known


def transcript(known: Known) -> list[tuple[int, str]]:
    """The final words with their times."""
    latest: dict[str, Revision] = {}
    for _, event in sorted(known.items()):
        if isinstance(event, Revision):
            before = latest.get(event.utterance)
            if before is not None:
                assert before.revision < event.revision
                assert before.status is not Status.FINAL
                assert before.status.rank <= event.status.rank
            latest[event.utterance] = event
    assert {Status.FINAL} == {revision.status for revision in latest.values()}
    return [(w.start, w.text) for r in sorted(latest.values(), key=lambda r: r.start) for w in r.words]


@pytest.mark.parametrize("forgetful", [False, True])
@pytest.mark.parametrize("endpoints", [False, True])
@pytest.mark.parametrize("seed", range(8))
async def test_killed_processes_change_nothing(seed: int, endpoints: bool, forgetful: bool) -> None:
    """
    Killed three times anywhere: same words at the same times, no number twice, revisions only go forward; also where
    audio is not kept that was said not to be needed.
    """
    words, pcm = script(seed)
    unharmed = transcript(await whole(pcm, endpoints=endpoints))
    assert [(word.start, word.text) for word in words] == unharmed
    async with asyncio.timeout(60):
        known = await broken(pcm, seed, endpoints=endpoints, forgetful=forgetful)
    assert unharmed == transcript(known)
    assert isinstance(known[max(known)], SessionEnded)
    assert {None, "failed: recognizer_rejected"} == {e.degraded for e in known.values() if isinstance(e, Revision)}


async def test_session_that_was_over_is_told_again() -> None:
    """A process that ends after the last final, before the client has heard it, tells all of it again."""
    _, pcm = script(1)
    disk, known, again = Disk(), Known(), Known()
    async with second_pass() as passing:
        session = Session("s", scripted_parts(passing), disk)
        running = asyncio.create_task(session.run())
        await lived(session, pcm, 0, None, random.Random(0))
        session.end()
        await running
        collect(session, known)
        restored = Session("s", scripted_parts(passing))
        restored.replay(disk.records())
        assert restored.complete
        collect(restored, again)
    assert transcript(known) == transcript(again)
    assert isinstance(again[max(again)], SessionEnded)


async def test_tape_that_is_a_little_short() -> None:
    """A resampler that begins anew ends a little earlier than what was heard before: the session ends well."""
    words, pcm = script(3)
    disk, known = Disk(), Known()
    async with second_pass() as passing:
        session = Session("s", scripted_parts(passing), disk)
        running = asyncio.create_task(session.run())
        await lived(session, pcm, 0, len(pcm), random.Random(0))
        whole_frames = len(pcm) // BYTES_PER_SAMPLE // FRAME_SAMPLES * FRAME_SAMPLES
        await until(lambda: session._lanes[0]._merge.heard == whole_frames)
        session.flush()
        disk.gone = True
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    async with second_pass() as passing:
        session = Session("s", scripted_parts(passing))
        session.replay(disk.records())
        session.recover()
        session.reload((pcm[:-1_200],))
        session.reloaded()
        session.end()
        async with asyncio.timeout(60):
            await session.run()
        collect(session, known)
    assert [(word.start, word.text) for word in words] == transcript(known)
