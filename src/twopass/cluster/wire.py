"""
What gateways and workers tell each other through the broker, as bytes. Pure.

    "2P" | version | kind | length of the header | header (msgpack) | tail

The tail is an utterance's audio as FLAC, or the message that became a dead letter. The version is of the schema: fields
may be added to it, since readers skip those that they do not know; whatever else changes makes a new version, which
older readers put to the dead letters.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeAlias, TypeVar

import msgpack
from pydantic import TypeAdapter, ValidationError

from twopass import errors
from twopass.errors import RecognizerError, WireError
from twopass.recognizers import Profanity, StreamOptions
from twopass.types import Hypothesis, Usage

VERSION = 1
_MAGIC = b"2P"
_HEAD = struct.Struct("<2sBBI")
_UNREADABLE = (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException)
_FIX = "Gateways and workers must be of releases that know the same version."


class Kind(IntEnum):
    """What a message is."""

    UTTERANCE = 1
    RESULT = 2
    WISH = 3
    DEAD_LETTER = 4


@dataclass(frozen=True, slots=True)
class JobId:
    """
    Attributes:
        gateway: Who asked: a name that no other process has, before or after.
        number: Which of its jobs.
    """

    gateway: str
    number: int


@dataclass(frozen=True, slots=True)
class Options:
    """`StreamOptions`, as far as it can be sent."""

    language: str | None = None
    session: str = ""
    phrases: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    punctuation: bool | None = None
    profanity: Profanity | None = None
    diarization: bool = False

    @property
    def stream_options(self) -> StreamOptions:
        """As recognizers take them."""
        return StreamOptions(**{name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def of(cls, options: StreamOptions) -> Options:
        """Of a stream."""
        return cls(**{name: getattr(options, name) for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Utterance:
    """
    A job for a worker.

    Attributes:
        attempt: 1, and one more each time that the gateway sends it again.
        profile: Whose second pass is to hear it.
        sent_ms: When it was sent, ms since 1970.
        deadline_ms: When the answer is wanted, ms since 1970; None for recordings.
        speculative: Begun on a short silence; not wanted for sure.
        samples: How long the audio is.
        audio: FLAC, 16 kHz mono; empty if there are no samples.
    """

    id: JobId
    attempt: int
    profile: str
    options: Options
    sent_ms: int
    deadline_ms: int | None
    speculative: bool
    samples: int
    audio: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """
    A RecognizerError on its way.

    Attributes:
        kind: The name of its class.
    """

    kind: str
    code: str
    message: str
    fix: str
    provider: str
    retryable: bool

    @classmethod
    def of(cls, error: RecognizerError) -> Failure:
        """Of an error."""
        kind = type(error).__name__
        return cls(kind, error.code, error.message, error.fix, error.provider, error.retryable)

    @property
    def error(self) -> RecognizerError:
        """To be raised. Of a class that is not known here, it is a RecognizerError."""
        kind = getattr(errors, self.kind, None)
        make = kind if isinstance(kind, type) and issubclass(kind, RecognizerError) else RecognizerError
        return make(self.message, provider=self.provider, code=self.code, fix=self.fix)


@dataclass(frozen=True, slots=True)
class Result:
    """
    What became of a job: a hypothesis, or a failure; neither if its answer was dropped and only its cost is told.

    Attributes:
        worker: Who heard it.
        delivery: How often the broker had delivered the utterance. Results that are equal are the same result.
    """

    id: JobId
    attempt: int
    worker: str
    delivery: int
    hypothesis: Hypothesis | None = None
    failure: Failure | None = None
    usage: tuple[Usage, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """
    What a gateway says of a job that it sent as speculation.

    Attributes:
        deadline_ms: It is wanted by then (ms since 1970); None: nobody wants it any more.
    """

    id: JobId
    deadline_ms: int | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """
    A message that no worker can deal with.

    Attributes:
        topic: Where it came from.
        reason: A stable identifier for programs.
        detail: The same for people.
        found_by: Which worker or gateway gave it up.
        at_ms: When, ms since 1970.
        original: The message as it came.
    """

    topic: str
    reason: str
    detail: str
    found_by: str
    at_ms: int
    original: bytes = field(default=b"", repr=False)


Message: TypeAlias = Utterance | Result | Wish | DeadLetter
_M = TypeVar("_M", bound=Message)
_KINDS: dict[type, Kind] = {
    Utterance: Kind.UTTERANCE,
    Result: Kind.RESULT,
    Wish: Kind.WISH,
    DeadLetter: Kind.DEAD_LETTER,
}
_TAILS: dict[type, str] = {Utterance: "audio", DeadLetter: "original"}
_ADAPTERS: dict[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in _KINDS}


def encode(message: Message) -> bytes:
    """A message as bytes."""
    kind = type(message)
    tail = _TAILS.get(kind)
    header: bytes = msgpack.packb(_ADAPTERS[kind].dump_python(message, exclude={tail} if tail else None))
    rest: bytes = getattr(message, tail) if tail else b""
    return _HEAD.pack(_MAGIC, VERSION, _KINDS[kind], len(header)) + header + rest


def decode(wanted: type[_M], data: bytes) -> _M:
    """A message of the kind that is wanted. Raises WireError; whatever the bytes are, nothing else."""
    header, tail = _parts(wanted, data)
    try:
        fields = dict(msgpack.unpackb(header))
        name = _TAILS.get(wanted)
        if name:
            fields[name] = tail
        message: _M = _ADAPTERS[wanted].validate_python(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise WireError(f"A field is wrong: {where}: {first['msg']}.", code="bad_field", fix=_FIX) from None
    except _UNREADABLE:  # pydantic's errors are ValueErrors too: this one comes second
        raise WireError("The header cannot be read.", code="bad_header", fix=_FIX) from None
    return message


def _parts(wanted: type, data: bytes) -> tuple[bytes, bytes]:
    """The header and what follows it."""
    if len(data) < _HEAD.size or not data.startswith(_MAGIC):
        raise WireError("This is no message of twopass.", code="garbage")
    _, version, kind, length = _HEAD.unpack_from(data)
    if version != VERSION:
        raise WireError(f"Version {version} is not known here, only {VERSION}.", code="unknown_version", fix=_FIX)
    if kind != _KINDS[wanted]:
        raise WireError(f"A message of kind {kind} has no place here.", code="wrong_kind")
    header = data[_HEAD.size : _HEAD.size + length]
    if len(header) < length:
        raise WireError("The message ends within its header.", code="truncated")
    return header, data[_HEAD.size + length :]
