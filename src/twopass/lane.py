"""
One channel of a session. Data flows one way:

    tape -> voice detector -> segmenter -> utterances
         -> first pass  -> facts -> reconciler -> revisions
         -> second pass -> facts -> reconciler
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from twopass.cost.rates import Pricer
from twopass.errors import RecognizerError
from twopass.first_pass import FirstPassRunner, FirstPassSettings
from twopass.guard import GuardSettings
from twopass.outbox import Event, ProviderTrouble, SpeechChanged
from twopass.recognizers import StreamingRecognizer, StreamOptions, UtteranceAudio
from twopass.reconciler import FOREVER, Closed, Fact, Heard, Opened, Reconciler, Settled
from twopass.rewriting import Rewriter
from twopass.second_pass import Job, SecondPass, SecondPassSettings
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
from twopass.tape import Cursor, Tape
from twopass.types import Cut, Pass, Revision, Status, Usage, Utterance, samples
from twopass.vad import Listening, VoiceDetector

log = structlog.get_logger()

_FRAMES_AT_ONCE = 32
_MOST_UNHEARD_MS = 20_000
_MOST_UNFINISHED = 8


@dataclass(frozen=True, slots=True)
class SessionParts:
    """
    What a session is made of. The engine puts it together from a profile.

    Attributes:
        realtime: False for recordings sent faster than spoken: no deadlines, no speculation, writers wait.
    """

    first_pass: StreamingRecognizer
    second_pass: SecondPass
    voice: VoiceDetector
    pricer: Pricer
    options: StreamOptions
    segmenter: SegmenterSettings
    first_settings: FirstPassSettings
    second_settings: SecondPassSettings
    guard: GuardSettings
    channels: int = 1
    realtime: bool = True


class Owner(Protocol):
    """What a lane tells the session that it belongs to."""

    id: str

    def show(self, revision: Revision) -> None:
        """A revision for the client."""

    def tell(self, event: Event) -> None:
        """Any other event for the client."""

    def used(self, usage: Usage) -> None:
        """Something was used."""


class Lane:
    """One channel of a session."""

    def __init__(self, channel: int, session: Owner, parts: SessionParts) -> None:
        self.tape = Tape()
        self._channel = channel
        self._session = session
        self._parts = parts
        self._segmenter = Segmenter(parts.segmenter)
        self._reconciler = Reconciler(channel, parts.guard)
        self._cursor = Cursor(self.tape)
        self._options = replace(parts.options, session=f"{session.id}/{channel}")
        self._first = FirstPassRunner(parts.first_pass, self.tape, self._options, self, parts.first_settings)
        self._second = Rewriter(self)
        self._finalize_at: int | None = None
        self._unfinished = 0
        self._progress = asyncio.Event()

    # -- running ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the tape ends and every utterance is final."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._first.run())
            try:
                await self._hear()
                self._first.finish()
                self.fact(Heard(FOREVER))
                await self._second.finish()
            finally:
                self._second.close()

    async def room(self) -> None:
        """Wait while too much is unheard, or, for recordings, too many utterances wait for their second pass."""
        while self._crowded():
            self._progress.clear()
            await self._progress.wait()

    def _crowded(self) -> bool:
        if not self._parts.realtime and self._unfinished > _MOST_UNFINISHED:
            return True
        needed = self.tape.end if self._first.needs_from is None else self._first.needs_from
        behind = self.tape.end - min(self._cursor.at, needed + samples(self._parts.segmenter.max_utterance))
        return behind > samples(_MOST_UNHEARD_MS)

    def finalize(self) -> None:
        """End the running utterance where the tape ends now."""
        self._finalize_at = self.tape.end - self.tape.end % FRAME_SAMPLES
        if self._cursor.at >= self._finalize_at:
            self._finalize_now()

    async def _hear(self) -> None:
        listening = await self._parts.voice.listen()
        try:
            while await self.tape.wait_beyond(self._cursor.at + FRAME_SAMPLES - 1):
                listening = await self._hear_frames(listening)
        finally:
            listening.close()
        self._segmented(self._segmenter.finish())

    async def _hear_frames(self, listening: Listening) -> Listening:
        """The next whole frames through the voice detector. A detector that died is replaced, its memory empty."""
        whole = min(_FRAMES_AT_ONCE, self._cursor.lag // FRAME_SAMPLES) * FRAME_SAMPLES
        pcm = self.tape.read(self._cursor.at, self._cursor.at + whole)
        for attempt in range(3):
            try:
                if attempt:
                    listening.close()
                    listening = await self._parts.voice.listen()
                frames = await listening.frames(pcm)
                break
            except RecognizerError as error:
                if attempt == 2:
                    raise
                log.warning("voice detector failed", session=self._session.id, error=error.code)
        for frame in frames:
            self._segmented(self._segmenter.push(frame.probability, frame.loudness))
        self._cursor.at += whole
        self.fact(Heard(self._segmenter.settled))
        if self._finalize_at is not None and self._cursor.at >= self._finalize_at:
            self._finalize_now()
        self._release()
        return listening

    def _finalize_now(self) -> None:
        self._finalize_at = None
        self._segmented(self._segmenter.finish())

    def _release(self) -> None:
        """Forget audio that neither the passes nor a coming utterance can need."""
        context = max(self._parts.second_settings.context_ms, self._parts.second_settings.pause_context_ms)
        unfinished = self._reconciler.unfinished_since
        needed = [samples(self._segmenter.settled - context - self._parts.first_settings.overlap_ms)]
        if unfinished is not None:
            needed.append(samples(unfinished - context))
        if self._first.needs_from is not None:
            needed.append(self._first.needs_from)
        self.tape.release(min(needed))
        self._progress.set()

    # -- utterances -------------------------------------------------------------------------------------------------

    def _segmented(self, events: Sequence[SegmentEvent]) -> None:
        for event in events:
            match event:
                case Started(start, cut):
                    self._started(start, cut)
                case Paused(start, end):
                    self._second.paused(replace(self._open, end=end))
                case Resumed():
                    self._second.resumed()
                case Ended(start, end, speech_ms, cut):
                    self._ended(start, end, speech_ms, cut)

    def _started(self, start: int, cut: Cut) -> None:
        utterance = Utterance(f"{self._channel}-{start}", start, cut_left=cut, channel=self._channel)
        self._open = utterance
        self._unfinished += 1
        self.fact(Opened(utterance))
        self._first.opened(utterance)
        if not cut:
            self._session.tell(SpeechChanged("started", start, self._channel))

    def _ended(self, start: int, end: int, speech_ms: int, cut: Cut) -> None:
        utterance = replace(self._open, start=start, end=end, speech_ms=speech_ms, cut_right=cut)
        self.fact(Closed(utterance))
        self._first.closed(utterance)
        self._second.ended(utterance)
        if not cut:
            self._session.tell(SpeechChanged("ended", end, self._channel))

    # -- what the passes tell ---------------------------------------------------------------------------------------

    def fact(self, fact: Fact) -> None:
        """Anything the reconciler should know; its revisions go to the client."""
        for revision in self._reconciler.apply(fact):
            if revision.status is Status.FINAL and not revision.utterance.endswith("-first"):
                self._unfinished -= 1
                self._progress.set()
            self._session.show(revision)
        if isinstance(fact, Settled):
            self._release()

    def used(self, usage: Usage) -> None:
        """Something was used."""
        self._session.used(usage)

    def trouble(self, error: RecognizerError, *, retrying: bool) -> None:
        """The first pass failed."""
        self.failed(Pass.FIRST, error, retrying=retrying)

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
