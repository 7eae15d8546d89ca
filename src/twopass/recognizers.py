"""
What a stranger implements to add a vendor or a model, and how such providers are found.

A provider is one object, named in the entry-point group `twopass.providers`. It makes recognizers:

* a `StreamingRecognizer` hears audio as it comes and says what it believes so far (first pass);
* an `UtteranceRecognizer` hears whole utterances, several at once (second pass).

The core never tests a provider's name: it reads `Capabilities`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import entry_points
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from pydantic import BaseModel, ValidationError

from twopass.errors import ConfigError
from twopass.types import Hypothesis, Usage, Word, Words

ENTRY_POINT_GROUP = "twopass.providers"
Settings: TypeAlias = Mapping[str, Any]
Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is downloaded, bytes so far and bytes in all."""
_Model = TypeVar("_Model", bound=BaseModel)


class Feature(StrEnum):
    """What a client may wish of a recognizer, beyond words: see `StreamOptions`."""

    DETECTION = "detection"
    PHRASES = "phrases"
    PUNCTUATION = "punctuation"
    PROFANITY = "profanity"
    DIARIZATION = "diarization"


class Profanity(StrEnum):
    """What is written for a swear word."""

    RAW = "raw"
    MASKED = "masked"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """
    What the core needs to know of a recognizer, so that it asks instead of testing names.

    Attributes:
        provider: The entry point's name, as it stands in configs and on reports.
        model: What speaks, for people: "pocketsphinx en-us 5.1".
        understands: One sentence for people: what this model can and cannot understand.
        languages: BCP-47 tags; empty means any.
        endpoints: It finds the ends of utterances itself and hears the whole session in one stream.
            If not, it is given one stream per utterance.
        word_times: Its words carry true times (otherwise the adapter interpolates and marks them estimated).
        max_stream_seconds: The vendor's limit for one stream; None if there is none.
        chunk_ms: The size of audio chunk that it likes best.
        max_utterance_seconds: The longest utterance it takes at once, context included.
        max_batch: How many utterances it decodes at once with profit.
        local: It runs on this machine: its cost is compute, not a vendor's price.
        region: Where the vendor runs it; what fails in one region may be well in another.
        features: Which wishes of `StreamOptions` it can fulfil.
        sku: What the vendor bills for the audio that it is sent, as its rate card names it: the first pass meters
            the audio under this name. Empty: the recognizer tells its usage itself.
        answers_within_seconds: While somebody speaks, it says something at least so often; if not, it is taken for
            dead. None: its speed depends on this machine, and that cannot be said.
        burst_seconds, pace: So much audio may be sent at once; beyond, it must come at most so many times faster
            than real time. None: as fast as it takes it.
    """

    provider: str
    model: str
    understands: str
    languages: tuple[str, ...] = ()
    endpoints: bool = False
    word_times: bool = True
    max_stream_seconds: float | None = None
    chunk_ms: int = 100
    max_utterance_seconds: float = 30.0
    max_batch: int = 1
    local: bool = True
    region: str = ""
    features: frozenset[Feature] = frozenset()
    sku: str = ""
    answers_within_seconds: float | None = None
    burst_seconds: float | None = None
    pace: float = 2.0


def _unnoticed(usage: Usage) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """
    What the client asked for. None, False and empty mean: as the vendor's default is.

    Attributes:
        language: BCP-47 tag, or None to let the recognizer detect it.
        languages: More tags: it is one of these or `language`, and the recognizer is to find out which.
        session: An opaque key that stays the same while one speaker's channel lasts; recognizers may keep
            what they learned (cepstral mean, speaker) under it.
        phrases: Words and names to expect.
        punctuation: Whether to write it.
        profanity: What is written for a swear word.
        diarization: Label each word with its speaker.
        used: Called with usage that comes up when nobody takes answers any more, because the stream is closed.
    """

    language: str | None = None
    session: str = ""
    phrases: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    punctuation: bool | None = None
    profanity: Profanity | None = None
    diarization: bool = False
    used: Callable[[Usage], None] = field(default=_unnoticed, compare=False, repr=False)

    @property
    def wishes(self) -> frozenset[Feature]:
        """What a recognizer must be able to do for this."""
        wanted = {
            Feature.DETECTION: bool(self.languages),
            Feature.PHRASES: bool(self.phrases),
            Feature.PUNCTUATION: self.punctuation is not None,
            Feature.PROFANITY: self.profanity is not None,
            Feature.DIARIZATION: self.diarization,
        }
        return frozenset(feature for feature, wished in wanted.items() if wished)


@dataclass(frozen=True, slots=True)
class UtteranceAudio:
    """
    An utterance cut out of the tape, with context.

    Attributes:
        pcm: 16 kHz mono s16 little endian. Times of the answer count from its first sample.
    """

    pcm: bytes
    options: StreamOptions = StreamOptions()


@dataclass(frozen=True, slots=True)
class Recognition:
    """The answer for one utterance: the hypothesis on the stream clock, and what it cost."""

    hypothesis: Hypothesis
    usage: tuple[Usage, ...] = ()


@runtime_checkable
class StreamingRecognizer(Protocol):
    """
    Hears audio as it comes.

    `stream` is called once per stream. It yields hypotheses on the stream clock (interims and finals) and usage, ends
    by itself soon after `audio` ends, and raises only `RecognizerError`. Closing the iterator aborts the stream.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    async def open(self) -> None:
        """Load what is needed. Called once before the first stream."""

    async def close(self) -> None:
        """Let go of processes and connections."""

    def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]: ...


@runtime_checkable
class UtteranceRecognizer(Protocol):
    """
    Hears whole utterances. `recognize` answers in the order of the batch and raises only `RecognizerError`. It is
    cancelled only when it hangs: then it must leave behind nothing that hangs.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    async def open(self) -> None:
        """Load what is needed and does not run (any more). Called before every batch."""

    async def close(self) -> None:
        """Let go of processes and connections."""

    async def recognize(self, batch: Sequence[UtteranceAudio]) -> Sequence[Recognition]: ...


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One line of `twopass doctor`.

    Attributes:
        ok: False if something is missing.
        fix: The one command that helps; empty if none is needed.
    """

    subject: str
    ok: bool
    detail: str
    fix: str = ""


class Provider(Protocol):
    """One vendor or model family. The object behind an entry point."""

    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str:
        """One line for `twopass providers`."""

    def streaming(self, settings: Settings) -> StreamingRecognizer:
        """Make a first pass from the settings of a profile. Raises ConfigError or RecognizerUnavailable."""

    def utterance(self, settings: Settings) -> UtteranceRecognizer:
        """Make a second pass from the settings of a profile. Raises ConfigError or RecognizerUnavailable."""

    def fetch(self, settings: Settings, progress: Progress) -> None:
        """Download what these settings need and this machine lacks. Blocks. Raises RecognizerUnavailable."""

    def diagnose(self) -> Sequence[Finding]:
        """What is installed, configured and missing. Fast, and without network."""


def installed() -> dict[str, Provider]:
    """All providers on this machine, by name."""
    return {point.name: point.load() for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda p: p.name)}


def find(name: str) -> Provider:
    """The provider of that name. Raises ConfigError that lists what there is."""
    providers = installed()
    if name not in providers:
        known = ", ".join(providers) or "none"
        raise ConfigError(f"There is no provider {name!r}.", code="unknown_provider", fix=f"Installed: {known}.")
    return providers[name]


def estimated_words(text: str, start: int, end: int) -> Words:
    """
    Words with interpolated times, for recognizers that give only text.

    The span is shared out by the number of characters, which follows speaking time better than equal parts.
    """
    tokens = text.split()
    total = sum(len(token) for token in tokens)
    words, done = [], 0
    for token in tokens:
        left, done = done, done + len(token)
        times = (start + (end - start) * left // total, start + (end - start) * done // total)
        words.append(Word(token, *times, estimated=True))
    return tuple(words)


def parse_settings(model: type[_Model], provider: str, settings: Settings) -> _Model:
    """A provider's settings from a profile, checked. Raises ConfigError that names the first wrong one."""
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        known = ", ".join(model.model_fields)
        raise ConfigError(f"{provider}: {where}: {first['msg']}.", fix=f"Settings it knows: {known}.") from None
