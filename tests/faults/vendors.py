"""
`python -m tests.faults.vendors`: what happens to a session when its vendor dies, and when its vendor's wall comes.

Vendors are the stand-ins (not the vendors themselves), reached through the vendors' own SDKs. There is no second pass,
so what is compared, word by word and time by time, is what the first pass heard.

* deaths: the first vendor dies in mid-word at a seeded moment, for good or for one stream; the other one goes on.
* wall: a session of 30 minutes with streams of five at most, with pauses and without any, beside a session that has
  no limit: the same words at the same times.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import structlog
import typer
from rich.console import Console
from rich.progress import track
from tests.cost.counting import reasons, reported
from tests.faults.serving import ROOT
from tests.providers.rehearsal import Seen, rehearse, transcript
from tests.scripted import numbered

from twopass import recognizers
from twopass.compare.measures.timeline import percentile
from twopass.first_pass_contract import FirstPassSettings
from twopass.recognizers import StreamingRecognizer
from twopass.types import Clock, Usage, Word, Words
from twopass_providers.azure import standin as azure
from twopass_providers.google import standin as google
from twopass_providers.standins import Received, StandInSettings
from twopass_providers.standins.ears import CodedEar
from twopass_providers.standins.faults import Fault

_GOOGLE_DEATHS = ("unavailable", "internal", "ended", "quota", "server_stopped")
_AT_ONCE = 10
_MOST_SECONDS_WITHOUT_WORDS = 1.5
_DEATH_MS = 15_000
_WALL_SECONDS = 300


def main(
    deaths: Annotated[int, typer.Option(help="How many sessions lose their vendor.")] = 100,
    minutes: Annotated[float, typer.Option(help="How long the sessions at the wall last.")] = 30,
    wall: Annotated[float, typer.Option(help="How long a vendor's stream may last, seconds.")] = _WALL_SECONDS,
    speed: Annotated[float, typer.Option(help="Of the sessions at the wall: so many times faster than real time.")] = 1,
    seed: Annotated[int, typer.Option(help="A run with the same seed dies at the same moments.")] = 0,
    short: Annotated[bool, typer.Option("--short", help="20 deaths; a minute of audio with a wall at 15 s.")] = False,
    output: Annotated[Path, typer.Option(help="Where the JSON goes.")] = ROOT / "bench" / "vendor_faults.json",
) -> None:
    """Run it; exits with 1 if a word was lost, doubled or misplaced, or if the first words stayed away for too long."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    if short:
        deaths, minutes, wall, speed = 20, 1, 15, 2
    report = asyncio.run(_everything(deaths, minutes, wall, speed, seed))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    Console().print_json(data=report)
    died = report["deaths"]
    gap = died["seconds_without_new_words_p95"]
    counted = "unexplained" not in died["streams_as_the_vendor_counts_them"]
    good = (
        not died["wrong"]
        and counted
        and gap <= _MOST_SECONDS_WITHOUT_WORDS
        and all(each["same"] for each in report["wall"])
    )
    raise typer.Exit(0 if good else 1)


async def _everything(deaths: int, minutes: float, wall: float, speed: float, seed: int) -> dict[str, Any]:
    died = await _deaths(deaths, seed)
    with_pauses, without = _speech(minutes, pauses=True), _speech(minutes, pauses=False)
    Console(stderr=True).print(f"{minutes:g} minutes with a wall at {wall:g} s, at {speed:g} times real time …")
    walls = await asyncio.gather(
        _at_the_wall("with pauses", with_pauses, minutes, wall, speed),
        _at_the_wall("without any pause", without, minutes, wall, speed),
    )
    return {"deaths": died, "wall": walls}


# -- deaths -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Death:
    """How one session's vendor dies."""

    number: int
    kind: str
    at_ms: int
    for_good: bool

    @classmethod
    def of(cls, number: int, seed: int) -> _Death:
        rng = random.Random(f"{seed}/{number}")
        return cls(number, rng.choice(_GOOGLE_DEATHS), rng.randrange(1_500, 11_000), rng.random() < 0.5)

    @property
    def fault(self) -> Fault:
        return Fault(self.kind, self.at_ms, first=1, last=1)

    @property
    def faults(self) -> Sequence[Fault]:
        """After the death: nothing more, or every later stream at its beginning."""
        return [self.fault, Fault("unavailable", 0, first=2)] if self.for_good else [self.fault]


async def _deaths(count: int, seed: int) -> dict[str, Any]:
    gaps: list[float] = []
    wrong: list[str] = []
    used: list[Sequence[Usage]] = []
    metered_wrong: list[str] = []
    for first in track(range(0, count, _AT_ONCE), description="deaths", console=Console(stderr=True), transient=True):
        batch = [_Death.of(number, seed) for number in range(first, min(count, first + _AT_ONCE))]
        for death, (seen, received) in zip(batch, await asyncio.gather(*map(_dies, batch)), strict=True):
            if seen.finals != transcript(_sentences(_DEATH_MS)):
                wrong.append(f"{death}: {_difference(seen, _sentences(_DEATH_MS))}")
            sent = sum(seen.seconds(name, Clock.AUDIO_SENT) for name in ("google", "azure"))
            if sent * 1000 + 1 < sum(each.audio_ms for each in received if each.ended != ""):
                metered_wrong.append(f"{death}: {sent:.3f} s")
            gaps.append(seen.longest_gap)
            used.append(seen.usage)
    with TemporaryDirectory() as directory:
        counts = reasons(reported(used, Path(directory)))
    return {
        "sessions": count,
        "at_once": _AT_ONCE,
        "wrong": wrong,
        "metered_less_than_received": metered_wrong,
        "streams_as_the_vendor_counts_them": counts,
        "seconds_without_new_words_p50": _rounded(gaps, 50),
        "seconds_without_new_words_p95": _rounded(gaps, 95),
        "seconds_without_new_words_worst": round(max(gaps, default=0.0), 2),
    }


async def _dies(death: _Death) -> tuple[Seen, Sequence[Received]]:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(google.stand_in(StandInSettings(CodedEar(), faults=death.faults)))
        other = await stack.enter_async_context(azure.stand_in(StandInSettings(CodedEar())))
        vendors = [_recognizer("google", first.address), _recognizer("azure", other.address)]
        seen = await rehearse(vendors, _sentences(_DEATH_MS), _DEATH_MS, speed=1, realtime=True)
        return seen, [*first.received, *other.received]


def _recognizer(name: str, address: str, **settings: Any) -> StreamingRecognizer:
    return recognizers.find(name).streaming({"endpoint": address, **settings})


def _sentences(ms: int) -> Words:
    """Eight words in a row, then a pause that a vendor takes for the end; never silent for longer than that."""
    words: list[Word] = []
    at = 300
    while at + 260 <= ms:
        words.append(Word(str(len(words) + 1), at, at + 220))
        at += 260 if len(words) % 8 else 900
    return tuple(words)


# -- the wall ---------------------------------------------------------------------------------------------------------


def _speech(minutes: float, *, pauses: bool) -> Words:
    ms = round(minutes * 60_000)
    return _sentences(ms) if pauses else numbered(ms // 260, length=220, gap=40)


async def _at_the_wall(title: str, words: Words, minutes: float, wall: float, speed: float) -> dict[str, Any]:
    """One session with the wall and one without, side by side."""
    limited, unlimited = await asyncio.gather(
        _long_session(words, minutes, wall, speed, CodedEar()),
        # Half an hour of words in one interim is more than any vendor sends: without a wall, it makes a final at times.
        _long_session(words, minutes, minutes * 120 + 600, speed, CodedEar(longest_ms=60_000)),
    )
    return {
        "speech": title,
        "minutes": minutes,
        "wall_seconds": wall,
        "speed": speed,
        "words": len(words),
        "streams": len(limited[1]),
        "streams_without_wall": len(unlimited[1]),
        "walls_hit": sum(each.ended == "stream_limit" for each in limited[1]),
        "same": limited[0].finals == unlimited[0].finals and len(limited[0].finals) == len(words),
        "difference": _difference(limited[0], words),
        "audio_seconds": round(minutes * 60, 1),
        "metered_seconds": round(limited[0].seconds("google", Clock.AUDIO_SENT), 1),
        "vendor_reported_seconds": round(limited[0].seconds("google", Clock.VENDOR_REPORTED), 1),
        "seconds_without_new_words": round(limited[0].longest_gap, 2),
    }


async def _long_session(
    words: Words, minutes: float, wall: float, speed: float, ear: CodedEar
) -> tuple[Seen, Sequence[Received]]:
    async with google.stand_in(StandInSettings(ear, max_stream_seconds=wall)) as vendor:
        recognizer = _recognizer("google", vendor.address, max_stream_seconds=wall)
        patient = FirstPassSettings(silence_seconds=60)
        ms = round(minutes * 60_000)
        seen = await rehearse(recognizer, words, ms, speed=speed, settings=patient, realtime=speed == 1)
        return seen, vendor.received


def _difference(seen: Seen, words: Words) -> str:
    heard, spoken = [text for text, _, _ in seen.finals], [word.text for word in words]
    lost, more = sorted(set(spoken) - set(heard)), len(heard) - len(set(heard))
    return f"lost {lost[:9]}, doubled {more}, troubles {seen.states}" if lost or more else ""


def _rounded(values: list[float], percent: float) -> float:
    value = percentile(values, percent)
    return 0.0 if value is None else round(value, 2)


if __name__ == "__main__":
    typer.run(main)
