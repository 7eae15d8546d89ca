"""A client of the native socket that says whatever a test wants, also what no good client says."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from tests.conftest import PATIENCE
from tests.speech import Recording
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from twopass.client import revision_of
from twopass.gateway.messages import AnyServerMessage, Ended, ErrorMessage, Segment, SessionStarted, parse_server

ASSETS = Path(__file__).parents[2] / "src" / "twopass" / "assets"
SAMPLE = ASSETS / "sample.wav"
REFERENCE: str = json.loads((ASSETS / "sample.json").read_text())["text"]
PCM = SAMPLE.read_bytes()[44:]
RATE = 16_000


@dataclass
class Heard:
    """What the server said on one socket, in order, and how it closed it."""

    messages: list[AnyServerMessage] = field(default_factory=list)
    code: int = 0
    reason: str = ""

    def take(self, message: str | bytes) -> None:
        """One more message, which must be one that the schema knows."""
        self.messages.append(parse_server(message))

    def of(self, *kinds: type[Any]) -> list[Any]:
        """The messages of some types."""
        return [message for message in self.messages if isinstance(message, kinds)]

    @property
    def errors(self) -> list[ErrorMessage]:
        return self.of(ErrorMessage)

    @property
    def codes(self) -> list[str]:
        """The codes of all errors."""
        return [error.code for error in self.errors]

    @property
    def started(self) -> SessionStarted:
        (started,) = self.of(SessionStarted)
        assert isinstance(started, SessionStarted)
        return started

    @property
    def ended(self) -> Ended:
        (ended,) = self.of(Ended)
        assert isinstance(ended, Ended)
        return ended

    @cached_property
    def revisions(self) -> dict[str, list[Segment]]:
        """By utterance, in the order in which they came."""
        by_id: dict[str, list[Segment]] = defaultdict(list)
        for segment in self.of(Segment):
            by_id[segment.id].append(segment)
        return by_id

    def finals(self, channel: int | None = None) -> list[Segment]:
        """The last revision of every utterance, in the order of time."""
        latest = [revisions[-1] for revisions in self.revisions.values()]
        wanted = [segment for segment in latest if channel in (None, segment.channel)]
        return sorted(wanted, key=lambda segment: segment.start)

    def text(self, channel: int | None = None) -> str:
        """The transcript."""
        return " ".join(segment.text for segment in self.finals(channel) if segment.text)


def folded(text: str) -> str:
    """Words without capitals and punctuation."""
    return " ".join(re.findall(r"[\w']+", text.lower()))


def begun(recording: Recording, sentences: int) -> Recording:
    """Only the first sentences of a recording."""
    spoken = recording.sentences[:sentences]
    length = (spoken[-1].end_ms + 300) * RATE // 1000
    return replace(recording, pcm=recording.pcm[: length * 2 * recording.channels], sentences=spoken)


def encoded(recording: Recording, container: str, codec: str, rate: int = RATE) -> bytes:
    """A recording as a file of that kind."""
    file, layout = io.BytesIO(), "stereo" if recording.channels == 2 else "mono"
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = layout
        samples = np.frombuffer(recording.pcm, np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return file.getvalue()


def chunks(data: bytes, size: int = 6_400) -> Iterator[bytes]:
    """Data in pieces."""
    return (data[at : at + size] for at in range(0, len(data), size))


def start(**fields: object) -> str:
    """A `start` that asks for full speed."""
    return json.dumps({"type": "start", "realtime": False, **fields})


FINALIZE = json.dumps({"type": "finalize"})
END = json.dumps({"type": "end"})


async def talk(url: str, frames: Iterable[str | bytes], *, patience: float = PATIENCE) -> Heard:
    """Open a socket, say all this without waiting, and listen until the server closes."""
    heard = Heard()
    async with asyncio.timeout(patience), opened(url) as socket:
        saying = asyncio.create_task(say(socket, frames))
        try:
            async for message in socket:
                heard.take(message)
        except ConnectionClosed:
            pass  # the code says it
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)
        heard.code, heard.reason = socket.close_code or 0, socket.close_reason or ""
    return heard


async def transcribed(url: str, sound: Iterable[bytes], **fields: object) -> Heard:
    """A whole session as a good client does it."""
    return await talk(url, [start(**fields), *sound, END])


def opened(url: str) -> connect:
    """A socket to the server; a context manager."""
    return connect(
        url.replace("http", "ws", 1) + "/v1/stream", max_size=None, open_timeout=PATIENCE, ping_interval=None
    )


async def say(socket: ClientConnection, frames: Iterable[str | bytes]) -> None:
    """Send frames until they end or the server has had enough."""
    try:
        for frame in frames:
            await socket.send(frame)
    except ConnectionClosed:
        pass


def in_order(heard: Heard) -> None:
    """What holds for every session that ends well, whatever was said."""
    numbers = [message.event for message in heard.messages]
    assert sorted(set(numbers)) == numbers
    for revisions in heard.revisions.values():
        _lives_forward(revisions)
    for before, after in pairwise(heard.finals(0)):
        assert before.end <= after.start
    for segment in heard.finals():
        words = segment.words
        assert segment.start <= segment.end
        assert revision_of(segment).text == segment.text
        assert all(segment.start <= word.start <= word.end <= segment.end for word in words)
        assert all(before.end <= after.start for before, after in pairwise(words))
    ended = heard.ended
    assert heard.messages[-1] == ended
    assert (ended.utterances, ended.words) == (len(heard.finals()), sum(len(s.words) for s in heard.finals()))


def _lives_forward(revisions: Sequence[Segment]) -> None:
    """Numbers grow, the status never goes back, and a final is the last."""
    ranks = [("interim", "provisional", "final").index(segment.status) for segment in revisions]
    numbers = [segment.revision for segment in revisions]
    assert sorted(ranks) == ranks
    assert ranks.count(2) == 1
    assert revisions[-1].status == "final"
    assert sorted(set(numbers)) == numbers
