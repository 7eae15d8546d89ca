"""
One channel of a session: carries audio from the tape to the models, and what they say into the merge.

    tape -> voice detector -> merge -> utterances -> first pass and second pass -> merge -> revisions

What the merge takes is told to the session first, which may keep it; `replay` makes the state anew from what was
kept, and `run` then goes on where the models were.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from twopass.cost.prices.running import Pricer
from twopass.cost.usage.entries import HOUSE, Account
from twopass.cost.usage.session_meter import NOWHERE, Sink
from twopass.cost.usage.treasury import NOBODY, Guard
from twopass.errors import RecognizerError
from twopass.first_pass import FirstPassRunner
from twopass.first_pass_contract import FirstPassSettings
from twopass.guard import GuardSettings
from twopass.lineup import Lineup
from twopass.merging import (
    AllHeard,
    Effect,
    FinalizeAt,
    Input,
    Merge,
    UtteranceClosed,
    UtteranceOpened,
    UtterancePaused,
    UtteranceResumed,
    VoiceFrames,
)
from twopass.outbox import AudioSkipped, Event, ProviderTrouble, SpeechChanged
from twopass.recognizers import StreamOptions, UtteranceAudio
from twopass.reconciler import FOREVER, FirstPass, SecondPass, SecondPassFailed, Settled
from twopass.rewriting import Rewriter
from twopass.second_pass import Job, Rewrites, SecondPassSettings
from twopass.segmenter import FRAME_SAMPLES, SegmenterSettings
from twopass.shadow.beside import ALONE, Beside
from twopass.tape import Cursor, Tape
from twopass.types import Pass, Revision, Usage, milliseconds, samples
from twopass.vad import Listening, VoiceDetector

log = structlog.get_logger()

_FRAMES_AT_ONCE = 32
_MOST_UNHEARD_MS = 20_000
_MOST_UNANSWERED = 8
_LONGEST_HOLE_MS = 65_000  # a little more than what the framing lets through: resamplers hold some audio back
_WARM_UP = 10_240 // 32 * FRAME_SAMPLES
"""Audio that a new voice detector hears first: its memory is of that length."""


@dataclass(frozen=True, slots=True)
class SessionParts:
    """
    What a session is made of. The engine puts it together from a profile.

    Attributes:
        realtime: False for recordings sent faster than spoken: no deadlines, no speculation, writers wait.
        dear: Which of the first pass's recognizers cost more than the cheapest one.
        account: Who pays.
        sink: Where it is written down what was used.
        budgets: What it may cost.
        beside: Who hears it too, for comparison.
    """

    first_pass: Lineup
    second_pass: Rewrites
    voice: VoiceDetector
    pricer: Pricer
    options: StreamOptions
    segmenter: SegmenterSettings
    first_settings: FirstPassSettings
    second_settings: SecondPassSettings
    guard: GuardSettings
    channels: int = 1
    realtime: bool = True
    dear: frozenset[int] = frozenset()
    account: Account = HOUSE
    sink: Sink = NOWHERE
    budgets: Guard = NOBODY
    beside: Beside = ALONE


class Owner(Protocol):
    """What a lane tells the session that it belongs to."""

    id: str

    def happens(self, channel: int, item: Input) -> None:
        """The merge is about to take an input."""

    def show(self, revision: Revision) -> None:
        """A revision for the client."""

    def changed(self, speech: SpeechChanged) -> None:
        """Somebody began or ceased to speak."""

    def tell(self, event: Event) -> None:
        """Any other event for the client."""

    def used(self, usage: Usage) -> None:
        """Something was used."""


class Lane:
    """One channel of a session."""

    def __init__(self, channel: int, session: Owner, parts: SessionParts) -> None:
        self.tape = Tape(max_hole_ms=_LONGEST_HOLE_MS)
        self._channel = channel
        self._session = session
        self._parts = parts
        self._merge = Merge(channel, parts.segmenter, parts.guard, diarized=parts.options.diarization)
        self._cursor = Cursor(self.tape)
        self._options = replace(parts.options, session=f"{session.id}/{channel}")
        self._first = self._first_pass()
        self._beside = parts.beside.lane(channel, self.tape)
        self._second = Rewriter(self)
        self._progress = asyncio.Event()

    def _first_pass(self) -> FirstPassRunner:
        return FirstPassRunner(
            self._parts.first_pass,
            self.tape,
            self._options,
            self,
            self._parts.first_settings,
            first_stream=self._merge.last_stream + 1,
            settled=self._merge.settled,
        )

    # -- running ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the tape ends and every utterance is final."""
        self._beside.start()
        async with asyncio.TaskGroup() as group:
            if self._merge.settled < FOREVER:
                group.create_task(self._first.run())
            try:
                await self._ask_again()
                if not self._merge.over:
                    await self._hear()
                    self._take(AllHeard())
                    self._first.listened(milliseconds(self.tape.end))
                    self._beside.listened(milliseconds(self.tape.end))
                self._first.finish()
                self._beside.finish()
                await self._second.finish()
            finally:
                self._second.close()

    async def room(self) -> None:
        """Wait while too much is unheard, or, for recordings, too many utterances wait for their second pass."""
        while self._crowded():
            self._progress.clear()
            await self._progress.wait()

    def _crowded(self) -> bool:
        if not self._parts.realtime and len(self._merge.unanswered) > _MOST_UNANSWERED:
            return True
        unheard = self.tape.end if self._first.hears_from is None else self._first.hears_from
        behind = self.tape.end - min(self._cursor.at, unheard + samples(self._parts.segmenter.max_utterance))
        return behind > samples(_MOST_UNHEARD_MS)

    def finalize(self) -> None:
        """End the running utterance where the tape ends now."""
        self._take(FinalizeAt(self.tape.end - self.tape.end % FRAME_SAMPLES))

    async def _hear(self) -> None:
        listening = await self._listen()
        try:
            while await self.tape.wait_beyond(self._cursor.at + FRAME_SAMPLES - 1):
                listening = await self._hear_frames(listening)
        finally:
            listening.close()

    async def _listen(self) -> Listening:
        """A voice detector that remembers what lies just before the cursor, as far as the tape still holds it."""
        listening = await self._parts.voice.listen()
        start = max(self._cursor.at - _WARM_UP, self.tape.start)
        start += (self._cursor.at - start) % FRAME_SAMPLES
        # A resampler that began anew may hold back a little of what was heard before.
        end = min(self._cursor.at, self.tape.end - (self.tape.end - start) % FRAME_SAMPLES)
        if start < end:
            await listening.frames(self.tape.read(start, end))
        return listening

    async def _hear_frames(self, listening: Listening) -> Listening:
        """The next whole frames through the voice detector. A detector that died is replaced."""
        whole = min(_FRAMES_AT_ONCE, self._cursor.lag // FRAME_SAMPLES) * FRAME_SAMPLES
        pcm = self.tape.read(self._cursor.at, self._cursor.at + whole)
        for attempt in range(3):
            try:
                if attempt:
                    listening.close()
                    listening = await self._listen()
                frames = await listening.frames(pcm)
                break
            except RecognizerError as error:
                if attempt == 2:
                    raise
                log.warning("voice detector failed", session=self._session.id, error=error.code)
        self._cursor.at += whole
        self._take(VoiceFrames(tuple((frame.probability, frame.loudness) for frame in frames)))
        self._first.listened(milliseconds(self._cursor.at))
        self._beside.listened(milliseconds(self._cursor.at))
        if self._parts.realtime:
            self._first.relieve()
        self._release()
        return listening

    def _release(self) -> None:
        """Forget audio that neither the passes nor a coming utterance can need."""
        context = max(self._parts.second_settings.context_ms, self._parts.second_settings.pause_context_ms)
        needed = samples(self._merge.needed_since - context - self._parts.first_settings.overlap_ms)
        if self._first.needs_from is not None:
            needed = min(needed, self._first.needs_from)
        self.tape.release(self._beside.needs(needed))
        self._progress.set()

    # -- going on after the end of the process ----------------------------------------------------------------------

    def replay(self, item: Input) -> None:
        """What the merge took in an earlier process: the client is told again, the models are not."""
        for effect in self._merge.apply(item):
            self._show(effect)

    def recover(self) -> None:
        """After the replay, before the audio comes: say what the models still have to do."""
        self._cursor.at = self._merge.heard
        self._first = self._first_pass()
        self._beside = ALONE.lane(self._channel, self.tape)
        for utterance in self._merge.unsettled:
            self._first.opened(replace(utterance, end=None))
            if utterance.end is not None:
                self._first.closed(utterance)

    def reload(self) -> None:
        """A part of the audio is on the tape again: forget what nobody needs."""
        self.tape.release(self.needed_from)

    @property
    def needed_from(self) -> int:
        """The first sample that a process would need that makes this lane anew."""
        needed = [self._cursor.at - _WARM_UP, samples(self._merge.needed_since)]
        needed += [samples(known.start) for known in (*self._merge.unanswered.values(), *self._merge.unsettled)]
        if self._first.needs_from is not None:
            needed.append(self._first.needs_from)
        context = samples(self._parts.second_settings.context_ms + self._parts.first_settings.overlap_ms)
        return min(needed) - context

    async def _ask_again(self) -> None:
        """Ask for the answers that an earlier process did not get. Their audio is on the tape again."""
        for utterance in list(self._merge.unanswered.values()):
            self._second.ended(utterance)

    # -- inputs and effects -----------------------------------------------------------------------------------------

    def _take(self, item: Input) -> None:
        self._session.happens(self._channel, item)
        for effect in self._merge.apply(item):
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case UtteranceOpened(utterance):
                self._first.opened(utterance)
                self._beside.opened(utterance)
            case UtterancePaused(utterance):
                self._second.paused(utterance)
            case UtteranceResumed():
                self._second.resumed()
            case UtteranceClosed(utterance):
                self._first.closed(utterance)
                self._beside.closed(utterance)
                self._second.ended(utterance)
            case _:
                self._show(effect)

    def _show(self, effect: Effect) -> None:
        match effect:
            case Revision():
                self._session.show(effect)
                self._beside.shown(effect)
            case SpeechChanged():
                self._session.changed(effect)

    def economize(self) -> None:
        """Money is short: from now on the cheapest recognizer of the list does the first pass."""
        if self._parts.dear:
            self._first.forbid(self._parts.dear, "the budget is spent; this one is cheaper")

    # -- what the passes tell ---------------------------------------------------------------------------------------

    def fact(self, fact: FirstPass | Settled | SecondPass | SecondPassFailed) -> None:
        """Anything the reconciler should know; its revisions go to the client."""
        self._take(fact)
        self._progress.set()
        if isinstance(fact, Settled):
            self._release()

    def used(self, usage: Usage) -> None:
        """Something was used."""
        self._session.used(usage)
        self._beside.used(usage)

    def skipped(self, start: int, end: int, depth: int, *, over: bool) -> None:
        """The first pass could not keep up (ms)."""
        self._session.tell(AudioSkipped(start, end, depth, over, self._channel))

    def trouble(self, error: RecognizerError, *, retrying: bool) -> None:
        """The first pass failed."""
        self.failed(Pass.FIRST, error, retrying=retrying)

    def switched(self, provider: str, to: str, reason: str) -> None:
        """Another recognizer does the first pass."""
        log.warning("recognizer switched", session=self._session.id, provider=provider, to=to)
        self._session.tell(ProviderTrouble(Pass.FIRST, provider, "switched", reason, self._channel, to))

    def recovered(self, provider: str) -> None:
        """The first pass is well again."""
        self._session.tell(ProviderTrouble(Pass.FIRST, provider, "recovered", "", self._channel))

    def failed(self, pass_: Pass, error: RecognizerError, *, retrying: bool = False) -> None:
        """Tell the client and the log. Never what was said."""
        log.warning("recognizer failed", session=self._session.id, passing=pass_, error=error.code, retrying=retrying)
        trouble = ProviderTrouble(
            pass_, error.provider, "retrying" if retrying else "failed", error.message, self._channel
        )
        self._session.tell(trouble)

    # -- what the second pass needs ---------------------------------------------------------------------------------

    def submit(self, window: tuple[int, int], *, deadline: float, speculative: bool = False) -> Job:
        """Send a piece of the tape (ms) to the second pass."""
        start, end = max(samples(window[0]), self.tape.start), min(samples(window[1]), self.tape.end)
        audio = UtteranceAudio(self.tape.read(start, max(start, end)), self._options)
        return self._parts.second_pass.submit(audio, used=self.used, deadline=deadline, speculative=speculative)

    @property
    def rewriting(self) -> SecondPassSettings:
        """How the second pass is run."""
        return self._parts.second_settings

    @property
    def load(self) -> float:
        """How busy the second pass is."""
        return self._parts.second_pass.load

    @property
    def rewriter(self) -> str:
        """The second pass's provider."""
        return self._parts.second_pass.capabilities.provider

    @property
    def guard(self) -> GuardSettings:
        """Which answers are believed."""
        return self._parts.guard

    @property
    def realtime(self) -> bool:
        """Whether there are deadlines."""
        return self._parts.realtime
