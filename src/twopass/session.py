"""
One session: wires tape, voice detector, segmenter, both passes and reconciler together. Nothing else knows all of them.

Audio goes in by `write`, events come out of `outbox`. A session has one lane per channel (see `lane`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from twopass.errors import SessionClosed
from twopass.lane import Lane, SessionParts
from twopass.outbox import Acknowledged, CostChanged, Event, Outbox, SessionEnded
from twopass.types import Revision, Status, Usage, milliseconds, samples

_COST_EVERY_SECONDS = 1.0
_ACK_EVERY = samples(250)


@dataclass(slots=True)
class _Tally:
    """What the summary at the end says."""

    utterances: int = 0
    words: int = 0
    degraded: int = 0


class Session:
    """
    One client's audio and its transcript.

    Attributes:
        outbox: Where the events come out.
    """

    def __init__(self, identity: str, parts: SessionParts) -> None:
        self.id = identity
        self.outbox = Outbox()
        self._parts = parts
        self._usages: list[Usage] = []
        self._tally = _Tally()
        self._lanes = [Lane(channel, self, parts) for channel in range(parts.channels)]
        self._ended = False
        self._acknowledged = 0

    @property
    def ended(self) -> bool:
        """Whether `end` was called: no more audio is taken."""
        return self._ended

    @property
    def next_sample(self) -> int:
        """The index of the next sample wanted."""
        return self._lanes[0].tape.end

    def write(self, channels: Sequence[bytes], at: int | None = None) -> None:
        """
        Put audio on the tape, one piece of 16 kHz s16 PCM per channel, at sample index `at` (default: the end).

        Raises TapeError, or SessionClosed after `end`.
        """
        if self._ended:
            raise SessionClosed("The session has ended.", fix="Start a new one.")
        for lane, pcm in zip(self._lanes, channels, strict=True):
            lane.tape.write(pcm, at)
        if self.next_sample - self._acknowledged >= _ACK_EVERY:
            self._acknowledge()

    async def room(self) -> None:
        """Wait until the session can take more audio: recordings are sent faster than they are heard."""
        for lane in self._lanes:
            await lane.room()

    def finalize(self) -> None:
        """End the running utterances now."""
        for lane in self._lanes:
            lane.finalize()

    def end(self) -> None:
        """No more audio. `run` returns when every utterance is final."""
        self._ended = True
        for lane in self._lanes:
            lane.tape.finish()

    async def run(self) -> None:
        """Recognize until `end` and the last final. Cancel it to abandon the session."""
        ticker = asyncio.create_task(self._tell_cost())
        try:
            async with asyncio.TaskGroup() as group:
                for lane in self._lanes:
                    group.create_task(lane.run())
        finally:
            ticker.cancel()
        self._acknowledge()
        self.outbox.put(self._cost())
        audio_ms = milliseconds(self.next_sample)
        self.outbox.put(SessionEnded(audio_ms, self._tally.utterances, self._tally.words, self._tally.degraded))

    # -- what the lanes tell ----------------------------------------------------------------------------------------

    def show(self, revision: Revision) -> None:
        """A revision for the client."""
        if revision.status is Status.FINAL:
            self._tally.utterances += 1
            self._tally.words += len(revision.words)
            self._tally.degraded += revision.degraded is not None
        self.outbox.put(revision)

    def tell(self, event: Event) -> None:
        """Any other event for the client."""
        self.outbox.put(event)

    def used(self, usage: Usage) -> None:
        """Something was used."""
        self._usages.append(usage)

    def _acknowledge(self) -> None:
        self._acknowledged = self.next_sample
        self.outbox.put(Acknowledged(self.next_sample))

    def _cost(self) -> CostChanged:
        return CostChanged(milliseconds(self.next_sample), self._parts.pricer.summarize(self._usages))

    async def _tell_cost(self) -> None:
        told = 0
        while True:
            await asyncio.sleep(_COST_EVERY_SECONDS)
            if len(self._usages) > told:
                told = len(self._usages)
                self.outbox.put(self._cost())
