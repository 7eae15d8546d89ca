"""`twopass size`: how many machines so many streams need, and what they cost."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from twopass import config as configuration
from twopass.config import Config
from twopass.errors import ConfigError

if TYPE_CHECKING:
    from twopass.cost.prices.cards import Cards
    from twopass.sizing.measured import Measured
    from twopass.sizing.terms import Assumptions, Demand, Size


class SizeFormat(StrEnum):
    """How the answer is written."""

    TABLE = "table"
    JSON = "json"


_MOST_STREAMS = 10_000_000
_LARGEST = 1_000_000


def size(
    streams: Annotated[
        int | None, typer.Option(min=1, max=_MOST_STREAMS, help="How many at once, in the busiest moment.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Profile of the configuration; default: its default.")] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="YAML configuration; default: configs/local.yaml.", show_default=False),
    ] = None,
    machine: Annotated[
        str | None, typer.Option(help="What the second pass runs on, as in `prices`: cpu_core, gpu. Default: measured.")
    ] = None,
    sku: Annotated[
        list[str] | None,
        typer.Option(help="Which product of a vendor is used, as provider=sku; needed without its key."),
    ] = None,
    speech: Annotated[str, typer.Option(help="Share of a stream's audio that is speech.")] = "0.6",
    headroom: Annotated[str, typer.Option(help="Share of every machine's time that is kept free.")] = "0.3",
    batch_factor: Annotated[
        str | None, typer.Option(help="How many times as much batches decode. Default: as measured, or 1.")
    ] = None,
    streams_per_gateway: Annotated[int, typer.Option(min=1, help="The most that one process is given.")] = 200,
    cores_per_worker: Annotated[int, typer.Option(min=1, help="Of workers without a GPU.")] = 1,
    spare: Annotated[int, typer.Option(min=0, help="Gateways and workers that may be lost without loss of room.")] = 1,
    again: Annotated[str, typer.Option(help="Share of the speech that is decoded once more: speculation.")] = "0.2",
    network: Annotated[str, typer.Option(help="What protocols add to the bytes, as a share.")] = "0.1",
    partition_mb: Annotated[str, typer.Option(help="MB per second that a partition of Kafka is given.")] = "5",
    load: Annotated[str, typer.Option(help="The month's mean of streams, as a share of the most at once.")] = "0.3",
    measured: Annotated[
        list[Path] | None, typer.Option(help="File of measured figures; they stand before the packaged ones.")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure this machine with the profile first (less than a minute).")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where --measure writes its figures. Default: standard output."),
    ] = None,
    format: Annotated[SizeFormat, typer.Option("--format", "-f", help="How the answer is written.")] = SizeFormat.TABLE,  # noqa: A002
) -> None:
    """
    How many gateways, workers and partitions so many streams need, and what that costs.

    From measured figures: those in the package, your own (--measured), or this machine's (--measure). What was not
    measured is missing in the answer, with the command that measures it; what has no price is unknown. Own machines
    cost what `prices` in the configuration says, a vendor's first pass what its rate card says.
    """
    from twopass.cost.prices.cards import load_cards
    from twopass.sizing import asking as size_asking
    from twopass.sizing import measured as measurements
    from twopass.sizing import plan as sizing
    from twopass.sizing.asking import Asked
    from twopass.sizing.terms import Assumptions

    if streams is None and not measure:
        raise ConfigError("How many streams?", code="no_streams", fix="For example: twopass size --streams 5000")
    if output is not None and not measure:
        raise ConfigError("-o is for what --measure finds.", code="no_measure", fix="Send the answer to a file with >.")
    settings = configuration.load(config or configuration.default_path())
    name = profile or settings.default
    cards = load_cards(settings.ledger.prices, settings.ledger.exchange, settings.prices)
    assumed = Assumptions(
        speech=_share("--speech", speech, above=True),
        headroom=_share("--headroom", headroom, below=True),
        streams_per_gateway=streams_per_gateway,
        batch_factor=None if batch_factor is None else _figure("--batch-factor", batch_factor, Decimal("0.01")),
        cores_per_worker=cores_per_worker,
        spare=spare,
        again=_figure("--again", again, Decimal(0)),
        network=_figure("--network", network, Decimal(0)),
        partition_mb=_figure("--partition-mb", partition_mb, Decimal("0.001")),
        load=_share("--load", load, above=True),
    )
    known = measurements.packaged()
    for path in measured or ():
        known += measurements.read(path)
    # What is wrong with the question is to be known before anything is measured.
    today, command = datetime.now(UTC), f"{size_asking.COMMAND} {f'-c {config} ' if config else ''}--profile {name}"
    asked = Asked(machine, tuple(sku or ()), f"{command} -o measured.yaml")
    demand = size_asking.demand(settings, name, cards, streams or 1, today, asked)
    if measure:
        known += _measure(settings, name, cards, output, quiet=streams is not None)
    if streams is not None:
        prices = size_asking.prices(settings, cards, today)
        _answer(sizing.size(demand, known, assumed, prices), assumed, demand, format)


def _measure(settings: Config, profile: str, cards: Cards, output: Path | None, *, quiet: bool) -> Measured:
    """What this machine does. Written to a file, or to standard output unless an answer comes there."""
    from twopass.main_loop import run
    from twopass.sizing.measured import Measured, written

    try:
        from twopass.sizing import measuring as size_measuring
    except ImportError as error:
        raise ConfigError(f"{error.name} is not installed.", fix='pip install "twopass[cluster]"') from None

    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        raise ConfigError(f"{output} cannot be written.", code="no_output", fix="Name a file in an existing directory.")
    sys.stderr.write("Measuring: about 40 seconds, in which nothing else should be at work here …\n")
    pcm = asyncio.run(size_measuring.sample())
    found = Measured(tuple(run(size_measuring.measure(settings, profile, cards.cards, pcm))))
    if output is not None:
        output.write_text(written(found.figures), encoding="utf-8")
    elif not quiet:
        sys.stdout.write(written(found.figures))
    return found


def _answer(answer: Size, assumed: Assumptions, demand: Demand, style: SizeFormat) -> None:
    from twopass.sizing import answer as size_answer

    if style is SizeFormat.JSON:
        text = json.dumps(size_answer.as_json(demand, assumed, answer), indent=1, ensure_ascii=False)
        sys.stdout.write(text + "\n")
    else:
        size_answer.show(demand, assumed, answer, Console())


def _share(option: str, text: str, *, above: bool = False, below: bool = False) -> Decimal:
    """From 0 to 1; `above`: not 0 itself; `below`: not 1 itself."""
    share = _figure(option, text, Decimal(0))
    if share > 1 or (above and not share) or (below and share == 1):
        border = "above 0" if above else "from 0"
        until = "below 1" if below else "to 1"
        raise ConfigError(f"{option} {text} is no such share.", code="bad_share", fix=f"It is {border} {until}.")
    return share


def _figure(option: str, text: str, least: Decimal) -> Decimal:
    """As it is written, not by way of binary fractions."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or not least <= value <= _LARGEST:
        fix = f"It is a number from {least} to {_LARGEST}."
        raise ConfigError(f"{option} {text!r} cannot be used.", code="bad_figure", fix=fix)
    return value
