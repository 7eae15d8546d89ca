"""Progress bars, and the question before money is spent."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.prompt import Confirm
from rich.table import Table

from twopass.compare.running.estimate import Estimate
from twopass.errors import ConfigError


class Bars:
    """A `campaign.Watcher` for a terminal."""

    def __init__(self, console: Console, *, confirmed: bool) -> None:
        self._console = console
        self._confirmed = confirmed
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._searching: TaskID | None = None
        self._systems: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def listening(self, done: int, all_: int) -> None:
        """So many recordings were searched for speech."""
        if self._searching is None:
            self._searching = self._progress.add_task("Looking for speech")
        self._progress.update(self._searching, completed=done, total=all_, visible=done < all_)

    def confirm(self, estimates: Sequence[Estimate]) -> None:
        """Show what it will cost, and ask if that is anything. Raises ConfigError if it is not to be spent."""
        paid = [each for each in estimates if each.paid]
        if not paid:
            return
        self._console.print(_table(paid))
        if self._confirmed:
            return
        if not sys.stdin.isatty():
            raise ConfigError("This costs money.", code="not_confirmed", fix="Say --yes if that is meant.")
        self._progress.stop()
        if not _agreed(self._console):
            raise ConfigError("Nothing was spent.", code="not_confirmed", fix="Say --yes, or leave the vendor out.")
        self._progress.start()

    def begins(self, system: str, ms: int, all_ms: int) -> None:
        """A system has heard so much of what it is to hear."""
        self._systems[system] = self._progress.add_task(system, total=all_ms, completed=ms)

    def played(self, system: str, ms: int) -> None:
        """So much more was played to a system."""
        self._progress.advance(self._systems[system], ms)


def _agreed(console: Console) -> bool:
    """Ask. The end of input and signals say no."""
    try:
        with _heeding_signals():
            return Confirm.ask("Spend it?", console=console, default=False)
    except (EOFError, KeyboardInterrupt):
        console.print()
        return False


@contextmanager
def _heeding_signals() -> Iterator[None]:
    """An event loop would look at Ctrl-C only when the question is answered."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, signal.default_int_handler) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


def _table(estimates: Sequence[Estimate]) -> Table:
    table = Table("what is to be paid", "audio", "estimate", caption="At list prices or your own, nothing rounded up.")
    for each in estimates:
        cost = f"{each.cost.amount:.2f} {each.cost.currency}" if each.cost is not None else "unknown"
        table.add_row(escape(each.system), f"{each.seconds / 60:.1f} min", cost)
    return table
