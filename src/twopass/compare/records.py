"""What was heard and seen: one system, one recording. Written to disk, so that a comparison can be taken up again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from twopass.compare.measures.timeline import Seen, Timeline
from twopass.errors import ConfigError
from twopass.types import Usage


@dataclass(frozen=True, slots=True)
class Hearing:
    """
    What one system made of one recording.

    Attributes:
        system: The system's name.
        recording: The recording's name.
        seen: Every revision and when a reader got it, in that order: ms on a clock that reads t when the speaker is
            at t.
        usage: What it used.
        audio_ms: How long the recording is.
        wall_ms: How long it took to hear it.
        realtime: Whether it was played as fast as it was spoken: only then `Seen.at` means anything.
        troubles: What went wrong on the way, one sentence each.
        failed: Why there is no transcript, or not all of it; empty if there is.
    """

    system: str
    recording: str
    seen: tuple[Seen, ...] = ()
    usage: tuple[Usage, ...] = ()
    audio_ms: int = 0
    wall_ms: float = 0.0
    realtime: bool = True
    troubles: tuple[str, ...] = ()
    failed: str = ""

    @property
    def timeline(self) -> Timeline:
        """The same for the measures."""
        return Timeline(list(self.seen))


_HEARING = TypeAdapter(Hearing)


def written(hearing: Hearing) -> bytes:
    """As JSON."""
    return _HEARING.dump_json(hearing, exclude_defaults=True)


def parsed(data: bytes) -> Hearing:
    """From JSON. Raises ValidationError if that is no hearing."""
    return _HEARING.validate_json(data)


def read(path: Path) -> Hearing:
    """Raises ConfigError if that is no hearing."""
    try:
        return parsed(path.read_bytes())
    except (OSError, ValidationError) as error:
        what = error.strerror if isinstance(error, OSError) else f"{error.error_count()} mistakes"
        fix = "Remove the file; what it held is heard again."
        raise ConfigError(f"{path} is no hearing: {what}.", code="no_hearing", fix=fix) from None
