"""A whole comparison's listening: what is to be heard, what was heard before, and what it will cost."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from twopass.compare.cells import Heard
from twopass.compare.recordings.recordings import Recording, pcm
from twopass.compare.records import Hearing
from twopass.compare.results import Played, System
from twopass.compare.running.estimate import Estimate, estimate
from twopass.compare.running.hearer import Hearer
from twopass.compare.running.opening import Room, dependencies, opened
from twopass.compare.running.schedule import Limits, Schedule, Task
from twopass.compare.running.specs import Spec
from twopass.compare.running.speech import stretches
from twopass.compare.running.store import Store, key
from twopass.cost.prices.running import Pricer
from twopass.cost.usage.treasury import Guard
from twopass.recognizers import StreamOptions

_LANGUAGE = "en-US"
_IN_REAL_TIME = "Played in real time, although not asked for: its answers depend on how fast the audio comes."
_FAST = "Played as fast as it hears: no latencies were measured, and its final words do not depend on that."


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What is to be heard, and how.

    Attributes:
        fast: As fast as possible where that does not change the answers.
        options: What is asked of each system; a recording's own language comes first.
    """

    specs: Sequence[Spec]
    recordings: Sequence[Recording]
    options: StreamOptions
    fast: bool
    limits: Limits


class Watcher(Protocol):
    """Who looks at the progress."""

    def listening(self, done: int, all_: int) -> None:
        """So many recordings were searched for speech."""

    def confirm(self, estimates: Sequence[Estimate]) -> None:
        """Whether this may be spent. Raises ConfigError if not."""

    def begins(self, system: str, ms: int, all_ms: int) -> None:
        """A system has heard so much of what it is to hear."""

    def played(self, system: str, ms: int) -> None:
        """So much more was played to a system."""


class Campaign:
    """Hears what was not heard before. Whoever gives the room opens and closes what is in it."""

    def __init__(self, plan: Plan, room: Room, store: Store, watcher: Watcher) -> None:
        self._plan = plan
        self._room = room
        self._store = store
        self._watcher = watcher
        self._digests: dict[str, str] = {}

    async def run(self, pricer: Pricer, budgets: Guard) -> tuple[list[System], list[Heard]]:
        """
        Everything that was heard, now or before.

        Raises ConfigError or RecognizerUnavailable if a system cannot be used, if what was heard cannot be kept, or
        if it is not to be paid; AudioError if a recording cannot be read; BudgetSpent.
        """
        speech = await self._find_speech()
        async with opened(self._plan.specs, self._room) as hearers:
            tasks = [
                task
                for spec, hearer in zip(self._plan.specs, hearers, strict=True)
                for task in self._tasks(spec, hearer)
            ]
            known = [self._store.hearing(task.hearer.system.name, task.recording.name, task.key) for task in tasks]
            new = [task for task, heard in zip(tasks, known, strict=True) if heard is None]
            self._watcher.confirm(estimate([(task.hearer, task.recording.ms) for task in new], pricer.price))
            self._announce(hearers, new)
            schedule = Schedule(self._store, self._plan.limits, budgets, self._watcher.played)
            hearings = [heard for heard in known if heard is not None] + await schedule.hear(new)
            systems = [self._noted(hearer) for hearer in hearers]
        return systems, [
            self._heard(recording, speech[recording.name], hearings) for recording in self._plan.recordings
        ]

    def _tasks(self, spec: Spec, hearer: Hearer) -> list[Task]:
        depends = [dependencies(spec), hearer.system.title]
        return [self._task(depends, hearer, recording) for recording in self._plan.recordings]

    def _task(self, depends: Sequence[object], hearer: Hearer, recording: Recording) -> Task:
        language = recording.language or self._plan.options.language
        if language is None and not hearer.system.two_pass:  # a profile has its own
            language = _LANGUAGE
        options = replace(self._plan.options, language=language)
        realtime = not (self._plan.fast and hearer.paceless)
        asked = [options.language, options.phrases, options.punctuation, options.profanity, options.diarization]
        every = [*depends, self._digests[recording.name], asked, realtime]
        return Task(hearer, recording, key(every), options, realtime)

    async def _find_speech(self) -> dict[str, tuple[tuple[int, int], ...]]:
        speech = {}
        for done, recording in enumerate(self._plan.recordings):
            self._watcher.listening(done, len(self._plan.recordings))
            speech[recording.name] = await self._speech_of(recording)
        self._watcher.listening(len(self._plan.recordings), len(self._plan.recordings))
        return speech

    async def _speech_of(self, recording: Recording) -> tuple[tuple[int, int], ...]:
        digest = self._digests[recording.name] = await asyncio.to_thread(_digest, recording)
        found = self._store.speech(recording.name, digest)
        if found is None:
            found = await stretches(self._room.voice, await asyncio.to_thread(pcm, recording))
            self._store.keep_speech(recording.name, digest, found)
        return found

    def _announce(self, hearers: Sequence[Hearer], new: Sequence[Task]) -> None:
        all_ms = sum(recording.ms for recording in self._plan.recordings)
        for hearer in hearers:
            left = sum(task.recording.ms for task in new if task.hearer is hearer)
            self._watcher.begins(hearer.system.name, all_ms - left, all_ms)

    def _noted(self, hearer: Hearer) -> System:
        if not self._plan.fast:
            return hearer.system
        note = _FAST if hearer.paceless else _IN_REAL_TIME
        return replace(hearer.system, notes=(*hearer.system.notes, note))

    def _heard(self, recording: Recording, speech: tuple[tuple[int, int], ...], hearings: Sequence[Hearing]) -> Heard:
        played = Played(
            name=recording.name,
            source=recording.source,
            path=str(recording.path),
            ms=recording.ms,
            condition=recording.condition,
            language=recording.language or self._plan.options.language,
            speech=speech,
        )
        names = [spec.name for spec in self._plan.specs]
        of_it = [hearing for hearing in hearings if hearing.recording == recording.name]
        return Heard(played, recording.reference, sorted(of_it, key=lambda hearing: names.index(hearing.system)))


def _digest(recording: Recording) -> str:
    """Of everything that the played audio depends on."""
    with recording.path.open("rb") as file:  # which may be larger than the memory
        content = hashlib.file_digest(file, "sha256").hexdigest()
    change = recording.perturbation.name if recording.perturbation else ""
    return key(content, change, recording.seed if change else 0, recording.source if change else "")
