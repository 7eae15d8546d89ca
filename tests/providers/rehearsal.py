"""A session with a vendor's recognizer as its first pass, and what its user sees of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from tests.scripted import ScriptedUtterances, scripted_parts, spoken

from twopass.circuit import Breaker
from twopass.errors import RecognizerRejected
from twopass.first_pass_contract import FirstPassSettings
from twopass.lane import SessionParts
from twopass.lineup import Line
from twopass.outbox import Event, ProviderTrouble
from twopass.recognizers import StreamingRecognizer, StreamOptions
from twopass.second_pass import SecondPass, SecondPassSettings
from twopass.session import Session
from twopass.types import Clock, Pass, Revision, Status, Usage, Words

_PIECE = 100 * 32  # bytes of 100 ms
_OPTIONS = StreamOptions()
_SETTINGS = FirstPassSettings()


def no_second_pass() -> SecondPass:
    """A second pass that refuses everything: what the first pass heard is what stays."""
    refusal = RecognizerRejected("There is none.", provider="scripted")
    return SecondPass(ScriptedUtterances(fault=lambda call, ms: refusal), SecondPassSettings())


@dataclass
class Seen:
    """
    What the user of a session saw.

    Attributes:
        revisions: All of them, in order.
        troubles: What was told of the first pass's failures.
        usage: Every entry that was metered.
        shown: When each word was first shown, seconds of the event loop's clock, in that order.
        began: When the first audio was sent.
    """

    revisions: list[Revision] = field(default_factory=list)
    troubles: list[ProviderTrouble] = field(default_factory=list)
    usage: list[Usage] = field(default_factory=list)
    shown: dict[str, float] = field(default_factory=dict)
    began: float = 0.0

    @property
    def finals(self) -> list[tuple[str, int, int]]:
        """The transcript: text, start and end of each word."""
        latest = {revision.utterance: revision for revision in self.revisions}
        assert all(revision.status is Status.FINAL for revision in latest.values())
        ordered = sorted(latest.values(), key=lambda revision: revision.start)
        return [(word.text, word.start, word.end) for revision in ordered for word in revision.words]

    @property
    def states(self) -> list[str]:
        """What was told of the first pass, in order: "retrying", "failed", ..."""
        return [trouble.state for trouble in self.troubles]

    @property
    def longest_gap(self) -> float:
        """The longest time without a word that had not been shown before, seconds."""
        return max((later - earlier for earlier, later in pairwise(self.shown.values())), default=0.0)

    def seconds(self, provider: str, clock: Clock) -> float:
        """All that was metered of a provider on a clock."""
        return sum(usage.seconds for usage in self.usage if (usage.provider, usage.clock) == (provider, clock))


class Watched(Session):
    """A session that notes what it tells."""

    def __init__(self, parts: SessionParts) -> None:
        super().__init__("rehearsal", parts)
        self.seen = Seen()

    def show(self, revision: Revision) -> None:
        super().show(revision)
        self.seen.revisions.append(revision)
        for word in revision.words:
            self.seen.shown.setdefault(word.text.strip(".,").lower(), asyncio.get_running_loop().time())

    def tell(self, event: Event) -> None:
        super().tell(event)
        if isinstance(event, ProviderTrouble) and event.pass_ is Pass.FIRST:
            self.seen.troubles.append(event)

    def used(self, usage: Usage) -> None:
        super().used(usage)
        self.seen.usage.append(usage)


def transcript(words: Words) -> list[tuple[str, int, int]]:
    """What `Seen.finals` should be."""
    return [(word.text, word.start, word.end) for word in words]


async def rehearse(
    first: StreamingRecognizer | Sequence[StreamingRecognizer],
    words: Words,
    ms: int,
    *,
    speed: float = 4.0,
    options: StreamOptions = _OPTIONS,
    settings: FirstPassSettings = _SETTINGS,
    realtime: bool = False,
) -> Seen:
    """
    Speak these words (coded audio, see `tests.scripted`) to a session at so many times real time.

    The recognizers (several are a list for failover) are opened and closed here. The second pass refuses everything,
    so that the transcript is what the first pass heard.
    """
    recognizers = [first] if isinstance(first, StreamingRecognizer) else first
    lineup = tuple(Line(recognizer, Breaker()) for recognizer in recognizers)
    second = no_second_pass()
    parts = scripted_parts(second, realtime=realtime)
    parts = replace(parts, first_pass=lineup, options=options, first_settings=settings)
    session, working = Watched(parts), asyncio.create_task(second.run())
    for recognizer in recognizers:
        await recognizer.open()
    try:
        running = asyncio.create_task(session.run())
        await _speak(session, spoken(words, ms), speed)
        await running
    finally:
        for recognizer in recognizers:
            await recognizer.close()
        working.cancel()
    return session.seen


async def _speak(session: Watched, pcm: bytes, speed: float) -> None:
    clock = asyncio.get_running_loop().time
    began = session.seen.began = clock()
    for at in range(0, len(pcm), _PIECE):
        await asyncio.sleep(max(0.0, began + at / 32_000 / speed - clock()))
        await session.room()
        session.write([pcm[at : at + _PIECE]])
    session.end()
