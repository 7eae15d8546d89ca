"""
What was measured, on which machine, when and by which command: the figures that `twopass.sizing.plan` counts with.

The file is YAML or JSON: `measurements:`, a list of the figures below, told apart by `what`. Later ones stand before
earlier ones of the same thing. `twopass size --measure` writes such a file; the one in the package has what the README
says. What was not measured is not in it, and nobody puts a guess in its place.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from importlib.resources import files
from typing import Annotated, Literal, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from twopass.cost.prices.yaml_files import Readable, read_documents
from twopass.errors import ConfigError

_FIX = "`twopass size --measure` writes such a file; src/twopass/assets/measured.yaml shows all figures."
_WIDTH = 110
_STRICT = ConfigDict(extra="forbid")
Positive = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]


class Hears(StrEnum):
    """What a first pass works on."""

    AUDIO = "audio"  # everything that a client sends
    SPEECH = "speech"  # only what the voice detector calls an utterance


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Origin:
    """
    Where a figure comes from.

    Attributes:
        command: What measures it.
        machine: On what, for people.
        conditions: What else has to be known to trust it.
    """

    command: Text
    machine: Text
    date: datetime.date
    conditions: str = ""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class GatewayFigure(Origin):
    """
    One stream in a gateway's own process: socket, voice detector, merge; without the recognizers.

    Attributes:
        cores_per_stream: CPU seconds per second of audio, its voice detector's process included.
        busiest_process: ... of the one process that takes most of it: none can have more than a core. None: not
            measured, and taken to be all of it.
        process_mb: Memory of a gateway without streams, the models of its first passes included; None if not known.
        stream_mb: What a stream adds to that.
        captions_bytes: What a client is sent, per second of audio.
    """

    what: Literal["gateway"] = "gateway"
    cores_per_stream: Positive
    busiest_process: Positive | None = None
    process_mb: Positive | None = None
    stream_mb: NotNegative | None = None
    captions_bytes: NotNegative | None = None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class FirstPassFigure(Origin):
    """
    A first pass at work on the gateway's machine: a local model, or a vendor's SDK.

    Attributes:
        provider, model: As in the configuration; the model is empty if none is named there.
        machine_kind: Whose time it takes, as in the configuration's `prices`: cpu_core, gpu.
        busy: Seconds of one such machine per second of what it hears.
        stream_mb: What a stream adds to the gateway machine's memory.
    """

    what: Literal["first_pass"] = "first_pass"
    provider: Text
    model: str = ""
    machine_kind: Text = "cpu_core"
    busy: Positive
    hears: Hears
    stream_mb: NotNegative | None = None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SecondPassFigure(Origin):
    """
    A second pass at work on a worker.

    Attributes:
        provider, model: As in the configuration; the model is empty if none is named there.
        machine_kind: Whose time it takes, as in the configuration's `prices`: cpu_core, gpu.
        busy: Seconds of one such machine per second of speech, utterances one by one, with all that is decoded for it:
            speculation, audio around cuts.
        batch_factor: How many times as much it decodes in full batches; None if not measured.
        worker_mb: Memory of a worker with this model; None if not measured.
    """

    what: Literal["second_pass"] = "second_pass"
    provider: Text
    model: str = ""
    machine_kind: Text
    busy: Positive
    batch_factor: Positive | None = None
    worker_mb: Positive | None = None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class TrafficFigure(Origin):
    """
    What goes through the broker.

    Attributes:
        utterance_seconds: How long an utterance is, in the mean.
        flac_share: Bytes of an utterance as FLAC, as a share of its bytes as PCM.
        result_bytes: An answer, with the times of its words.
    """

    what: Literal["traffic"] = "traffic"
    utterance_seconds: Positive
    flac_share: Positive
    result_bytes: Positive


Figure: TypeAlias = GatewayFigure | FirstPassFigure | SecondPassFigure | TrafficFigure
_F = TypeVar("_F", bound=Figure)


@dataclass(frozen=True, config=_STRICT)
class Measured:
    """All figures, the earlier ones first."""

    figures: tuple[Figure, ...] = ()

    def gateway(self) -> GatewayFigure | None:
        """The last of its kind."""
        return _last(self.figures, GatewayFigure)

    def traffic(self) -> TrafficFigure | None:
        """The last of its kind."""
        return _last(self.figures, TrafficFigure)

    def first_pass(self, provider: str, model: str) -> FirstPassFigure | None:
        """The last one of this recognizer."""
        fitting = (each for each in self.figures if isinstance(each, FirstPassFigure))
        return _last([each for each in fitting if (each.provider, each.model) == (provider, model)], FirstPassFigure)

    def second_pass(self, provider: str, model: str, machine_kind: str) -> SecondPassFigure | None:
        """The last one of this recognizer on that kind of machine."""
        wanted = (provider, model, machine_kind)
        fitting = (each for each in self.figures if isinstance(each, SecondPassFigure))
        return _last([e for e in fitting if (e.provider, e.model, e.machine_kind) == wanted], SecondPassFigure)

    def __add__(self, later: Measured) -> Measured:
        return Measured((*self.figures, *later.figures))


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    measurements: tuple[Annotated[Figure, Field(discriminator="what")], ...]


def read(source: Readable) -> Measured:
    """Figures from a file. Raises ConfigError that names file, line and place."""
    documents = read_documents(source, _File, _FIX)
    if len(documents) != 1:
        raise ConfigError(f"{source.name}: {len(documents)} documents, one is wanted.", fix=_FIX)
    return Measured(documents[0].measurements)


def packaged() -> Measured:
    """What the package knows without measuring anything."""
    return read(files("twopass") / "assets" / "measured.yaml")


def written(figures: Sequence[Figure]) -> str:
    """The figures as a file that `read` takes."""
    rows = TypeAdapter(list[Figure]).dump_python(list(figures), exclude_none=True)
    document = {"measurements": [_plain(row) for row in rows]}
    return yaml.dump(document, sort_keys=False, allow_unicode=True, width=_WIDTH)


def _plain(row: dict[str, object]) -> dict[str, object]:
    """What it is first, and no empty texts."""
    ordered = {"what": row["what"], **row}
    return {key: _scalar(value) for key, value in ordered.items() if value != ""}


def _scalar(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    return str(value) if isinstance(value, str) else value


def _last(figures: Sequence[Figure], kind: type[_F]) -> _F | None:
    return next((figure for figure in reversed(figures) if isinstance(figure, kind)), None)
