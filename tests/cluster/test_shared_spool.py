"""Sessions in a real Redis: what was settled is there for any other server, and nobody else's is written to."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from tests.cluster.servers import Server, redis_server
from tests.waiting import until

from twopass.cluster import shared_spool as module
from twopass.cluster.shared_session import Change, Loaded, SharedSession
from twopass.cluster.shared_spool import SharedSpool, shared_spool
from twopass.cluster.state_scripts import SESSIONS, TAKE, WRITE, Answer, alive, keys
from twopass.errors import ConfigError, StateUnavailable
from twopass.journal import EndAsked, Numbered, Record
from twopass.keeping import About, Place
from twopass.spool import SpoolSettings

ABOUT = {"token": "right"}
PATIENCE = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A Redis that writes all to the disk."""
    with redis_server() as running:
        yield running


@pytest.fixture
def direct(server: Server) -> Iterator[redis.Redis]:
    """A connection to it, emptied."""
    with redis.Redis.from_url(server.url) as connection:
        connection.flushall()
        yield connection


@asynccontextmanager
async def gateway(server: Server, **settings: Any) -> AsyncIterator[SharedSpool]:
    """A server's spool."""
    spool = shared_spool(SpoolSettings(url=server.url, **settings))
    await spool.open()
    try:
        yield spool
    finally:
        await spool.shut()


async def killed(spool: SharedSpool) -> None:
    """Nothing comes from it any more, as after a kill -9."""
    for task in spool._tasks:
        task.cancel()
    await asyncio.gather(*spool._tasks, return_exceptions=True)
    await spool._redis.connection_pool.disconnect()


def right(about: About) -> bool:
    """Whether it is the session that is meant."""
    return bool(about["token"] == "right")


async def written(spool: SharedSpool, name: str = "s") -> SharedSession:
    """A session with some audio and a record, safe."""
    session = spool.create(name, ABOUT)
    session.receive(b"audio")
    session.receive(b"")
    session.write(EndAsked())
    assert session.flush()
    assert await session.settled()
    return session


async def taken(spool: SharedSpool, name: str = "s") -> SharedSession:
    """The session, which must be to be had."""
    session = await spool.take(name, right)
    assert session is not None
    return session


async def test_a_living_server_lets_a_session_go_when_another_wants_it(server: Server, direct: redis.Redis) -> None:
    """It is asked, and what it writes down until it lets go comes along; who lacks the token moves nothing."""
    async with gateway(server) as first, gateway(server) as second:
        session = await written(first)

        def let_go(name: str) -> None:
            assert name == "s"
            session.write(Numbered())
            session.close()

        first.wanted = let_go
        assert await second.take("s", lambda about: False) is None
        assert await second.take("nobody's", right) is None
        other = await taken(second)
        assert ABOUT == other.about
        assert ([EndAsked(), Numbered()], [b"audio", b""]) == (list(other.records()), list(other.frames()))
        other.complete()
        await until(lambda: not direct.keys("twopass:{*"))
        assert 0 == direct.scard(SESSIONS)


async def test_a_dead_server_is_not_waited_for(server: Server, direct: redis.Redis) -> None:
    """Who does not listen any more is not asked; if it was only cut off, what it writes afterwards is refused."""
    async with gateway(server) as first, gateway(server) as second:
        session, lost = await written(first), list[str]()
        first.wanted = lost.append
        first._tasks[2].cancel()  # it cannot hear who wants what
        await until(lambda: not direct.pubsub_numsub(f"twopass:wanted:{first.owner}")[0][1])
        other = await taken(second)
        session.write(Numbered())
        used: list[str] = []
        session.flush(lambda: used.append("numbers that are the other's now"))
        assert not await session.settled()
        assert ([], ["s"], False) == (used, lost, session.flush(lambda: used.append("these, too")))
        assert [] == used
        assert [EndAsked()] == list(other.records())
        session.complete()
        other.write(Numbered())
        other.close()
        async with gateway(server) as third:
            assert [EndAsked(), Numbered()] == list((await taken(third)).records())


async def test_what_a_dead_server_had_is_found_by_the_others(
    server: Server, direct: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while without a sign of life its sessions are anybody's, and one takes each; a living one's are not."""
    monkeypatch.setattr(module, "_MISSED_SECONDS", 0.2)
    async with gateway(server) as living, gateway(server) as other:
        await written(living, "living")
        dead = shared_spool(SpoolSettings(url=server.url))
        await dead.open()
        await written(dead, "dead")
        await killed(dead)
        direct.delete(alive(dead.owner))
        direct.sadd(SESSIONS, "long over")
        found: list[str] = []
        async with asyncio.timeout(PATIENCE):
            while not found:
                found += [each.session async for each in other.left_behind()]
        assert ["dead"] == found
        assert [] == [each.session async for each in living.left_behind()]
        assert {b"living", b"dead"} == direct.smembers(SESSIONS)


async def test_redis_that_is_killed_loses_nothing(server: Server, direct: redis.Redis) -> None:
    """While it is away nothing is promised; what was written meanwhile is there, once, when it is back."""
    async with gateway(server) as first:
        session, after = await written(first), list[str]()
        server.kill()
        session.write(Numbered())
        session.flush(lambda: after.append("safe"))
        assert not await session.settled()
        await until(lambda: first.away)
        session.receive(b"more")
        session.write(Numbered())
        assert not session.flush()
        with pytest.raises(StateUnavailable):
            await first.take("other", right)
        assert [] == [each async for each in first.left_behind()]
        assert [] == after
        server.start()
        server.listening()
        await until(lambda: not first.away and bool(after), seconds=PATIENCE)
        assert session.flush()
        assert await session.settled()
        session.close()
    async with gateway(server) as second:
        other = await taken(second)
        assert [EndAsked(), Numbered(), Numbered()] == list(other.records())
        assert [b"audio", b"", b"more"] == list(other.frames())


@pytest.mark.parametrize("gone", ["everything", "the journal"])
async def test_redis_that_has_lost_a_session(server: Server, direct: redis.Redis, gone: str) -> None:
    """It goes on without being kept: it says so, and what was used is brought to the ledger all the same."""
    async with gateway(server) as first:
        session, after = await written(first), list[str]()
        if gone == "everything":
            direct.flushall()
        else:
            direct.delete(keys("s").journal)
        session.write(Numbered())
        session.flush(lambda: after.append("will never be"))
        assert not await session.settled()
        assert (False, ["will never be"]) == (session.flush(), after)
        assert "what was kept of it is lost" == session.failure
        session.complete()


async def test_what_redis_refuses_for_ever_stops_only_one_session(server: Server, direct: redis.Redis) -> None:
    """A key of another kind in its place: this session is kept no longer, the others are."""
    direct.set(keys("broken").about, "no hash")
    async with gateway(server) as first:
        broken = first.create("broken", ABOUT)
        broken.write(EndAsked())
        broken.flush()
        await written(first)
        await until(lambda: broken.failure is not None)


@pytest.mark.parametrize("limit", ["session_mb", "total_mb"])
async def test_limits_are_kept(server: Server, direct: redis.Redis, limit: str) -> None:
    """What would exceed a limit is not kept; audio that nobody needs any more does not count."""
    async with gateway(server, **{limit: 1}) as first:
        session = first.create("s", ABOUT)
        for end in (500_000, 1_000_000, 1_500_000):
            session.receive(bytes(1_000_000), Place(end, end, 2 * end))
            session.release(end)
            assert session.flush()
        session.receive(bytes(600_000))
        session.receive(bytes(600_000))
        assert not session.flush()
        assert (0, "its limit is reached") == (first._used, session.failure)
        await until(lambda: not direct.keys("twopass:{*"))


async def test_a_server_that_ends_while_redis_is_away(server: Server, direct: redis.Redis) -> None:
    """It does not wait for ever; what was used is told before it ends."""
    spool = shared_spool(SpoolSettings(url=server.url))
    await spool.open()
    session, after = await written(spool), list[str]()
    server.kill()
    try:
        session.write(Numbered())
        session.flush(lambda: after.append("told"))
        session.close()
        async with asyncio.timeout(PATIENCE):
            await spool.shut()
    finally:
        server.start()
        server.listening()
    assert ["told"] == after


async def test_a_server_that_ends_while_redis_hangs(server: Server, direct: redis.Redis) -> None:
    """What was used is told, though the answer to what was sent never comes."""
    spool = shared_spool(SpoolSettings(url=server.url))
    await spool.open()
    session, after = await written(spool), list[str]()
    process = server.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        session.write(Numbered())
        session.flush(lambda: after.append("told"))
        async with asyncio.timeout(PATIENCE):
            await spool.shut()
    finally:
        process.send_signal(signal.SIGCONT)
    assert ["told"] == after


async def test_much_is_sent_in_portions(server: Server, direct: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into one portion follows: all sessions become safe, each with all of its own."""
    monkeypatch.setattr(module, "_PORTION", 2_000)
    async with gateway(server) as first:
        sessions = [first.create(f"s{number}", ABOUT) for number in range(20)]
        for number, session in enumerate(sessions):
            session.receive(bytes([number]) * 700)
            assert session.flush()
        for session in sessions:
            await until(lambda: session._safe == session._flushed, seconds=PATIENCE)  # noqa: B023
        for number in range(20):
            assert [bytes([number]) * 700] == direct.lrange(keys(f"s{number}").frames, 0, -1)


async def test_what_nobody_can_read_is_forgotten_in_time(server: Server, direct: redis.Redis) -> None:
    """Taking a session and letting it go again does not make it live longer."""
    async with gateway(server) as first:
        (await written(first)).close()
        await until(lambda: direct.hget(keys("s").about, "owner") == b"")
        direct.pexpire(keys("s").about, 100_000)
        for _ in range(2):
            (other,) = [each async for each in first.left_behind()]
            other.close()
            await until(lambda: direct.hget(keys("s").about, "owner") == b"")
        assert 0 < direct.pttl(keys("s").about) <= 100_000
        assert [] == [each async for each in first.left_behind(lambda name: name != "s")]


def test_an_address_that_is_none() -> None:
    """It is refused when the server starts, with the way to write it."""
    with pytest.raises(ConfigError, match="redis://host:port/db"):
        shared_spool(SpoolSettings(url="redis://host:port"))


# -- any course of events ---------------------------------------------------------------------------------------------


@dataclass
class Books:
    """A session, and what must be there of it."""

    connection: redis.Redis
    patience: float = 1.0
    away: bool = False
    records: list[Record] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    dropped: int = 0

    def __post_init__(self) -> None:
        self.connection.flushall()
        self.session = SharedSession(self, "s", ABOUT)

    def write(self, session: SharedSession) -> None:
        """Nobody but the test writes."""

    def grown(self, by: int, size: int) -> bool:
        """There is room."""
        return True

    def do(self, step: str) -> None:
        """One thing that can happen."""
        match step:
            case "record":
                self.records.append(Numbered() if len(self.records) % 3 else EndAsked())
                self.session.write(self.records[-1])
            case "frame" | "piece":
                self.frames.append(b"%d" % len(self.frames))
                end = len(self.frames)
                self.session.receive(self.frames[-1], Place(end, end, end) if step == "frame" else None)
                self._places = [*self._places, end] if step == "frame" else self._places
            case "release":
                self.session.release(len(self.frames) - 2)
                self.dropped = max((p for p in self._places if p <= len(self.frames) - 2), default=0)
            case "sent":
                self.session.flush()
                change = self.session.change()
                self.session.answered(change, self.put(change))
            case "answer lost":
                self.session.flush()
                self.put(self.session.change())
            case "answer late":
                self.session.flush()
                change = self.session.change()
                answer = self.put(change)
                for meanwhile in ("record", "frame", "frame", "frame", "release"):
                    self.do(meanwhile)
                self.session.answered(change, answer)

    _places: list[int] = field(default_factory=list)

    def put(self, change: Change) -> Answer:
        """Let the real Redis run the real script."""
        reply: Any = self.connection.eval(WRITE, 3, *keys("s"), *change.arguments("me"))
        return Answer(reply.decode())


STEPS = ["record", "frame", "frame", "piece", "release", "sent", "answer lost", "answer late"]


@given(steps=st.lists(st.sampled_from(STEPS), max_size=40))
def test_any_course_of_events(server: Server, steps: list[str]) -> None:
    """Answers that get lost or come late, audio released before or after it was sent: all is there once, in order."""
    with redis.Redis.from_url(server.url) as connection:
        books = Books(connection)
        for step in [*steps, "sent"]:
            books.do(step)
        names = keys("s")
        left = SharedSession(books, "s", ABOUT, loaded(connection, names))
        assert books.records == list(left.records())
        assert books.frames[books.dropped :] == list(left.frames())
        assert books.dropped == (left.begins.sample if left.begins else 0)


def loaded(connection: redis.Redis, names: Any) -> Loaded:
    """What another server would read."""
    reply: Any = connection.eval(TAKE, 3, *names, "other", "me")
    return Loaded.of(*reply[2:])
