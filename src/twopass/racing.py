"""
Two vendors at once: whoever answers first is shown, both are metered.

Nothing is mixed within an utterance: who first has words for what comes after the last final leads until its own
final. The others' finals are kept meanwhile, so that none of their words is lost when they lead next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial, reduce

import structlog

from twopass.errors import ConfigError, RecognizerCrashed, RecognizerError, RecognizerTimeout
from twopass.places import words_between
from twopass.recognizers import Capabilities, StreamingRecognizer, StreamOptions
from twopass.types import BYTES_PER_SAMPLE, SAMPLE_RATE, Clock, Hypothesis, Reason, Usage

log = structlog.get_logger()

_SECOND = SAMPLE_RATE * BYTES_PER_SAMPLE  # bytes
_MOST_BEHIND = 10 * _SECOND
"""A racer that takes so much less than another one is taken for dead."""
_MUTE_MS = 3_000
"""A leader that says nothing of audio of which a rival has said so much more is mute."""


class Lead:
    """
    Which racer is shown. Pure; times on the stream clock.

    Attributes:
        shown: Who leads, or led last; the first one as long as nobody has spoken.
    """

    def __init__(self, racers: int) -> None:
        self.shown = 0
        self._until = 0
        self._leader: int | None = None
        self._led_until = 0
        self._kept: list[list[Hypothesis]] = [[] for _ in range(racers)]

    def says(self, racer: int, hypothesis: Hypothesis) -> list[Hypothesis]:
        """A racer says something; returns what is shown."""
        if hypothesis.final:
            self._kept[racer].append(hypothesis)
        new = _beyond(hypothesis, self._until)
        if self._leader is None and new.words:
            self._leader = self.shown = racer
        if self._leader != racer:
            mute = hypothesis.final and self._leader is not None and hypothesis.end > self._led_until + _MUTE_MS
            return list(self._finals(racer)) if mute and new.words else []
        self._led_until = max(self._led_until, hypothesis.end)
        return list(self._finals(racer)) if hypothesis.final else [new]

    def leaves(self, racer: int) -> list[Hypothesis]:
        """A racer has ended or broken; returns what the others had kept, if it led."""
        self._kept[racer].clear()
        if self._leader != racer:
            return []
        self._leader = None
        return list(self._next_leader())

    def ends(self, at: int) -> Hypothesis | None:
        """All have ended: the silence up to `at`, if nobody has spoken of it."""
        return Hypothesis(self._until, at, final=True) if at > self._until or at == 0 else None

    def _finals(self, racer: int) -> Iterator[Hypothesis]:
        self.shown = racer
        for final in self._kept[racer]:
            new = _beyond(final, self._until)
            self._until = max(self._until, final.end)
            yield new
        self._kept[racer].clear()
        self._leader = None
        yield from self._next_leader()

    def _next_leader(self) -> Iterator[Hypothesis]:
        """Somebody whose kept finals go on from here leads at once."""
        for racer, kept in enumerate(self._kept):
            kept[:] = [final for final in kept if _beyond(final, self._until).words]
            if kept:
                yield from self._finals(racer)
                return


def _beyond(hypothesis: Hypothesis, until: int) -> Hypothesis:
    words = words_between(hypothesis.words, until, None)
    lost = len(hypothesis.words) - len(words)
    start = max(hypothesis.start, until)
    stable = max(0, hypothesis.stable - lost)
    return replace(hypothesis, start=start, end=max(start, hypothesis.end), words=words, stable=stable)


@dataclass(slots=True)
class _Racer:
    """One of them, and the audio that waits for it."""

    recognizer: StreamingRecognizer
    audio: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    waiting: int = 0
    taken: int = 0

    async def pieces(self, took: asyncio.Event) -> AsyncIterator[bytes]:
        """What it hears; `took` is set whenever it takes some."""
        while piece := await self.audio.get():
            self.waiting -= len(piece)
            self.taken += len(piece)
            took.set()
            yield piece

    def meter(self, used: Callable[[Usage], None], *, shown: bool) -> None:
        """Tell what it took since the last time."""
        capabilities, taken, self.taken = self.recognizer.capabilities, self.taken, 0
        if capabilities.sku and taken:
            seconds = taken / BYTES_PER_SAMPLE / SAMPLE_RATE
            reason = Reason.WORK if shown else Reason.RACE_LOSER
            used(Usage(capabilities.provider, capabilities.sku, Clock.AUDIO_SENT, seconds, reason=reason))


class Race:
    """A recognizer made of several. Raises ConfigError if some hear the whole session and others each utterance."""

    def __init__(self, recognizers: Sequence[StreamingRecognizer]) -> None:
        self._recognizers = recognizers
        all_of = [recognizer.capabilities for recognizer in recognizers]
        if len({each.endpoints for each in all_of}) > 1:
            raise ConfigError(
                "Only recognizers of one kind can race: those that find the ends of utterances themselves, or others.",
                fix="Use `failover` instead of `race`.",
            )
        self.capabilities = reduce(_both, all_of)

    async def open(self) -> None:
        """Whoever made them opens them."""

    async def close(self) -> None:
        """... and closes them."""

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        racers = [_Racer(recognizer) for recognizer in self._recognizers]
        heat = _Heat(racers, options)
        try:
            async for answer in heat.run(audio):
                yield answer
        finally:
            await heat.close()


class _Heat:
    """One stream of a race."""

    def __init__(self, racers: list[_Racer], options: StreamOptions) -> None:
        self._racers = racers
        self._options = options
        self._lead = Lead(len(racers))
        self._answers: asyncio.Queue[tuple[int, Hypothesis | Usage | RecognizerError | None]] = asyncio.Queue()
        self._heard = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._took = asyncio.Event()

    async def run(self, audio: AsyncIterator[bytes]) -> AsyncIterator[Hypothesis | Usage]:
        self._tasks = [asyncio.create_task(self._race(i)) for i in range(len(self._racers))]
        for task in self._tasks:
            task.add_done_callback(lambda _: self._took.set())
        feeding = asyncio.create_task(self._feed(audio))
        self._tasks.append(feeding)
        running, last, ended = set(range(len(self._racers))), None, False
        while running:
            racer, answer = await self._answers.get()
            if isinstance(answer, Usage):
                yield answer
            elif isinstance(answer, Hypothesis):
                for shown in self._lead.says(racer, answer):
                    yield shown
            elif racer in running:
                running.discard(racer)
                last, ended = answer or last, ended or answer is None
                for shown in self._lead.leaves(racer):
                    yield shown
            if not running and last is not None and not ended:
                raise last
        rest = self._lead.ends(self._heard // BYTES_PER_SAMPLE * 1000 // SAMPLE_RATE)
        if rest is not None:
            yield rest

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for number in range(len(self._racers)):
            self._meter(number)

    def _meter(self, number: int) -> None:
        self._racers[number].meter(partial(self._used, number), shown=self._lead.shown == number)

    def _used(self, number: int, usage: Usage) -> None:
        """Each racer's stream is a request of its own."""
        self._options.used(replace(usage, stream=str(number)))

    async def _feed(self, audio: AsyncIterator[bytes]) -> None:
        """No faster than the fastest of them takes it."""
        async for piece in audio:
            await self._room()
            self._heard += len(piece)
            for i, racer in enumerate(self._racers):
                racer.audio.put_nowait(piece)
                racer.waiting += len(piece)
                if racer.waiting > self._least_waiting() + _MOST_BEHIND:
                    self._tasks[i].cancel()
                if racer.taken >= SAMPLE_RATE * BYTES_PER_SAMPLE:
                    self._meter(i)
        for racer in self._racers:
            racer.audio.put_nowait(b"")

    async def _room(self) -> None:
        while self._least_waiting() > _SECOND:
            self._took.clear()
            await self._took.wait()

    def _least_waiting(self) -> int:
        """How much waits for the fastest of those that still run; nothing if there is none."""
        tasks = zip(self._racers, self._tasks, strict=False)
        return min((racer.waiting for racer, task in tasks if not task.done()), default=0)

    async def _race(self, number: int) -> None:
        racer = self._racers[number]
        provider = racer.recognizer.capabilities.provider
        try:
            options = replace(self._options, used=partial(self._used, number))
            answers = racer.recognizer.stream(racer.pieces(self._took), options)
            async with aclosing(answers):  # type: ignore[type-var]
                async for answer in answers:
                    named = replace(answer, stream=str(number)) if isinstance(answer, Usage) else answer
                    self._answers.put_nowait((number, named))
        except RecognizerError as error:
            self._fails(number, error)
        except asyncio.CancelledError:
            self._fails(number, RecognizerTimeout("It takes no audio any more.", provider=provider))
            raise
        except Exception as error:
            log.exception("a racing provider has a bug")
            self._fails(number, RecognizerCrashed(f"The provider failed: {error!r}.", provider=provider, code="bug"))
        else:
            self._answers.put_nowait((number, None))

    def _fails(self, number: int, error: RecognizerError) -> None:
        log.warning("a racer failed", provider=error.provider, error=error.code)
        self._answers.put_nowait((number, error))


def _both(a: Capabilities, b: Capabilities) -> Capabilities:
    """What can be said of both together."""
    return Capabilities(
        provider=f"{a.provider}+{b.provider}",
        model=f"{a.model} and {b.model}, whoever is first",
        understands=a.understands if a.understands == b.understands else f"{a.understands} {b.understands}",
        languages=_common(a.languages, b.languages),
        endpoints=a.endpoints,
        word_times=a.word_times and b.word_times,
        max_stream_seconds=_least(a.max_stream_seconds, b.max_stream_seconds),
        chunk_ms=max(a.chunk_ms, b.chunk_ms),
        local=a.local and b.local,
        features=a.features & b.features,
        answers_within_seconds=_least(a.answers_within_seconds, b.answers_within_seconds),
        burst_seconds=_least(a.burst_seconds, b.burst_seconds),
        pace=min(a.pace, b.pace),
    )


def _common(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(tag for tag in a if tag in b) if a and b else a or b


def _least(a: float | None, b: float | None) -> float | None:
    return min((value for value in (a, b) if value is not None), default=None)
