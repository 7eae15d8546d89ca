"""`twopass compare`: vendors, own models and two-pass profiles on your own recordings, or on your own live traffic."""

from __future__ import annotations

import asyncio
import os
import platform
import shlex
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from twopass import config as configuration
from twopass.errors import ConfigError
from twopass.main_loop import run
from twopass.recognizers import StreamOptions

if TYPE_CHECKING:
    from twopass.compare.cells import Heard
    from twopass.compare.recordings.recordings import Recording
    from twopass.compare.results import Comparison, System
    from twopass.compare.running.campaign import Plan
    from twopass.config import Config
    from twopass.cost.prices.cards import Cards

_err = Console(stderr=True)
_AT_ONCE = 4
_INTERRUPTED = 128 + signal.SIGINT
_TERMINATED = 128 + signal.SIGTERM
_BOOTSTRAP = 2_000


def compare(
    recordings: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RECORDINGS…", help="Audio files, directories of them, or manifests (.jsonl).", show_default=False
        ),
    ] = None,
    providers: Annotated[
        list[str] | None,
        typer.Option(
            "--providers",
            "-p",
            metavar="NAME,…",
            help="google, azure, sarvam, pocketsphinx, whisper (its first pass alone; settings follow: "
            "whisper:model=demo:step_ms=800), twopass:configs/azure-whisper.yaml (a profile, both passes; #NAME names "
            "another than the default), standin:google (a local stand-in for the vendor).",
            show_default=False,
        ),
    ] = None,
    references: Annotated[
        list[Path] | None,
        typer.Option(
            "--references", "-r", help="What was said: .jsonl, .txt, .stm, .srt, .vtt, .json; as often as needed."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The report's folder; also what was heard is kept there.")
    ] = Path("report"),
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Not in real time, where that does not change the answers. No latencies then."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Spend what the estimate says without asking.")] = False,
    perturb: Annotated[
        list[str] | None,
        typer.Option(
            help="Also play each recording with noise:10 (dB; :pink, :babble), telephone, loss:0.05, speed:1.2, "
            "gain:-12, or several joined by +; as often as needed."
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            help="Of recordings whose manifest does not say theirs; a BCP-47 tag. Default: the profile's, or en-US."
        ),
    ] = None,
    phrase: Annotated[list[str] | None, typer.Option(help="A word or name to expect; as often as needed.")] = None,
    live: Annotated[
        Path | None,
        typer.Option(
            help="Instead of recordings: the directory of a server's `shadow`, which let a second provider hear a "
            "share of its live sessions.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="With --live: sessions from this day on (UTC).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides noise, losses, and the drawing of confidence intervals.")] = 0,
    at_once: Annotated[int, typer.Option(min=1, help="Recordings played to each vendor at once.")] = _AT_ONCE,
    local_at_once: Annotated[
        int | None,
        typer.Option(min=1, help="… to everything on this machine together; default: its cores.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="YAML configuration: prices, ledger and budgets; default: configs/local.yaml."
        ),
    ] = None,
) -> None:
    """
    Compare vendors with self-hosting on your own recordings: word errors, latencies, steadiness and cost in one report.

    twopass compare calls/ -p google,azure,twopass:configs/azure-whisper.yaml -r refs.stm -o report/

    Everything is played in real time, several recordings at once. Ctrl-C loses nothing: the same command goes on where
    it was. Without references it shows how far the systems agree, and, from three systems on, measures them against
    what most of them heard: that is agreement, not accuracy.

    The report (index.html needs nothing else; also JSON and CSV) has every figure with its confidence interval and what
    it means. What has no known price is unknown on it, never free. Before money is spent, the estimate must be
    confirmed.
    """
    settings = configuration.load(config or configuration.default_path())
    cards = _cards(settings)
    if live is not None:
        if recordings or providers or references or perturb:
            fix = "Leave out either --live or recordings, --providers, --references and --perturb."
            raise ConfigError("Live sessions are as they were.", code="live_alone", fix=fix)
        systems, heard = _live(live, since)
        _write(_compared(systems, heard, cards, settings, seed, {"Played": "live sessions, as they came"}), (), output)
        return
    from twopass.compare.running.campaign import Plan
    from twopass.compare.running.schedule import Limits
    from twopass.compare.running.specs import parse

    plan = Plan(
        specs=parse(providers or ()),
        recordings=_gathered(recordings or (), references or (), perturb or (), seed, language),
        options=StreamOptions(language=language, phrases=tuple(phrase or ())),
        fast=fast,
        limits=Limits(local_at_once or os.cpu_count() or 1, at_once),
    )
    try:
        systems, heard = run(_hear(plan, cards, settings, output, confirmed=yes))
    except (KeyboardInterrupt, asyncio.CancelledError) as stopped:
        _err.print("\nInterrupted. What was heard is kept; the same command goes on from there.")
        raise SystemExit(_INTERRUPTED if isinstance(stopped, KeyboardInterrupt) else _TERMINATED) from None
    _write(_compared(systems, heard, cards, settings, seed, _settings(plan)), plan.recordings, output)


def _gathered(
    paths: Sequence[Path], references: Sequence[Path], perturb: Sequence[str], seed: int, language: str | None
) -> tuple[Recording, ...]:
    from twopass.compare.recordings.perturbing import parse
    from twopass.compare.recordings.recordings import gather

    if not paths:
        fix = "Name audio files, directories or manifests; or --live, for the sessions of a server."
        raise ConfigError("There is nothing to play.", code="no_recordings", fix=fix)
    perturbations = [parse(text) for text in perturb]
    with _err.status("Reading the recordings …"):
        return gather(paths, references, perturbations=perturbations, seed=seed, language=language)


def _live(directory: Path, since: datetime | None) -> tuple[list[System], list[Heard]]:
    from twopass.compare.live import compared
    from twopass.compare.recordings.live import records

    warnings: list[str] = []
    found = records(directory.expanduser(), since=since.date() if since else None, warnings=warnings)
    for warning in warnings:
        _err.print(Text(warning, style="yellow"), soft_wrap=True)
    if not found:
        fix = "Configure `shadow`, serve, and come back; --since may be too late."
        raise ConfigError(f"There are no sessions in {directory}.", code="no_records", fix=fix)
    return compared(found)


async def _hear(
    plan: Plan, cards: Cards, settings: Config, folder: Path, *, confirmed: bool
) -> tuple[list[System], list[Heard]]:
    from twopass.compare.running.accounts import accounts
    from twopass.compare.running.campaign import Campaign
    from twopass.compare.running.opening import Room
    from twopass.compare.running.progress import Bars
    from twopass.compare.running.store import Store
    from twopass.cost.prices.running import Pricer
    from twopass.vad import VoiceDetector

    voice = VoiceDetector(settings.voice)
    await voice.open()
    try:
        with Bars(_err, confirmed=confirmed) as bars:
            async with accounts(settings.ledger.settings, cards) as (sink, budgets):
                room = Room(voice, cards, sink)
                campaign = Campaign(plan, room, Store(folder), bars)
                return await campaign.run(Pricer(cards.cards, cards.machines), budgets)
    finally:
        await voice.close()


def _compared(
    systems: list[System], heard: list[Heard], cards: Cards, settings: Config, seed: int, said: dict[str, str]
) -> Comparison:
    from twopass.compare.charging import charging
    from twopass.compare.comparing import About, comparison
    from twopass.compare.measures.normalizing import NORMALIZER
    from twopass.compare.scoring import Chance

    chance, today = Chance(_BOOTSTRAP, seed), datetime.now(UTC)
    said = {
        "Words are compared after": NORMALIZER,
        "Confidence": f"95 %, bootstrap of {_BOOTSTRAP} samples by recording, seed {seed}",
        "Prices": f"rate cards on {today:%Y-%m-%d}, first tier, nothing rounded up; see twopass report prices",
        **said,
        "Machine": f"{os.cpu_count()} cores, {platform.platform(terse=True)}, Python {platform.python_version()}",
    }
    about = About(
        made=today.isoformat(timespec="seconds"),
        command=shlex.join(["twopass", *sys.argv[1:]]),
        version=version("twopass"),
        settings=said,
        currency=settings.ledger.currency,
    )
    price = charging(cards, settings.ledger.currency, today.date())
    with _err.status("Working out the figures …"):
        return comparison(heard, systems, price, chance, about)


def _settings(plan: Plan) -> dict[str, str]:
    pace = "as fast as each system hears, where that does not change its answers" if plan.fast else "in real time"
    local, vendor = plan.limits.local, plan.limits.vendor
    return {
        "Played": f"{pace}; {local} at once to everything on this machine together, {vendor} to each vendor",
        "Language": plan.options.language or "each recording's or profile's own, else en-US",
    }


def _write(made: Comparison, recordings: Sequence[Recording], folder: Path) -> None:
    from twopass.compare.page.files import write
    from twopass.compare.page.terminal import ranking
    from twopass.compare.recordings.recordings import Sound

    with _err.status("Writing the report …"):
        write(made, folder, Sound(recordings))
    _err.print(ranking(made))
    _err.print(Text(f"The report: {folder / 'index.html'}"), soft_wrap=True)


def _cards(settings: Config) -> Cards:
    from twopass.cost.prices.cards import load_cards

    return load_cards(settings.ledger.prices, settings.ledger.exchange, settings.prices)
