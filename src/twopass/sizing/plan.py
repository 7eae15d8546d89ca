"""
How many machines so many streams at once need, and what those cost: a pure function of measured figures. Exact.

    gateways    streams x (CPU of a stream + CPU of its first pass) / (1 - headroom), in processes of so many
    workers     streams x speech that is decoded x busy seconds per second of it / batch factor / (1 - headroom)
    broker      an utterance each time that somebody has spoken for so long; Kafka's workers need a partition each

More streams, more speech and more headroom never need less of anything. What was not measured makes what follows from
it unknown (None), and what has no price makes the sum unknown; nothing here is ever put at 0 instead.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil

from twopass.cost.prices.pricing import EXACT
from twopass.sizing.measured import FirstPassFigure, GatewayFigure, Measured, SecondPassFigure, TrafficFigure
from twopass.sizing.money import costs_of, total_of
from twopass.sizing.terms import (
    CORE,
    Assumptions,
    Demand,
    FirstPass,
    Gateways,
    Missing,
    Prices,
    SecondPass,
    Size,
    Traffic,
    Workers,
)
from twopass.types import BYTES_PER_SAMPLE, SAMPLE_RATE, Clock

_PCM_BYTES = SAMPLE_RATE * BYTES_PER_SAMPLE
_ONE = Fraction(1)
_MEGA = 1_000_000


def size(demand: Demand, measured: Measured, assumed: Assumptions, prices: Prices) -> Size:
    """What the demand needs and costs."""
    gateway, traffic = measured.gateway(), measured.traffic()
    first = [measured.first_pass(each.provider, each.model) for each in demand.first]
    second = {kind: _second(demand.second, measured, kind) for kind in demand.second.kinds}
    workers = tuple(_workers(demand, kind, figure, assumed) for kind, figure in second.items())
    chosen = demand.second.wanted or next((w.machine_kind for w in workers if w.machines is not None), None)
    own = next((each for each in workers if each.machine_kind == chosen), None)
    gateways = _gateways(demand.streams, gateway, first, assumed)
    costs = tuple(costs_of(demand, gateways, own, assumed, prices))
    used = (gateway, traffic, *first, second[chosen] if chosen else None)
    return Size(
        gateways,
        workers,
        chosen,
        _traffic(demand, gateway, traffic, own, assumed),
        costs,
        total_of(costs),
        prices.currency,
        tuple(_missing(demand, gateway, traffic, first, second)),
        tuple(figure for figure in used if figure is not None),
    )


# -- machines ---------------------------------------------------------------------------------------------------------


def _gateways(
    streams: int, gateway: GatewayFigure | None, first: Sequence[FirstPassFigure | None], assumed: Assumptions
) -> Gateways:
    if gateway is None:
        return Gateways(None, None, None, None)
    own, room = Fraction(gateway.cores_per_stream), assumed.room
    busiest = Fraction(gateway.busiest_process or gateway.cores_per_stream)  # none can have more than a core
    most = max(_ONE, min(Fraction(assumed.streams_per_gateway), room / busiest))
    processes = ceil(Fraction(streams, int(most)))
    each = min(Fraction(streams), most)
    known = [figure for figure in first if figure is not None]
    needs = _needs(own, known, assumed)
    machines = {
        kind: ceil(streams * need / room) + assumed.spare * ceil(each * need / room) for kind, need in needs.items()
    }
    return Gateways(
        processes + assumed.spare,
        ceil(Fraction(streams, processes)),
        machines if len(known) == len(first) else None,
        _gateway_memory(streams, processes + assumed.spare, gateway, first),
    )


def _needs(own: Fraction, first: Iterable[FirstPassFigure], assumed: Assumptions) -> dict[str, Fraction]:
    """Machines busy with one stream, by kind."""
    needs: dict[str, Fraction] = defaultdict(Fraction, {CORE: own})
    for figure in first:
        needs[figure.machine_kind] += Fraction(figure.busy) * Fraction(assumed.heard(figure.hears))
    return dict(needs)


def _gateway_memory(
    streams: int, processes: int, gateway: GatewayFigure, first: Sequence[FirstPassFigure | None]
) -> int | None:
    if gateway.process_mb is None or gateway.stream_mb is None:
        return None
    stream = Fraction(gateway.stream_mb)
    for figure in first:
        if figure is None or figure.stream_mb is None:
            return None
        stream += Fraction(figure.stream_mb)
    return ceil(processes * Fraction(gateway.process_mb) + streams * stream)


def _second(second: SecondPass, measured: Measured, kind: str) -> SecondPassFigure | None:
    return measured.second_pass(second.provider, second.model, kind)


def _workers(demand: Demand, kind: str, figure: SecondPassFigure | None, assumed: Assumptions) -> Workers:
    factor = assumed.batch_factor or (figure.batch_factor if figure else None) or Decimal(1)
    if figure is None:
        return Workers(kind, None, None, None, factor)
    busy = demand.streams * assumed.spoken * Fraction(figure.busy) / Fraction(factor)
    each = assumed.cores_per_worker if demand.second.kinds[kind] is Clock.CPU_BUSY else 1
    processes = ceil(busy / assumed.room / each) + assumed.spare
    memory = None if figure.worker_mb is None else ceil(processes * Fraction(figure.worker_mb))
    return Workers(kind, processes, processes * each, memory, factor)


# -- traffic ----------------------------------------------------------------------------------------------------------


def _traffic(
    demand: Demand,
    gateway: GatewayFigure | None,
    traffic: TrafficFigure | None,
    workers: Workers | None,
    assumed: Assumptions,
) -> Traffic:
    vendors = sum((_heard(each, assumed) for each in demand.first if not each.local), Fraction(0))
    spoken = demand.streams * assumed.spoken
    captions = gateway.captions_bytes if gateway else None
    audio = answers = utterances = None
    if traffic is not None:
        utterances = spoken / Fraction(traffic.utterance_seconds)
        audio, answers = spoken * _PCM_BYTES * Fraction(traffic.flac_share), utterances * Fraction(traffic.result_bytes)
    both = None if audio is None or answers is None else audio + answers
    return Traffic(
        _partitions(audio, workers, assumed),
        None if utterances is None else _decimal(utterances),
        _megabits(Fraction(demand.streams * _PCM_BYTES), assumed),
        None if captions is None else _megabits(demand.streams * Fraction(captions), assumed),
        _megabits(demand.streams * vendors * _PCM_BYTES, assumed),
        None if both is None else _megabits(both, assumed),
        None if both is None else _megabits(both, assumed),
    )


def _heard(first: FirstPass, assumed: Assumptions) -> Fraction:
    """The share of a stream's audio that it is sent."""
    return Fraction(assumed.heard(first.hears))


def _partitions(audio: Fraction | None, workers: Workers | None, assumed: Assumptions) -> int | None:
    if audio is None or workers is None or workers.processes is None:
        return None
    return max(workers.processes, ceil(audio / (Fraction(assumed.partition_mb) * _MEGA)))


def _megabits(bytes_per_second: Fraction, assumed: Assumptions) -> Decimal:
    return _decimal(bytes_per_second * 8 * (1 + Fraction(assumed.network)) / _MEGA)


def _decimal(value: Fraction) -> Decimal:
    return EXACT.divide(Decimal(value.numerator), Decimal(value.denominator))


# -- what is not known ------------------------------------------------------------------------------------------------


def _missing(
    demand: Demand,
    gateway: GatewayFigure | None,
    traffic: TrafficFigure | None,
    first: Sequence[FirstPassFigure | None],
    second: Mapping[str, SecondPassFigure | None],
) -> Iterator[Missing]:
    here = demand.second.measure
    if gateway is None:
        yield Missing("a gateway's CPU and memory per stream", here)
    if traffic is None:
        yield Missing("what goes through the broker", here)
    for each, figure in zip(demand.first, first, strict=True):
        if figure is None:
            yield Missing(f"first pass {_named(each)}", each.measure)
    for kind, found in second.items():
        if found is None:
            yield Missing(
                f"second pass {_named(demand.second)} on {kind}",
                f"{here} (on a machine with {kind}; then --measured measured.yaml)",
            )


def _named(part: FirstPass | SecondPass) -> str:
    return f"{part.provider} {part.model}".strip()
