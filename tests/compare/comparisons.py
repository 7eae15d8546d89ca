"""
A comparison as a real one looks: two local recognizers, a two-pass profile and a vendor's stand-in over six recordings
in two conditions, one without a reference. What each heard is written down here; counts, times and scores follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from operator import add

import jiwer
import numpy as np

from twopass.alignment import folded
from twopass.compare.measures.accuracy import Edit, Errors, SeamErrors, Step
from twopass.compare.measures.rewrites import Rewrites
from twopass.compare.measures.timeline import Seen, percentile
from twopass.compare.results import Cell, Comparison, Interval, Pair, Percentiles, Played, Score, System
from twopass.cost.prices.rates import Money
from twopass.types import Pass, Revision, Status, Word, Words

EVIL = '<script>alert("x")</script>'
"""Somebody says, or calls a file, what a browser would run."""
_LEAD_MS, _WORD_MS, _REST_MS = 500, 310, 700
_EDITS = {"equal": Edit.EQUAL, "substitute": Edit.SUBSTITUTE, "delete": Edit.DELETE, "insert": Edit.INSERT}

SYSTEMS = (
    System("local", "pocketsphinx en-us, then Whisper tiny", two_pass=True),
    System("whisper", "Whisper tiny in windows of 8 s", notes=("Answers depend on the pace: played in real time.",)),
    System("pocketsphinx", "pocketsphinx en-us"),
    System(
        "google",
        "Google, long model",
        local=False,
        stand_in=True,
        notes=("A stand-in speaks the vendor's protocol and hears with pocketsphinx.",),
    ),
)


@dataclass(frozen=True, slots=True)
class _Said:
    """What was said in a recording, and what each system (in the order of `SYSTEMS`) made of it."""

    name: str
    truth: str
    heard: tuple[str, str, str, str]
    condition: str = "clean"
    consensus: bool = False


_SAID = (
    _Said(
        "budget-review",
        "Good morning everyone, let's get started. Welcome to the budget review.",
        (
            "Good morning everyone, let's get started. Welcome to the budget review.",
            "Good morning everyone, let's get started. Welcome to the budget review.",
            "good morning every one let's get started welcome to the but its review",
            "good morning every one let's get started welcome to the but its review",
        ),
    ),
    _Said(
        "sales-march",
        "Sales went up by fifteen percent in March. Thanks, Nina, that was very clear.",
        (
            "Sales went up by fifteen percent in March. Thanks, Nina, that was very clear.",
            "Sales went up by fifteen percent in March. Thanks Tina that was very clear. Clear.",
            "sales went up by fifty percent in march thanks nina that was a very clear",
            "sales went up by fifty percent in march thanks nina that was very clear",
        ),
    ),
    _Said(
        "roadmap",
        "How much did we spend on the roadmap? We spent eight thousand dollars on the roadmap.",
        (
            "How much did we spend on the roadmap? We spend eight thousand dollars on the roadmap.",
            "How much did we spend on the roadmap? We spent eight thousand dollars on the road.",
            "how much did we spend on the road map we spent eighty thousand dollars on the road map",
            "how much did we spend on the road map we spent eighty thousand dollars on the road map",
        ),
    ),
    _Said(
        "roadmap~telephone",
        "How much did we spend on the roadmap? We spent eight thousand dollars on the roadmap.",
        (
            "How much did we spend on the roadmap? We spent eighty thousand dollars on the roadmap.",
            "How much did we send on the roadmap? We sent eight thousand on the roadmap.",
            "how must it we spend on the road map we went eighty thousand dollars on",
            "how must it we spend on the road map we went eighty thousand dollars on",
        ),
        condition="telephone",
    ),
    _Said(
        "document~telephone",
        "Robert, can you send the document this afternoon? Yes, that works for me.",
        (
            "Robert, can you send the document this afternoon? Yes, that works for me.",
            "Robert can you send the documents this afternoon? Yes that works for me.",
            "robert can use and the document this after noon yes that works",
            "",
        ),
        condition="telephone",
    ),
    _Said(
        "hallway~telephone",
        f"so that is all for today thank you {EVIL}",
        (
            f"So that is all for today. Thank you. {EVIL}",
            "So that's all for today, thank you.",
            f"so that is all for to day thank you {EVIL}",
            f"so that is all for today thank you {EVIL}",
        ),
        condition="telephone",
        consensus=True,
    ),
)


def spoken(text: str) -> Words:
    """Words at the pace of the fixture."""
    return tuple(
        Word(word, _LEAD_MS + _WORD_MS * place, _LEAD_MS + _WORD_MS * (place + 1) - 40)
        for place, word in enumerate(text.split())
    )


def audio() -> dict[str, bytes]:
    """A tone for each recording, as long as it is."""
    return {played.name: _tone(played.ms) for played in _played()}


def _tone(ms: int) -> bytes:
    places = np.arange(16 * ms)
    return (3000 * np.sin(2 * math.pi * 220 * places / 16_000)).astype(np.int16).tobytes()


def comparison() -> Comparison:
    """The whole of it."""
    cells = tuple(_cells())
    return Comparison(
        made="2026-11-21T15:04:05Z",
        command="twopass compare tests/speech --providers pocketsphinx,whisper,google,twopass:configs/local.yaml "
        "--references refs.jsonl --perturb telephone --seed 7 -o report",
        version="0.1.0",
        settings={
            "normalizer": "whisper-normalizer 0.1.15, English",
            "seed": "7",
            "bootstrap samples": "1000",
            "pace": "as fast as it was spoken",
            "prices": "list prices of 2026-11-01",
            "machine": "2 cores, no GPU",
        },
        currency="USD",
        systems=SYSTEMS,
        recordings=tuple(_played()),
        scores=_ranked(cells),
        conditions={condition: _ranked(cells, condition) for condition in ("clean", "telephone")},
        pairs=tuple(_pairs(cells)),
        cells=cells,
    )


def _played() -> Iterator[Played]:
    for said in _SAID:
        end = spoken(said.truth)[-1].end
        source = said.name.partition("~")[0]
        yield Played(
            said.name,
            source,
            f"speech/{source}.wav",
            end + _REST_MS,
            said.condition,
            "en",
            said.truth,
            said.consensus,
            ((_LEAD_MS - 40, end + 60),),
        )


def _cells() -> Iterator[Cell]:
    for said, played in zip(_SAID, _played(), strict=True):
        for system, text in zip(SYSTEMS, said.heard, strict=True):
            yield _cell(system, played, text)


def _cell(system: System, played: Played, text: str) -> Cell:
    truth = spoken(played.truth or "")
    steps = _steps(truth, spoken(text))
    heard = _placed(text, steps)
    seen = tuple(_seen(system, heard, played.ms))
    slow = {"local": 900.0, "whisper": 2_600.0, "pocketsphinx": 520.0, "google": 480.0}[system.name]
    words = _errors(steps)
    final = () if not heard else (slow + 7 * len(heard),)
    return Cell(
        system=system.name,
        recording=played.name,
        text=text,
        failed="" if text else "The stand-in closed the connection after 1.2 s.",
        troubles=() if text else ("A stream broke and was opened again; 1.2 s were heard twice.",),
        words=words,
        characters=Errors(words.total * 2, words.deletions, words.insertions, len(played.truth or "")),
        steps=steps,
        word_time_ms=tuple(30.0 + place % 5 for place in range(len(heard))),
        first_partial_ms=tuple(time - 400 for time in final),
        first_word_ms=final[0] + 100 if final else None,
        emission_ms=tuple(slow / 2 + 10 * place for place in range(len(heard))),
        final_ms=final,
        unstable=2 if system.name == "whisper" else 1,
        erased=3 if system.name == "whisper" else 1,
        final_words=len(heard),
        laal_ms=slow + 200 if heard else None,
        rewrites=_rewrites(heard) if system.two_pass else None,
        seams=SeamErrors(0, 0),
        audio_ms=played.ms,
        wall_ms=played.ms + 900.0,
        cost=_cost(system, played),
        unpriced=("whisper cpu",) if system.name == "whisper" else (),
        cpu_seconds=played.ms / 1000 * {"local": 0.5, "whisper": 1.4, "pocketsphinx": 0.3}.get(system.name, 0),
        seen=seen,
    )


def _rewrites(heard: Words) -> Rewrites:
    return Rewrites(len(heard), 2, len(heard), 3, 1, 0, 2, (410.0,))


def _cost(system: System, played: Played) -> Money | None:
    per_hour = {"local": Decimal("0.05"), "pocketsphinx": Decimal("0.02"), "google": Decimal("0.96")}.get(system.name)
    return None if per_hour is None else Money(per_hour * played.ms / 3_600_000, "USD")


def _steps(truth: Words, heard: Words) -> tuple[Step, ...]:
    wanted, got = (" ".join(folded(word.text) for word in words) for words in (truth, heard))
    if not got:
        return (Step(Edit.DELETE, truth, ()),)
    plain = [tuple(Word(folded(w.text), w.start, w.end) for w in words) for words in (truth, heard)]
    chunks = jiwer.process_words(wanted, got).alignments[0]
    return tuple(
        Step(
            _EDITS[chunk.type],
            plain[0][chunk.ref_start_idx : chunk.ref_end_idx],
            plain[1][chunk.hyp_start_idx : chunk.hyp_end_idx],
        )
        for chunk in chunks
    )


def _placed(text: str, steps: Sequence[Step]) -> Words:
    """The written words where the aligned truth was spoken."""
    times: list[tuple[int, int]] = []
    for step in steps:
        last = times[-1][1] if times else _LEAD_MS
        places = (
            step.reference if step.reference and step.hypothesis else (Word("", last, last),) * len(step.hypothesis)
        )
        times += [(word.start, word.end) for word in places[: len(step.hypothesis)]]
    return tuple(Word(word, *time) for word, time in zip(text.split(), times, strict=True))


def _seen(system: System, heard: Words, ms: int) -> Iterator[Seen]:
    """Word by word, as a first pass shows them; the last word is wrong for a moment; then the final."""
    if not heard:
        return
    lag = 300 if system.name != "whisper" else 1_400
    for count in range(1, len(heard) + 1):
        shown = heard[:count]
        if count % 4 == 0:
            shown = (*shown[:-1], Word("uh", shown[-1].start, shown[-1].end))
        yield Seen(shown[-1].end + lag, _revision(count, Status.INTERIM, shown, Pass.FIRST, ms))
    last, number = heard[-1].end, len(heard) + 1
    if system.two_pass:
        yield Seen(last + lag + 200, _revision(number, Status.PROVISIONAL, heard, Pass.FIRST, ms))
    source = Pass.SECOND if system.two_pass else Pass.FIRST
    yield Seen(last + lag + 600, _revision(number + 1, Status.FINAL, heard, source, ms))


def _revision(number: int, status: Status, words: Words, source: Pass, ms: int) -> Revision:
    rewritten = (1,) if source is Pass.SECOND else ()
    return Revision("u1", number, status, 0, ms, words, source, rewritten=rewritten)


def _errors(steps: Sequence[Step]) -> Errors:
    def words(edit: Edit) -> int:
        return sum(max(len(step.reference), len(step.hypothesis)) for step in steps if step.edit is edit)

    reference = sum(len(step.reference) for step in steps)
    return Errors(words(Edit.SUBSTITUTE), words(Edit.DELETE), words(Edit.INSERT), reference)


def _ranked(cells: Sequence[Cell], condition: str | None = None) -> tuple[Score, ...]:
    wanted = {said.name for said in _SAID if condition in (None, said.condition)}
    scores = [
        _score(system, [c for c in cells if c.system == system.name and c.recording in wanted]) for system in SYSTEMS
    ]
    return tuple(sorted(scores, key=lambda score: score.wer.value if score.wer else math.inf))


def _score(system: System, cells: Sequence[Cell]) -> Score:
    consensus = {said.name for said in _SAID if said.consensus}
    errors = _sum(cell.words for cell in cells if cell.recording not in consensus)
    agreed = _sum(cell.words for cell in cells if cell.recording in consensus)
    characters = _sum(cell.characters for cell in cells if cell.recording not in consensus)
    words, hours = sum(cell.final_words for cell in cells), sum(cell.audio_ms for cell in cells) / 3_600_000
    costs = [cell.cost.amount for cell in cells if cell.cost]
    two_pass = system.two_pass
    return Score(
        system=system.name,
        recordings=len(cells),
        failed=sum(bool(cell.failed) for cell in cells),
        audio_ms=sum(cell.audio_ms for cell in cells),
        errors=errors,
        wer=_interval(errors),
        cer=_interval(characters),
        agreement_wer=_interval(agreed),
        punctuation=0.91 if system.name in ("local", "whisper") else None,
        capitals=0.95 if system.name in ("local", "whisper") else None,
        word_time_ms=31.0,
        first_partial=_percentiles([time for cell in cells for time in cell.first_partial_ms]),
        first_word=_percentiles([cell.first_word_ms for cell in cells if cell.first_word_ms is not None]),
        emission=_percentiles([time for cell in cells for time in cell.emission_ms]),
        final=_percentiles([time for cell in cells for time in cell.final_ms]),
        rewrite=_percentiles([410.0] * len(cells)) if two_pass else None,
        unstable=sum(cell.unstable or 0 for cell in cells) / words,
        erasure=sum(cell.erased or 0 for cell in cells) / words,
        laal_ms=900.0,
        rewrite_rate=0.12 if two_pass else None,
        rewrite_gain=0.155 if two_pass else None,
        harmful=0.004 if two_pass else None,
        helpful=0.131 if two_pass else None,
        degraded=1 if two_pass else 0,
        cost_per_hour=Money(sum(costs, Decimal(0)) / Decimal(hours), "USD") if costs else None,
        unpriced=("whisper cpu",) if system.name == "whisper" else (),
        cpu_seconds_per_hour=sum(cell.cpu_seconds for cell in cells) / hours if system.local else None,
        real_time_factor=sum(cell.cpu_seconds for cell in cells) / hours / 3600 if system.local else None,
        troubles=sum(len(cell.troubles) for cell in cells),
    )


def _sum(errors: Iterator[Errors | None]) -> Errors | None:
    known = [one for one in errors if one is not None]
    return reduce(add, known) if known else None


def _interval(errors: Errors | None) -> Interval | None:
    if errors is None or errors.rate is None:
        return None
    return Interval(errors.rate, max(errors.rate * 0.6 - 0.01, 0.0), errors.rate * 1.4 + 0.02)


def _percentiles(values: Sequence[float]) -> Percentiles | None:
    if not values:
        return None
    return Percentiles(len(values), *(percentile(values, percent) or 0.0 for percent in (50, 90, 95, 99)))


def _pairs(cells: Sequence[Cell]) -> Iterator[Pair]:
    rates = {system.name: _score(system, [c for c in cells if c.system == system.name]).wer for system in SYSTEMS}
    for place, left in enumerate(SYSTEMS):
        for right in SYSTEMS[place + 1 :]:
            a, b = rates[left.name], rates[right.name]
            apart = a.value - b.value if a and b else 0.0
            interval = Interval(apart, apart - 0.09, apart + 0.09)
            yield Pair(left.name, right.name, interval, 0.004 if abs(apart) > 0.1 else 0.31, 0.84)
