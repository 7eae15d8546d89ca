"""`twopass standin`: a local server that speaks a vendor's protocol, for the vendor's own SDK to connect to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from dataclasses import asdict
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from twopass.errors import ConfigError
from twopass_providers.standins import ENTRY_POINT_GROUP, Received, StandIn, StandInModule, StandInSettings
from twopass_providers.standins.ears import CodedEar, Ear
from twopass_providers.standins.faults import parsed
from twopass_providers.standins.recognizing import RecognizerEar
from twopass_providers.standins.scripting import ScriptedEar

_out = Console()
_LOOK_EVERY_SECONDS = 0.1


def standin(
    vendor: Annotated[str, typer.Argument(help="Whose protocol it speaks: google, azure, sarvam, …")],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    ear: Annotated[
        str,
        typer.Option(
            help="What it hears with: the name of a local recognizer, script:FILE (it says this text while there is "
            "sound), or coded (audio that says its own words, for exact tests)."
        ),
    ] = "pocketsphinx",
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="What goes wrong, as CONNECTION:KIND@SECONDS: 2:hang@3.5 is the second connection after 3.5 s of "
            "audio, *:KIND every one, 1-3:KIND the first three, 4+:KIND all from the fourth on. Can be repeated."
        ),
    ] = None,
    max_stream_seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Instead of the vendor's own limit, to rehearse it sooner.")
    ] = None,
    max_streams: Annotated[int | None, typer.Option(min=0, help="Instead of the vendor's own quota.")] = None,
    latency_ms: Annotated[int, typer.Option(min=0, help="How long it thinks before each answer.")] = 0,
    list_faults: Annotated[bool, typer.Option("--list-faults", help="Show what can go wrong, and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One line of JSON for each connection that has ended.")
    ] = False,
) -> None:
    """
    Rehearse a vendor without a key: an integration, an outage, a limit.

    It is a stand-in, not the vendor: it speaks the vendor's protocol to the vendor's own SDK and keeps its limits, but
    it hears with what --ear names. What it writes first is what a profile needs to be led to it.
    """
    module = _module(vendor)
    if list_faults:
        _show_faults(module)
        return
    kinds = [name for name, _ in module.FAULTS]
    faults = [parsed(text, kinds) for text in fault or ()]
    settings = StandInSettings(_ear(ear), faults, host, port, max_stream_seconds, max_streams, latency_ms)
    asyncio.run(_serve(module, settings, as_json=as_json))


async def _serve(module: StandInModule, settings: StandInSettings, *, as_json: bool) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await settings.ear.open()
    try:
        async with module.stand_in(settings) as running:
            _introduce(module, running, as_json=as_json)
            told: set[int] = set()
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY_SECONDS):
                        await stop.wait()
                _tell(running, told, as_json=as_json)
        _tell(running, told, as_json=as_json)  # those that its end has ended
    except ImportError as error:
        fix = 'pip install "twopass[VENDOR]"'
        raise ConfigError(f"The vendor's SDK is not installed: {error}.", code="not_installed", fix=fix) from error
    finally:
        await settings.ear.close()


def _introduce(module: StandInModule, running: StandIn, *, as_json: bool) -> None:
    profile = module.SETTINGS.format(address=running.address)
    if as_json:
        typer.echo(json.dumps({"address": running.address, "first_pass": profile}))
        return
    _out.print(
        f"A stand-in listens at [bold]{running.address}[/]  (Ctrl-C ends it). A first pass is led to it by",
        highlight=False,
    )
    _out.print(Text("\n  first_pass:\n" + "".join(f"    {line}\n" for line in profile.splitlines()), style="green"))


def _tell(running: StandIn, told: set[int], *, as_json: bool) -> None:
    """Report the connections that have ended since."""
    for received in running.received:
        if received.ended and received.number not in told:
            told.add(received.number)
            typer.echo(json.dumps(asdict(received), default=str) if as_json else _line(received))


def _line(received: Received) -> str:
    billed = "bills nothing" if received.billed_ms is None else f"bills {received.billed_ms / 1000:.1f} s"
    return f"connection {received.number}: {received.audio_ms / 1000:.1f} s of audio, {billed}; {received.ended}"


def _show_faults(module: StandInModule) -> None:
    table = Table("fault", "what happens")
    for name, what in module.FAULTS:
        table.add_row(name, what)
    _out.print(table)


def _module(vendor: str) -> StandInModule:
    points: dict[str, EntryPoint] = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if vendor not in points:
        known = ", ".join(sorted(points)) or "none"
        raise ConfigError(f"There is no stand-in for {vendor!r}.", code="no_standin", fix=f"There are: {known}.")
    module: Any = points[vendor].load()
    found: StandInModule = module
    return found


def _ear(text: str) -> Ear:
    if text == "coded":
        return CodedEar()
    if text.startswith("script:"):
        path = Path(text.removeprefix("script:"))
        try:
            return ScriptedEar(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} cannot be used: {error}.", fix="Name a text file with words in it.") from None
    return RecognizerEar(text)
