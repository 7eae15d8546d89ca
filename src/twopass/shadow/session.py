"""
A shadow: a second provider that hears one live session for comparison, and both transcripts on their way to the disk.

It has a cursor of its own on the session's tape and is told what the session's lanes are told, but nothing of it
reaches the session: what fails here is noted in the record.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Concatenate, ParamSpec, Protocol

import structlog

from twopass.compare.measures.timeline import Seen
from twopass.compare.recording_listener import Recorder
from twopass.compare.records import Hearing
from twopass.first_pass import FirstPassRunner
from twopass.first_pass_contract import FirstPassSettings
from twopass.lineup import Line
from twopass.recognizers import StreamOptions
from twopass.shadow.beside import LaneBeside
from twopass.shadow.record import LIVE, SHADOW, Reel
from twopass.tape import Tape
from twopass.types import Reason, Revision, Usage, Utterance, milliseconds, samples

log = structlog.get_logger()

_AFTER_SECONDS = 15.0
_TEARING_DOWN_SECONDS = 2.0
_KEPT_BEYOND_MS = 2_000
_P = ParamSpec("_P")


@dataclass(frozen=True, slots=True)
class Subject:
    """
    The session that is heard.

    Attributes:
        options: What is asked of the shadow's recognizer.
        first_settings: How its streams are run.
    """

    session: str
    tenant: str
    profile: str
    options: StreamOptions
    first_settings: FirstPassSettings
    realtime: bool


@dataclass(frozen=True, slots=True)
class Report:
    """
    What came of it.

    Attributes:
        files: Both hearings, by the name of the file.
        cost: None if a part has no price.
    """

    subject: Subject
    began: datetime
    files: dict[str, bytes]
    cost: Decimal | None


class Office(Protocol):
    """What a shadow needs of those who keep all of them."""

    line: Line

    def spent(self, subject: Subject, number: int, usage: Usage, before: float) -> Decimal | None:
        """
        A shadow used something, after `before` seconds of the same clock in the same stream; returns what that cost.
        It may end all shadows.
        """

    def begun(self, shadow: Shadow) -> None:
        """It hears."""

    def ends(self, shadow: Shadow) -> None:
        """Its session is over: `Shadow.concluded` is to be awaited."""


class ArrivalClock:
    """
    The session's clock as its audio arrives: it reads t when the audio of t has come, and goes on while none comes.

    It never goes back: audio that comes late after a pause finds it waiting.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._end = 0
        self._at = now()
        self._read = 0.0

    def arrived(self, end: int) -> None:
        """There is audio up to `end` (ms)."""
        if end > self._end:
            self._end, self._at = end, self._now()

    def __call__(self) -> float:
        """ms."""
        self._read = max(self._read, self._end + (self._now() - self._at) * 1000)
        return self._read


def _harmless(method: Callable[Concatenate[_ShadowLane, _P], None]) -> Callable[Concatenate[_ShadowLane, _P], None]:
    """Whatever goes wrong here ends the shadow, and nothing else."""

    @functools.wraps(method)
    def guarded(self: _ShadowLane, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:
            self.failed(error)

    return guarded


class Shadow:
    """One session's. Made by `twopass.shadow.shadows.Shadows`, driven by the session (see `beside.Beside`)."""

    def __init__(self, subject: Subject, office: Office) -> None:
        self.subject = subject
        self.office = office
        self.clock = ArrivalClock()
        self.stopped_at: int | None = None  # ms
        self.reel = Reel()
        self._live = Reel()
        self._shown: set[str] = set()
        self._usage = Recorder(self.clock)  # the session's own
        self._lanes: list[_ShadowLane] = []
        self._began: datetime | None = None
        self._began_at = time.monotonic()
        self._end = 0  # samples
        self._entries = 0
        self._seconds: dict[Usage, float] = {}
        self._cost: Decimal | None = Decimal(0)
        self._troubles: list[str] = []
        self._over = False

    # -- what the session tells -------------------------------------------------------------------------------------

    @property
    def provider(self) -> str:
        """Who hears the session."""
        return self.office.line.capabilities.provider

    def lane(self, channel: int, tape: Tape) -> LaneBeside:
        """For one channel."""
        self._lanes.append(_ShadowLane(self, channel, tape))
        return self._lanes[-1]

    def arrived(self, samples: int) -> None:
        """So much audio has come."""
        self._end = samples
        self.clock.arrived(milliseconds(samples))

    def over(self, *, complete: bool) -> None:
        """The session is over. What the shadow still has to say is waited for a while, in the background."""
        if self._over or self._began is None:
            return
        self._over = True
        if not complete:
            self.stop("The session was broken off: its last words may be missing.")
        self.office.ends(self)

    # -- what its lanes tell ----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The session begins."""
        if self._began is None:
            self._began, self._began_at = datetime.now(UTC), time.monotonic()
            self.office.begun(self)

    def shown(self, revision: Revision) -> None:
        """The client is told a revision. What begins after the shadow's end is not compared."""
        known = revision.utterance in self._shown
        if not known and self.stopped_at is not None and revision.start >= self.stopped_at:
            return
        self._shown.add(revision.utterance)
        self._live.add(Seen(self.clock(), revision))
        self.check_reel(self._live)

    def session_used(self, usage: Usage) -> None:
        """The session used something."""
        self._usage.used(usage)

    def check_reel(self, reel: Reel) -> None:
        """A record can become too long."""
        if reel.full:
            self.stop("The record is as long as it may be.")

    def used(self, usage: Usage) -> None:
        """The shadow used something."""
        self._entries += 1
        alike = replace(usage, seconds=0.0)
        before = self._seconds.get(alike, 0.0)
        self._seconds[alike] = before + usage.seconds
        cost = self.office.spent(self.subject, self._entries, usage, before)
        self._cost = None if cost is None or self._cost is None else self._cost + cost

    # -- the end ----------------------------------------------------------------------------------------------------

    def stop(self, reason: str) -> None:
        """The shadow ends here. What was heard until now is kept."""
        if self.stopped_at is None:
            self.stopped_at = milliseconds(self._end)
            self._troubles.append(reason)
            for lane in self._lanes:
                lane.cancel()

    async def concluded(self) -> Report:
        """After the session: wait for the shadow's last words, but not for long."""
        running = {lane.task for lane in self._lanes if lane.task is not None}
        if running:
            _, late = await asyncio.wait(running, timeout=_AFTER_SECONDS)
            if late:
                self.stop(f"It did not come to its end within {_AFTER_SECONDS:g} s.")
                await asyncio.wait(late, timeout=_TEARING_DOWN_SECONDS)
        assert self._began is not None
        return Report(self.subject, self._began, self._files(), self._cost)

    def _files(self) -> dict[str, bytes]:
        subject = self.subject
        end = milliseconds(self._end) if self.stopped_at is None else self.stopped_at
        wall = (time.monotonic() - self._began_at) * 1000
        about = Hearing("", subject.session, audio_ms=end, wall_ms=wall, realtime=subject.realtime)
        live = replace(about, system=f"live: {subject.profile}", usage=tuple(self._usage.usage))
        shadow = replace(
            about,
            system=f"shadow: {self.provider}",
            usage=tuple(usage for lane in self._lanes for usage in lane.recorder.usage),
            troubles=(*(trouble for lane in self._lanes for trouble in lane.recorder.troubles), *self._troubles),
        )
        return {LIVE: self._live.closed(live), SHADOW: self.reel.closed(shadow)}


class _Heard(Recorder):
    """What one channel's shadow says and uses."""

    def __init__(self, shadow: Shadow, channel: int) -> None:
        super().__init__(shadow.clock, channel, shadow.reel.add)
        self._shadow = shadow

    def used(self, usage: Usage) -> None:
        usage = replace(usage, reason=Reason.SHADOW)
        super().used(usage)
        self._shadow.used(usage)


class _ShadowLane:
    """One channel."""

    def __init__(self, shadow: Shadow, channel: int, tape: Tape) -> None:
        self.shadow = shadow
        self.recorder = _Heard(shadow, channel)
        self.task: asyncio.Task[None] | None = None
        self._channel = channel
        self._tape = tape
        self._runner: FirstPassRunner | None = None

    @_harmless
    def start(self) -> None:
        subject = self.shadow.subject
        self.shadow.begin()
        options = replace(subject.options, session=f"{subject.session}/{self._channel}")
        lines = (self.shadow.office.line,)
        self._runner = FirstPassRunner(lines, self._tape, options, self.recorder, subject.first_settings)
        self._runner.relieve()  # from the beginning on, it may only be so far behind
        self.task = asyncio.create_task(self._run(self._runner))

    @_harmless
    def opened(self, utterance: Utterance) -> None:
        if self._runner is not None:
            self._runner.opened(utterance)

    @_harmless
    def closed(self, utterance: Utterance) -> None:
        if self._runner is not None:
            self._runner.closed(utterance)

    @_harmless
    def listened(self, until: int) -> None:
        if self._runner is not None:
            self._runner.listened(until)
            self._runner.relieve()
            self.shadow.check_reel(self.shadow.reel)

    @_harmless
    def finish(self) -> None:
        if self._runner is not None:
            self._runner.finish()

    @_harmless
    def shown(self, revision: Revision) -> None:
        self.shadow.shown(revision)

    @_harmless
    def used(self, usage: Usage) -> None:
        self.shadow.session_used(usage)

    def needs(self, sample: int) -> int:
        """The tape is kept for the shadow as far as it may be behind, and no farther."""
        try:
            mine = self._runner.needs_from if self._runner is not None else None
        except Exception as error:
            self.failed(error)
            return sample
        if mine is None:
            return sample
        settings = self.shadow.subject.first_settings
        chunk = self.shadow.office.line.capabilities.chunk_ms
        most = settings.most_waiting(chunk) + settings.catch_up_ms + _KEPT_BEYOND_MS
        return min(sample, max(mine, self._tape.end - samples(most)))

    def cancel(self) -> None:
        """Hear no more."""
        self._runner = None
        if self.task is not None:
            self.task.cancel()

    async def _run(self, runner: FirstPassRunner) -> None:
        try:
            await runner.run()
        except Exception as error:
            self.failed(error)

    def failed(self, error: Exception) -> None:
        """A bug of ours ends the shadow."""
        log.error("a shadow failed", session=self.shadow.subject.session, exc_info=error)
        self.shadow.stop(f"It failed: {error!r}.")
