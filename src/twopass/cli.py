"""The command line."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from twopass import config as configuration
from twopass import playing, recognizers, serving
from twopass.audio import Encoding, probe_duration
from twopass.client import Client, ClientSession, Transcript
from twopass.compare.timeline import Timeline
from twopass.config import Config, PassConfig
from twopass.console import Captions, costs, downloads, figures, introduction, trouble
from twopass.engine import Engine
from twopass.errors import AudioError, ConfigError, TwopassError
from twopass.gateway.app import create_app
from twopass.gateway.messages import ClientAudio, Cost, ErrorMessage, ProviderChange, Segment
from twopass.recognizers import Settings, StreamingRecognizer, UtteranceRecognizer
from twopass.transcript import Format, write

app = typer.Typer(
    help="Live speech-to-text that appears at once and ends up right.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="Whisper weights on this machine.", no_args_is_help=True)
app.add_typer(models_app, name="models")

_out = Console()
_err = Console(stderr=True)
_SAMPLE = Path(str(files("twopass"))) / "assets" / "sample.wav"
_SAMPLE_PROFILE = "demo"

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML configuration; default: configs/local.yaml.", show_default=False),
]


class Mic(StrEnum):
    """What FILE may be besides a path."""

    MICROPHONE = "mic"
    STDIN = "-"


def main() -> None:
    """Entry point: errors of ours are one line with the fix, not a traceback. SIGTERM ends it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except TwopassError as error:
        _err.print(Text.assemble((error.code, "bold red"), f": {error.message}"), soft_wrap=True)
        if error.fix:
            _err.print(Text(error.fix, style="green"), soft_wrap=True)
        raise SystemExit(1) from None


@app.callback()
def _configure_log(context: typer.Context) -> None:
    # Only the server's log is of interest: the other commands say themselves what happens.
    level = logging.INFO if context.invoked_subcommand == "serve" else logging.ERROR
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer(),
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
    asyncio.run(_serve(settings, listener, sample=sample))


async def _serve(settings: Config, listener: socket.socket, *, sample: bool) -> None:
    gateway = create_app(settings)
    async with serving.served(gateway, listener) as url:
        if sample:
            await _show_sample(url)
        _err.print(f"Serving [bold]{url}[/]  (Ctrl-C ends it)")
        fetching = asyncio.create_task(_fetch_missing(gateway.state.engine)) if settings.download else None
        await _stopped()
        if fetching is not None:
            fetching.cancel()


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

    async def run() -> None:
        async with serving.served(create_app(settings)) as url:
            await _show_sample(url)

    asyncio.run(run())


async def _show_sample(url: str) -> None:
    async with Client(url).session(profile=_SAMPLE_PROFILE) as session:
        await _show_live(session, playing.chunked(playing.from_file(_SAMPLE)))


@app.command()
def transcribe(
    sources: Annotated[list[str], typer.Argument(metavar="FILE…|-|mic", help="Files, - for standard input, or mic.")],
    config: ConfigOption = None,
    profile: Annotated[str | None, typer.Option(help="Profile of the configuration.")] = None,
    language: Annotated[str | None, typer.Option(help="BCP-47 tag, such as en-US.")] = None,
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
    job = _Job(profile, language, fast, separate_channels, encoding, rate)

    async def run() -> list[str]:
        if server:
            return [await job.run(server, source, format) for source in sources]
        async with serving.served(create_app(settings)) as url:
            return [await job.run(url, source, format) for source in sources]

    text = "\n".join(asyncio.run(run()))
    if output:
        output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


class _Job:
    """One `transcribe` command."""

    def __init__(
        self, profile: str | None, language: str | None, fast: bool, separate: bool, encoding: Encoding, rate: int
    ) -> None:
        self._profile = profile
        self._language = language
        self._fast = fast
        self._separate = separate
        self._encoding = encoding
        self._rate = rate

    async def run(self, url: str, source: str, style: Format) -> str:
        """Transcribe one source; returns the transcript."""
        audio, form = self._audio(source)
        realtime = source == Mic.MICROPHONE or not self._fast
        async with Client(url).session(
            audio=form,
            profile=self._profile,
            language=self._language,
            separate_channels=self._separate,
            realtime=realtime,
        ) as session:
            if realtime:
                pace = source not in tuple(Mic)
                timeline = await _show_live(session, audio, channels=form.channels, pace=pace)
                return write(timeline.finals(), style)
            return await _show_progress(session, audio, source, style)

    def _audio(self, source: str) -> tuple[AsyncIterator[bytes], ClientAudio]:
        if source == Mic.MICROPHONE:
            return playing.from_microphone(), ClientAudio()
        if source == Mic.STDIN:
            return playing.from_stdin(), ClientAudio(encoding=self._encoding, sample_rate=self._rate)
        channels = 2 if self._separate else 1
        blocks = playing.from_file(Path(source), separate_channels=self._separate)
        return playing.chunked(blocks, channels), ClientAudio(channels=channels)


async def _show_live(
    session: ClientSession, audio: AsyncIterator[bytes], *, channels: int = 1, pace: bool = True
) -> Timeline:
    """Play audio into a session and show what comes back; returns what was seen and when."""
    loop = asyncio.get_running_loop()
    start = loop.time()

    def began(at: float) -> None:
        nonlocal start
        start = at

    _err.print(introduction(session.started))
    timeline, cost = Timeline(), None
    session.feed(playing.paced(audio, channels, began) if pace else audio)
    transcript = Transcript()
    with Captions(_err) as captions, _until_interrupted(session):
        async for message in session:
            match message:
                case Segment():
                    revision = transcript.take(message)
                    timeline.add(revision, (loop.time() - start) * 1000)
                    captions.show(revision)
                case Cost():
                    cost = message
                case ErrorMessage() | ProviderChange():
                    _err.print(trouble(message))
    _err.print(figures(timeline, cost))
    return timeline


async def _show_progress(session: ClientSession, audio: AsyncIterator[bytes], source: str, style: Format) -> str:
    """Send a recording at full speed with a progress bar; returns the transcript."""
    transcript, cost = Transcript(), None
    seconds = probe_duration(Path(source)) if source != Mic.STDIN else None
    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_err, transient=True) as progress:
        task = progress.add_task(Path(source).name, total=seconds)
        session.feed(audio)
        async for message in session:
            if isinstance(message, Segment):
                revision = transcript.take(message)
                progress.update(task, completed=revision.end / 1000)
            elif isinstance(message, Cost):
                cost = message
            elif isinstance(message, ErrorMessage | ProviderChange):
                _err.print(trouble(message))
    _err.print(costs(cost))
    return write(transcript.revisions, style)


@contextlib.contextmanager
def _until_interrupted(session: ClientSession) -> Iterator[None]:
    """Ctrl-C ends the audio, not the program: the last words still become final. The second one ends the program."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        loop.create_task(session.stop())  # noqa: RUF006 - it ends with the session

    try:
        loop.add_signal_handler(signal.SIGINT, stop)
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


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
    return configuration.load(path or _default_config())


def _default_config() -> Path:
    """configs/local.yaml here, in the checkout, or as it was packed into the wheel."""
    here = Path("configs/local.yaml")
    package = Path(str(files("twopass")))
    candidates = (here, package.parent.parent / here, package / "assets" / "local.yaml")
    return next((path for path in candidates if path.is_file()), here)


def _only(settings: Config, profile: str | None) -> Config:
    """The configuration with no profile but the one that is needed: a server for one job need not load the others."""
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
