"""
What happened in a session, as lines of text: enough to make its state anew. Pure.

One line per record: its kind, its channel, and the value as JSON. A process that ends in the middle of a write leaves
half a line at the end; reading stops before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from pydantic import TypeAdapter, ValidationError

from twopass.errors import TwopassError
from twopass.merging import AllHeard, FinalizeAt, Input, VoiceFrames
from twopass.outbox import AudioSkipped, Event, GapMarked, Problem, ProviderTrouble, SessionEnded
from twopass.reconciler import FirstPass, SecondPass, SecondPassFailed, Settled
from twopass.types import Usage


@dataclass(frozen=True, slots=True)
class Happened:
    """A channel took an input."""

    channel: int
    input: Input


@dataclass(frozen=True, slots=True)
class Told:
    """The client was told something that follows from no input."""

    event: Event


@dataclass(frozen=True, slots=True)
class Numbered:
    """
    An event number was given to something that is worth nothing later: a newer one has taken its place.

    Attributes:
        upto: If not 0, all numbers up to this one were given.
    """

    upto: int = 0


@dataclass(frozen=True, slots=True)
class Metered:
    """Something was used, at that time (UTC)."""

    usage: Usage
    at: datetime


@dataclass(frozen=True, slots=True)
class EndAsked:
    """No more audio will come."""


Record: TypeAlias = Happened | Told | Numbered | Metered | EndAsked


def nothing() -> None:
    """For those who do not care."""


class Journal(Protocol):
    """Where a session writes down what happens. Never raises: a journal that cannot write any more says so."""

    def write(self, record: Record) -> None:
        """Take a record, in order."""

    def flush(self, then: Callable[[], None] = nothing) -> bool:
        """
        Make everything written survive the end of the process. False if that cannot be promised now.

        `then` is called as soon as it is so, or as it is certain that it will never be.
        """

    def release(self, before: int) -> None:
        """Audio before this sample (16 kHz) will not be needed again."""


class NoJournal:
    """Keeps nothing."""

    def write(self, record: Record) -> None:
        """Forget it."""

    def flush(self, then: Callable[[], None] = nothing) -> bool:
        then()
        return False

    def release(self, before: int) -> None:
        """Nothing is kept."""


@dataclass(frozen=True, slots=True)
class _StoredProblem:
    """A `Problem` without its Python class."""

    code: str
    message: str
    fix: str
    retryable: bool
    fatal: bool


_INPUTS: dict[str, type[Any]] = {
    "voice": VoiceFrames,
    "finalize": FinalizeAt,
    "heard": AllHeard,
    "first": FirstPass,
    "settled": Settled,
    "second": SecondPass,
    "failed": SecondPassFailed,
}
_EVENTS: dict[str, type[Any]] = {
    "gap": GapMarked,
    "skipped": AudioSkipped,
    "trouble": ProviderTrouble,
    "problem": _StoredProblem,
    "over": SessionEnded,
}
_KINDS = {kind: name for name, kind in (_INPUTS | _EVENTS).items()}
_ADAPTERS = {name: TypeAdapter(kind) for name, kind in (_INPUTS | _EVENTS | {"metered": Metered}).items()}


def encode(record: Record) -> bytes:
    """A record as a line."""
    match record:
        case Happened(channel, value):
            return _line(_KINDS[type(value)], value, channel)
        case Told(Problem(error, fatal)):
            stored = _StoredProblem(error.code, error.message, error.fix, error.retryable, fatal)
            return _line("problem", stored)
        case Told(event):
            kind = _KINDS.get(type(event))
            return _line(kind, event) if kind else b"number 0\n"
        case Numbered(upto):
            return b"number %d\n" % upto
        case Metered():
            return _line("metered", record)
        case EndAsked():
            return b"end 0\n"


def decode(text: bytes) -> Iterator[tuple[Record, int]]:
    """The records of a journal, each with the offset after it; stops at the first line that is not whole."""
    at = 0
    for line in text.splitlines(keepends=True):
        record = _record(line) if line.endswith(b"\n") else None
        if record is None:
            return
        at += len(line)
        yield record, at


def _line(kind: str, value: object, channel: int = 0) -> bytes:
    return b"%s %d %s\n" % (kind.encode(), channel, _ADAPTERS[kind].dump_json(value, exclude_defaults=True))


def _record(line: bytes) -> Record | None:
    try:
        kind, channel, value = (*line.decode().rstrip("\n").split(" ", 2), "")[:3]
        if kind in _INPUTS:
            return Happened(int(channel), _ADAPTERS[kind].validate_json(value))
        if kind in _EVENTS:
            return Told(_revived(_ADAPTERS[kind].validate_json(value)))
        if kind == "metered":
            metered: Metered = _ADAPTERS[kind].validate_json(value)
            return metered
        if kind == "number":
            return Numbered(int(channel))
    except (ValidationError, ValueError):
        return None
    return EndAsked() if kind == "end" else None


def _revived(event: Any) -> Event:
    if isinstance(event, _StoredProblem):
        error = TwopassError(event.message, code=event.code, fix=event.fix)
        error.retryable = event.retryable
        return Problem(error, event.fatal)
    revived: Event = event
    return revived
