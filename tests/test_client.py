"""The Python client, against the real server, and against one that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import pytest
from tests.faults.proxy import Proxy, Weather
from tests.gateway.stream_driver import begun, chunks, encoded, folded
from tests.speech import load
from tests.standin import SEGMENT_BYTES, Cut, StandIn, error, patient_server
from tests.waiting import until
from websockets.asyncio.server import ServerConnection, serve

from twopass.audio import Encoding
from twopass.client import Client, ClientSession, Connection, ConnectionLost, ServerRefused, Transcript
from twopass.client_inbox import latest
from twopass.errors import ConfigError, SessionClosed
from twopass.gateway.messages import (
    Ack,
    AnyServerMessage,
    ClientAudio,
    Ended,
    ErrorMessage,
    Framing,
    PassDescription,
    Segment,
    ServerMessage,
    SessionStarted,
    WordMessage,
)
from twopass.transcript import Format, write
from twopass.types import Pass, Status, Word

SHORT = load("short_slt")
PASS = PassDescription(provider="p", model="m", understands="nothing")
STARTED = SessionStarted(
    event=1, session="s", token="t", resume_seconds=5, profile="demo", first_pass=PASS, second_pass=PASS
)
FATAL = ErrorMessage(event=2, code="bad_audio", message="It is broken.", fix="Mend it.", fatal=True)
TALK = begun(load("meeting_120s"), 4)
UNREACHABLE = ["ws://127.0.0.1:9", "http://127.0.0.1:9/", "http://localhost:9"]
NO_ADDRESS = ["nonsense", "127.0.0.1:80", "ws://", "ws://[", "ws://localhost:port", ""]
ENDED = Ended(event=3, audio_ms=0, utterances=0, words=0, degraded=0)


async def spoken(pcm: bytes) -> AsyncIterator[bytes]:
    """Audio as an application has it."""
    for chunk in chunks(pcm):
        yield chunk


async def read(session: ClientSession) -> str:
    """Everything until the end, as text."""
    transcript = Transcript()
    async for message in session:
        if isinstance(message, Segment):
            transcript.take(message)
    return write(transcript.revisions, Format.TXT)


@contextlib.asynccontextmanager
async def scripted(*says: ServerMessage, code: int = 1000) -> AsyncIterator[Client]:
    """A client of a server that says this and closes, whatever it hears."""

    async def speak(socket: ServerConnection) -> None:
        await socket.recv()
        for message in says:
            await socket.send(message.model_dump_json(by_alias=True))
        await socket.close(code)

    async with serve(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield Client(f"ws://127.0.0.1:{port}/")


async def test_feeding_and_reading(server_url: str) -> None:
    """What is fed is read as a transcript, and the summary stands at the end."""
    async with Client(server_url) as client, client.session(profile="demo", realtime=False) as session:
        session.feed(spoken(SHORT.pcm))
        text = await read(session)
    assert folded(SHORT.text) == folded(text)
    assert ("demo", "whisper") == (session.started.profile, session.started.second_pass.provider)
    assert session.summary is not None
    assert len(SHORT.text.split()) == session.summary.words


async def test_sending_by_hand(server_url: str) -> None:
    """Without an iterator: send, finalize, end; the format is announced."""
    loud = b"".join(pair * 2 for pair in (SHORT.pcm[at : at + 2] for at in range(0, len(SHORT.pcm), 2)))
    audio = ClientAudio(channels=2)
    async with Client(server_url).session(audio=audio, realtime=False) as session:
        await session.send(loud)
        await session.finalize()
        await session.end()
        assert folded(SHORT.text) == folded(await read(session))


async def test_stopping_keeps_what_was_said(server_url: str) -> None:
    """`stop` ends a feed that would go on for ever; everything sent before becomes final."""
    sent = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield SHORT.pcm
        sent.set()
        await asyncio.Event().wait()

    async with Client(server_url).session(realtime=False) as session:
        session.feed(endless())
        await sent.wait()
        await session.stop()
        assert folded(SHORT.text) == folded(await read(session))


async def test_leaving_early_hangs_up(server_url: str) -> None:
    """Who leaves in the middle of the reading waits for nothing, and the feed ends."""
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(6_400)
        finally:
            ended.set()

    async with asyncio.timeout(30), Client(server_url).session() as session:
        session.feed(endless())
        async for _ in session:
            break
    assert ended.is_set()
    assert session.summary is None


async def test_failing_reader_ends_the_feed(server_url: str) -> None:
    """When the program fails in the middle of the reading, nothing goes on feeding behind its back."""
    ended = asyncio.Event()

    async def waiting() -> AsyncIterator[bytes]:
        try:
            yield bytes(32_000)
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fail() -> None:
        async with Client(server_url).session() as session:
            session.feed(waiting())
            async for _ in session:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert ended.is_set()


@pytest.mark.parametrize("data", [b"", SHORT.pcm])
async def test_broken_source_is_told_to_the_reader(server_url: str, data: bytes) -> None:
    """When the iterator that is fed raises, so does the reading, instead of waiting for ever."""

    async def breaking() -> AsyncIterator[bytes]:
        yield data
        raise ZeroDivisionError("no more tape")

    async with asyncio.timeout(30), Client(server_url).session() as session:
        session.feed(breaking())
        with pytest.raises(ZeroDivisionError, match="no more tape"):
            await read(session)


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("unknown_profile", {"profile": "nonsense"}),
        ("unknown_language", {"profile": "live", "language": "de-DE"}),
    ],
)
async def test_refused_at_once(server_url: str, code: str, wanted: dict[str, str]) -> None:
    """What the server does not want is raised with its code and its fix."""
    with pytest.raises(ServerRefused) as caught:
        async with Client(server_url).session(**wanted):  # type: ignore[arg-type]
            pytest.fail("the session began")
    assert code == caught.value.code
    assert caught.value.fix


async def test_refused_in_the_middle(server_url: str) -> None:
    """Audio that cannot be decoded ends the reading with the server's reason."""
    async with Client(server_url).session(audio=ClientAudio(encoding="webm")) as session:  # type: ignore[arg-type]
        session.feed(spoken(bytes(100_000)))
        with pytest.raises(ServerRefused) as caught:
            await read(session)
    assert "bad_audio" == caught.value.code
    assert session.summary is not None


@pytest.mark.parametrize("says", [(STARTED, FATAL), (STARTED, FATAL, ENDED)])
async def test_reason_of_the_server_is_not_lost(says: Iterable[ServerMessage]) -> None:
    """A fatal error is what is raised, also if the server cannot finish and just closes."""
    async with scripted(*says, code=4400) as client, client.session() as session:
        with pytest.raises(ServerRefused, match=r"It is broken\. Mend it\."):
            await read(session)


async def test_server_that_forgot_the_session() -> None:
    """Who answers a resume with something else cannot go on: an error that can be tried again, with the reason."""
    async with scripted(STARTED, code=1012) as client, client.session() as session:
        with pytest.raises(ConnectionLost, match="1012") as caught:
            await read(session)
    assert caught.value.retryable


@pytest.mark.parametrize("url", [*UNREACHABLE, *NO_ADDRESS])
async def test_nobody_is_there(url: str) -> None:
    """An address where no server listens, or that is none, is told with what to do."""
    with pytest.raises(ConnectionLost) as caught:
        async with Client(url).session():
            pytest.fail("the session began")
    assert caught.value.fix


async def test_not_our_server(server_url: str) -> None:
    """A web server that knows no such socket is told like one that cannot be reached."""
    with pytest.raises(ConnectionLost, match="cannot be reached"):
        async with Client(f"{server_url}/elsewhere").session():
            pytest.fail("the session began")


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy", "HTTP_PROXY"])
async def test_server_on_this_machine_needs_no_proxy(
    server_url: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A proxy in the environment does not come between the client and its own machine."""
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with Client(server_url).session() as session:
        await session.end()
        assert "" == await read(session)


# -- going on after a break -------------------------------------------------------------------------------------------


async def all_of(session: ClientSession) -> list[AnyServerMessage]:
    """Every message until the end."""
    return [message async for message in session]


def delivered_once(server: StandIn, messages: list[AnyServerMessage], audio: bytes) -> None:
    """The server got every byte once, the reader every event once and in order."""
    assert audio == server.audio
    numbers = [message.event for message in messages]
    assert sorted(set(numbers)) == numbers
    words = [message.text for message in messages if isinstance(message, Segment)]
    assert [f"w{i}" for i in range(len(audio) // SEGMENT_BYTES)] == words
    assert isinstance(messages[-1], Ended)


@pytest.mark.parametrize("framing", ["indexed", "raw", "webm"])
@pytest.mark.parametrize("seed", range(3))
async def test_cuts_are_not_seen_by_the_reader(framing: str, seed: int) -> None:
    """Connections that end anywhere, in any way, also before they are answered: everything arrives exactly once."""
    chance = random.Random(f"{framing} {seed}")
    codes = [None, None, 1001, 1012, 1011, 4429]
    cuts = [Cut(chance.randrange(1, 12))]
    cuts += [Cut(chance.randrange(6), chance.choice(codes), answered=chance.random() < 0.7) for _ in range(6)]
    audio = chance.randbytes(SEGMENT_BYTES * 12)
    formats = {
        "indexed": ClientAudio(),
        "raw": ClientAudio(framing=Framing.RAW),
        "webm": ClientAudio(encoding=Encoding.WEBM),
    }
    server, told = StandIn(cuts, repeats=3), list[Connection]()
    async with (
        server.running() as url,
        Client(url).session(audio=formats[framing], on_connection=told.append) as session,
    ):
        session.feed(spoken(audio))
        messages = await all_of(session)
        assert session.connected is False
    delivered_once(server, messages, audio)
    assert server.connections > 2
    assert len(told) >= 2
    assert [Connection.LOST, Connection.RESUMED] * (len(told) // 2) == told
    assert server.seen[-1] == messages[-1].event


async def test_finalize_is_said_at_its_place() -> None:
    """A command that a broken connection swallowed is said again, after the same audio."""
    server = StandIn([Cut(2)])
    async with server.running() as url, Client(url).session() as session:
        for _ in range(4):
            await session.send(bytes(3_200))
        await session.finalize()
        await session.send(bytes(3_200))
        await session.end()
        await all_of(session)
    assert {12_800} == set(server.finalized)
    assert 16_000 == len(server.audio)


async def test_samples_may_be_cut_anywhere() -> None:
    """Pieces that end in the middle of a sample are put together; half a sample at the end is none."""
    server, audio = StandIn([Cut(1)]), random.Random(1).randbytes(10_001)
    async with server.running() as url, Client(url).session() as session:
        session.feed(piece async for piece in _odd(audio))
        await all_of(session)
    assert audio[:-1] == server.audio


async def _odd(audio: bytes) -> AsyncIterator[bytes]:
    for piece in chunks(audio, 333):
        yield piece


async def test_half_open_connection_is_given_up() -> None:
    """When the network swallows everything and closes nothing, the client notices, even at the start, and goes on."""
    server = StandIn()
    audio = bytes(SEGMENT_BYTES * 20)
    async with server.running() as url, _behind(url, Weather(silent_after=(0.0, 0.1), most_silences=1)) as proxy:
        client = Client(proxy.url, silence_seconds=0.5)
        async with client.session() as session:
            await until(lambda: proxy.faults > 0 or server.segments > 0)
            session.feed(_slowly(audio))
            messages = await all_of(session)
        assert proxy.connections >= 2
    delivered_once(server, messages, audio)


def _behind(url: str, weather: Weather) -> contextlib.AbstractAsyncContextManager[Proxy]:
    return Proxy(int(url.rpartition(":")[2]), weather, 1).running()


async def _slowly(audio: bytes) -> AsyncIterator[bytes]:
    for piece in chunks(audio, 3_200):
        await asyncio.sleep(0.005)
        yield piece


async def test_server_that_does_not_come_back() -> None:
    """After as long as the session waits the client gives up: an error that can be tried again, with both reasons."""
    server = StandIn([Cut(3)], resume_seconds=0.5)
    async with server.running() as url, Client(url).session() as session:
        server.close()
        session.feed(spoken(bytes(32_000)))
        with pytest.raises(ConnectionLost, match=r"\(no close frame\).*cannot be reached") as caught:
            await all_of(session)
        assert caught.value.retryable
        assert caught.value.fix
        with pytest.raises(ConnectionLost):
            await session.send(bytes(2))


@pytest.mark.parametrize(("code", "name"), [(4404, "unknown_session"), (4401, "unauthorized"), (4400, "bad_message")])
async def test_resume_that_is_refused(code: int, name: str) -> None:
    """A server that does not give the session back is asked once, and what it says is told."""
    server = StandIn([Cut(1), Cut(code=code, error=error(name), answered=False)])
    async with server.running() as url, Client(url).session() as session:
        session.feed(spoken(bytes(32_000)))
        with pytest.raises(ConnectionLost, match=rf"It is {name}\. Mend it\."):
            await all_of(session)
    assert 2 == server.connections


@pytest.mark.parametrize(
    ("code", "says", "expected"),
    [
        (4409, error("taken_over"), "taken_over"),
        (4503, error("recognizer_crashed", retryable=True), "recognizer_crashed"),
        (4400, None, "refused"),
        (1009, None, "refused"),
    ],
)
async def test_server_that_means_it(code: int, says: ErrorMessage | None, expected: str) -> None:
    """After these close codes nobody comes back; the reader is told why."""
    server = StandIn([Cut(1, code, says)])
    async with server.running() as url, Client(url).session() as session:
        session.feed(spoken(bytes(32_000)))
        with pytest.raises(ServerRefused) as caught:
            await all_of(session)
    assert expected == caught.value.code
    assert 1 == server.connections


async def test_line_that_breaks_before_the_session_begins() -> None:
    """Nothing was sent on it yet, so it is tried again."""
    server = StandIn([Cut(answered=False), Cut(answered=False)])
    async with server.running() as url, Client(url).session() as session:
        session.feed(spoken(bytes(SEGMENT_BYTES)))
        delivered_once(server, await all_of(session), bytes(SEGMENT_BYTES))
    assert 3 == server.connections


async def test_refused_at_the_door() -> None:
    """A server that closes before it has heard anything still says why."""
    server = StandIn([Cut(code=4401, error=error("unauthorized"), answered=False)])
    async with server.running() as url:
        with pytest.raises(ServerRefused, match="It is unauthorized") as caught:
            async with Client(url, "wrong").session():
                pytest.fail("the session began")
    assert "unauthorized" == caught.value.code


async def test_server_that_stops_is_asked_again() -> None:
    """`server_stopping` is no refusal: the session goes on when the server is back."""
    stopping = error("server_stopping", retryable=True)
    server = StandIn([Cut(2, 1012, stopping), Cut(code=1012, error=stopping, answered=False)])
    async with server.running() as url, Client(url).session() as session:
        session.feed(spoken(bytes(SEGMENT_BYTES)))
        delivered_once(server, await all_of(session), bytes(SEGMENT_BYTES))


async def test_server_that_always_fails_is_left_alone() -> None:
    """A server that fails again and again without anything new in between is not asked for ever."""
    server = StandIn(Cut(0, 1011, error("internal")) if i else Cut(1, 1011) for i in range(99))
    async with server.running() as url, Client(url).session() as session:
        session.feed(spoken(bytes(SEGMENT_BYTES)))
        with pytest.raises(ServerRefused, match="It is internal"):
            await all_of(session)
    assert server.connections < 10


async def test_sending_waits_when_a_minute_is_not_acknowledged() -> None:
    """Memory stays bounded when a server takes audio and acknowledges nothing; it goes on when it does."""
    minute = bytes(60 * 32_000)
    server = StandIn(acknowledges=False)
    async with server.running() as url, Client(url).session() as session:
        await session.send(minute)
        more = asyncio.create_task(session.send(minute))
        await until(lambda: len(server.audio) >= len(minute))
        assert not more.done()
        await session.finalize()  # which is answered with an acknowledgement
        await until(lambda: len(server.audio) > len(minute))
        await session.finalize()
        await more


async def test_late_reader_misses_only_what_is_obsolete() -> None:
    """Who sends everything before reading anything gets every final."""
    server, audio = StandIn(), bytes(SEGMENT_BYTES * 300)
    async with server.running() as url, Client(url).session() as session:
        for piece in chunks(audio, 1_600):
            await session.send(piece)
        await session.end()
        await until(lambda: bool(server.seen) and server.segments == 300 and session._over)
        messages = await all_of(session)
    delivered_once(server, messages, audio)
    assert len(messages) < 1_000
    assert session.summary == messages[-1]
    with pytest.raises(SessionClosed):
        await session.send(b"xx")


def test_only_what_is_obsolete_is_left_out() -> None:
    """Of each utterance the last revision, of acknowledgements the last one; all else stays, in order."""
    fatal, acks = (
        FATAL.model_copy(update={"event": 9}),
        [Ack(event=n, samples=n, bytes=0, durable=True) for n in (1, 4)],
    )
    early, late = (segment(n, "x").model_copy(update={"event": n}) for n in (2, 5))
    other = segment(1, "x", id_="0-9").model_copy(update={"event": 3})
    assert [other, acks[1], late, fatal, ENDED] == [*latest([acks[0], early, other, acks[1], late, fatal, ENDED])]


# -- keys -------------------------------------------------------------------------------------------------------------

KEY = "twp_very-secret-0123456789"


@pytest.mark.parametrize("given", [True, False])
async def test_key_is_shown_to_the_server_only(monkeypatch: pytest.MonkeyPatch, given: bool) -> None:
    """A key, given or from the environment, goes with every connection, and is in no text about the client."""
    if not given:
        monkeypatch.setenv("TWOPASS_KEY", f"{KEY}\n")
    server = StandIn([Cut(1), Cut(code=4401, error=error("unauthorized"), answered=False)])
    async with server.running() as url:
        client = Client(url, KEY if given else None)
        async with client.session() as session:
            session.feed(spoken(bytes(6_400)))
            with pytest.raises(ConnectionLost) as caught:
                await all_of(session)
    assert [f"Bearer {KEY}"] * 2 == server.keys
    assert KEY not in f"{client!r} {client._address!r} {caught.value!r} {caught.value}"


async def test_no_key_no_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key nothing is shown; an empty variable is none."""
    monkeypatch.setenv("TWOPASS_KEY", "")
    server = StandIn()
    async with server.running() as url, Client(url).session() as session:
        await session.end()
        await all_of(session)
    assert [None] == server.keys


@pytest.mark.parametrize("key", [f"{KEY}\nX: y", f"{KEY} two", f"{KEY}\u00e9"])
def test_what_cannot_be_a_key(key: str) -> None:
    """A key with a line break or the like is refused without repeating it."""
    with pytest.raises(ConfigError) as caught:
        Client("ws://localhost:1", key)
    assert KEY not in str(caught.value)


# -- the real server --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def patient_url(
    tmp_path_factory: pytest.TempPathFactory, small_config: Path, environment: dict[str, str]
) -> Iterator[str]:
    """A server that waits long for clients that have gone."""
    with patient_server(tmp_path_factory.mktemp("patient"), small_config, environment) as url:
        yield url


@pytest.mark.parametrize("encoding", [Encoding.PCM_S16LE, Encoding.WEBM])
async def test_cuts_are_not_heard_by_the_real_server(patient_url: str, encoding: Encoding) -> None:
    """Through a network that breaks all the time the transcript is that of one that does not."""
    sound = TALK.pcm if encoding is Encoding.PCM_S16LE else encoded(TALK, "webm", "libopus", 48_000)
    audio, texts = ClientAudio(encoding=encoding), []
    async with _behind(patient_url, Weather(cut_after=(0.2, 0.8))) as proxy:
        for url in (patient_url, proxy.url):
            async with Client(url).session(audio=audio, realtime=False) as session:
                session.feed(_paced(sound))
                texts.append(await read(session))
        assert proxy.faults > 1
    assert texts[0] == texts[1]
    assert texts[0]


async def _paced(sound: bytes) -> AsyncIterator[bytes]:
    """In about two seconds: several cuts of the network."""
    for piece in chunks(sound, len(sound) // 100):
        await asyncio.sleep(0.02)
        yield piece


def segment(revision: int, text: str, *, id_: str = "0-0", start: int = 0) -> Segment:
    """A revision with one word."""
    word = WordMessage(text=text, start=start, end=start + 5, confidence=0.5, glued=True)
    return Segment(
        event=1,
        id=id_,
        revision=revision,
        status="final",
        start=start,
        end=start + 9,
        text=text,
        words=(word,),
        source="second",
        stable=1,
        rewritten=(0,),
        degraded="timeout",
        channel=1,
        language="en",
    )


def test_transcript_keeps_the_highest_revision_in_the_order_of_time() -> None:
    """Revisions may come in any order; the transcript has one of each utterance, sorted."""
    transcript = Transcript()
    for message in (
        segment(2, "b", id_="0-9", start=9),
        segment(3, "new"),
        segment(1, "old"),
        segment(1, "a", id_="0-9", start=9),
    ):
        transcript.take(message)
    assert [("new", 3), ("b", 2)] == [(revision.text, revision.revision) for revision in transcript.revisions]


def test_revision_has_everything_that_the_message_has() -> None:
    """Nothing is lost between the wire and the type that transcripts are written from."""
    revision = Transcript().take(segment(3, "word"))
    assert (Word("word", 0, 5, 0.5, glued=True),) == revision.words
    assert (Status.FINAL, Pass.SECOND, 0, 9, 1, (0,), "timeout", 1, "en") == (
        revision.status,
        revision.source,
        revision.start,
        revision.end,
        revision.stable,
        revision.rewritten,
        revision.degraded,
        revision.channel,
        revision.language,
    )
