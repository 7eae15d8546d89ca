"""
Many clients at once, in a process of their own: `python -m tests.faults.callers URL SESSIONS SECONDS`.

All speak the same script in real time, one after the other by a little. Prints one JSON document at the end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field

from tests.faults import script
from tests.faults.comparison import compared
from tests.faults.talking import CHUNK_MS, chunks

from twopass.client import Client
from twopass.compare.measures.timeline import percentile
from twopass.errors import TwopassError
from twopass.gateway.messages import AnyServerMessage, Ended, Segment

APART_MS = 47
PROFILE = "many"


@dataclass
class Heard:
    """
    What all sessions together met.

    Attributes:
        word_delays: Until a word is first shown, since the last sample of it that this message knows was spoken, ms.
        final_delays: From the end of an utterance until it is final, ms.
        late_ms: How late the clients themselves were in sending: more than a chunk, and the figures are theirs.
        wrong: What was wrong with a session, by number.
    """

    sessions: int = 0
    ended: int = 0
    reconnects: int = 0
    words: int = 0
    word_delays: list[float] = field(default_factory=list)
    final_delays: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    wrong: dict[int, str] = field(default_factory=dict)


@dataclass
class _Caller:
    """One client."""

    number: int
    said: script.Script
    heard: Heard
    began: float = 0.0
    shown: int = 0
    kept: list[AnyServerMessage] = field(default_factory=list)

    async def call(self, url: str) -> None:
        """A whole session."""
        await asyncio.sleep(self.number * APART_MS / 1000)
        self.heard.sessions += 1
        trouble: list[str] = []
        try:
            async with Client(url) as client, client.session(profile=PROFILE) as session:
                session.feed(self._speak())
                async for message in session:
                    self._take(message)
        except TwopassError as error:
            trouble.append(f"{error.code}: {error}")
        verdict = compared(self.said.texts, self.kept, trouble)
        if not verdict.good:
            self.heard.wrong[self.number] = str(verdict)

    async def _speak(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        self.began = loop.time()
        for i, chunk in enumerate(chunks(self.said.pcm), start=1):
            due = self.began + i * CHUNK_MS / 1000
            await asyncio.sleep(due - loop.time())
            self.heard.late_ms.append((loop.time() - due) * 1000)
            yield chunk

    def _take(self, message: AnyServerMessage) -> None:
        now = (asyncio.get_running_loop().time() - self.began) * 1000
        if isinstance(message, Ended):
            self.heard.ended += 1
            self.kept.append(message)
        if not isinstance(message, Segment):
            return
        for word in message.words:
            self._first_shown(int(word.text), now - word.end)
        if message.status == "final":
            self.kept.append(message)
            self.heard.final_delays.append(now - message.end)

    def _first_shown(self, number: int, delay: float) -> None:
        """Words are shown in their order."""
        if number > self.shown:
            self.shown = number
            self.heard.words += 1
            self.heard.word_delays.append(delay)


def summary(heard: Heard) -> dict[str, object]:
    """Percentiles instead of all the figures."""
    document = asdict(heard)
    for name in ("word_delays", "final_delays", "late_ms"):
        values: Sequence[float] = document.pop(name)
        document |= {f"{name}_p{p}": round(percentile(list(values), p) or 0.0) for p in (50, 99)}
    return document


async def _all(url: str, sessions: int, seconds: float) -> Heard:
    said, heard = script.written("load", round(seconds * 1000)), Heard()
    async with asyncio.TaskGroup() as group:
        for number in range(sessions):
            group.create_task(_Caller(number, said, heard).call(url))
    return heard


if __name__ == "__main__":
    print(json.dumps(summary(asyncio.run(_all(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))))
