"""Live sessions that had a shadow, read back: what was shown, and what the shadow heard (see `twopass.shadow`)."""

from __future__ import annotations

import gzip
import zlib
from datetime import date, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from twopass.compare.records import Hearing, parsed
from twopass.errors import ConfigError
from twopass.shadow.record import ABOUT, LIVE, SHADOW, About

_ABOUT = TypeAdapter(About)


def records(
    directory: Path, *, since: date | None = None, warnings: list[str] | None = None
) -> list[tuple[About, list[Hearing]]]:
    """
    The sessions in a directory of records, the oldest first: each with its two hearings, the shown one first.

    Args:
        since: Only those that began on this day (UTC) or later.
        warnings: Gets a sentence for each record that cannot be read; it is left out.

    Raises ConfigError if there is no such directory.
    """
    if not directory.is_dir():
        fix = "Name the directory of the configuration's `shadow` section."
        raise ConfigError(f"{directory} is no directory of shadow records.", code="no_records", fix=fix)
    found: list[tuple[About, list[Hearing]]] = []
    for path in sorted(directory.glob(f"*/{ABOUT}")):
        if path.parent.name.startswith("."):
            continue  # not whole yet
        try:
            about = _ABOUT.validate_json(path.read_bytes())
            if since is None or datetime.fromisoformat(about.began).date() >= since:
                found.append((about, [_hearing(path.with_name(name)) for name in (LIVE, SHADOW)]))
        except (OSError, EOFError, ValueError, ValidationError, zlib.error) as error:
            if warnings is not None:
                warnings.append(f"{path.parent} is left out: {_why(error)}.")
    return sorted(found, key=lambda record: record[0].began)


def _hearing(path: Path) -> Hearing:
    return parsed(gzip.decompress(path.read_bytes()))


def _why(error: Exception) -> str:
    """Without what was said."""
    if isinstance(error, ValidationError):
        return f"{error.error_count()} mistakes in it"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it cannot be read"
