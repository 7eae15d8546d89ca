"""The native socket of a real server, used well and used badly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import struct
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack
from itertools import pairwise

import httpx
import psutil
import pytest
from tests.conftest import PATIENCE, Server
from tests.gateway.stream_driver import (
    END,
    FINALIZE,
    PCM,
    RATE,
    REFERENCE,
    Heard,
    begun,
    chunks,
    encoded,
    folded,
    in_order,
    opened,
    say,
    start,
    talk,
    transcribed,
)
from tests.speech import load
from websockets.exceptions import ConnectionClosedError

from twopass import playing
from twopass.client import Client
from twopass.gateway.messages import Ack, Cost, Segment, Speech

SHORT = load("short_slt")
OTHER = load("short_rms")
TWO = begun(load("two_channels"), 2)
IDLE_PROCESSES = 8
"""Decoders that a recognizer keeps for the next stream."""
NOISE_BYTES = (100 if os.environ.get("TWOPASS_FUZZ") == "long" else 20) << 20


@pytest.fixture(scope="module", autouse=True)
def silent_client(server_url: str) -> Iterator[Future[Heard]]:
    """A client that connects before all tests and never says anything."""
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(lambda: asyncio.run(talk(server_url, [])))


@pytest.fixture(scope="module", autouse=True)
def no_failure_of_ours(server: Server) -> Iterator[None]:
    """Whatever clients do wrong, the server finds no mistake of its own to log."""
    before = len(server.log.read_text())
    yield
    log = server.log.read_text()[before:]
    assert "Traceback" not in log
    assert "connection failed" not in log


@pytest.fixture(autouse=True)
def nothing_leaks(server: Server) -> Iterator[None]:
    """After each test the server has no session, and no more processes than it keeps for the next one."""
    yield
    give_up = time.monotonic() + PATIENCE / 2
    while left := _left_over(server):
        assert time.monotonic() < give_up, left
        time.sleep(0.1)


def _left_over(server: Server) -> str:
    """What there is more than there should be, in words."""
    sessions, processes = server.metric("twopass_sessions"), len(server.children())
    return f"{sessions} sessions, {processes} processes" if sessions or processes > 5 + 2 * IDLE_PROCESSES else ""


@pytest.fixture(scope="module")
def sample(server_url: str) -> Heard:
    """What the server says of the bundled sample."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(transcribed(server_url, chunks(PCM)))).result()


def garbage(size: int) -> bytes:
    """Random bytes, the same in every run."""
    return random.Random(size).randbytes(size)


def framed(pieces: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """Audio with its sample index in front."""
    return (struct.pack(">Q", index) + data for index, data in pieces)


# Used well


def test_sample_ends_as_it_was_spoken(sample: Heard) -> None:
    """The bundled sample comes out word for word; revisions, events and times only go forward."""
    in_order(sample)
    assert (1000, folded(REFERENCE), []) == (sample.code, folded(sample.text()), sample.codes)
    assert {"second"} == {segment.source for segment in sample.finals()}
    assert len(PCM) // 32 == sample.ended.audio_ms


async def test_words_show_at_once_and_what_is_rewritten_is_marked(server_url: str) -> None:
    """Of somebody who speaks now, the first pass's words show before the second has them; what it changed is marked."""
    revisions: dict[str, list[Segment]] = defaultdict(list)
    async with asyncio.timeout(PATIENCE), Client(server_url).session(profile="demo") as session:
        session.feed(playing.paced(_beginning()))
        async for message in session:
            if isinstance(message, Segment):
                revisions[message.id].append(message)
    assert any((both[0].source, both[-1].source) == ("first", "second") for both in revisions.values())
    assert any(both[-1].rewritten for both in revisions.values())
    for segment in (segment for both in revisions.values() for segment in both):
        assert set(segment.rewritten) <= set(range(len(segment.words)))
        assert sorted(set(segment.rewritten)) == list(segment.rewritten)
        assert segment.source == "second" or not segment.rewritten


async def _beginning() -> AsyncIterator[bytes]:
    """Ten seconds of the sample."""
    for piece in chunks(PCM[: 10 * RATE * 2]):
        yield piece


def test_each_pass_has_its_cost(sample: Heard) -> None:
    """Both passes are on the bill at the configured price of a core."""
    cost = sample.of(Cost)[-1]
    assert {"first", "second"} == {line.pass_ for line in cost.lines}
    for line in cost.lines:
        assert "USD" == line.currency
        assert line.seconds * 0.04 / 3600 == pytest.approx(float(line.amount), abs=1e-7)
    assert ((), {"USD"}) == (cost.unpriced, set(cost.totals))


def test_speech_and_acknowledgements_tell_what_was_heard(sample: Heard) -> None:
    """Speech begins and ends by turns, and the last acknowledgement covers all audio."""
    speech = sample.of(Speech)
    assert ["started", "ended"] * (len(speech) // 2) == [event.state for event in speech]
    assert all(before.at <= after.at for before, after in pairwise(speech))
    acknowledged = [ack.samples for ack in sample.of(Ack)]
    assert sorted(acknowledged) == acknowledged
    assert len(PCM) // 2 == acknowledged[-1]


@pytest.mark.parametrize(
    ("encoding", "container", "codec", "rate"),
    [
        ("webm", "webm", "libopus", 48_000),
        ("ogg", "ogg", "libopus", 48_000),
        ("mulaw", "mulaw", "pcm_mulaw", 8_000),
        ("alaw", "alaw", "pcm_alaw", 8_000),
        ("pcm_f32le", "f32le", "pcm_f32le", 48_000),
        ("pcm_s16le", "s16le", "pcm_s16le", 44_100),
        ("container", "wav", "pcm_s16le", 22_050),
        ("container", "mp3", "libmp3lame", 16_000),
    ],
)
async def test_every_encoding_says_the_same(
    server_url: str, encoding: str, container: str, codec: str, rate: int
) -> None:
    """However the audio is encoded, cut into frames of any odd size, the words are those that were spoken."""
    sound = encoded(SHORT, container, codec, rate)
    heard = await transcribed(server_url, chunks(sound, 1_337), audio={"encoding": encoding, "sample_rate": rate})
    in_order(heard)
    assert (1000, folded(SHORT.text), []) == (heard.code, folded(heard.text()), heard.codes)


async def test_channels_are_mixed(server_url: str) -> None:
    """Of a stereo stream that is not to be separated, one transcript has what was said on both sides."""
    sound = encoded(TWO, "f32le", "pcm_f32le", 48_000)
    audio = {"encoding": "pcm_f32le", "sample_rate": 48_000, "channels": 2}
    heard = await transcribed(server_url, chunks(sound, 76_800), audio=audio)
    in_order(heard)
    assert folded(TWO.text) == folded(heard.text(0))


async def test_channels_are_kept_apart(server_url: str) -> None:
    """Separate channels have a transcript each."""
    sound = encoded(TWO, "f32le", "pcm_f32le", 48_000)
    audio = {"encoding": "pcm_f32le", "sample_rate": 48_000, "channels": 2}
    heard = await transcribed(server_url, chunks(sound, 76_800), audio=audio, separate_channels=True)
    in_order(heard)
    for sentence in TWO.sentences:
        assert folded(sentence.text) == folded(heard.text(sentence.channel))


async def test_one_channel_cannot_be_separated_and_is_heard_all_the_same(server_url: str) -> None:
    """Separate channels of a mono stream are one channel."""
    heard = await transcribed(server_url, chunks(SHORT.pcm), separate_channels=True)
    assert (folded(SHORT.text), "") == (folded(heard.text(0)), heard.text(1))


async def test_what_is_sent_twice_is_heard_once(server_url: str) -> None:
    """With an index, repeated and overlapping frames change nothing."""
    half, size = len(SHORT.pcm) // 4, 3_200
    pieces = [(at, SHORT.pcm[2 * at : 2 * (at + size)]) for at in range(0, len(SHORT.pcm) // 2, size // 2)]
    pieces[3:3] = pieces[:3]
    pieces.append((half, SHORT.pcm[2 * half :]))
    heard = await transcribed(server_url, framed(pieces), audio={"framing": "indexed"})
    in_order(heard)
    assert (folded(SHORT.text), []) == (folded(heard.text()), heard.codes)
    assert len(SHORT.pcm) // 32 == heard.ended.audio_ms


@pytest.mark.parametrize(("encoding", "rate", "width"), [("pcm_s16le", 16_000, 2), ("pcm_f32le", 48_000, 4)])
async def test_lost_audio_leaves_a_hole_of_its_length(server_url: str, encoding: str, rate: int, width: int) -> None:
    """What never came is silent: the words after it keep their times."""
    recording = begun(load("meeting_120s"), 3)
    before, after = recording.sentences[1:]
    sound = encoded(recording, encoding.removeprefix("pcm_"), encoding, rate)
    size = rate // 50
    pieces = [(at // width, sound[at : at + size * width]) for at in range(0, len(sound), size * width)]
    lost = range((before.end_ms + 100) * rate // 1000, (after.start_ms - 100) * rate // 1000)
    kept = [piece for piece in pieces if piece[0] not in lost]
    assert len(kept) < len(pieces)
    heard = await transcribed(
        server_url, framed(kept), audio={"framing": "indexed", "encoding": encoding, "sample_rate": rate}
    )
    in_order(heard)
    assert (folded(recording.text), []) == (folded(heard.text()), heard.codes)
    assert len(sound) // width * 1000 // rate == heard.ended.audio_ms
    assert after.start_ms == pytest.approx(heard.finals()[-1].words[0].start, abs=400)


async def test_finalize_ends_the_utterance_at_once(server_url: str) -> None:
    """After `finalize` the running utterance becomes final without silence and without `end`; the next goes on."""
    cut = OTHER.sentences[0].words[1].end_ms * 32
    async with asyncio.timeout(PATIENCE), opened(server_url) as socket:
        await say(socket, [start(), *chunks(OTHER.pcm[:cut]), FINALIZE])
        heard = Heard()
        async for message in socket:
            heard.take(message)
            if any(segment.status == "final" for segment in heard.of(Segment)):
                break
        await say(socket, [*chunks(OTHER.pcm[cut:]), END])
        async for message in socket:
            heard.take(message)
    in_order(heard)
    first = heard.finals()[0]
    assert first.end <= cut // 32
    assert folded(OTHER.text).startswith(folded(first.text))
    assert folded(OTHER.text).split()[-1] == folded(heard.text()).split()[-1]


async def test_sessions_at_the_same_time_do_not_mix(server_url: str) -> None:
    """Two clients at once each get what they said."""
    one, other = await asyncio.gather(
        transcribed(server_url, chunks(SHORT.pcm)), transcribed(server_url, chunks(OTHER.pcm))
    )
    assert (folded(SHORT.text), folded(OTHER.text)) == (folded(one.text()), folded(other.text()))
    assert one.started.session != other.started.session


async def test_stand_in_says_that_it_is_one(server_url: str) -> None:
    """Where the second pass's weights are missing, its fallback speaks, and the session says how to end that."""
    heard = await transcribed(server_url, chunks(SHORT.pcm), profile="live")
    in_order(heard)
    assert "pocketsphinx" == heard.started.second_pass.provider
    assert "twopass models pull" in (heard.started.second_pass.notice or "")
    assert heard.started.first_pass.notice is None
    assert heard.text()


# Nothing to hear


@pytest.mark.parametrize("name", ["silence_5s", "noise_10s"])
async def test_nobody_speaks(server_url: str, name: str) -> None:
    """Silence and noise have an empty transcript, and end in order."""
    heard = await transcribed(server_url, chunks(load(name).pcm))
    assert (1000, "", []) == (heard.code, heard.text(), heard.codes)


async def test_no_audio_at_all(server_url: str) -> None:
    """A session without audio, or with empty frames only, ends in order."""
    for frames in ([], [b""] * 10):
        heard = await transcribed(server_url, frames)
        assert (1000, 0, []) == (heard.code, heard.ended.audio_ms, heard.codes)


async def test_empty_and_torn_frames_do_no_harm(server_url: str) -> None:
    """Samples may be torn apart anywhere, and empty frames may lie between; half a sample at the end is left out."""
    pieces = [piece for chunk in chunks(SHORT.pcm + b"\1", 999) for piece in (chunk, b"")]
    heard = await transcribed(server_url, pieces)
    assert (1000, folded(SHORT.text), []) == (heard.code, folded(heard.text()), heard.codes)
    assert len(SHORT.pcm) // 32 == heard.ended.audio_ms


# Wrong from the first message


def _start(**fields: object) -> str:
    return json.dumps({"type": "start"} | fields)


@pytest.mark.parametrize(
    ("code", "first"),
    [
        ("no_start", b"\0\1\2\3"),
        ("no_start", b""),
        ("no_start", END),
        ("no_start", FINALIZE),
        ("bad_message", ""),
        ("bad_message", "{"),
        ("bad_message", "null"),
        ("bad_message", "[1, 2]"),
        ("bad_message", '"start"'),
        ("bad_message", "{}"),
        ("bad_message", '{"type": null}'),
        ("bad_message", '{"type": "session_resume"}'),
        ("bad_message", json.dumps({"type": "x" * 1_000_000})),
        ("bad_message", "[" * 100_000),
        ("bad_message", _start(nonsense=1)),
        ("bad_message", _start(profile="x" * 101)),
        ("bad_message", '{"type": "start", "profile": "\\ud800"}'),
        ("bad_message", _start(language="no language")),
        ("bad_message", _start(phrases=["word"] * 501)),
        ("bad_message", _start(realtime="perhaps")),
        ("bad_message", _start(separate_channels=None)),
        ("bad_message", _start(audio=None)),
        ("bad_message", _start(audio={"encoding": "mp3"})),
        ("bad_message", _start(audio={"sample_rate": 7_999})),
        ("bad_message", _start(audio={"sample_rate": 1e9})),
        ("bad_message", _start(audio={"channels": 3})),
        ("bad_message", _start(audio={"channels": -1})),
        ("bad_message", _start(audio={"framing": "boxed"})),
        ("cannot_index", _start(audio={"framing": "indexed", "encoding": "webm"})),
        ("cannot_index", _start(audio={"framing": "indexed", "encoding": "container"})),
        ("unknown_profile", _start(profile="nonsense")),
        ("unknown_profile", _start(profile="\0'\"\n")),
        ("unknown_language", _start(profile="demo", language="de-DE")),
    ],
)
async def test_wrong_first_message(server_url: str, code: str, first: str | bytes) -> None:
    """Who does not begin well is told what is wrong and what to do, and the socket closes with 4400."""
    heard = await talk(server_url, [first, b"\0\0"])
    (error,) = heard.messages
    assert ([code], 4400, code) == (heard.codes, heard.code, heard.reason)
    assert heard.errors[0].fatal
    assert heard.errors[0].fix
    assert 5 < len(heard.errors[0].message) < 500
    assert 1 == error.event


def test_silent_client_is_not_waited_for(silent_client: Future[Heard]) -> None:
    """Who says nothing at all is told so after ten seconds, and the socket closes with 4408."""
    heard = silent_client.result(timeout=PATIENCE)
    assert (["handshake_timeout"], 4408) == (heard.codes, heard.code)


async def test_more_sessions_than_places(server: Server, silent_client: Future[Heard]) -> None:
    """The client after the last place is told to come again, by socket and by upload; a place that is left is free."""
    await asyncio.wrap_future(silent_client)  # it has a place, too
    async with AsyncExitStack() as sockets:
        for _ in range(8):
            socket = await sockets.enter_async_context(opened(server.url))
            await socket.send(start())
            await socket.recv()
        refused = await talk(server.url, [start()])
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            upload = await client.post(f"{server.url}/v1/transcriptions", files={"file": b"RIFF"})
    assert (["too_many_sessions"], 4429) == (refused.codes, refused.code)
    assert refused.errors[0].retryable
    assert (429, "too_many_sessions", True) == (upload.status_code, upload.json()["code"], upload.json()["retryable"])
    async with asyncio.timeout(PATIENCE):  # the server notices each one's leaving for itself
        while (again := await talk(server.url, [start(), END])).code == 4429:  # noqa: ASYNC110 - its state, not ours
            await asyncio.sleep(0.1)
    assert 1000 == again.code


# Wrong later


@pytest.mark.parametrize(
    ("code", "mistake"),
    [
        ("second_start", start()),
        ("bad_message", "{"),
        ("bad_message", '{"type": "pause"}'),
        ("bad_message", '{"type": "end", "now": true}'),
    ],
)
async def test_mistake_in_a_session_does_no_harm(server_url: str, code: str, mistake: str) -> None:
    """A wrong message in a session is answered, and the transcript is complete all the same."""
    heard = await talk(server_url, [start(), *chunks(SHORT.pcm), mistake, END])
    in_order(heard)
    assert ([code], 1000, folded(SHORT.text)) == (heard.codes, heard.code, folded(heard.text()))
    assert (False, True) == (heard.errors[0].fatal, heard.errors[0].fix != "")


async def test_too_many_mistakes_end_the_session(server_url: str) -> None:
    """A client that makes no sense is given up, with the transcript of what it had sent."""
    heard = await talk(server_url, [start(), *chunks(SHORT.pcm), *["nonsense"] * 200, END])
    in_order(heard)
    assert (20, 4400, folded(SHORT.text)) == (len(heard.codes), heard.code, folded(heard.text()))
    assert [True] == [error.fatal for error in heard.errors if error.fatal]


@pytest.mark.parametrize("late", [[PCM[:6_400]] * 9, [END, END], [start()], ["nonsense"] * 30, [FINALIZE]])
async def test_after_the_end_nothing_counts(server_url: str, late: Sequence[str | bytes]) -> None:
    """What comes after `end` is not listened to."""
    heard = await talk(server_url, [start(), *chunks(SHORT.pcm), END, *late])
    in_order(heard)
    assert (1000, folded(SHORT.text), []) == (heard.code, folded(heard.text()), heard.codes)


@pytest.mark.parametrize(
    ("code", "frame"),
    [
        ("bad_frame", b""),
        ("bad_frame", b"\0" * 7),
        ("bad_frame", struct.pack(">Q", 0) + b"\1"),
        ("hole_too_long", struct.pack(">Q", RATE * 3600) + b"\1\1"),
        ("hole_too_long", struct.pack(">Q", 1 << 63) + b"\1\1"),
        ("hole_too_long", b"\xff" * 10),
    ],
)
async def test_frame_that_belongs_nowhere_is_left_out(server_url: str, code: str, frame: bytes) -> None:
    """A frame that is broken or lies far ahead is refused, and the frames after it count."""
    pieces = list(framed((at // 2, SHORT.pcm[at : at + 6_400]) for at in range(0, len(SHORT.pcm), 6_400)))
    pieces.insert(len(pieces) // 2, frame)
    heard = await transcribed(server_url, pieces, audio={"framing": "indexed"})
    in_order(heard)
    assert ([code], 1000, folded(SHORT.text)) == (heard.codes, heard.code, folded(heard.text()))


@pytest.mark.parametrize("encoding", ["webm", "ogg", "container"])
async def test_garbage_is_no_recording(server_url: str, encoding: str) -> None:
    """Random bytes for a recording: an error with its fix, and nothing is transcribed."""
    heard = await transcribed(server_url, chunks(garbage(200_000)), audio={"encoding": encoding})
    assert (["bad_audio"], 4400, "") == (heard.codes, heard.code, heard.text())
    assert heard.errors[0].fatal
    assert heard.errors[0].fix


@pytest.mark.parametrize(("encoding", "container"), [("webm", "webm"), ("ogg", "ogg"), ("container", "matroska")])
async def test_recording_that_breaks_off(server_url: str, encoding: str, container: str) -> None:
    """Of a recording that is cut off, or turns to garbage, what was good is transcribed; a head alone is an error."""
    sound = encoded(begun(load("meeting_120s"), 2), container, "libopus", 48_000)
    broken = sound[: len(sound) * 2 // 3]
    for tail in (b"", garbage(3_000)):
        heard = await transcribed(server_url, chunks(broken + tail, 1_000), audio={"encoding": encoding})
        in_order(heard)
        assert folded(heard.text()).startswith(folded(load("meeting_120s").sentences[0].text))
    head = await transcribed(server_url, [sound[:20]], audio={"encoding": encoding})
    assert (["bad_audio"], 4400, "") == (head.codes, head.code, head.text())


_LARGEST = 4 << 20


@pytest.mark.parametrize(
    "frames",
    [
        b"\x82\xff" + struct.pack(">Q", _LARGEST + 1),
        b"\x02\xff" + struct.pack(">Q4x", _LARGEST) + bytes(_LARGEST) + b"\x80\x81",
    ],
    ids=["whole", "in-fragments"],
)
async def test_frame_that_is_too_large(server_url: str, frames: bytes) -> None:
    """
    A message of more than 4 MB closes the socket with 1009 as soon as its length is known.

    What goes beyond is announced, but not sent: the system would reset a connection that is closed with bytes unread,
    and the client might see the reset before the code.
    """
    async with asyncio.timeout(PATIENCE), opened(server_url) as socket:
        await socket.send(start())
        await socket.recv()
        socket.transport.write(frames)
        with pytest.raises(ConnectionClosedError):
            while True:
                await socket.recv()
    assert 1009 == socket.close_code


async def test_noise_at_full_speed(server_url: str) -> None:
    """As much loud noise as the wire carries is heard to its end, and has no words."""
    audio = {"sample_rate": 48_000, "channels": 2}
    heard = await transcribed(server_url, chunks(garbage(NOISE_BYTES), 1 << 20), audio=audio)
    assert (1000, "", []) == (heard.code, heard.text(), heard.codes)
    assert NOISE_BYTES // 192 == heard.ended.audio_ms


async def test_client_that_vanishes(server: Server) -> None:
    """Clients that hang up in the middle of a word leave nothing behind, and disturb nobody."""
    for _ in range(6):
        async with opened(server.url) as socket:
            await say(socket, [_start(), *chunks(SHORT.pcm[:40_000])])
            await socket.recv()
            socket.transport.abort()
    heard = await transcribed(server.url, chunks(SHORT.pcm))
    assert folded(SHORT.text) == folded(heard.text())


async def test_models_that_die(server: Server) -> None:
    """When all models are killed in a session, it still ends in order, and the next one is as good as new."""
    async with asyncio.timeout(PATIENCE), opened(server.url) as socket:
        await say(socket, [start(), *chunks(SHORT.pcm[:40_000])])
        heard = Heard()
        heard.take(await socket.recv())
        for process in server.children():
            with contextlib.suppress(psutil.NoSuchProcess):  # a stream's process may have ended by itself
                process.kill()
        await say(socket, [*chunks(SHORT.pcm[40_000:]), END])
        async for message in socket:
            heard.take(message)
    in_order(heard)
    assert all(segment.status == "final" for segment in heard.finals())
    again = await transcribed(server.url, chunks(SHORT.pcm))
    assert (folded(SHORT.text), []) == (folded(again.text()), again.codes)
    async with asyncio.timeout(PATIENCE):
        while any(map(_zombie, server.children())):  # noqa: ASYNC110 - its state, not ours
            await asyncio.sleep(0.1)


def _zombie(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return False
