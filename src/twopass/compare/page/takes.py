"""
One recording side by side: what was said, what each system made of it word by word, and what a reader saw when. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twopass.compare.measures.accuracy import Edit, Step
from twopass.compare.measures.timeline import Seen
from twopass.compare.page.figures import Figures
from twopass.compare.results import Cell, Comparison, Played
from twopass.types import Pass, Revision, Status, Words

WIDE = 1000
"""Units of a timeline from side to side."""
_HEIGHTS: Mapping[str, tuple[int, int]] = {"interim": (20, 8), "provisional": (16, 12), "final": (4, 24)}
"""Of a mark: where it begins (from the top) and how long it is."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Words that are treated alike: `removed` from the truth, `put` by the system; equal ones are in `put`."""

    kind: str
    removed: Words
    put: Words


@dataclass(frozen=True, slots=True)
class Marks:
    """Moments at which something of a kind was shown, as an SVG path."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Take:
    """
    What one system made of the recording.

    Attributes:
        rate: Of words that are wrong; `counts` says how.
        marks: Empty if it was not played in real time.
    """

    system: str
    rate: str
    counts: str
    latency: str
    pieces: Sequence[Piece]
    text: str
    failed: str
    troubles: Sequence[str]
    marks: Sequence[Marks]
    realtime: bool


@dataclass(frozen=True, slots=True)
class View:
    """
    A recording with all its takes.

    Attributes:
        id: Of its place in the page.
        end: Where its timelines end, ms: when the last word was shown.
        speech: (left, width) of stretches of speech on a timeline.
        data: For the script, as JSON that is safe within HTML.
    """

    id: str
    played: Played
    length: str
    truth: str
    words: Words
    end: int
    over: float
    speech: Sequence[tuple[float, float]]
    takes: Sequence[Take]
    sound: str
    data: str


def views(comparison: Comparison, sounds: Mapping[str, str], figures: Figures) -> list[View]:
    """One for each recording, in their order."""
    order = {score.system: place for place, score in enumerate(comparison.scores)}
    cells: dict[str, list[Cell]] = {}
    for cell in sorted(comparison.cells, key=lambda cell: order.get(cell.system, len(order))):
        cells.setdefault(cell.recording, []).append(cell)
    return [
        _view(f"r{number}", played, cells.get(played.name, []), sounds.get(played.name, ""), figures)
        for number, played in enumerate(comparison.recordings, 1)
    ]


def _view(name: str, played: Played, cells: Sequence[Cell], sound: str, figures: Figures) -> View:
    end = max([1, played.ms, *(math.ceil(seen.at) for cell in cells if cell.realtime for seen in cell.seen)])
    return View(
        id=name,
        played=played,
        length=figures.length(played.ms),
        truth="none" if played.truth is None else "consensus" if played.consensus else "reference",
        words=_truth(cells),
        end=end,
        over=_place(played.ms, end),
        speech=[(_place(start, end), _place(stop - start, end)) for start, stop in played.speech],
        takes=[_take(cell, end, figures) for cell in cells],
        sound=sound,
        data=in_html({"end": end, "ms": played.ms, "takes": [_frames(cell) for cell in cells]}),
    )


def _truth(cells: Sequence[Cell]) -> Words:
    """With times: as it stands in the alignments, all of which have the same."""
    steps = next((cell.steps for cell in cells if cell.steps), ())
    return tuple(word for step in steps for word in step.reference)


def _take(cell: Cell, end: int, figures: Figures) -> Take:
    errors = cell.words
    counts = ""
    if errors is not None:
        kinds = ((errors.substitutions, "substituted"), (errors.deletions, "missing"), (errors.insertions, "extra"))
        counts = ", ".join(f"{figures.count(number)} {kind}" for number, kind in kinds if number)
    return Take(
        system=cell.system,
        rate=figures.percent(errors.rate if errors else None),
        counts=counts or ("all words right" if errors else ""),
        latency=figures.seconds(max(cell.final_ms)) if cell.final_ms and cell.realtime else "",
        pieces=[_piece(step) for step in cell.steps],
        text=cell.text,
        failed=cell.failed,
        troubles=cell.troubles,
        marks=list(_marks(cell.seen, end)) if cell.realtime else [],
        realtime=cell.realtime,
    )


def _piece(step: Step) -> Piece:
    return Piece(step.edit.value, () if step.edit is Edit.EQUAL else step.reference, step.hypothesis)


# -- the timeline of partials ---------------------------------------------------------------------------------------


def _marks(seen: Sequence[Seen], end: int) -> Iterator[Marks]:
    for kind in Status:
        places = sorted({_place(one.at, end) for one in seen if one.revision.status is kind})
        top, length = _HEIGHTS[kind.value]
        if places:
            yield Marks(kind.value, "".join(f"M{place:g} {top}v{length}" for place in places))


def _place(ms: float, end: int) -> float:
    return round(min(max(ms, 0), end) / end * WIDE, 1)


def _frames(cell: Cell) -> list[list[Any]]:
    """What was shown when: [at, number of the utterance, status, by the second pass, text, rewritten words]."""
    if not cell.realtime:
        return []
    starts: dict[str, int] = {}
    for seen in cell.seen:
        starts.setdefault(seen.revision.utterance, seen.revision.start)
    numbers = {name: number for number, name in enumerate(sorted(starts, key=lambda name: starts[name]))}
    return [_frame(seen, numbers[seen.revision.utterance]) for seen in sorted(cell.seen, key=lambda seen: seen.at)]


def _frame(seen: Seen, number: int) -> list[Any]:
    revision = seen.revision
    second = int(revision.source is Pass.SECOND)
    return [round(seen.at), number, revision.status.rank, second, revision.text, list(_rewritten(revision))]


def _rewritten(revision: Revision) -> Iterator[tuple[int, int]]:
    """Where in the text the words are that the second pass changed: from, to (in UTF-16 units, as scripts count)."""
    at = 0
    for number, word in enumerate(revision.words):
        at += 0 if word.glued or number == 0 else 1
        length = len(word.text.encode("utf-16-le")) // 2
        if number in revision.rewritten:
            yield at, at + length
        at += length


def in_html(data: object) -> str:
    """JSON that no browser takes for the end of a script, or for a tag."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return "".join(f"\\u{ord(c):04x}" if c in "<>&\u2028\u2029" else c for c in text)
