"""The Python client, against the real server, and against one that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

import pytest
from tests.gateway.stream_driver import chunks, folded
from tests.speech import load
from websockets.asyncio.server import ServerConnection, serve

from twopass.client import Client, ClientSession, ConnectionLost, ServerRefused, Transcript
from twopass.gateway.messages import (
    ClientAudio,
    Ended,
    ErrorMessage,
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


async def test_connection_that_breaks() -> None:
    """A socket that closes before the summary is an error that can be tried again, with the reason."""
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
