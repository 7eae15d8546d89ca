"""
What all stand-ins for vendors share. A stand-in is a local server that the vendor's own, unmodified SDK connects to.

It speaks the vendor's protocol, keeps the vendor's limits and breaks as it is told to, so that an outage or an
integration can be rehearsed without a key. It is not the vendor: where it rests on an assumption, its code says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from twopass_providers.standins.ears import Ear
from twopass_providers.standins.faults import Fault

ENTRY_POINT_GROUP = "twopass.standins"


@dataclass(slots=True)
class Received:
    """
    One connection or call, as the stand-in saw it.

    Attributes:
        number: Counted from 1, in the order of arrival.
        audio_ms: How much audio came.
        billed_ms: What the vendor would report as billed; None where it reports nothing.
        ended: How it ended: "ok", or the fault's or limit's name; empty while it lasts.
        options: What the client asked for, as the protocol says it.
    """

    number: int
    audio_ms: int = 0
    billed_ms: int | None = None
    ended: str = ""
    options: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StandInSettings:
    """
    How a stand-in is run.

    Attributes:
        ear: What it hears with. Whoever gives it opens and closes it.
        faults: What goes wrong, by connection.
        port: 0 takes a free one.
        max_stream_seconds: Instead of the vendor's real limit, to rehearse it sooner; None keeps the vendor's.
        max_streams: Instead of the vendor's real quota of concurrent streams.
        latency_ms: How long it thinks before each answer.
    """

    ear: Ear
    faults: Sequence[Fault] = ()
    host: str = "127.0.0.1"
    port: int = 0
    max_stream_seconds: float | None = None
    max_streams: int | None = None
    latency_ms: int = 0


class StandIn(Protocol):
    """A running stand-in."""

    @property
    def address(self) -> str:
        """What the vendor's SDK is pointed at, in the provider's setting `endpoint`."""

    @property
    def received(self) -> Sequence[Received]:
        """Every connection or call so far."""


StandInFactory: TypeAlias = Callable[[StandInSettings], AbstractAsyncContextManager[StandIn]]
"""What the entry point names: `async with stand_in(settings) as running`."""


class StandInModule(Protocol):
    """A vendor's `standin.py`: the object behind the entry point."""

    FAULTS: Sequence[tuple[str, str]]
    """The faults that it knows: name and one line for people."""

    SETTINGS: str
    """The first pass's settings that lead to it, as YAML with {address} in it."""

    stand_in: StandInFactory
