"""The command line."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from twopass import (
    cluster_cli,
    compare_cli,
    keys_cli,
    playing,
    recognizers,
    report_cli,
    serving,
    size_cli,
    standin_cli,
    worker_cli,
)
from twopass import config as configuration
from twopass.audio import Encoding
from twopass.client import Client
from twopass.config import Config, DoorsConfig, PassConfig
from twopass.console import downloads
from twopass.engine import Engine
from twopass.errors import AudioError, ConfigError, TwopassError
from twopass.gateway.app import create_app
from twopass.main_loop import run
from twopass.recognizers import Profanity, Settings, StreamingRecognizer, StreamOptions, UtteranceRecognizer
from twopass.spool import SpoolSettings
from twopass.transcribing import Job, Mic, show_live
from twopass.transcript import Format

app = typer.Typer(
    help="Live speech-to-text that appears at once and ends up right.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="Whisper weights on this machine.", no_args_is_help=True)
app.add_typer(models_app, name="models")
app.add_typer(keys_cli.app, name="keys")
app.add_typer(report_cli.app, name="report")
app.add_typer(cluster_cli.app, name="cluster")
app.command()(standin_cli.standin)
app.command()(compare_cli.compare)
app.command()(size_cli.size)
app.command()(worker_cli.worker)

_out = Console()
_err = Console(stderr=True)
_SAMPLE = Path(str(files("twopass"))) / "assets" / "sample.wav"
_FILES = 65_536
_COLOURED = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]  # no variables: secrets
_JSON_LINES = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
_SAMPLE_PROFILE = "demo"

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML configuration; default: configs/local.yaml.", show_default=False),
]


def main() -> None:
    """Entry point: errors of ours are one line with the fix, not a traceback."""
    try:
        app()
    except asyncio.CancelledError:
        raise SystemExit(128 + signal.SIGTERM) from None
    except TwopassError as error:
        _err.print(Text.assemble((error.code, "bold red"), f": {error.message}"), soft_wrap=True)
        if error.fix:
            _err.print(Text(error.fix, style="green"), soft_wrap=True)
        raise SystemExit(1) from None


@app.callback()
def _configure_log(context: typer.Context) -> None:
    # Only the log of what serves others is of interest: the other commands say themselves what happens.
    level = logging.INFO if context.invoked_subcommand in ("serve", "worker") else logging.ERROR
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            *(_COLOURED if sys.stderr.isatty() else _JSON_LINES),
        ],
    )


@app.command()
def serve(
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; default: from the configuration.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port; 0 takes a free one. Default: from the configuration.")
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="First stream the bundled sample, to see it work.")] = False,
) -> None:
    """Serve the page, the WebSocket and the REST API."""
    settings = _load(config)
    listener = serving.listen(host or settings.server.host, settings.server.port if port is None else port)
    run(_serve(settings, listener, sample=sample))


async def _serve(settings: Config, listener: socket.socket, *, sample: bool) -> None:
    gateway = create_app(settings)
    _raise_file_limit()
    async with serving.served(gateway, listener, settings.server, settings.doors) as url:
        if sample:
            await _show_sample(url)
        _err.print(f"Serving [bold]{url}[/]  (Ctrl-C ends it)")
        fetching = asyncio.create_task(_fetch_missing(gateway.state.engine)) if settings.download else None
        await _stopped()
        await gateway.state.sessions.stop()
        if fetching is not None:
            fetching.cancel()


def _raise_file_limit() -> None:
    """Each session takes some files and sockets; many systems allow 1024 unless asked for more."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(now, wanted), most))


async def _stopped() -> None:
    """Until SIGINT or SIGTERM."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


async def _fetch_missing(engine: Engine) -> None:
    """Download the weights that profiles name and this machine lacks. New sessions use them."""
    with downloads(_err) as report:
        problems = await engine.fetch_missing(report)
    for problem in problems:
        _err.print(Text(problem, style="yellow"), soft_wrap=True)


@app.command()
def demo(config: ConfigOption = None) -> None:
    """Stream the bundled sample through a server of its own, in real time, and end."""
    settings = _only(_load(config), _SAMPLE_PROFILE)

    async def shown() -> None:
        async with serving.served(create_app(settings)) as url:
            await _show_sample(url)

    run(shown())


async def _show_sample(url: str) -> None:
    async with Client(url).session(profile=_SAMPLE_PROFILE) as session:
        await show_live(session, playing.chunked(playing.from_file(_SAMPLE)))


@app.command()
def transcribe(
    sources: Annotated[list[str], typer.Argument(metavar="FILE…|-|mic", help="Files, - for standard input, or mic.")],
    config: ConfigOption = None,
    profile: Annotated[str | None, typer.Option(help="Profile of the configuration.")] = None,
    language: Annotated[
        list[str] | None, typer.Option(help="BCP-47 tag, such as en-US. Several: it is found out which is spoken.")
    ] = None,
    phrase: Annotated[list[str] | None, typer.Option(help="A word or name to expect; as often as needed.")] = None,
    punctuation: Annotated[
        bool | None, typer.Option("--punctuation/--no-punctuation", help="Default: as the recognizer does.")
    ] = None,
    profanity: Annotated[Profanity | None, typer.Option(help="What is written for a swear word.")] = None,
    diarization: Annotated[bool, typer.Option("--diarization", help="Label the words with their speakers.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="As fast as possible instead of in real time.")] = False,
    format: Annotated[Format, typer.Option(help="How the transcript is written to standard output.")] = Format.TXT,  # noqa: A002
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file instead.")] = None,
    second_pass_model: Annotated[
        str | None,
        typer.Option(help="Whisper of the second pass: a name, the directory of a converted model, or demo."),
    ] = None,
    separate_channels: Annotated[
        bool, typer.Option("--separate-channels", help="Left and right each for itself.")
    ] = False,
    server: Annotated[str | None, typer.Option(help="Use this running server instead of one of its own.")] = None,
    encoding: Annotated[Encoding, typer.Option(help="Of standard input.")] = Encoding.CONTAINER,
    rate: Annotated[int, typer.Option(help="Of raw standard input, Hz.")] = 16_000,
) -> None:
    """Transcribe files, standard input or the microphone: captions on the terminal, the transcript on stdout."""
    _check(sources, output)
    settings = _with_second_pass(_only(_load(config), profile), second_pass_model)
    languages = tuple(language or ())
    options = StreamOptions(
        language=languages[0] if languages else None,
        languages=languages[1:],
        phrases=tuple(phrase or ()),
        punctuation=punctuation,
        profanity=profanity,
        diarization=diarization,
    )
    job = Job(profile, options, fast, separate_channels, encoding, rate)

    async def all_sources() -> list[str]:
        if server:
            return [await job.run(server, source, format) for source in sources]
        async with serving.served(create_app(settings)) as url:
            return [await job.run(url, source, format) for source in sources]

    text = "\n".join(run(all_sources()))
    if output:
        output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


@app.command()
def providers() -> None:
    """What can recognize speech here: installed, configured, capable."""
    table = Table("provider", "what it is", "first pass", "second pass")
    for name, provider in recognizers.installed().items():
        table.add_row(name, provider.summary, _capable(provider.streaming), _capable(provider.utterance))
    _out.print(table)


def _capable(make: Callable[[Settings], StreamingRecognizer | UtteranceRecognizer]) -> Text:
    try:
        capabilities = make({}).capabilities
    except TwopassError as error:
        return Text(str(error), style="yellow")
    return Text.assemble(capabilities.model, (f"\n{capabilities.understands}", "dim"))


@app.command()
def doctor() -> None:
    """Check what is here and what is missing, with the command that helps."""
    missing = 0
    for name, provider in recognizers.installed().items():
        _out.print(f"[bold]{name}[/]")
        for finding in provider.diagnose():
            mark = ("ok     ", "green") if finding.ok else ("missing", "yellow")
            _out.print(Text.assemble("  ", mark, f"  {finding.subject}: {finding.detail}"), soft_wrap=True)
            if not finding.ok:
                missing += 1
                _out.print(Text(f"           {finding.fix}", style="bold"), soft_wrap=True)
    if missing:
        _out.print("\nCaptions work without what is missing; what stands in for it is said at every session.")
    else:
        _out.print("\nEverything is here.")


@models_app.command()
def pull(
    name: Annotated[str, typer.Argument(help="auto, base, small, large-v3-turbo, … or owner/repository.")] = "auto",
) -> None:
    """Download the weights of a Whisper, with a progress bar."""
    with downloads(_err) as report:
        recognizers.find("whisper").fetch({"model": name}, report)
    _err.print("Done. New sessions will use it.")


def _load(path: Path | None) -> Config:
    return configuration.load(path or configuration.default_path())


def _only(settings: Config, profile: str | None) -> Config:
    """The configuration with no profile but the one that is needed: a server for one job need not load the others."""
    # Nobody else comes to such a server, and nobody comes back to it.
    settings = settings.model_copy(update={"doors": DoorsConfig(), "spool": SpoolSettings()})
    name = profile or settings.default
    if name not in settings.profiles:
        return settings  # the server will say which profiles there are
    return settings.model_copy(update={"default": name, "profiles": {name: settings.profiles[name]}})


def _with_second_pass(settings: Config, model: str | None) -> Config:
    """The configuration with another Whisper in its default profile."""
    if model is None:
        return settings
    second_pass = PassConfig.model_validate({"provider": "whisper", "model": model})
    changed = settings.profiles[settings.default].model_copy(update={"second_pass": second_pass})
    return settings.model_copy(update={"profiles": {**settings.profiles, settings.default: changed}})


def _check(sources: list[str], output: Path | None) -> None:
    for source in sources:
        if source not in tuple(Mic) and not Path(source).is_file():
            raise AudioError(f"There is no file {source}.", code="no_file", fix="Name an audio file, - or mic.")
    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        raise ConfigError(f"{output} cannot be written.", code="no_output", fix="Name a file in an existing directory.")


if __name__ == "__main__":
    main()
