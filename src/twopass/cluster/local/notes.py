"""What runs where, in a file for whoever asks: `twopass cluster status`, and your own scripts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from twopass.cluster.local.keeping import Kept
from twopass.cluster.local.programs import Role
from twopass.errors import ConfigError

PREFIX = "twopass-cluster-"
FILE = "cluster.json"


class Running(BaseModel):
    """One program; see `Program`. `pid` is None while it waits to be started again."""

    model_config = ConfigDict(frozen=True)
    name: str
    role: Role
    pid: int | None
    address: str
    metrics: str
    log: Path


class Notes(BaseModel):
    """A cluster: the process that keeps it, since when it runs, where clients come in, and its programs."""

    model_config = ConfigDict(frozen=True)
    pid: int
    since: AwareDatetime
    urls: tuple[str, ...]
    home: Path
    programs: tuple[Running, ...]


def running(kept: Sequence[Kept]) -> tuple[Running, ...]:
    """What there is to say about them now."""
    return tuple(
        Running(
            name=each.program.name,
            role=each.program.role,
            pid=each.pid,
            address=each.program.address,
            metrics=each.program.metrics,
            log=each.log,
        )
        for each in kept
    )


def write(directory: Path, notes: Notes) -> None:
    """All at once: nobody reads half of it."""
    path = directory / f".{FILE}"
    path.write_text(notes.model_dump_json(indent=2), encoding="utf-8")
    path.replace(directory / FILE)


def find() -> Notes:
    """Those of our cluster on this machine that was started last and lives. Raises ConfigError if there is none."""
    paths = Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{FILE}")
    found = [notes for path in paths if (notes := _read(path)) is not None]
    if not found:
        raise ConfigError("No cluster runs here.", code="no_cluster", fix="Start one: twopass cluster up")
    return max(found, key=lambda notes: notes.since)


def _read(path: Path) -> Notes | None:
    """None if they are not ours, or of a cluster that is gone."""
    try:
        notes = Notes.model_validate_json(path.read_bytes()) if path.stat().st_uid == os.getuid() else None
        if notes is not None:
            os.kill(notes.pid, 0)
    except (OSError, ValidationError):
        return None
    return notes
