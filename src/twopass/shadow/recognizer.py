"""A recognizer that cannot take more of this process than its share: what it says too fast has to wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from twopass.errors import RecognizerCrashed
from twopass.recognizers import Capabilities, StreamingRecognizer, StreamOptions
from twopass.types import Hypothesis, Usage

_AT_ONCE = 200
_PER_SECOND = 50
_MOST_WORDS = 4_000


class Restrained:
    """
    The recognizer within bounds: 50 answers a second (200 at once), 4000 words in one, and after each answer it is
    everybody else's turn.
    """

    def __init__(self, recognizer: StreamingRecognizer) -> None:
        self._recognizer = recognizer

    @property
    def capabilities(self) -> Capabilities:
        """The recognizer's."""
        return self._recognizer.capabilities

    async def open(self) -> None:
        """Load what is needed."""
        await self._recognizer.open()

    async def close(self) -> None:
        """Let go of processes and connections."""
        await self._recognizer.close()

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        """As the recognizer's, but not faster. Raises RecognizerCrashed for an answer that is too long."""
        said, began = 0, asyncio.get_running_loop().time()
        async with aclosing(self._recognizer.stream(audio, options)) as answers:  # type: ignore[type-var]
            async for answer in answers:
                if isinstance(answer, Hypothesis) and len(answer.words) > _MOST_WORDS:
                    raise RecognizerCrashed("It says too much at once.", provider=self.capabilities.provider)
                yield answer
                said += 1
                early = (said - _AT_ONCE) / _PER_SECOND - (asyncio.get_running_loop().time() - began)
                await asyncio.sleep(max(0.0, early))
