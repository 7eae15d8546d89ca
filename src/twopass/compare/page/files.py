"""A comparison as a folder: the page for people, JSON for programs, CSV for spreadsheets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from twopass.compare.page import tables
from twopass.compare.results import Comparison
from twopass.errors import ConfigError
from twopass.whole_files import write_whole

PAGE, JSON, RANKING, RECORDINGS = "index.html", "comparison.json", "ranking.csv", "recordings.csv"
_COMPARISON = TypeAdapter(Comparison)
_TOO_MUCH = {"cells": {"__all__": {"seen"}}}
"""Every revision that was ever shown: most of all bytes, and no figure. They are kept with what was heard."""


def write(comparison: Comparison, folder: Path, audio: Mapping[str, bytes]) -> None:
    """
    Make (or replace) the report's files. Each is there whole or not at all, whenever that is interrupted.

    Args:
        audio: What was played, by the recording's name: 16 kHz mono s16. What is missing can not be listened to.

    Raises ConfigError if the folder cannot be written.
    """
    from twopass.compare.page.page import page  # matplotlib and templates: not for those who only read

    made = {
        JSON: _COMPARISON.dump_json(comparison, exclude=_TOO_MUCH),
        RANKING: tables.ranking(comparison).encode(),
        RECORDINGS: tables.recordings(comparison).encode(),
        PAGE: page(comparison, audio).encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in made.items():
            write_whole(folder / name, data)
    except OSError as error:
        fix = "Name another folder with --output."
        raise ConfigError(f"{folder} cannot be written: {error.strerror}.", code="no_output", fix=fix) from None


def read(path: Path) -> Comparison:
    """A comparison from its JSON, without what was seen meanwhile. Raises ConfigError if that is none."""
    try:
        return _COMPARISON.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        what = error.strerror if isinstance(error, OSError) else f"{error.error_count()} mistakes"
        fix = f"Give the {JSON} that `twopass compare` wrote."
        raise ConfigError(f"{path} is no comparison: {what}.", code="no_comparison", fix=fix) from None
