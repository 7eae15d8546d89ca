"""
`python -m tests.bench.batching`: what batches across sessions gain, with the bundled Whisper on one core.

The same utterances, of mixed lengths, are decoded one by one, by the queue as it batches them, and by the engine itself
in the very batches that the queue made. The queue keeps what the engine gains if both factors are about the same. On
a CPU a batch takes about as long as its utterances, and the queue is to find that out: then both are about 1. With
`--keep` it is told that batches pay, so that they stay full: then only the way to the engine is measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from faster_whisper import WhisperModel
from tests import speech

from twopass.decode_time import DecodeTime
from twopass.recognizers import Capabilities, Recognition, StreamOptions, UtteranceAudio
from twopass.second_pass import SecondPass, SecondPassSettings
from twopass.types import Usage
from twopass_providers.whisper import UtteranceWhisper, WhisperSettings, models
from twopass_providers.whisper.engine import BatchDecoder, keep_memory
from twopass_providers.whisper.messages import Request

ROOT = Path(__file__).parent.parent.parent
BEAM = 5
_MS_BYTES = 32


@dataclass(frozen=True)
class Spent:
    """Seconds on the wall's clock and of processors; on a core of one's own they are the same."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Round:
    """What all utterances took, three ways, and the sizes of the queue's batches."""

    one_by_one: Spent
    queue: Spent
    engine: Spent
    sizes: tuple[int, ...]

    def factors(self, clock: str) -> tuple[float, float]:
        """How many times as quick as one by one: the queue, and the engine on the same batches."""
        one, queue, engine = (getattr(each, clock) for each in (self.one_by_one, self.queue, self.engine))
        return one / queue, one / engine


class Noting:
    """A recognizer that keeps what it was given."""

    def __init__(self, inner: UtteranceWhisper) -> None:
        self._inner = inner
        self.batches: list[list[UtteranceAudio]] = []

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        await self._inner.close()

    async def recognize(self, batch: Sequence[UtteranceAudio]) -> Sequence[Recognition]:
        self.batches.append(list(batch))
        return await self._inner.recognize(batch)


class Convinced(DecodeTime):
    """Learns nothing: a batch takes as long as its longest utterance."""

    def learned(self, size: int, longest: float, seconds: float) -> DecodeTime:
        return self


def utterances(count: int) -> Iterator[UtteranceAudio]:
    """So many pieces of a recording, one to three sentences long, as if of as many sessions."""
    recording = speech.load("nopause_300s")
    sentences, at = recording.sentences, 0
    for number in range(count):
        some = sentences[at % len(sentences) :][: 1 + number % 3]
        at += len(some)
        window = slice(some[0].start_ms * _MS_BYTES, some[-1].end_ms * _MS_BYTES)
        yield UtteranceAudio(recording.pcm[window], StreamOptions("en-US", session=str(number)))


async def through_queue(queue: SecondPass, audio: Sequence[UtteranceAudio]) -> Spent:
    """What it takes until the last answer, this process and the model's."""
    usages: list[Usage] = []
    began = time.perf_counter(), time.process_time()
    jobs = [queue.submit(each, used=usages.append) for each in audio]
    await asyncio.gather(*(job.answer for job in jobs))
    model = sum(usage.seconds for usage in usages)
    return Spent(time.perf_counter() - began[0], time.process_time() - began[1] + model)


def through_engine(decoder: BatchDecoder, batches: Sequence[Sequence[UtteranceAudio]]) -> Spent:
    """The same without queue and process."""
    began = time.perf_counter(), time.process_time()
    for batch in batches:
        decoder.decode([Request(each.pcm, ("en",)) for each in batch])
    return Spent(time.perf_counter() - began[0], time.process_time() - began[1])


@asynccontextmanager
async def serving(batch: int, keep: bool) -> AsyncIterator[tuple[SecondPass, Noting]]:
    """A queue in front of the bundled Whisper in its own process."""
    settings = WhisperSettings(model=models.DEMO, device="cpu", threads=1, beam_size=BEAM, batch=batch)
    recognizer = Noting(UtteranceWhisper(settings, models.locate(models.DEMO)))
    await recognizer.open()
    queue = SecondPass(recognizer, SecondPassSettings())
    if keep:
        queue._time = Convinced()
    task = asyncio.create_task(queue.run())
    try:
        yield queue, recognizer
    finally:
        task.cancel()
        await recognizer.close()


async def measure(count: int, batch: int, rounds: int, *, keep: bool) -> list[Round]:
    """
    Measure in turns, so that a machine that others use is as busy for each of the three. The first round, in which
    the queue knows nothing yet, is measured like the others.
    """
    directory = models.locate(models.DEMO).directory
    keep_memory()  # as the model's process does
    whisper = WhisperModel(directory, device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)
    decoder = BatchDecoder(whisper, BEAM, time.process_time)
    audio, found = list(utterances(count)), []
    through_engine(decoder, [audio[:1]])
    async with serving(batch, keep) as (queue, recognizer):
        for _ in range(rounds):
            recognizer.batches.clear()
            spent = await through_queue(queue, audio)
            engine = through_engine(decoder, recognizer.batches)
            one = through_engine(decoder, [[each] for each in audio])
            found.append(Round(one, spent, engine, tuple(map(len, recognizer.batches))))
    return found


def main(
    count: Annotated[int, typer.Option(help="Utterances per round.")] = 24,
    batch: Annotated[int, typer.Option(help="Size of the largest batch.")] = 8,
    rounds: Annotated[int, typer.Option(help="How often all is measured; the median counts.")] = 3,
    keep: Annotated[bool, typer.Option("--keep", help="Full batches, whether they pay or not.")] = False,
    output: Annotated[Path, typer.Option(help="Where the JSON goes.")] = ROOT / "bench" / "batching.json",
) -> None:
    """Measure; about 15 seconds a round on one core."""
    found = asyncio.run(measure(count, batch, rounds, keep=keep))
    report = {clock: summary(found, clock) for clock in ("wall", "cpu")}
    rows = [asdict(each) for each in found]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report | {"rounds": rows}, indent=1) + "\n", encoding="utf-8")
    for each in found:
        three = ((each.one_by_one, "one by one"), (each.queue, "queue"), (each.engine, "engine"))
        times = ", ".join(f"{name} {spent.wall:.2f} s ({spent.cpu:.2f} s CPU)" for spent, name in three)
        typer.echo(f"{times}, batches of {each.sizes}")
    for clock, factors in report.items():
        typer.echo(f"times as quick as one by one, {clock}: {factors}")


def summary(found: Sequence[Round], clock: str) -> dict[str, float]:
    """The medians of the rounds."""
    queue, engine = zip(*(each.factors(clock) for each in found), strict=True)
    apart = [ours / theirs for ours, theirs in zip(queue, engine, strict=True)]
    medians = {"queue": queue, "engine": engine, "queue_over_engine": apart}
    return {name: round(statistics.median(values), 3) for name, values in medians.items()}


def on_one_core() -> None:
    """Begin anew on one core where the system can: libraries count cores when they are loaded."""
    if sys.platform == "linux" and len(cores := os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {max(cores)})
        os.execv(sys.executable, [sys.executable, "-m", "tests.bench.batching", *sys.argv[1:]])


if __name__ == "__main__":
    on_one_core()
    typer.run(main)
