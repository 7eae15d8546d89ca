"""
The messages of the native socket `/v1/stream`, one tagged union each way.

Text frames carry JSON of these models; binary frames carry audio. The union is published as JSON Schema at
`/v1/stream/schema.json`. Times are milliseconds on the session clock.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from twopass.audio import AudioFormat, Encoding
from twopass.errors import ProtocolError
from twopass.recognizers import Profanity, StreamOptions

_LAST = (1 << 53) - 1
"""No number is larger: JavaScript could not hold it."""


class Message(BaseModel):
    """What all messages share: frozen, and no fields that nobody knows. What the server says has all its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)


def _with_type(schema: dict[str, Any]) -> None:
    schema["required"] = ["type", *schema.get("required", ())]


class ClientRequest(Message):
    """What a client says. Its `type` is never left out, although it has a default for those who make one in Python."""

    model_config = ConfigDict(json_schema_extra=_with_type)


class Framing(StrEnum):
    """What a binary frame holds: audio only, or an 8-byte big-endian sample index and then audio."""

    RAW = "raw"
    INDEXED = "indexed"


class ClientAudio(Message):
    """
    The format of the audio that follows.

    `webm`, `ogg` and `container` say their own rate and channels. With `indexed` framing each binary frame begins
    with the index of its first sample (8 bytes, big endian, counted at `sample_rate`); only raw encodings
    can be indexed.
    """

    encoding: Encoding = Encoding.PCM_S16LE
    sample_rate: Annotated[int, Field(ge=8_000, le=48_000)] = 16_000
    channels: Annotated[int, Field(ge=1, le=2)] = 1
    framing: Framing = Framing.RAW


LanguageTag = Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")]


class Start(ClientRequest):
    """
    The first message of a socket: what will be sent, and what is wanted.

    Attributes:
        profile: A profile of the server's configuration; None means its default.
        language: BCP-47 tag; None means the profile's.
        separate_channels: Transcribe the channels of a stereo stream each for itself.
        languages: More tags: what is spoken is one of these or `language`, and the recognizer finds out which.
        phrases: Words and names to expect.
        punctuation: Whether to write it; None leaves that to the recognizer, as for the next.
        profanity: What is written for a swear word: "raw", "masked" or "removed".
        diarization: Label the words with their speakers.
        realtime: False for a recording that is sent faster than it was spoken: no deadlines, no speculation.
    """

    type: Literal["start"] = "start"
    audio: ClientAudio = ClientAudio()
    profile: Annotated[str, Field(max_length=100)] | None = None
    language: LanguageTag | None = None
    languages: Annotated[tuple[LanguageTag, ...], Field(max_length=10)] = ()
    separate_channels: bool = False
    phrases: Annotated[tuple[Annotated[str, Field(max_length=100)], ...], Field(max_length=500)] = ()
    punctuation: bool | None = None
    profanity: Profanity | None = None
    diarization: bool = False
    realtime: bool = True

    @property
    def options(self) -> StreamOptions:
        """What is asked of the recognizers."""
        return StreamOptions(
            language=self.language,
            languages=self.languages,
            phrases=self.phrases,
            punctuation=self.punctuation,
            profanity=self.profanity,
            diarization=self.diarization,
        )

    @property
    def format(self) -> AudioFormat:
        """The same, as the decoder wants it."""
        return AudioFormat(
            encoding=self.audio.encoding,
            sample_rate=self.audio.sample_rate,
            channels=self.audio.channels,
            separate_channels=self.separate_channels,
        )


class SessionResume(ClientRequest):
    """
    The first message of a socket that goes on with a session: after a broken connection, or to take it over.

    Attributes:
        session, token: As `session` told them.
        last_event: The number of the last event seen; what came after it is sent again.
    """

    type: Literal["session_resume"] = "session_resume"
    session: Annotated[str, Field(max_length=64)]
    token: Annotated[str, Field(max_length=128)]
    last_event: Annotated[int, Field(ge=0, le=_LAST)] = 0


class Seen(ClientRequest):
    """Everything up to this event has arrived: the server need not keep it for a resume. Never required."""

    type: Literal["seen"] = "seen"
    event: Annotated[int, Field(ge=0, le=_LAST)]


class Finalize(ClientRequest):
    """End the running utterance now, without waiting for silence."""

    type: Literal["finalize"] = "finalize"


class End(ClientRequest):
    """No more audio. The server finishes every utterance, sends `end` and closes."""

    type: Literal["end"] = "end"


AnyClientMessage: TypeAlias = Start | SessionResume | Seen | Finalize | End
ClientMessage: TypeAlias = Annotated[AnyClientMessage, Field(discriminator="type")]


class PassDescription(Message):
    """
    Which model speaks, and what it can and cannot understand, in words for people.

    Attributes:
        notice: Something the person should know, such as a fallback and the command that ends it.
    """

    provider: str
    model: str
    understands: str
    notice: str | None = None


class ServerMessage(Message):
    """Attributes: event: Numbered from 1 in each session, growing."""

    event: Annotated[int, Field(ge=1)]


class SessionStarted(ServerMessage):
    """
    The answer to `start`.

    Attributes:
        token: The secret that a `session_resume` must bring.
        resume_seconds: How long the session waits for a client that has gone.
        shadow: The provider that also hears the session, for comparison; nothing that it says is shown. None: nobody.
    """

    type: Literal["session"] = "session"
    session: str
    token: str
    resume_seconds: float
    profile: str
    first_pass: PassDescription
    second_pass: PassDescription
    shadow: str | None = None


class Resumed(ServerMessage):
    """
    The answer to `session_resume`; the missed events follow it. Its `event` is the last one that the client has seen.

    Attributes:
        next_sample: The next sample wanted (16 kHz): where `indexed` audio goes on.
        next_byte: The next byte wanted, counted over all audio of the session without the 8-byte indexes: where
            `raw` audio and containers go on.
    """

    type: Literal["resumed"] = "resumed"
    session: str
    next_sample: int
    next_byte: int


class WordMessage(Message):
    """One word. `estimated`: its times are interpolated. `glued`: no space before it."""

    text: str
    start: int
    end: int
    confidence: float | None = None
    estimated: bool = False
    glued: bool = False
    speaker: str | None = None


class Segment(ServerMessage):
    """
    A revision of one utterance. Keep the final or highest revision per id and sort by start: that is the transcript.

    Attributes:
        stable: How many leading words are not expected to change.
        rewritten: Indexes into `words` of what the second pass changed.
        degraded: Why the second pass's text is missing from a final; None where it is not.
    """

    type: Literal["segment"] = "segment"
    id: str
    revision: int
    status: Literal["interim", "provisional", "final"]
    start: int
    end: int
    text: str
    words: tuple[WordMessage, ...]
    source: Literal["first", "second"]
    stable: int = 0
    rewritten: tuple[int, ...] = ()
    degraded: str | None = None
    channel: int = 0
    language: str | None = None


class Speech(ServerMessage):
    """The voice detector: somebody began or ceased to speak at `at`."""

    type: Literal["speech"] = "speech"
    state: Literal["started", "ended"]
    at: int
    channel: int = 0


class Ack(ServerMessage):
    """
    Everything before this is on the tape: nobody need send it again.

    Attributes:
        samples: The next sample wanted, 16 kHz.
        bytes: The next byte of audio wanted, without the indexes of `indexed` framing.
        durable: It is also on the disk, and survives the end of the process.
    """

    type: Literal["ack"] = "ack"
    samples: int
    bytes: int
    durable: bool


class Gap(ServerMessage):
    """Audio [from, to) ms never came; the tape holds silence there."""

    type: Literal["gap"] = "gap"
    from_: Annotated[int, Field(alias="from")]
    to: int

    model_config = ConfigDict(populate_by_name=True)


class Backpressure(ServerMessage):
    """
    The first pass cannot keep up: it skipped [from, to) ms, where only the second pass will hear what is said.

    Attributes:
        depth_ms: How much audio waits for the first pass.
        state: `over` when it has caught up; from and to are then the whole stretch in which audio was skipped.
    """

    type: Literal["backpressure"] = "backpressure"
    from_: Annotated[int, Field(alias="from")]
    to: int
    depth_ms: int
    state: Literal["skipping", "over"]
    channel: int = 0

    model_config = ConfigDict(populate_by_name=True)


class Expiring(ServerMessage):
    """The session has almost reached the longest that the server allows; it will be ended then, with its finals."""

    type: Literal["expiring"] = "expiring"
    in_seconds: float


class ProviderChange(ServerMessage):
    """
    A recognizer failed, or is well again. The other pass goes on.

    Attributes:
        to: The recognizer that goes on for it, when `switched`.
    """

    type: Literal["provider"] = "provider"
    pass_: Annotated[Literal["first", "second"], Field(alias="pass")]
    provider: str
    state: Literal["retrying", "failed", "switched", "recovered"]
    reason: str
    channel: int = 0
    to: str | None = None

    model_config = ConfigDict(populate_by_name=True)


class CostLine(Message):
    """What one pass used. `amount` is a decimal in words, or None where no price is known: never 0 instead."""

    pass_: Annotated[Literal["first", "second"], Field(alias="pass")]
    provider: str
    sku: str
    clock: str
    seconds: float
    amount: str | None
    currency: str | None

    model_config = ConfigDict(populate_by_name=True)


class Cost(ServerMessage):
    """The running cost of the session. `unpriced` names what has no price; it is missing from `amount`."""

    type: Literal["cost"] = "cost"
    audio_ms: int
    lines: tuple[CostLine, ...]
    totals: dict[str, str]
    unpriced: tuple[str, ...] = ()


class BudgetMessage(ServerMessage):
    """
    A budget that the session spends from is nearly spent, or spent. (How much money it is, is not the client's matter.)

    Attributes:
        policy: What happens when it is spent: nothing (`warn`), the first pass goes on with a cheaper recognizer
            (`cheaper`), or the session gets its finals and ends, and no other begins (`refuse`).
        share: How much of it is spent; 1 is all.
    """

    type: Literal["budget"] = "budget"
    state: Literal["near", "spent"]
    period: Literal["day", "month"]
    policy: Literal["warn", "cheaper", "refuse"]
    share: float


class ErrorMessage(ServerMessage):
    """
    Something was wrong. What was accepted before stays.

    Attributes:
        code: Stable, for programs.
        fix: What to do about it, for people.
        fatal: The socket closes after this.
    """

    type: Literal["error"] = "error"
    code: str
    message: str
    fix: str = ""
    retryable: bool = False
    fatal: bool = False


class Ended(ServerMessage):
    """The last message: every utterance is final."""

    type: Literal["end"] = "end"
    audio_ms: int
    utterances: int
    words: int
    degraded: int


AnyServerMessage: TypeAlias = (
    SessionStarted
    | Resumed
    | Segment
    | Speech
    | Ack
    | Gap
    | Backpressure
    | ProviderChange
    | Cost
    | BudgetMessage
    | Expiring
    | ErrorMessage
    | Ended
)

_MOST_SAID = 300

_client: TypeAdapter[AnyClientMessage] = TypeAdapter(ClientMessage)
_server: TypeAdapter[AnyServerMessage] = TypeAdapter(Annotated[AnyServerMessage, Field(discriminator="type")])


def parse_client(text: str) -> AnyClientMessage:
    """Read a client's text frame. Raises ProtocolError that names the first thing wrong."""
    try:
        return _client.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "message"
        # Cut: some of pydantic's sentences repeat what the client sent.
        raise ProtocolError(f"{where}: {first['msg'][:_MOST_SAID]}.", fix="See /v1/stream/schema.json.") from None


def parse_server(text: str | bytes) -> AnyServerMessage:
    """Read a server's text frame, for clients."""
    return _server.validate_json(text)


def schema() -> dict[str, object]:
    """JSON Schema of both directions."""
    return {"client": _client.json_schema(), "server": _server.json_schema(mode="serialization")}
