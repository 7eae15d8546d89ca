"""`twopass cluster`: a small real cluster on this machine, for trying out."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import tempfile
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from twopass import playing
from twopass.client import Client
from twopass.errors import ConfigError
from twopass.transcribing import show_live

if TYPE_CHECKING:
    from twopass.cluster.local.cluster import Cluster
    from twopass.cluster.local.keeping import Event
    from twopass.cluster.local.notes import Notes
    from twopass.cluster.local.plan import Plan

app = typer.Typer(
    help="""A small real cluster on this machine, for trying out.

    `up` starts what `configs/cluster.yaml` describes for many machines:
    gateways that hold sockets and first passes, workers that hear utterances
    with the second pass, the broker between them, Redis, where sessions live,
    and nginx in front. Kill what you like with `kill -9`: it is started again,
    and sessions go on. `status` tells what each of them does.

        twopass cluster up --sample
        twopass cluster up --brokers redis --gateways 3 --config my.yaml""",
    no_args_is_help=True,
)

_out = Console()
_err = Console(stderr=True)
_SAMPLE = Path(str(files("twopass"))) / "assets" / "sample.wav"


class BrokerName(StrEnum):
    """What carries utterances to workers."""

    NATS = "nats"
    REDIS = "redis"
    RABBIT = "rabbit"
    KAFKA = "kafka"


@app.command()
def up(
    brokers: Annotated[BrokerName, typer.Option(help="What carries utterances to workers.")] = BrokerName.NATS,
    gateways: Annotated[int, typer.Option(min=1, help="How many `twopass serve`.")] = 2,
    workers: Annotated[int, typer.Option(min=1, help="How many `twopass worker`.")] = 2,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            help="YAML configuration, whose addresses are replaced. Default: configs/cluster.yaml and demo.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Of the load balancer; 0 takes a free one.")] = 8765,
    home: Annotated[
        Path | None,
        typer.Option(
            help="Keep data, logs and configurations here. Default: a temporary directory.", show_default=False
        ),
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="First stream the bundled sample, to see it work.")] = False,
) -> None:
    """
    Start a small real cluster: gateways, workers, broker, Redis, and nginx in front. Ctrl-C ends it in order.

    It needs pip install "twopass\\[cluster]" and the servers, on Debian:
    apt-get install nats-server redis-server nginx-light. Without nginx there is
    no load balancer, and clients choose a gateway themselves. Kafka is taken
    from the directory of jars that TWOPASS_KAFKA names. Without Whisper's
    weights (twopass models pull) pocketsphinx is the second pass, except of
    the sample.

    All listen on free ports of 127.0.0.1, and only the load balancer where
    server.host of the configuration says, on --port. What dies is started
    again, with growing pauses. Nothing outlives this command, however it ends.
    """
    from twopass.cluster.local.plan import Wishes, plan

    wishes = Wishes(config, brokers, gateways, workers, port)
    with _temporary() as temporary, _home(home or temporary / "home") as place:
        asyncio.run(_Up(plan(wishes, place), temporary, place).run(sample=sample))


@app.command()
def status() -> None:
    """How the cluster on this machine is: who answers, sessions by gateway, utterances in flight by worker."""
    from twopass.cluster.local.notes import find

    asyncio.run(_show_health(find()))


@contextlib.contextmanager
def _temporary() -> Iterator[Path]:
    """A place for the notes and for programs' temporary files."""
    from twopass.cluster.local.notes import PREFIX

    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@contextlib.contextmanager
def _home(home: Path) -> Iterator[Path]:
    """A place for data, ours alone. Raises ConfigError."""
    place = home.absolute()
    with contextlib.ExitStack() as held:
        try:
            (place / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
            fcntl.flock(held.enter_context((place / "lock").open("w")), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"Another cluster has {place}.", code="home_in_use", fix="Name another --home.") from None
        except OSError as error:
            fix = "Name a directory that you may write to with --home."
            raise ConfigError(f"{place} cannot be used: {error.strerror}.", fix=fix) from None
        yield place


class _Up:
    """One run of a cluster, from its start to its end."""

    def __init__(self, plan: Plan, temporary: Path, home: Path) -> None:
        from twopass.cluster.local.cluster import Cluster

        self._plan = plan
        self._temporary = temporary
        self._home = home
        self._since = datetime.now(UTC)
        self._stop = asyncio.Event()
        self._cluster: Cluster = Cluster(plan, temporary, home / "logs", self._tell)

    async def run(self, *, sample: bool) -> None:
        """Until SIGINT, SIGTERM or SIGHUP. Raises ConfigError if something does not start."""
        self._listen()
        try:
            with _err.status(f"{len(self._plan.programs)} programs are started …"):
                up = await self._unless_stopped(self._cluster.open())
            if up:
                self._introduce()
                if sample:
                    await self._unless_stopped(self._play())
                    self._listen()  # while it played, Ctrl-C was for the sample alone
                await self._stop.wait()
        finally:
            _out.print("All end in order. (Ctrl-C again: at once)")
            await self._cluster.close()

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled)

    def _signalled(self) -> None:
        if self._stop.is_set():
            self._cluster.kill()
        self._stop.set()

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Whether it was done before a signal came. Raises what it raises."""
        tasks = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return tasks[0].done() and tasks[0].result() is None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _play(self) -> None:
        async with Client(self._plan.urls[0]).session(profile=self._plan.sample) as session:
            await show_live(session, playing.chunked(playing.from_file(_SAMPLE)))

    def _tell(self, event: Event) -> None:
        self._note()
        _out.print(_line(event), soft_wrap=True)

    def _introduce(self) -> None:
        notes = self._note()
        _out.print(_overview(notes))
        if self._plan.notice:
            _out.print(Text(self._plan.notice, style="yellow"), soft_wrap=True)
        _out.print(_hints(notes), soft_wrap=True)

    def _note(self) -> Notes:
        from twopass.cluster.local.notes import Notes, running, write

        programs = running(self._cluster.kept)
        notes = Notes(pid=os.getpid(), since=self._since, urls=self._plan.urls, home=self._home, programs=programs)
        write(self._temporary, notes)
        return notes


def _overview(notes: Notes) -> Table:
    table = _table("pid", "address", "metrics", caption=f"What they say: {notes.home}/logs/<name>.log")
    for each in notes.programs:
        table.add_row(each.name, str(each.pid), each.address, each.metrics)
    return table


def _hints(notes: Notes) -> Text:
    url = notes.urls[0]
    lines = {
        "speak to it": f"{' or '.join(notes.urls)} in a browser; or: twopass transcribe --server {url} FILE",
        "look at it": "twopass cluster status",
        "break it": "kill -9 <pid>: whatever dies is started again, and sessions go on",
        "end it": "Ctrl-C",
    }
    return Text("\n").join(Text.assemble((f"{what:>13}  ", "bold"), how) for what, how in lines.items())


def _line(event: Event) -> Text:
    from twopass.cluster.local.keeping import Back, Died

    name, now = (event.name, "bold"), (f"{datetime.now():%H:%M:%S}  ", "dim")
    if isinstance(event, Back):
        return Text.assemble(now, name, (f" is back (pid {event.pid})", "green"))
    if isinstance(event, Died):
        what = f"{event.how}; it is started again in {event.again_seconds:g} s"
    else:
        what = f"has not ended after {event.seconds:g} s, and is killed"
    return Text.assemble(now, name, (f" (pid {event.pid}) {what}", "yellow"))


async def _show_health(notes: Notes) -> None:
    from twopass.cluster.local.health import health

    found = await asyncio.gather(*(health(each) for each in notes.programs))
    table = _table("pid", "", "", caption=f"{', '.join(notes.urls)} since {notes.since.astimezone():%x %X}")
    for each, its in zip(notes.programs, found, strict=True):
        answers = Text("answers", style="green") if its.answers else Text("does not answer", style="yellow")
        table.add_row(each.name, str(each.pid or "-"), answers, its.doing)
    _out.print(table)


def _table(*columns: str, caption: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), caption=Text(caption), caption_justify="left")
    for column in ("name", *columns):
        table.add_column(column, overflow="fold")
    return table
