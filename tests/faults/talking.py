"""The real client in a run, and what all clients of runs share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from twopass.client import Client
from twopass.errors import TwopassError
from twopass.gateway.messages import AnyServerMessage

CHUNK_MS = 100
_BYTES_PER_MS = 32


@dataclass
class Talk:
    """What a client got, in order, and what went wrong on its side."""

    messages: list[AnyServerMessage] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Manner:
    """
    How a client talks.

    Attributes:
        speed: So many times faster than real time; None is as fast as the server takes it.
        patience: Seconds until it gives up.
    """

    profile: str
    speed: float | None = None
    phrases: tuple[str, ...] = ()
    patience: float = 240.0

    @property
    def realtime(self) -> bool:
        """What `start` says."""
        return self.speed is not None


async def by_client(url: str, pcm: bytes, manner: Manner) -> Talk:
    """A whole session of the real client. Never raises for what the server or the network did."""
    talk = Talk()
    try:
        async with asyncio.timeout(manner.patience):
            await _client_talks(url, pcm, manner, talk)
    except TimeoutError:
        talk.trouble.append(f"not over after {manner.patience:.0f} s")
    except TwopassError as error:
        talk.trouble.append(f"{error.code}: {error}")
    return talk


async def _client_talks(url: str, pcm: bytes, manner: Manner, talk: Talk) -> None:
    options = {"profile": manner.profile, "phrases": manner.phrases, "realtime": manner.realtime}
    async with Client(url) as client, client.session(**options) as session:  # type: ignore[arg-type]
        talk.messages.append(session.started)
        session.feed(paced(chunks(pcm), manner.speed))
        async for message in session:
            talk.messages.append(message)


def chunks(pcm: bytes, ms: int = CHUNK_MS) -> Iterable[bytes]:
    """Audio in pieces."""
    size = ms * _BYTES_PER_MS
    return (pcm[at : at + size] for at in range(0, len(pcm), size))


async def paced(pieces: Iterable[bytes], speed: float | None, ms: int = CHUNK_MS) -> AsyncIterator[bytes]:
    """Pieces of so many ms, so many times faster than spoken; who was kept waiting catches up with a second at most."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for piece in pieces:
        if speed is not None:
            due = max(due + ms / 1000 / speed, loop.time() - 1.0)
            await asyncio.sleep(due - loop.time())
        yield piece
