"""The terminal: captions that are rewritten in place, who speaks, and the figures at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from twopass import recognizers
from twopass.compare.measures.timeline import Timeline, percentile
from twopass.gateway.messages import BudgetMessage, Cost, ErrorMessage, PassDescription, ProviderChange, SessionStarted
from twopass.types import Revision, Status

_STYLE = {Status.INTERIM: "dim italic", Status.PROVISIONAL: "", Status.FINAL: "bold"}


class Captions:
    """Live captions: the unfinished utterances change in place, finished ones scroll up."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=15, transient=True)
        self._open: dict[str, Revision] = {}

    def __enter__(self) -> Captions:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, revision: Revision) -> None:
        """Show a revision; finals are printed for good, once everything before them is."""
        self._open[revision.utterance] = revision
        for first in sorted(self._open.values(), key=lambda r: (r.start, r.channel)):
            if first.status is not Status.FINAL:
                break
            del self._open[first.utterance]
            if first.words:
                self._live.console.print(caption(first))
        rest = sorted(self._open.values(), key=lambda r: (r.start, r.channel))
        self._live.update(Group(*(caption(r) for r in rest if r.words)))


def caption(revision: Revision) -> Text:
    """One utterance: dim while it may change, bold when final, what was rewritten in colour."""
    line = Text()
    line.append(f"{revision.start // 60_000:3}:{revision.start // 1000 % 60:02}  ", style="cyan")
    if revision.channel:
        line.append(f"[{revision.channel + 1}] ", style="magenta")
    for i, word in enumerate(revision.words):
        style = _STYLE[revision.status]
        if i in revision.rewritten:
            style = "bold green"
        line.append(word.text if word.glued or i == 0 else f" {word.text}", style=style)
    if revision.degraded:
        line.append(f"  ({revision.degraded})", style="yellow")
    return line


def introduction(started: SessionStarted) -> RenderableType:
    """Which models speak, and what they can and cannot understand."""
    table = Table.grid(padding=(0, 2))
    for name, speaker in (("first pass", started.first_pass), ("second pass", started.second_pass)):
        table.add_row(Text(name, style="bold"), _speaker(speaker))
    if started.shadow:
        table.add_row(
            Text("also heard by", style="bold"), Text(f"{started.shadow}, for comparison; nothing of it is shown")
        )
    legend = Text("dim: may still change   ")
    legend.append("bold: final   ", style="bold").append("green: rewritten by the second pass", style="bold green")
    return Panel(Group(table, legend), title=f"profile {started.profile}", border_style="blue")


def _speaker(speaker: PassDescription) -> Text:
    text = Text(speaker.model, style="bold").append(f"\n{speaker.understands}", style="not bold")
    if speaker.notice:
        text.append(f"\n{speaker.notice}", style="bold yellow")
    return text


def trouble(message: ErrorMessage | ProviderChange | BudgetMessage) -> Text:
    """What went wrong, or costs too much."""
    if isinstance(message, BudgetMessage):
        far = "is spent" if message.state == "spent" else f"is spent to {message.share:.0%}"
        return Text(f"the budget of this {message.period} {far} (policy: {message.policy})", style="yellow")
    if isinstance(message, ErrorMessage):
        return Text.assemble((message.message, "red"), f" {message.fix}")
    state = f"{message.state} to {message.to}" if message.to else message.state
    return Text(f"{message.pass_} pass, {message.provider}: {state}: {message.reason}", style="yellow")


@contextmanager
def downloads(console: Console) -> Iterator[recognizers.Progress]:
    """A progress bar for downloads; shown with the first byte."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what)
            progress.update(tasks[what], completed=done, total=total or None)

        yield report


def figures(timeline: Timeline, cost: Cost | None) -> RenderableType:
    """Latency and cost of one live session."""
    table = Table(title="This session", show_header=True, header_style="bold", title_justify="left")
    table.add_column("measure")
    table.add_column("p50", justify="right")
    table.add_column("p95", justify="right")
    for name, values in (
        ("first words after the first word's end", timeline.first_partial_latencies()),
        ("word shown after its end", timeline.word_lags()),
        ("final after speech end", timeline.final_latencies()),
    ):
        table.add_row(name, _ms(values, 50), _ms(values, 95))
    words = sum(len(revision.words) for revision in timeline.finals())
    table.add_row("words rewritten by the second pass", f"{timeline.rewritten_words()} of {words}", "")
    return Group(table, costs(cost))


def costs(cost: Cost | None) -> Text:
    """What it cost, by pass; what has no price is unknown, not free."""
    if cost is None:
        return Text("Cost: nothing used.")
    lines = [f"Cost of {cost.audio_ms / 1000:.1f} s of audio:"]
    for line in cost.lines:
        amount = f"{line.amount} {line.currency}" if line.amount is not None else "price unknown"
        used = f"{line.seconds:.2f} s {line.clock.replace('_', ' ')}"
        lines.append(f"  {line.pass_} pass, {line.provider}: {used}, {amount}")
    lines.append("  (own machines at the hourly prices of the configuration)")
    return Text("\n".join(lines))


def _ms(values: Iterable[float], percent: float) -> str:
    value = percentile(values, percent)
    return "-" if value is None else f"{value:.0f} ms"
