"""Streams in real time through the real server: latency, steadiness, accuracy, CPU, memory, event-loop lag."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from tests import speech

from twopass import playing, serving
from twopass.client import Client, Transcript
from twopass.compare.measures.accuracy import seam_errors, word_errors
from twopass.compare.measures.stability import unstable_words
from twopass.compare.measures.timeline import Timeline, percentile
from twopass.gateway.messages import Segment
from twopass.types import Pass, Status, Word, Words

_MB = 1 << 20
_READY_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """A server in a process of its own."""

    url: str
    process: psutil.Process

    def tree(self) -> list[psutil.Process]:
        """The gateway and its model processes."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """CPU time of all processes so far, forks that have ended included."""
        total = 0.0
        for process in self.tree():
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
        return total

    def memory(self) -> float:
        """Private memory of all processes, MB (forks share what they do not change)."""
        return sum(process.memory_full_info().uss for process in self.tree()) / _MB

    def lag_p99(self) -> float | None:
        """99th percentile of the event loop's lag since the start, ms, from the server's own histogram."""
        with urllib.request.urlopen(f"{self.url}/metrics") as answer:
            text = answer.read().decode()
        pattern = r'twopass_event_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)'
        buckets = [(float(edge), float(count)) for edge, count in re.findall(pattern, text)]
        return _quantile(buckets, 0.99)


@contextmanager
def served(config: Path) -> Iterator[Server]:
    """Start a server on a free port and wait until it is ready."""
    listener = serving.listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    listener.close()
    command = [sys.executable, "-m", "twopass.cli", "serve", "--config", str(config), "--port", str(port)]
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=quiet) as process:
        try:
            asyncio.run(_ready(f"http://127.0.0.1:{port}"))
            yield Server(f"http://127.0.0.1:{port}", psutil.Process(process.pid))
        finally:
            process.terminate()


async def _ready(url: str) -> None:
    async with asyncio.timeout(_READY_SECONDS):
        while True:
            try:
                await asyncio.to_thread(urllib.request.urlopen, f"{url}/v1/profiles")
            except OSError:
                await asyncio.sleep(0.2)
            else:
                return


def measure(server: Server, recording: speech.Recording, streams: int) -> dict[str, Any]:
    """Play a recording into so many streams at once, in real time."""
    began = server.cpu_seconds()
    timelines, memory = asyncio.run(_play(server, recording, streams))
    used = server.cpu_seconds() - began
    seconds = recording.duration_ms / 1000
    return {
        "recording": recording.name,
        "streams": streams,
        "audio_s": seconds,
        **_latencies(timelines),
        **_steadiness(timelines),
        **_accuracy(timelines, reference(recording)),
        "cpu_cores_per_stream": round(used / seconds / streams, 3),
        "memory_mb_per_stream": round(memory / streams, 1),
        "loop_lag_p99_ms": server.lag_p99(),
    }


def reference(recording: speech.Recording) -> Words:
    """What was really said and when."""
    return tuple(Word(word.text, word.start_ms, word.end_ms) for word in recording.words)


async def _play(server: Server, recording: speech.Recording, streams: int) -> tuple[list[Timeline], float]:
    tasks = [asyncio.create_task(_one(server.url, recording, delay=0.37 * i)) for i in range(streams)]
    await asyncio.sleep(recording.duration_ms / 2000)
    memory = server.memory()
    return await asyncio.gather(*tasks), memory


async def _one(url: str, recording: speech.Recording, delay: float) -> Timeline:
    await asyncio.sleep(delay)
    loop, timeline, transcript = asyncio.get_running_loop(), Timeline(reference=reference(recording)), Transcript()
    start = loop.time()

    def began(at: float) -> None:
        nonlocal start
        start = at

    async with Client(url).session(profile="demo") as session:
        session.feed(playing.paced(playing.chunked(_whole(recording)), began=began))
        async for message in session:
            if isinstance(message, Segment):
                timeline.add(transcript.take(message), (loop.time() - start) * 1000)
    return timeline


async def _whole(recording: speech.Recording) -> AsyncIterator[bytes]:
    yield recording.pcm


def _latencies(timelines: list[Timeline]) -> dict[str, float | None]:
    measures = {
        "first_partial": [value for t in timelines for value in t.first_partial_latencies()],
        "word_lag": [value for t in timelines for value in t.word_lags()],
        "final": [value for t in timelines for value in t.final_latencies()],
    }
    return {
        f"{name}_p{percent}_ms": _rounded(percentile(values, percent), 0)
        for name, values in measures.items()
        for percent in (50, 95)
    }


def _steadiness(timelines: list[Timeline]) -> dict[str, float | None]:
    words = sum(len(revision.words) for t in timelines for revision in t.finals())
    if not words:
        return {}
    return {
        "revisions_per_word": round(sum(len(t.seen) for t in timelines) / words, 2),
        "unstable_word_ratio": round(sum(map(unstable_words, timelines)) / words, 2),
        "rewritten_ratio": round(sum(t.rewritten_words() for t in timelines) / words, 2),
    }


def _accuracy(timelines: list[Timeline], said: Words) -> dict[str, float | int | None]:
    interim = [_wer(said, t.last_words(status=Status.INTERIM)) for t in timelines]
    first = [_wer(said, t.last_words(source=Pass.FIRST)) for t in timelines]
    final = [_wer(said, t.last_words(status=Status.FINAL)) for t in timelines]
    seams = [seam_errors(said, t.last_words(status=Status.FINAL), t.cuts()) for t in timelines]
    return {
        "wer_interim": _mean(interim),
        "wer_first_pass": _mean(first),
        "wer_final": _mean(final),
        "cuts": sum(len(t.cuts()) for t in timelines),
        "words_lost_at_cuts": sum(s.lost for s in seams),
        "words_doubled_at_cuts": sum(s.doubled for s in seams),
        "degraded": sum(r.degraded is not None for t in timelines for r in t.finals()),
    }


def _wer(said: Words, heard: Words) -> float:
    return word_errors([w.text for w in said], [w.text for w in heard]).rate or 0.0


def _mean(values: list[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _quantile(buckets: list[tuple[float, float]], share: float) -> float | None:
    """A quantile of a cumulative histogram, ms, interpolated within its bucket."""
    if not buckets or not buckets[-1][1]:
        return None
    wanted, low, below = share * buckets[-1][1], 0.0, 0.0
    for edge, count in buckets:
        if count >= wanted:
            inside = (wanted - below) / (count - below) if count > below else 0.0
            return round((low + (min(edge, 10.0) - low) * inside) * 1000, 2)
        low, below = edge, count
    return None
