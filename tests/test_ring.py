"""What must be sent again after a break, and only that: the ring of audio, and all that a client has to send."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass.audio import Encoding
from twopass.client_outgoing import AudioMissing, Outgoing, with_indexes
from twopass.gateway.messages import Ack, ClientAudio, Finalize, Framing, Resumed
from twopass.ring import AudioRing

SECOND = bytes(32_000)
INDEXED = ClientAudio(framing=Framing.INDEXED)
RAW = ClientAudio(framing=Framing.RAW)
FORMATS = [
    INDEXED,
    RAW,
    ClientAudio(framing=Framing.INDEXED, encoding=Encoding.PCM_F32LE, sample_rate=44_100, channels=2),
    ClientAudio(framing=Framing.INDEXED, encoding=Encoding.MULAW, sample_rate=8_000),
    ClientAudio(encoding=Encoding.WEBM),
]
SAMPLE = {Encoding.PCM_S16LE: 2, Encoding.PCM_F32LE: 4, Encoding.MULAW: 1, Encoding.WEBM: 1}


def numbered(length: int, at: int = 0) -> bytes:
    """Bytes that differ from those before and after them."""
    return b"".join(struct.pack(">I", n) for n in range(at // 4, (at + length) // 4 + 2))[at % 4 :][:length]


def acknowledged(samples: int, *, durable: bool = True) -> Ack:
    """The server has so much of 16 kHz mono PCM."""
    return Ack(event=2, samples=samples, bytes=2 * samples, durable=durable)


def resumed(samples: int) -> Resumed:
    """The server wants so much not again, of 16 kHz mono PCM."""
    return Resumed(event=1, session="s", next_sample=samples, next_byte=2 * samples)


# -- the ring ---------------------------------------------------------------------------------------------------------


@given(
    width=st.integers(1, 8),
    keep=st.integers(0, 50),
    steps=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 100), st.booleans()), max_size=40),
)
def test_ring_keeps_what_may_be_wanted_again(width: int, keep: int, steps: list[tuple[int, int, bool]]) -> None:
    """What is not acknowledged is all there, byte for byte; what is durable is not; the rest only up to `keep`."""
    ring = AudioRing(width=width, keep=keep, limit=100)
    said, acked, safe = b"", 0, 0
    for length, percent, durable in steps:
        piece = numbered(length, len(said))
        said += piece
        ring.append(piece)
        acked = max(acked, ring.end * percent // 100)
        safe = max(safe, acked if durable else 0)
        ring.acknowledge(acked, durable=durable)
        assert len(said) // width == ring.end
        assert max(safe, min(acked, ring.end - keep)) == ring.start
        assert said[ring.start * width : ring.end * width] == ring.read(ring.start, len(said))
        assert (ring.end - acked < 100) == ring.room


def test_ring_reads_pieces_and_nothing_that_is_gone() -> None:
    """A read gives no more than was asked for, whole units only, and nothing from before the start or after the end."""
    ring = AudioRing(width=2, keep=0, limit=9)
    ring.append(b"aabbc")
    assert (b"aa", b"bb", b"", b"") == (ring.read(0, 1), ring.read(1, 5), ring.read(2, 5), ring.read(7, 5))
    ring.append(b"c")
    assert b"bbcc" == ring.read(1, 5)
    ring.acknowledge(2, durable=True)
    assert (b"", b"cc") == (ring.read(1, 5), ring.read(2, 5))


def test_ring_waits_for_audio_that_a_server_lost_again() -> None:
    """After a rewind the audio counts as not acknowledged, whatever was said before; what is gone is skipped."""
    ring = AudioRing(width=1, keep=8, limit=10)
    ring.append(bytes(9))
    ring.acknowledge(9, durable=False)
    ring.append(bytes(6))
    assert (7, True) == (ring.start, ring.room)
    assert 8 == ring.rewind(8)
    assert ring.room
    assert 7 == ring.rewind(0)
    ring.append(bytes(2))
    assert (7, 17, False) == (ring.start, ring.end, ring.room)
    assert 17 == ring.rewind(99)


# -- everything that is sent ------------------------------------------------------------------------------------------


@dataclass
class ModelServer:
    """What a server does with frames, as far as a client can see it: what it holds, and what of that is on disk."""

    audio: ClientAudio
    held: bytes = b""
    durable: int = 0
    finalized: list[int] = field(default_factory=list)
    ended: int = 0

    @property
    def width(self) -> int:
        """Bytes of one place."""
        indexed = self.audio.framing is Framing.INDEXED
        return SAMPLE[self.audio.encoding] * self.audio.channels if indexed else 1

    def hear(self, frame: str | bytes) -> None:
        """Take a frame."""
        if isinstance(frame, str):
            if json.loads(frame)["type"] == "finalize":
                self.finalized.append(len(self.held))
            else:
                self.ended += 1
        elif self.audio.framing is Framing.INDEXED:
            at = int.from_bytes(frame[:8]) * self.width
            assert at <= len(self.held), "a hole"
            self.held += frame[8 + len(self.held) - at :]
        else:
            self.held += frame

    def acknowledge(self, *, durable: bool) -> Ack:
        """What it says then."""
        self.durable = len(self.held) if durable else self.durable
        return Ack(event=2, samples=self._tape, bytes=len(self.held), durable=durable)

    def resume(self, *, crashed: bool) -> Resumed:
        """What it says to a new connection; after a crash it holds only what is on disk."""
        self.ended = 0
        if crashed:
            self.held = self.held[: self.durable]
        return Resumed(event=1, session="s", next_sample=self._tape, next_byte=len(self.held))

    @property
    def _tape(self) -> int:
        """Samples at 16 kHz."""
        return len(self.held) // self.width * 16_000 // self.audio.sample_rate


ACTIONS = st.one_of(
    st.tuples(st.just("speak"), st.integers(0, 60_000)),
    st.tuples(st.just("finalize"), st.just(0)),
    st.tuples(st.just("send"), st.integers(0, 12)),
    st.tuples(st.just("acknowledge"), st.integers(0, 9)),
    st.tuples(st.just("cut"), st.integers(0, 5)),
    st.tuples(st.just("crash"), st.integers(0, 5)),
)


@pytest.mark.parametrize("audio", FORMATS, ids=lambda audio: f"{audio.encoding} {audio.framing}")
@given(actions=st.lists(ACTIONS, max_size=60), late=st.lists(st.integers(0, 9), max_size=2))
def test_cuts_and_crashes_at_any_place_lose_and_double_nothing(
    audio: ClientAudio, actions: list[tuple[str, int]], late: list[int]
) -> None:
    """However often the line breaks with frames on their way, the server ends with all of the audio, each byte once."""
    server, client = ModelServer(audio), Outgoing(audio)
    said, asked = b"", []
    flying: list[str | bytes] = []
    for action, count in actions:
        match action:
            case "speak":
                said += (piece := numbered(count, len(said)))
                client.append(piece)
            case "finalize":
                asked.append(len(said) // server.width * server.width)
                client.command(Finalize())
            case "send":
                flying += [frame for _ in range(count) if (frame := client.next()) is not None]
            case "acknowledge":
                _arrive(server, flying, count // 2)
                client.acknowledge(server.acknowledge(durable=bool(count % 2)))
            case "cut" | "crash":
                _arrive(server, flying, count)
                flying.clear()
                client.go_on(server.resume(crashed=action == "crash"))
    client.end()
    for left in late:
        flying += iter(client.next, None)
        _arrive(server, flying, len(flying) - left)
        flying.clear()
        client.go_on(server.resume(crashed=False))
    flying += iter(client.next, None)
    _arrive(server, flying, len(flying))
    assert said[: len(said) // server.width * server.width] == server.held
    assert 1 == server.ended
    assert set(asked) == set(server.finalized)


def _arrive(server: ModelServer, flying: list[str | bytes], count: int) -> None:
    for frame in flying[: max(0, count)]:
        server.hear(frame)
    del flying[: max(0, count)]


@pytest.mark.parametrize("audio", FORMATS, ids=lambda audio: f"{audio.encoding} {audio.framing}")
def test_a_server_that_never_answers_costs_bounded_memory(audio: ClientAudio) -> None:
    """A minute of audio that is not acknowledged is kept, then there is no room, until the server has got some."""
    client = Outgoing(audio)
    second = SAMPLE[audio.encoding] * audio.channels * audio.sample_rate if audio.encoding != "webm" else 192_000
    seconds = 0
    while client.room:
        client.append(bytes(second))
        seconds += 1
    assert 60 == seconds
    client.acknowledge(Ack(event=2, samples=16_000, bytes=second, durable=False))
    assert client.room


def test_hole_of_lost_audio_is_marked_by_the_index() -> None:
    """If a server that crashed wants what is not kept any more, indexed audio goes on at its own place."""
    client = Outgoing(INDEXED)
    for second in range(40):
        client.append(SECOND)
        client.acknowledge(acknowledged(16_000 * second, durable=False))
    client.go_on(resumed(1_000))
    frame = client.next()
    assert isinstance(frame, bytes)
    assert 9 * 16_000 < int.from_bytes(frame[:8]) <= 10 * 16_000


def test_hole_in_a_stream_without_indexes_is_an_error() -> None:
    """Without indexes nobody could know that something is missing, so the client says so."""
    client = Outgoing(RAW)
    client.append(SECOND)
    client.acknowledge(acknowledged(16_000))
    with pytest.raises(AudioMissing):
        client.go_on(resumed(0))


def test_audio_is_indexed_where_it_can_be() -> None:
    """PCM gets indexes unless the caller chose; containers cannot."""
    assert Framing.INDEXED is with_indexes(ClientAudio(encoding=Encoding.ALAW, sample_rate=8_000)).framing
    assert Framing.RAW is with_indexes(RAW).framing
    assert Framing.RAW is with_indexes(ClientAudio(encoding=Encoding.OGG)).framing
