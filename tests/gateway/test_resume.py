"""Sockets that break and servers that die: the session goes on, and its transcript is that of an unbroken one."""

from __future__ import annotations

import asyncio
import random
import re
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conftest import CONFIG, PATIENCE, Server, running_server
from tests.gateway.resume_driver import TALK, WEBM, Caller, acknowledged, as_if_unbroken, finals, indexed, raw, words
from tests.gateway.stream_driver import END, Heard, in_order, opened, start, transcribed
from tests.speech import load
from websockets.exceptions import ConnectionClosed

from twopass.gateway.messages import Ack, Ended, Expiring, Gap, Segment, SessionStarted, parse_server

SHORT = load("short_slt")
INDEXED = {"framing": "indexed"}


@dataclass
class House:
    """A server that can be killed and started again on the same port and spool."""

    stack: ExitStack
    directory: Path
    config: Path
    environment: dict[str, str]
    port: int
    starts: int = 0
    server: Server | None = None

    @property
    def spool(self) -> Path:
        """Where its sessions are kept."""
        return self.directory / "spool"

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self.server is not None
        return self.server.url

    def start(self) -> str:
        """Start it, after it has gone."""
        self.starts += 1
        place = self.directory / str(self.starts)
        place.mkdir()
        self.server = self.stack.enter_context(running_server(place, self.config, self.environment, port=self.port))
        return self.server.url

    def end(self, number: signal.Signals) -> None:
        """Send it a signal and wait for its end."""
        assert self.server is not None
        self.server.process.send_signal(number)
        self.server.process.wait(60)

    def log(self) -> str:
        """What all its lives have logged."""
        return "".join((self.directory / str(n) / "log").read_text() for n in range(1, self.starts + 1))


def _house(directory: Path, environment: dict[str, str], stack: ExitStack, sessions: str, spool: str = "") -> House:
    config = re.sub(r"  live:.*?(?=prices)", "", CONFIG, flags=re.DOTALL)
    config = re.sub(r"(?m)^sessions: .*\n", f"sessions: {{{sessions}}}\n", config)
    path = directory / "config.yaml"
    path.write_text(f"{config}spool: {{directory: {directory / 'spool'}{spool}}}\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return House(stack, directory, path, environment, port)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[House]:
    """A server with a spool and patience."""
    with ExitStack() as stack:
        made = _house(tmp_path_factory.mktemp("house"), environment, stack, "resume_seconds: 240, quiet_seconds: 240")
        made.start()
        yield made
        assert "Traceback" not in made.log()


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[House]:
    """A server without patience, and with a spool for half a minute."""
    with ExitStack() as stack:
        sessions = "resume_seconds: 5, quiet_seconds: 0.5, longest_minutes: 0.5, warning_seconds: 20"
        made = _house(tmp_path_factory.mktemp("hurried"), environment, stack, sessions, ", session_mb: 1")
        made.start()
        yield made
        assert "Traceback" not in made.log()


@pytest.fixture(scope="module")
def unbroken(house: House) -> list[Segment]:
    """What the server makes of the talk when nothing happens."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(transcribed(house.url, [TALK.pcm]))).result().finals()


def forgotten(house: House, session: str) -> None:
    """Nothing of a finished session stays on the disk."""
    give_up = time.monotonic() + PATIENCE / 2
    while (house.spool / session).exists():
        assert time.monotonic() < give_up
        time.sleep(0.05)


@pytest.mark.parametrize("seed", range(3))
async def test_socket_that_breaks_is_not_seen_in_the_transcript(
    house: House, unbroken: list[Segment], seed: int
) -> None:
    """Cut at random places, also after `end`: same words, every event once."""
    chance = random.Random(seed)
    caller = Caller(house.url)
    enough = [acknowledged(chance.randrange(len(TALK.pcm) // 2)) for _ in range(3)]
    await caller.begin([TALK.pcm[:100_000]], until=acknowledged(chance.randrange(40_000)))
    for until in enough:
        await caller.go_on(raw(TALK.pcm), until=until)
    await caller.go_on(raw(TALK.pcm), until=finals(len(unbroken) - 1))
    await caller.go_on(lambda resumed: [END])
    as_if_unbroken(caller, unbroken)
    await asyncio.to_thread(forgotten, house, caller.session)


async def test_indexed_audio_goes_on_at_the_next_sample(house: House, unbroken: list[Segment]) -> None:
    """With indexes the client may send more than is missing; nothing is heard twice."""
    caller = Caller(house.url)
    frames = indexed(TALK.pcm)
    await caller.begin(frames[:50], audio=INDEXED, until=acknowledged(100_000))
    await caller.go_on(lambda resumed: [*indexed(TALK.pcm, max(0, resumed.next_sample - 40_000)), END])
    as_if_unbroken(caller, unbroken)
    assert caller.resumed[0].next_sample >= 100_000


async def test_frames_in_the_wrong_order(house: House, unbroken: list[Segment]) -> None:
    """Chunks that come late, or twice, are put where they belong."""
    chance = random.Random(7)
    frames = [frame for frame in indexed(TALK.pcm, samples=800) for _ in range(chance.choice((1, 1, 2)))]
    mixed = [f for at in range(0, len(frames), 4) for f in chance.sample(frames[at : at + 4], len(frames[at : at + 4]))]
    caller = Caller(house.url)
    await caller.begin([*mixed, END], audio=INDEXED)
    as_if_unbroken(caller, unbroken)
    assert [] == caller.heard.of(Gap)


async def test_audio_that_never_came_is_marked(house: House) -> None:
    """A hole is silence on the tape, and the client is told where."""
    frames = indexed(TALK.pcm, samples=1_600)
    caller = Caller(house.url)
    await caller.begin([*frames[:100], *frames[110:140], END], audio=INDEXED)
    in_order(caller.heard)
    assert [(10_000, 11_000)] == [(gap.from_, gap.to) for gap in caller.heard.of(Gap)]
    assert 14_000 == caller.heard.ended.audio_ms


async def test_second_socket_takes_over(house: House, unbroken: list[Segment]) -> None:
    """The old socket is closed with a code of its own, the new one goes on."""
    old = Caller(house.url)
    new = Caller(house.url)
    connected = asyncio.Event()

    def going(heard: Heard) -> bool:
        if heard.of(Ack):
            connected.set()
        return False

    running = asyncio.create_task(old.begin([TALK.pcm[:64_000]], until=going))
    await connected.wait()
    new.session, new.token = old.session, old.token
    new.heard.messages += old.heard.messages[:1]
    await new.go_on(raw(TALK.pcm))
    await running
    assert (4409, "taken_over") == (old.heard.code, old.heard.codes[-1])
    assert words(unbroken) == words(new.heard.finals())


@pytest.mark.parametrize("wrong", ["session", "token"])
async def test_nobody_elses_session(house: House, wrong: str) -> None:
    """Without its name and its token no session is handed out, and the refusal says so."""
    caller = Caller(house.url)
    await caller.begin([SHORT.pcm], until=acknowledged(8_000))
    mine = caller.resume
    setattr(caller, wrong, "x" * 16)
    async with opened(house.url) as stranger:
        await stranger.send(caller.resume)
        heard = Heard()
        try:
            async for message in stranger:
                heard.take(message)
        except ConnectionClosed:
            pass
        assert (4404, ["unknown_session"]) == (stranger.close_code, heard.codes)
    async with opened(house.url) as owner:
        await owner.send(mine)
        await owner.send(END)
        assert '"resumed"' in str(await owner.recv())
        await owner.close()


async def test_leaving_on_purpose_ends_the_session(house: House) -> None:
    """A client that closes the socket itself wants no more: the session is gone, and its files."""
    async with opened(house.url) as leaving:
        await leaving.send(start())
        started = parse_server(await leaving.recv())
        assert isinstance(started, SessionStarted)
        await leaving.send(SHORT.pcm)
        await leaving.recv()
        assert (house.spool / started.session).exists()
    await asyncio.to_thread(forgotten, house, started.session)


@pytest.mark.parametrize("fmt", ["raw", "webm"])
@pytest.mark.parametrize("seed", range(2))
async def test_killed_server(house: House, unbroken: list[Segment], seed: int, fmt: str) -> None:
    """kill -9 in mid-speech, twice: started again, the session goes on as if nothing had happened."""
    chance = random.Random(seed)
    sound = TALK.pcm if fmt == "raw" else WEBM
    expected = unbroken if fmt == "raw" else (await transcribed(house.url, [WEBM], audio={"encoding": "webm"})).finals()
    caller = Caller(house.url)
    total = len(TALK.pcm) // 2
    fields = {} if fmt == "raw" else {"audio": {"encoding": "webm"}}
    pieces = [sound[at : at + 4_000] for at in range(0, len(sound) * 2 // 3, 4_000)]
    await caller.begin(pieces, until=acknowledged(chance.randrange(total // 2)), **fields)
    for until in (acknowledged(chance.randrange(total * 3 // 4)), lambda heard: bool(heard.of(Ended))):
        durable = max((ack.bytes for ack in caller.heard.of(Ack) if ack.durable), default=0)
        await asyncio.to_thread(house.end, signal.SIGKILL)
        await asyncio.to_thread(house.start)
        await caller.go_on(raw(sound, 4_000), until=until)
        assert durable <= caller.resumed[-1].next_byte
    caller.heard.code = 1000
    as_if_unbroken(caller, expected)


async def test_server_that_stops_hands_over(house: House, unbroken: list[Segment]) -> None:
    """SIGTERM: the client is told to come back, new sessions are refused, and the next server goes on."""
    caller = Caller(house.url)
    speaking = asyncio.Event()

    def going(heard: Heard) -> bool:
        if heard.of(Segment):
            speaking.set()
        return False

    running = asyncio.create_task(caller.begin([TALK.pcm[:400_000]], until=going))
    await speaking.wait()
    await asyncio.to_thread(house.end, signal.SIGTERM)
    await running
    (stopping,) = caller.heard.errors
    assert ("server_stopping", True, 1012) == (stopping.code, stopping.retryable, caller.heard.code)
    caller.heard.messages.remove(stopping)
    await asyncio.to_thread(house.start)
    await caller.go_on(raw(TALK.pcm))
    as_if_unbroken(caller, unbroken)


async def test_another_server_goes_on(house: House, unbroken: list[Segment], tmp_path: Path) -> None:
    """Two servers share a spool: what one leaves behind the other takes over. A damaged session stops nobody."""
    (house.spool / "damaged" / "journal").mkdir(parents=True)
    (house.spool / "damaged" / "about.json").write_text("{}")
    (house.spool / "strange").mkdir()
    (house.spool / "strange" / "about.json").write_text('{"format": 1}')
    with running_server(tmp_path, house.config, house.environment) as other:
        caller = Caller(house.url)
        await caller.begin([TALK.pcm[:400_000]], until=acknowledged(120_000))
        await asyncio.to_thread(house.end, signal.SIGTERM)
        caller.url = other.url
        await caller.go_on(raw(TALK.pcm))
        as_if_unbroken(caller, unbroken)
        await asyncio.to_thread(forgotten, house, caller.session)
    await asyncio.to_thread(house.start)
    shutil.rmtree(house.spool / "damaged")
    shutil.rmtree(house.spool / "strange")


async def test_client_that_forgot_what_it_had_seen(house: House, unbroken: list[Segment]) -> None:
    """Who said `seen` and asks for it again does not get it again, and nobody else is disturbed."""
    caller = Caller(house.url)
    await caller.begin([TALK.pcm[:200_000]], until=acknowledged(90_000))
    await caller.go_on(lambda resumed: [], until=lambda heard: len(heard.messages) > 3)
    seen = caller.heard.messages[1:]
    del caller.heard.messages[1:]
    await caller.go_on(raw(TALK.pcm))
    got = {message.event for message in caller.heard.messages[1:]}
    again = [message for message in seen if message.event not in got]
    caller.heard.messages[1:1] = again
    as_if_unbroken(caller, unbroken)


async def test_resume_when_nothing_is_left_to_say(house: House) -> None:
    """The line broke between the last message and the close: the next socket is closed with the code that was due."""
    heard, caller = Heard(), Caller(house.url)
    async with opened(house.url) as first:
        await first.send(start())
        started = parse_server(await first.recv())
        assert isinstance(started, SessionStarted)
        await first.send(SHORT.pcm)
        await first.send(END)
        while not heard.of(Ended):
            heard.take(await first.recv())
        first.transport.abort()
    caller.session, caller.token, caller.heard = started.session, started.token, heard
    await caller.go_on(lambda resumed: [])
    assert 1000 == caller.heard.code


async def test_session_waits_only_so_long(hurried: House) -> None:
    """Who does not come back in time finds no session, and nothing stays on the disk."""
    caller = Caller(hurried.url)
    await caller.begin([SHORT.pcm], until=acknowledged(8_000))
    await asyncio.to_thread(forgotten, hurried, caller.session)
    async with opened(hurried.url) as late:
        await late.send(caller.resume)
        assert "unknown_session" in str(await late.recv())


async def test_client_that_falls_silent_is_told(hurried: House) -> None:
    """No audio for a while: an error that is not fatal, once; then the session goes on."""
    caller = Caller(hurried.url)
    await caller.begin([SHORT.pcm[:32_000]], until=lambda heard: "no_audio" in heard.codes)
    assert ["no_audio"] == caller.heard.codes
    assert not caller.heard.errors[0].fatal
    await caller.go_on(raw(SHORT.pcm))
    in_order(caller.heard)
    assert words(caller.heard.finals())


async def test_longest_session(hurried: House) -> None:
    """The end of a session that becomes too long is announced, and comes with all finals."""
    caller = Caller(hurried.url)
    long = load("meeting_120s").pcm[: 45 * 32_000]
    await caller.begin([long[: 15 * 32_000]], until=lambda heard: bool(heard.of(Expiring)))
    await caller.go_on(raw(long))
    in_order(caller.heard)
    assert caller.heard.of(Expiring)
    assert "session_too_long" in caller.heard.codes
    assert 30_000 <= caller.heard.ended.audio_ms


async def test_full_spool_is_told_and_harms_nothing(hurried: House) -> None:
    """A session that can be kept no longer says so once, and ends well."""
    caller = Caller(hurried.url)
    loud = {"encoding": "pcm_f32le", "sample_rate": 48_000}
    tone = bytes(4 * 48_000)
    await caller.begin([*([tone] * 8), END], audio=loud)
    in_order(caller.heard)
    assert ["not_durable"] == caller.heard.codes
    acks = caller.heard.of(Ack)
    assert acks[0].durable
    assert not acks[-1].durable
