"""What `twopass.sizing.plan` is asked, what is assumed, and what it answers. All values are frozen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from twopass.cost.prices.rates import Money, Rate
from twopass.sizing.measured import Figure, Hears
from twopass.types import Clock

CORE = "cpu_core"
"""As the configuration's `prices` calls it: where gateways run."""
Convert: TypeAlias = Callable[[Decimal, str, str], Decimal | None]
"""An amount, its currency and the wanted one; None without an exchange rate."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """
    What is not measured but decided, or guessed by whoever asks.

    Attributes:
        speech: Share of a stream's audio that is speech.
        headroom: Share of every machine's time that is kept free for the busiest seconds.
        streams_per_gateway: The most that a gateway process is given; each has one event loop.
        batch_factor: How many times as much a second pass decodes in batches; None as it was measured, 1 if it was not.
        cores_per_worker: How many cores a worker without an accelerator has.
        spare: So many gateways and workers may be lost, or replaced by a new version, without loss of room.
        again: Share of the speech that workers are given once more: on speculation, or after a failure.
        network: What protocols add to the bytes.
        partition_mb: What a partition of Kafka is given, MB per second.
        load: The month's mean of streams, as a share of the most at once.
    """

    speech: Decimal = Decimal("0.6")
    headroom: Decimal = Decimal("0.3")
    streams_per_gateway: int = 200
    batch_factor: Decimal | None = None
    cores_per_worker: int = 1
    spare: int = 1
    again: Decimal = Decimal("0.2")
    network: Decimal = Decimal("0.1")
    partition_mb: Decimal = Decimal(5)
    load: Decimal = Decimal("0.3")

    @property
    def room(self) -> Fraction:
        """The share of a machine's time that may be busy."""
        return 1 - Fraction(self.headroom)

    @property
    def spoken(self) -> Fraction:
        """Seconds of speech that workers are given per second of a stream."""
        return Fraction(self.speech) * (1 + Fraction(self.again))

    def heard(self, hears: Hears) -> Decimal:
        """The share of a stream's audio that such a recognizer is given."""
        return self.speech if hears is Hears.SPEECH else Decimal(1)


@dataclass(frozen=True, slots=True)
class FirstPass:
    """
    Who hears every stream first. Two of them in a race.

    Attributes:
        rate: What a vendor takes; None if that is not known.
        local: It runs on the gateways' machines, and no vendor is paid.
        hears: As the recognizer says.
        measure: The command that measures it.
    """

    provider: str
    model: str
    local: bool
    hears: Hears
    measure: str
    rate: Rate | None = None


@dataclass(frozen=True, slots=True)
class SecondPass:
    """
    Who rewrites.

    Attributes:
        kinds: On which kinds of machine it can run, and by which clock those are billed.
        wanted: One of them; None takes the first that was measured.
    """

    provider: str
    model: str
    kinds: Mapping[str, Clock]
    measure: str
    wanted: str | None = None


@dataclass(frozen=True, slots=True)
class Demand:
    """So many streams in the busiest moment, and who hears them."""

    streams: int
    first: tuple[FirstPass, ...]
    second: SecondPass


@dataclass(frozen=True, slots=True)
class Prices:
    """
    Attributes:
        machines: What an hour of each own machine costs, as far as somebody has said.
        currency: Of the sums.
    """

    machines: Mapping[str, Money]
    currency: str
    convert: Convert


# -- the answer -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gateways:
    """
    All gateways together, spare ones included.

    Attributes:
        machines: How many of each kind, for sockets and first passes; None if not all of it was measured.
        memory_mb: None if not known.
    """

    processes: int | None
    streams_each: int | None
    machines: Mapping[str, int] | None
    memory_mb: int | None


@dataclass(frozen=True, slots=True)
class Workers:
    """
    All workers on one kind of machine, spare ones included. None: not measured there.

    Attributes:
        batch_factor: What was counted with.
    """

    machine_kind: str
    processes: int | None
    machines: int | None
    memory_mb: int | None
    batch_factor: Decimal


@dataclass(frozen=True, slots=True)
class Traffic:
    """
    In the busiest moment, megabits per second unless it says otherwise. None: not measured.

    Attributes:
        partitions: Of Kafka; other brokers need none.
        utterances: Per second, those sent again included.
        broker_in, broker_out: Utterances and answers, without copies that the broker makes.
    """

    partitions: int | None
    utterances: Decimal | None
    from_clients: Decimal
    to_clients: Decimal | None
    to_vendors: Decimal
    broker_in: Decimal | None
    broker_out: Decimal | None


@dataclass(frozen=True, slots=True)
class CostLine:
    """
    In the sum's currency; None if a figure, a price or an exchange rate is missing.

    Attributes:
        per_hour: Of the busiest hour.
        per_audio_hour: In the month's mean, idle machines included.
    """

    what: str
    per_hour: Decimal | None
    per_audio_hour: Decimal | None
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """What was not measured, and what measures it."""

    what: str
    command: str


@dataclass(frozen=True, slots=True)
class Size:
    """
    The answer.

    Attributes:
        workers: One for each kind of machine that the second pass can run on.
        chosen: Which of them the sum is of; None if none was measured.
        total: Unknown if any line is.
        used: The figures that it rests on.
    """

    gateways: Gateways
    workers: tuple[Workers, ...]
    chosen: str | None
    traffic: Traffic
    costs: tuple[CostLine, ...]
    total: CostLine
    currency: str
    missing: tuple[Missing, ...]
    used: tuple[Figure, ...]
