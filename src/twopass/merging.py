"""
What one channel knows: voice activity and both passes' words, folded into utterances and revisions. Pure.

The state of a channel is a fold over its inputs, in the order in which they came. Whoever keeps the inputs (see
`journal`) can make the state anew, down to the numbers of the revisions: that is how a session survives the end of
its process.

    voice frames ─> segmenter ─> utterances ─┐
    first pass's hypotheses ─────────────────┼─> reconciler ─> revisions
    second pass's answers ───────────────────┘
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from twopass.guard import GuardSettings
from twopass.outbox import SpeechChanged
from twopass.reconciler import (
    FOREVER,
    SNAP_MS,
    Closed,
    Fact,
    FirstPass,
    Heard,
    Opened,
    Reconciler,
    SecondPass,
    SecondPassFailed,
    Settled,
)
from twopass.segmenter import (
    FRAME_SAMPLES,
    Ended,
    Paused,
    Resumed,
    Segmenter,
    SegmenterSettings,
    SegmentEvent,
    Started,
)
from twopass.types import Revision, Utterance

# -- inputs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VoiceFrames:
    """What the voice detector says of the next frames: (probability, loudness) each."""

    frames: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class FinalizeAt:
    """End the running utterance once everything before this sample has been heard."""

    sample: int


@dataclass(frozen=True, slots=True)
class AllHeard:
    """The tape is over and the voice detector has heard all of it."""


Input: TypeAlias = VoiceFrames | FinalizeAt | AllHeard | FirstPass | Settled | SecondPass | SecondPassFailed

# -- effects ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UtteranceOpened:
    """Somebody speaks: the first pass may listen."""

    utterance: Utterance


@dataclass(frozen=True, slots=True)
class UtterancePaused:
    """A short silence: the second pass may begin on speculation. The utterance ends where it would end."""

    utterance: Utterance


@dataclass(frozen=True, slots=True)
class UtteranceResumed:
    """The speaker goes on: the speculation was wrong."""


@dataclass(frozen=True, slots=True)
class UtteranceClosed:
    """It is complete: the second pass is due."""

    utterance: Utterance


Effect: TypeAlias = Revision | SpeechChanged | UtteranceOpened | UtterancePaused | UtteranceResumed | UtteranceClosed


class Merge:
    """
    One channel. Feed inputs to `apply`, carry out what comes back.

    Attributes:
        heard: Samples that the voice detector has heard.
        over: It has heard everything.
        unsettled: Utterances of which the first pass has not said all it will say, oldest first.
        unanswered: Closed utterances without an answer of the second pass, oldest first, by id.
        last_stream: The highest number of a stream of the first pass; -1 before there is one.
        settled: Until when (ms) the first pass has said everything.
    """

    def __init__(
        self, channel: int, segmenter: SegmenterSettings, guard: GuardSettings, *, diarized: bool = False
    ) -> None:
        self._channel = channel
        self._segmenter = Segmenter(segmenter)
        self._reconciler = Reconciler(channel, guard, diarized=diarized)
        self._finalize_at: int | None = None
        self._open: Utterance | None = None
        self.heard = 0
        self.over = False
        self.unsettled: list[Utterance] = []
        self.unanswered: dict[str, Utterance] = {}
        self.last_stream = -1
        self.settled = 0

    @property
    def needed_since(self) -> int:
        """ms before which no utterance can begin any more that is not final: nobody needs the audio before it."""
        unfinished = self._reconciler.unfinished_since
        return self._segmenter.settled if unfinished is None else min(unfinished, self._segmenter.settled)

    def apply(self, item: Input) -> Iterator[Effect]:
        """
        Take one input; gives what follows from it, in order.

        The state changes while the effects are taken: take all of them.
        """
        match item:
            case VoiceFrames(frames):
                yield from self._hear(frames)
            case FinalizeAt(sample):
                self._finalize_at = sample
                yield from self._finalize_if_due()
            case AllHeard():
                self.over = True
                yield from self._segmented(self._segmenter.finish())
                yield from self._fact(Heard(FOREVER))
            case _:
                self._note(item)
                yield from self._fact(item)

    def _hear(self, frames: Sequence[tuple[float, float]]) -> Iterator[Effect]:
        for probability, loudness in frames:
            yield from self._segmented(self._segmenter.push(probability, loudness))
        self.heard += len(frames) * FRAME_SAMPLES
        yield from self._fact(Heard(self._segmenter.settled))
        yield from self._finalize_if_due()

    def _finalize_if_due(self) -> Iterator[Effect]:
        if self._finalize_at is not None and self.heard >= self._finalize_at:
            self._finalize_at = None
            yield from self._segmented(self._segmenter.finish())

    def _segmented(self, events: Sequence[SegmentEvent]) -> Iterator[Effect]:
        for event in events:
            match event:
                case Started():
                    yield from self._started(event)
                case Paused(_, end):
                    assert self._open is not None
                    yield UtterancePaused(replace(self._open, end=end))
                case Resumed():
                    yield UtteranceResumed()
                case Ended():
                    yield from self._ended(event)

    def _started(self, event: Started) -> Iterator[Effect]:
        identity = f"{self._channel}-{event.start}"
        utterance = self._open = Utterance(identity, event.start, cut_left=event.cut, channel=self._channel)
        self.unsettled.append(utterance)
        yield from self._fact(Opened(utterance))
        yield UtteranceOpened(utterance)
        if not event.cut:
            yield SpeechChanged("started", event.start, self._channel)

    def _ended(self, event: Ended) -> Iterator[Effect]:
        assert self._open is not None
        utterance = replace(
            self._open, start=event.start, end=event.end, speech_ms=event.speech_ms, cut_right=event.cut
        )
        self.unsettled = [utterance if known.id == utterance.id else known for known in self.unsettled]
        self.unanswered[utterance.id] = utterance
        self._forget_settled()
        yield from self._fact(Closed(utterance))
        yield UtteranceClosed(utterance)
        if not event.cut:
            yield SpeechChanged("ended", event.end, self._channel)

    def _note(self, item: FirstPass | Settled | SecondPass | SecondPassFailed) -> None:
        match item:
            case FirstPass(_, (stream, _)):
                self.last_stream = max(self.last_stream, stream)
            case Settled(until):
                self.settled = max(self.settled, until)
                self._forget_settled()
            case SecondPass(utterance) | SecondPassFailed(utterance):
                self.unanswered.pop(utterance.id, None)

    def _forget_settled(self) -> None:
        self.unsettled = [utterance for utterance in self.unsettled if _region_end(utterance) > self.settled]

    def _fact(self, fact: Fact) -> Iterator[Effect]:
        yield from self._reconciler.apply(fact)


def _region_end(utterance: Utterance) -> int:
    """Until when words belong to it."""
    if utterance.end is None:
        return FOREVER + 1
    return utterance.end + (0 if utterance.cut_right else SNAP_MS)
