"""The answer of `twopass size`, for people and for programs. What is not known says so, and is never 0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Any, TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from twopass.sizing.measured import Figure
from twopass.sizing.terms import CORE, Assumptions, CostLine, Demand, Gateways, Size, Workers

Row: TypeAlias = tuple[str, str]
UNKNOWN = "unknown"
_NOT_COUNTED = (
    "Not counted: the broker's, the session store's and the load balancer's own machines; what the network costs; "
    "first passes that only stand by (failover); shadow traffic."
)


def assumptions(assumed: Assumptions, answer: Size) -> Iterator[tuple[str, str, str]]:
    """What was assumed: the value, what it means, and the option that changes it."""
    factor = next((w.batch_factor for w in answer.workers if w.machine_kind == answer.chosen), Decimal(1))
    yield f"{assumed.speech}", "of a stream's audio is speech", "--speech"
    yield f"{assumed.headroom}", "of every machine's time is kept free", "--headroom"
    yield f"{factor}", "times as much is decoded in batches (that are full when there is much to do)", "--batch-factor"
    yield f"{assumed.streams_per_gateway}", "streams at most in one gateway process", "--streams-per-gateway"
    yield f"{assumed.cores_per_worker}", "cores for a worker without a GPU", "--cores-per-worker"
    yield f"{assumed.spare}", "gateways, and as many workers, may be lost without loss of room", "--spare"
    yield f"{assumed.again}", "of the speech is decoded once more (speculation)", "--again"
    yield f"{assumed.network}", "is added to the bytes by protocols", "--network"
    yield f"{assumed.partition_mb}", "MB per second for a partition of Kafka", "--partition-mb"
    yield f"{assumed.load}", "of the streams at once are there in the month's mean", "--load"


def as_json(demand: Demand, assumed: Assumptions, answer: Size) -> dict[str, Any]:
    """For programs: figures as strings where they are decimals, null where something is not known."""
    first = [{"provider": each.provider, "model": each.model, "local": each.local} for each in demand.first]
    second = {"provider": demand.second.provider, "model": demand.second.model}
    said = {option.lstrip("-"): value for value, _, option in assumptions(assumed, answer)}
    whole = asdict(answer)
    whole["used"] = [asdict(figure) for figure in answer.used]
    head = {"streams": demand.streams, "first_pass": first, "second_pass": second, "assumptions": said}
    return {**head, **_plain(whole), "not_counted": _NOT_COUNTED}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return _digits(value)
    return value.isoformat() if isinstance(value, date) else value


def _digits(value: Decimal) -> str:
    """Billionths: exact for prices, enough for quotients."""
    rounded = round(value, 9).normalize()
    return f"{rounded:f}"


# -- for people -------------------------------------------------------------------------------------------------------


def show(demand: Demand, assumed: Assumptions, answer: Size, console: Console) -> None:
    """Tables: what is needed, what it costs, what was assumed and measured, what is missing."""
    _needs(demand, answer, console)
    _costs(answer, console)
    _assumed(assumed, answer, console)
    _figures(answer, console)
    for each in answer.missing:
        console.print(Text.assemble(("not measured: ", "yellow"), each.what), soft_wrap=True)
        console.print(Text(f"  {each.command}", style="bold"), soft_wrap=True)
    console.print(Text(_NOT_COUNTED, style="dim"), soft_wrap=True)


def _needs(demand: Demand, answer: Size, console: Console) -> None:
    hearing = " and ".join(each.provider for each in demand.first)
    table = Table("needed", "how many", title=f"{demand.streams} streams at once: {hearing}, {_second(demand)}")
    for what, count in (*_gateways(answer.gateways), *_workers(answer), *_traffic(answer)):
        table.add_row(what, count)
    console.print(table)


def _second(demand: Demand) -> str:
    return f"{demand.second.provider} {demand.second.model}".strip()


def _gateways(gateways: Gateways) -> Iterator[Row]:
    yield "gateway processes", _count(gateways.processes)
    yield "  streams in each", _count(gateways.streams_each)
    for kind in gateways.machines or (CORE,):
        yield f"  {kind}, first passes included", _count(gateways.machines[kind] if gateways.machines else None)
    yield "  memory, GB", _gigabytes(gateways.memory_mb)


def _workers(answer: Size) -> Iterator[Row]:
    for workers in answer.workers:
        mark = "" if workers.machine_kind == answer.chosen else " (instead)"
        yield f"workers on {workers.machine_kind}{mark}", _worker(workers)
        if workers.machines is not None:
            yield f"  {workers.machine_kind}", _count(workers.machines)
            yield "  memory, GB", _gigabytes(workers.memory_mb)


def _worker(workers: Workers) -> str:
    return "not measured" if workers.processes is None else _count(workers.processes)


def _traffic(answer: Size) -> Iterator[Row]:
    traffic = answer.traffic
    yield "Kafka partitions (other brokers need none)", _count(traffic.partitions)
    yield "utterances per second", _rounded(traffic.utterances)
    yield "Mbit/s from clients", _rounded(traffic.from_clients)
    yield "Mbit/s to clients", _rounded(traffic.to_clients)
    yield "Mbit/s to vendors", _rounded(traffic.to_vendors)
    yield "Mbit/s into the broker, and out of it", _rounded(traffic.broker_in)


def _costs(answer: Size, console: Console) -> None:
    table = Table(f"cost, {answer.currency}", "per hour, at most", "per audio hour, in the mean")
    for line in (*answer.costs, answer.total):
        table.add_row(line.what, _money(line.per_hour, 2), _money(line.per_audio_hour, 4))
    console.print(table)
    for line in (*answer.costs, answer.total):
        if line.unknown:
            console.print(_why(line), soft_wrap=True)


def _why(line: CostLine) -> Text:
    return Text.assemble((f"{UNKNOWN}: ", "yellow"), f"{line.what}: {line.unknown}.")


def _assumed(assumed: Assumptions, answer: Size, console: Console) -> None:
    table = Table("assumed", "", "changed by")
    for row in assumptions(assumed, answer):
        table.add_row(*row)
    console.print(table)


def _figures(answer: Size, console: Console) -> None:
    table = Table("measured", "by", "on")
    for figure in answer.used:
        conditions = f"; {figure.conditions}" if figure.conditions else ""
        table.add_row(_what(figure), figure.command, f"{figure.date}, {figure.machine}{conditions}")
    console.print(table)


def _what(figure: Figure) -> str:
    if figure.what == "gateway":
        return f"gateway: {figure.cores_per_stream} cores per stream"
    if figure.what == "traffic":
        return f"utterances of {figure.utterance_seconds} s, FLAC {figure.flac_share} of PCM"
    per = "s of speech" if figure.what == "second_pass" or figure.hears == "speech" else "s of audio"
    name = f"{figure.what.replace('_', ' ')} {figure.provider} {figure.model}".strip()
    return f"{name}: {figure.busy} s of {figure.machine_kind} per {per}"


def _count(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def _gigabytes(megabytes: int | None) -> str:
    return UNKNOWN if megabytes is None else f"{megabytes / 1024:,.1f}"


def _rounded(value: Decimal | None) -> str:
    return UNKNOWN if value is None else f"{value:,.1f}"


def _money(value: Decimal | None, digits: int) -> str:
    return UNKNOWN if value is None else f"{value:,.{digits}f}"
