"""Plays a piece, and knows how far the speaker is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from twopass import playing
from twopass.compare.records import Hearing
from twopass.compare.running.hearer import Piece
from twopass.types import BYTES_PER_SAMPLE, SAMPLE_RATE


class Player:
    """One piece on its way."""

    def __init__(self, piece: Piece) -> None:
        self.piece = piece
        self._loop = asyncio.get_running_loop()
        self._began = self._zero = self._loop.time()

    def now(self) -> float:
        """Milliseconds since sample 0 was spoken: how far the speaker is, if he speaks."""
        return round((self._loop.time() - self._zero) * 1000, 1)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The audio as it comes: each chunk when its last sample has been spoken, or at once."""
        sent = 0
        chunks = playing.chunked(_once(self.piece.pcm))
        async for chunk in playing.paced(chunks, began=self._begin) if self.piece.realtime else chunks:
            yield chunk
            sent += len(chunk)
            self.piece.played(_ms(sent))

    def hearing(self, system: str) -> Hearing:
        """What is known of the hearing from this side, now that it is over."""
        return Hearing(
            system=system,
            recording=self.piece.recording,
            audio_ms=_ms(len(self.piece.pcm)),
            wall_ms=round((self._loop.time() - self._began) * 1000, 1),
            realtime=self.piece.realtime,
        )

    def _begin(self, at: float) -> None:
        self._zero = at


def _ms(size: int) -> int:
    return size // BYTES_PER_SAMPLE * 1000 // SAMPLE_RATE


async def _once(pcm: bytes) -> AsyncIterator[bytes]:
    yield pcm
