"""How many machines are needed: properties, and the same worked out in another way."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass.cost.prices.rates import Money, Rate, Tier, Unit
from twopass.cost.reports.break_even import month_cost
from twopass.errors import ConfigError
from twopass.sizing import measured
from twopass.sizing.measured import (
    Figure,
    FirstPassFigure,
    GatewayFigure,
    Hears,
    Measured,
    SecondPassFigure,
    TrafficFigure,
)
from twopass.sizing.plan import size
from twopass.sizing.terms import Assumptions, Demand, FirstPass, Prices, SecondPass, Size
from twopass.types import Clock

ORIGIN: dict[str, Any] = {"command": "measure it", "machine": "a machine", "date": date(2026, 11, 1)}
KINDS = {"cpu_core": Clock.CPU_BUSY, "gpu": Clock.GPU_BUSY}
MACHINES = {"cpu_core": Money(Decimal("0.04"), "USD"), "gpu": Money(Decimal("1.20"), "USD")}
VENDORS = Rate(
    "fine",
    Clock.AUDIO_SENT,
    Unit.MINUTE,
    tiers=(Tier(Decimal(0), Decimal("0.016")), Tier(Decimal(500_000), Decimal("0.010"))),
    free=Decimal(60),
)
LOCAL = FirstPass("small", "", local=True, hears=Hears.SPEECH, measure="measure small")
VENDOR = FirstPass("vendor", "", local=False, hears=Hears.AUDIO, measure="measure vendor", rate=VENDORS)
SECOND = SecondPass("large", "big", KINDS, "measure large")

SHARES = st.decimals("0.01", "1", places=2)
BUSY = st.decimals("0.001", "3", places=3)
ASSUMED = st.builds(
    Assumptions,
    speech=SHARES,
    headroom=st.decimals("0", "0.9", places=2),
    streams_per_gateway=st.integers(1, 500),
    batch_factor=st.none() | st.decimals("0.5", "20", places=1),
    cores_per_worker=st.integers(1, 8),
    spare=st.integers(0, 3),
    again=st.decimals("0", "1", places=1),
    load=SHARES,
)


def gateway(cores: Decimal = Decimal("0.02"), busiest: Decimal | None = None) -> GatewayFigure:
    """A gateway that was measured."""
    return GatewayFigure(
        **ORIGIN,
        cores_per_stream=cores,
        busiest_process=busiest,
        process_mb=Decimal(100),
        stream_mb=Decimal(2),
        captions_bytes=Decimal(1000),
    )


def first_pass(provider: str, hears: Hears, busy: Decimal = Decimal("0.1")) -> FirstPassFigure:
    """A first pass that was measured on cores."""
    return FirstPassFigure(**ORIGIN, provider=provider, busy=busy, hears=hears, stream_mb=Decimal(3))


def second_pass(busy: Decimal = Decimal("0.1"), kind: str = "cpu_core", factor: int | None = 1) -> SecondPassFigure:
    """A second pass that was measured."""
    batch = None if factor is None else Decimal(factor)
    return SecondPassFigure(
        **ORIGIN,
        provider="large",
        model="big",
        machine_kind=kind,
        busy=busy,
        batch_factor=batch,
        worker_mb=Decimal(500),
    )


TRAFFIC = TrafficFigure(**ORIGIN, utterance_seconds=Decimal(4), flac_share=Decimal("0.5"), result_bytes=Decimal(1000))
FIRSTS = (first_pass("small", Hears.SPEECH), first_pass("vendor", Hears.AUDIO, Decimal("0.01")))
ALL = Measured((gateway(), TRAFFIC, *FIRSTS, second_pass()))


USUAL = Assumptions()


def prices(machines: Mapping[str, Money] = MACHINES) -> Prices:
    """In dollars; no other currency can be converted."""
    return Prices(machines, "USD", lambda amount, currency, to: amount if currency == to else None)


def sized(
    streams: int,
    known: Measured = ALL,
    assumed: Assumptions = USUAL,
    first: tuple[FirstPass, ...] = (LOCAL,),
    priced: Prices | None = None,
    second: SecondPass = SECOND,
) -> Size:
    """The answer."""
    return size(Demand(streams, first, second), known, assumed, priced or prices())


def amounts(answer: Size) -> list[Decimal | int]:
    """Everything that must not shrink when more is to be done."""
    gateways, traffic = answer.gateways, answer.traffic
    workers = next(each for each in answer.workers if each.machine_kind == answer.chosen)
    found = [
        gateways.processes,
        *(gateways.machines or {}).values(),
        gateways.memory_mb,
        workers.processes,
        workers.machines,
        workers.memory_mb,
        traffic.partitions,
        traffic.utterances,
        traffic.from_clients,
        traffic.to_clients,
        traffic.to_vendors,
        traffic.broker_in,
        traffic.broker_out,
        *(line.per_hour for line in answer.costs),
        answer.total.per_hour,
    ]
    assert None not in found
    return [amount for amount in found if amount is not None]


def never_less(less: Size, more: Size) -> None:
    """Nothing of `more` is smaller."""
    pairs = zip(amounts(less), amounts(more), strict=True)
    assert [] == [(before, after) for before, after in pairs if after < before]


FIRST = st.sampled_from([(LOCAL,), (VENDOR,), (VENDOR, LOCAL)])
FIGURES = st.builds(
    lambda own, share, busy: Measured((gateway(own, max(Decimal("0.001"), own * share)), TRAFFIC, *FIRSTS, busy)),
    BUSY,
    SHARES,
    st.builds(second_pass, BUSY),
)


@given(st.integers(1, 5000), st.integers(0, 500), FIGURES, ASSUMED, FIRST)
def test_more_streams_never_need_less(
    streams: int, more: int, known: Measured, assumed: Assumptions, first: tuple[FirstPass, ...]
) -> None:
    """Of no machine, memory, bandwidth or money, whatever was measured and is assumed."""
    never_less(sized(streams, known, assumed, first), sized(streams + more, known, assumed, first))


@given(st.integers(1, 5000), FIGURES, ASSUMED, FIRST, st.data())
def test_more_headroom_speech_or_spare_never_need_less(
    streams: int, known: Measured, assumed: Assumptions, first: tuple[FirstPass, ...], data: st.DataObject
) -> None:
    """Each of the assumptions that ask for more asks for more of everything, or for the same."""
    more: dict[str, Any] = {
        "headroom": data.draw(st.decimals(assumed.headroom, "0.95", places=2)),
        "speech": data.draw(st.decimals(assumed.speech, "1", places=2)),
        "spare": assumed.spare + 1,
        "again": assumed.again + data.draw(st.decimals("0", "1", places=1)),
    }
    before = sized(streams, known, assumed, first)
    for name, value in more.items():
        changed = replace(assumed, **{name: value})
        never_less(before, sized(streams, known, changed, first))


@given(st.integers(1, 2000), st.integers(2, 20), FIGURES, ASSUMED)
def test_so_many_times_the_streams_need_so_many_times_the_machines(
    streams: int, times: int, known: Measured, assumed: Assumptions
) -> None:
    """But for the last machine of each, which may not have been full, and for spare ones."""
    assumed = replace(assumed, spare=0, cores_per_worker=1)
    one, many = sized(streams, known, assumed), sized(streams * times, known, assumed)
    for before, after in (
        (one.workers[0].machines, many.workers[0].machines),
        ((one.gateways.machines or {})["cpu_core"], (many.gateways.machines or {})["cpu_core"]),
        (one.gateways.processes, many.gateways.processes),
    ):
        assert before is not None
        assert after is not None
        assert times * (before - 1) < after <= times * before
    assert one.traffic.broker_in is not None
    assert many.traffic.broker_in == pytest.approx(one.traffic.broker_in * times)


@given(st.integers(1, 2000), BUSY, st.integers(1, 16), ASSUMED)
def test_batches_that_decode_as_much_more_are_machines_that_are_as_much_quicker(
    streams: int, busy: Decimal, factor: int, assumed: Assumptions
) -> None:
    """A measured batch factor, one that is assumed, and a quicker machine come to the same."""
    assumed = replace(assumed, batch_factor=None)
    batches = sized(streams, Measured((second_pass(busy * factor, factor=factor),)), assumed)
    quicker = sized(streams, Measured((second_pass(busy),)), assumed)
    slow = Measured((second_pass(busy * factor, factor=None),))
    told = sized(streams, slow, replace(assumed, batch_factor=Decimal(factor)))
    machines = {answer.workers[0].machines for answer in (batches, quicker, told)}
    assert 1 == len(machines)


def least(work: Fraction, room: Fraction) -> int:
    """The least number of machines that can do it, by trying."""
    return next(count for count in itertools.count() if count * room >= work)


@given(st.integers(1, 60), FIGURES, ASSUMED)
def test_machines_are_the_least_that_can_do_the_work(streams: int, known: Measured, assumed: Assumptions) -> None:
    """Worked out anew by trying one machine more until the work fits into what may be busy."""
    answer, own, second = sized(streams, known, assumed), known.gateway(), known.second_pass("large", "big", "cpu_core")
    assert own is not None
    assert own.busiest_process is not None
    assert second is not None
    room = 1 - Fraction(assumed.headroom)
    decoded = Fraction(assumed.speech) + Fraction(assumed.speech) * Fraction(assumed.again)
    work = streams * decoded * Fraction(second.busy) / Fraction(assumed.batch_factor or 1)
    workers = least(work, room * assumed.cores_per_worker) + assumed.spare
    assert (workers, workers * assumed.cores_per_worker) == (answer.workers[0].processes, answer.workers[0].machines)

    takes = [n for n in range(1, assumed.streams_per_gateway + 1) if n * Fraction(own.busiest_process) <= room]
    gateways = least(Fraction(streams), Fraction(max(takes, default=1)))
    assert gateways + assumed.spare == answer.gateways.processes
    stream = Fraction(own.cores_per_stream) + Fraction(assumed.speech) / 10  # the first pass takes a tenth of a core
    plain = sized(streams, known, replace(assumed, spare=0)).gateways.machines
    assert {"cpu_core": least(streams * stream, room)} == plain

    each_second = streams * decoded * 32_000 / 2 + streams * decoded / 4 * 1000
    assert float(each_second * 8 / 1_000_000) * 1.1 == pytest.approx(float(answer.traffic.broker_in or 0))


def test_an_example_by_hand() -> None:
    """A thousand streams, half of them speech: every figure of the answer is worked out on paper."""
    assumed = Assumptions(speech=Decimal("0.5"), headroom=Decimal("0.5"), spare=0, again=Decimal(0), network=Decimal(0))
    answer = sized(1000, Measured((gateway(), TRAFFIC, *FIRSTS, second_pass(factor=4))), assumed)
    # 0.02 + 0.1 / 2 cores a stream, half of each core kept free; an event loop takes 0.5 / 0.02 = 25 streams
    assert (40, 25, {"cpu_core": 140}) == (
        answer.gateways.processes,
        answer.gateways.streams_each,
        answer.gateways.machines,
    )
    assert 40 * 100 + 1000 * 5 == answer.gateways.memory_mb
    assert (25, 25) == (answer.workers[0].processes, answer.workers[0].machines)  # 1000 / 2 x 0.1 / 4 / 0.5
    assert (Decimal(256), Decimal(8)) == (answer.traffic.from_clients, answer.traffic.to_clients)
    assert (25, Decimal(125)) == (answer.traffic.partitions, answer.traffic.utterances)
    assert Decimal(65) == answer.traffic.broker_in  # 500 x 16,000 bytes and 125 x 1,000
    assert [Decimal("5.60"), Decimal("1.00")] == [line.per_hour for line in answer.costs]
    assert (Decimal("6.60"), Decimal("0.022")) == (answer.total.per_hour, answer.total.per_audio_hour)  # 300 on average
    spare = sized(1000, Measured((gateway(), TRAFFIC, *FIRSTS, second_pass(factor=4))), replace(assumed, spare=2))
    # a gateway of 25 streams has 25 x 0.07 / 0.5 = 3.5 cores
    assert (42, {"cpu_core": 148}, 27) == (
        spare.gateways.processes,
        spare.gateways.machines,
        spare.workers[0].machines,
    )


@given(st.integers(1, 5000), ASSUMED)
def test_a_vendor_costs_what_the_month_of_its_rate_card_costs(streams: int, assumed: Assumptions) -> None:
    """With free minutes and volume tiers; all hours of the mean together are the month."""
    line = next(line for line in sized(streams, assumed=assumed, first=(VENDOR,)).costs if "vendor" in line.what)
    hours = streams * assumed.load * 730
    month = month_cost(VENDORS, hours)
    assert month is not None
    assert line.per_audio_hour is not None
    assert line.per_hour is not None
    assert float(month) == pytest.approx(float(line.per_audio_hour * hours), abs=1e-6)
    assert float(line.per_audio_hour * streams) == pytest.approx(float(line.per_hour), abs=1e-9)


def test_both_who_hear_in_a_race_are_needed_and_paid() -> None:
    """A vendor and a local model in a race take the CPU of both, and the vendor its money."""
    alone, both = sized(100, first=(LOCAL,)), sized(100, first=(VENDOR, LOCAL))
    assert (alone.gateways.machines or {})["cpu_core"] < (both.gateways.machines or {})["cpu_core"]
    assert ["gateways, cpu_core", "first pass, vendor", "second pass, cpu_core"] == [line.what for line in both.costs]


@pytest.mark.parametrize("without", range(len(ALL.figures)))
def test_what_was_not_measured_is_missing_with_its_command(without: int) -> None:
    """Without any one of the figures what follows from it is unknown, never 0, and the command is said."""
    gone = ALL.figures[without]
    answer = sized(100, Measured(tuple(figure for figure in ALL.figures if figure is not gone)), first=(VENDOR, LOCAL))
    nothing = {
        "gateway": (answer.gateways.machines, answer.gateways.processes, answer.traffic.to_clients),
        "first_pass": (answer.gateways.machines, answer.gateways.memory_mb),
        "second_pass": (answer.chosen, answer.workers[0].machines, answer.traffic.partitions),
        "traffic": (answer.traffic.partitions, answer.traffic.broker_in, answer.traffic.utterances),
    }[gone.what]
    assert {None} == set(nothing)
    assert gone not in answer.used
    assert len(sized(100, first=(VENDOR, LOCAL)).missing) + 1 == len(answer.missing)
    assert all(each.command.startswith("measure ") for each in answer.missing)
    if gone.what != "traffic":
        assert answer.total.per_hour is None
        assert answer.total.unknown


def test_a_kind_of_machine_that_was_not_measured_is_named() -> None:
    """Nothing is known of a GPU: the cores that are known are counted, and what measures a GPU is said."""
    answer = sized(100)
    assert ("cpu_core", None) == (answer.chosen, answer.workers[1].machines)
    assert ["second pass large big on gpu"] == [each.what for each in answer.missing]
    wanted = sized(100, second=replace(SECOND, wanted="gpu"))
    assert (None, None) == (wanted.costs[-1].per_hour, wanted.total.per_hour)


def test_a_gpu_that_was_measured_is_counted_when_it_is_wanted() -> None:
    """Both kinds are answered, a worker for each GPU; the sum is of the wanted one."""
    known = ALL + Measured((second_pass(Decimal("0.02"), "gpu", 8),))
    answer = sized(5000, known, Assumptions(cores_per_worker=4), second=replace(SECOND, wanted="gpu"))
    cores, gpus = answer.workers
    assert gpus.processes == gpus.machines == 14  # 5000 x 0.6 x 1.2 x 0.02 / 8 / 0.7, and a spare one
    assert (cores.processes or 0) * 4 == cores.machines
    assert Decimal("16.80") == answer.costs[-1].per_hour
    assert () == answer.missing


@pytest.mark.parametrize(
    ("machines", "said"),
    [({}, "nobody has said"), ({"cpu_core": Money(Decimal(1), "EUR")}, "no exchange rate from EUR to USD")],
)
def test_a_price_that_is_not_known_is_unknown(machines: dict[str, Money], said: str) -> None:
    """Neither 0 nor left out of the sum: the sum is unknown, too, and why is said."""
    answer = sized(100, priced=prices(machines))
    assert [None, None, None] == [line.per_hour for line in (*answer.costs, answer.total)]
    assert all(said in line.unknown for line in answer.costs)


@pytest.mark.parametrize("rate", [None, replace(VENDORS, tiers=())])
def test_a_vendor_without_a_price_is_unknown(rate: Rate | None) -> None:
    """The own machines' cost is known all the same; the sum is not."""
    answer = sized(100, first=(replace(VENDOR, rate=rate),))
    assert [False, True, False] == [line.per_hour is None for line in answer.costs]
    assert answer.total.per_hour is None


# -- the file ---------------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(categories=("L", "N", "P", "Zs")), min_size=1, max_size=20).map(lambda text: f"x{text}x")
NUMBERS = st.decimals("0.0001", "10000", places=4)
WHERE = {"command": TEXTS, "machine": TEXTS, "conditions": st.just("") | TEXTS, "date": st.dates()}
ANY: st.SearchStrategy[Figure] = st.one_of(
    st.builds(GatewayFigure, **WHERE, cores_per_stream=NUMBERS, process_mb=st.none() | NUMBERS, stream_mb=NUMBERS),
    st.builds(TrafficFigure, **WHERE, utterance_seconds=NUMBERS, flac_share=NUMBERS, result_bytes=NUMBERS),
    st.builds(FirstPassFigure, **WHERE, provider=TEXTS, busy=NUMBERS, hears=st.sampled_from(Hears)),
    st.builds(SecondPassFigure, **WHERE, provider=TEXTS, model=TEXTS, machine_kind=TEXTS, busy=NUMBERS),
)


class Written:
    """A file in memory."""

    name = "figures.yaml"

    def __init__(self, text: str) -> None:
        self.text = text

    def read_text(self, encoding: str) -> str:
        return self.text


@given(st.lists(ANY, max_size=4))
def test_what_is_written_can_be_read(figures: list[Figure]) -> None:
    """Every figure comes back as it was, to its last digit."""
    assert Measured(tuple(figures)) == measured.read(Written(measured.written(figures)))


def test_later_figures_stand_before_earlier_ones() -> None:
    """The user's own file replaces what the package says of the same recognizer, and nothing else."""
    own = second_pass(Decimal("0.7"))
    both = ALL + Measured((own,))
    assert own == both.second_pass("large", "big", "cpu_core")
    assert ALL.first_pass("small", "") == both.first_pass("small", "")
    assert both.second_pass("large", "small", "cpu_core") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("measurements:\n- {what: moon}\n", "figures.yaml, line 2"),
        ("measurements:\n- {what: traffic, command: c, machine: m, date: 2026-01-01}\n", "utterance_seconds"),
        (measured.written([gateway()]).replace("cores_per_stream: 0.02", "cores_per_stream: 0"), "greater than 0"),
        (measured.written([gateway()]).replace("cores_per_stream: 0.02", "cores_per_stream: nan"), "finite"),
        (measured.written([gateway()]) + "  colour: red\n", "colour"),
        ("", "figures.yaml"),
        ("[", "is not YAML"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(text: str, said: str) -> None:
    """File, line and place, and what writes a good one."""
    with pytest.raises(ConfigError) as caught:
        measured.read(Written(text))
    assert said in caught.value.message
    assert "--measure" in caught.value.fix


def test_what_the_package_knows_says_where_it_comes_from() -> None:
    """Each of its figures names command, machine and day; none is of a machine that nobody measured."""
    known = measured.packaged()
    assert known.gateway()
    assert known.traffic()
    assert all(figure.command and figure.machine and figure.date for figure in known.figures)
    kinds = {figure.machine_kind for figure in known.figures if isinstance(figure, FirstPassFigure | SecondPassFigure)}
    assert {"cpu_core"} == kinds


def test_vendors_figures_are_those_of_the_readme() -> None:
    """What the README says of each vendor's CPU per stream is what is counted with."""
    lines = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8").splitlines()
    row = next(line for line in lines if line.startswith("| CPU per stream, SDK included"))
    said = [Decimal(cell.split()[0]) / 100 for cell in row.strip("|").split("|")[1:]]
    figures = [measured.packaged().first_pass(name, "") for name in ("google", "azure", "sarvam")]
    assert said == [figure.busy for figure in figures if figure]
