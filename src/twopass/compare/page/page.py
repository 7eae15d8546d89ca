"""The comparison as one self-contained page: nothing is loaded, and what speakers said cannot run in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from twopass.compare.page import parts
from twopass.compare.page.drawings import drawings
from twopass.compare.page.figures import Figures
from twopass.compare.page.score_tables import PLANS, table
from twopass.compare.page.sound import Sounds, embedded
from twopass.compare.page.takes import WIDE, views
from twopass.compare.page.verdict import referenced, verdict
from twopass.compare.results import Comparison

_FOLDER = "templates"


def page(comparison: Comparison, audio: Mapping[str, bytes]) -> str:
    """The page's HTML. `audio`: 16 kHz mono s16 by the recording's name."""
    sounds = embedded([recording.name for recording in comparison.recordings], audio)
    figures, script = Figures(), _file("script.js")
    return (
        _templates()
        .get_template("page.html.j2")
        .render(
            **_compared(comparison, figures),
            **_heard(comparison, sounds, figures),
            wide=WIDE,
            style=Markup(_file("style.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def _compared(comparison: Comparison, figures: Figures) -> dict[str, Any]:
    tables = [made for plan in PLANS if (made := table(plan, comparison, figures))]
    return {
        "comparison": comparison,
        "labels": parts.labels(comparison),
        "made": figures.moment(comparison.made),
        "facts": _facts(comparison, figures),
        "findings": verdict(comparison, figures),
        "referenced": referenced(comparison),
        "ranking": parts.ranking(comparison, figures),
        "drawings": drawings(comparison, figures),
        "conditions": parts.conditions(comparison, figures),
        "tables": {made.id: made for made in tables},
        "duels": parts.duels(comparison, figures),
        "troubles": parts.troubles(comparison),
    }


def _heard(comparison: Comparison, sounds: Sounds, figures: Figures) -> dict[str, Any]:
    return {
        "views": views(comparison, sounds.by_name, figures),
        "rates": parts.recordings(comparison, figures),
        "silent": sounds.left_out,
        "consensus": sum(recording.consensus for recording in comparison.recordings),
        "failed": sum(bool(cell.failed) for cell in comparison.cells),
        "paced": all(cell.realtime for cell in comparison.cells),
    }


def _facts(comparison: Comparison, figures: Figures) -> Sequence[str]:
    """What was compared, in numbers."""
    recordings = comparison.recordings
    audio, sources = sum(recording.ms for recording in recordings), len({recording.source for recording in recordings})
    counts = [(len(comparison.systems), "system"), (sources, "recording")]
    said = [f"{figures.count(number)} {what}{'' if number == 1 else 's'}" for number, what in counts]
    versions = [f"{figures.count(len(recordings))} with perturbed copies"] if len(recordings) > sources else []
    return (*said, *versions, f"{figures.length(audio)} of audio")


def _file(name: str) -> str:
    return (files("twopass.compare.page") / _FOLDER / name).read_text("utf-8")


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("twopass.compare.page", _FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
