"""`twopass report`: what it cost, and why."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from twopass import config as configuration
from twopass.config import Config
from twopass.cost.usage.budget_file import read_budgets
from twopass.cost.usage.budgets import Budget
from twopass.errors import ConfigError

app = typer.Typer(
    help="""What it cost, and why: reports from the ledger.

    `twopass report overview --month 2026-11 -o november.html` writes one page that needs nothing else, to look at, send
    or print. `twopass report all` has every report in one page. `--format csv`, `xlsx` and `json` are for further work
    with the figures; `twopass report focus --format csv` is the FinOps Foundation's common format (FOCUS 1.4).

    The ledger is the one in the configuration (`ledger: {url: …}`), or --ledger, or TWOPASS_LEDGER. Prices of own
    machines, contracted prices and exchange rates come from the configuration, too. A price that nobody knows shows as
    unknown, never as 0.

    To see the reports without having used anything: `twopass report simulate --ledger sqlite:///try.db`, and then
    `twopass report all --ledger sqlite:///try.db -o try.html`.""",
    no_args_is_help=True,
)

_T = TypeVar("_T")
_QUERIES_AT_ONCE = 4
_out = Console()
_err = Console(stderr=True)

NAMES = {
    "overview": "The first page: cost by provider, pass and tenant, per audio hour; what has no price comes first.",
    "hours": "Costs over time: by day and hour, and what an hour costs by provider, pass and tenant.",
    "silence": "Audio received and speech found in it: what silence cost, and what could be saved.",
    "waste": "What was paid for audio heard twice, work thrown away, and rounding.",
    "vendors": "Vendors and own machines compared: what this month's audio would have cost at each.",
    "reported": "What vendors say themselves that they bill, beside what is charged here.",
    "forecast": "What the month will cost if it goes on like this.",
    "budgets": "How far the budgets are spent.",
    "focus": "FOCUS 1.4 rows, for tools that read cloud bills.",
    "prices": "The prices used: their sources, and what is in doubt.",
}
_WITH_OPTIONS = {
    "reconcile": "A vendor's invoice against the ledger: what differs, and why.",
    "self-hosting": "What own machines cost, and from how much audio on they are cheaper than each vendor.",
}
_APPENDIX = "prices"


class Format(StrEnum):
    """As `cost.rendering.Output`, which needs more to be loaded."""

    HTML = "html"
    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"


MonthOption = Annotated[str | None, typer.Option("--month", "-m", metavar="2026-11", help="Default: this month (UTC).")]
FormatOption = Annotated[
    Format | None, typer.Option("--format", "-f", help="Default: as the name of --output ends, or html.")
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write to this file. Default: standard output.")
]
LedgerOption = Annotated[
    str | None,
    typer.Option(
        envvar="TWOPASS_LEDGER", help="sqlite:///ledger.db or postgresql://user@host/name.", show_default=False
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML configuration; default: configs/local.yaml.", show_default=False),
]
BudgetsOption = Annotated[
    Path | None,
    typer.Option(help="A YAML or JSON list of budgets (period, limit, tenant, key), instead of the configuration's."),
]
LanguageOption = Annotated[str, typer.Option(help="How figures are written in html: en, de, fr-CH, …")]
TodayOption = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="For the forecast: the first day that is not over.")
]


def _report(names: tuple[str, ...]) -> Callable[..., None]:
    def command(
        month: MonthOption = None,
        format: FormatOption = None,  # noqa: A002
        output: OutputOption = None,
        ledger: LedgerOption = None,
        config: ConfigOption = None,
        budgets: BudgetsOption = None,
        language: LanguageOption = "en",
        today: TodayOption = None,
    ) -> None:
        from twopass.cost.reports.rendering import Output, render
        from twopass.cost.reports.report import Asked, Month, run

        wanted, settings = _format(format, output), _settings(config)
        day = today.date() if today else datetime.now(UTC).date()
        when = Month.parse(month) if month else Month.of(day)
        cards = _cards(settings)
        asked = Asked(when, day, _budgets(budgets, settings), cards.fees(str(when)))
        with _opened(_address(ledger, settings)) as book:
            _charge(book, cards, settings.ledger.currency)
            with ThreadPoolExecutor(_QUERIES_AT_ONCE) as pool:  # databases work while Python waits
                reports = list(pool.map(lambda name: run(name, book, asked), names))
            prices = run(_APPENDIX, book, asked) if wanted is Format.HTML else None
        _write(render(reports, Output(wanted), prices, language), wanted, output)

    return command


for _name, _help in NAMES.items():
    app.command(_name, help=_help)(_report((_name,)))
app.command("all", help="All reports in one page (or workbook, or JSON).")(_report(tuple(NAMES)))


@app.command("list")
def list_() -> None:
    """Which reports there are."""
    table = Table("report", "what it says")
    for name, says in (NAMES | _WITH_OPTIONS).items():
        table.add_row(name, says)
    _out.print(table)


@app.command(help=_WITH_OPTIONS["reconcile"])
def reconcile(
    provider: Annotated[str, typer.Option(help="Whose invoice it is: google, azure, …")],
    invoice: Annotated[
        Path, typer.Option(help="CSV: Google's billing export or cost table, Azure's cost export, or a plain one.")
    ],
    month: Annotated[
        str | None, typer.Option("--month", "-m", metavar="2026-11", help="Default: the only one on the invoice.")
    ] = None,
    sku: Annotated[
        list[str] | None, typer.Option(metavar="NAME=SKU", help="What of ours a name on the invoice means.")
    ] = None,
    format: FormatOption = None,  # noqa: A002
    output: OutputOption = None,
    ledger: LedgerOption = None,
    config: ConfigOption = None,
    language: LanguageOption = "en",
) -> None:
    from twopass import reconcile_cli
    from twopass.cost.reports.rendering import Output, render

    wanted, settings = _format(format, output), _settings(config)
    with _opened(_address(ledger, settings)) as book:
        cards, currency = _cards(settings), settings.ledger.currency
        _charge(book, cards, currency)
        report, said = reconcile_cli.reconcile(book, cards, currency, provider, invoice, month, sku or ())
    _write(render([report], Output(wanted), None, language), wanted, output)
    _say(said)


@app.command("self-hosting", help=_WITH_OPTIONS["self-hosting"])
def self_hosting(
    month: MonthOption = None,
    streams: Annotated[
        list[str] | None,
        typer.Option(metavar="MACHINE=N", help="How many streams one takes at once. Default: as the ledger measured."),
    ] = None,
    load: Annotated[
        float, typer.Option(min=0.01, max=1, help="The month's mean of streams as a share of the busiest moment's.")
    ] = 0.3,
    fill: Annotated[float, typer.Option(min=0.01, max=1, help="How much of its time a machine may be busy.")] = 0.7,
    format: FormatOption = None,  # noqa: A002
    output: OutputOption = None,
    ledger: LedgerOption = None,
    config: ConfigOption = None,
    language: LanguageOption = "en",
) -> None:
    from twopass import reconcile_cli
    from twopass.cost.reports.rendering import Output, render

    wanted, settings = _format(format, output), _settings(config)
    with _opened(_address(ledger, settings)) as book:
        plan = reconcile_cli.plan(load, fill, streams or ())
        report = reconcile_cli.self_hosting(book, _cards(settings), settings.ledger.currency, month, plan)
    _write(render([report], Output(wanted), None, language), wanted, output)


@app.command()
def simulate(
    month: MonthOption = None,
    entries: Annotated[int, typer.Option(min=1, help="How many usage entries.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same entries, and writes them only once.")] = 7,
    ledger: LedgerOption = None,
    config: ConfigOption = None,
    check: Annotated[bool, typer.Option(help="Work the costs out a second time, independently, and compare.")] = True,
) -> None:
    """
    Fill a ledger with a made-up month: twelve tenants, all vendors, own machines, and everything that goes wrong.

    Usage can never be deleted from a ledger: give it one of its own.
    """
    from twopass.cost.reports.report import Month
    from twopass.cost.reports.simulation import simulate as simulated
    from twopass.cost.reports.simulation_oracle import Oracle

    if ledger is None:
        raise ConfigError("Made-up usage needs a ledger of its own.", code="no_ledger", fix="Give it with --ledger.")
    settings, oracle = _settings(config), Oracle()
    when = Month.parse(month) if month else Month.of(datetime.now(UTC).date())
    with _opened(ledger, new=True) as book:
        _refuse_real(book)
        made = _shown(simulated(when, entries, seed), entries, "usage")
        started = time.monotonic()
        new = book.write(oracle.watch(made) if check else made)
        _say(f"{new} new entries of {entries}, in {time.monotonic() - started:.1f} s.")
        cards, currency = _cards(settings), settings.ledger.currency
        _charge(book, cards, currency)
        if check:
            _compare(book, oracle, when, cards, currency)


def _compare(book: Any, oracle: Any, month: Any, cards: Any, currency: str) -> None:
    """The ledger's total and the oracle's, for people to see."""
    from twopass.cost.reports.report import Asked, run

    overview = run("overview", book, Asked(month, month.end))
    ours = next(row["cost"] for row in overview.table("total").rows if row["name"] == "All work")
    theirs = oracle.bill(cards, currency).total
    _say(f"The ledger says {ours:.2f} {overview.currency}; worked out independently: {float(theirs):.2f}.")


# -- what it needs --------------------------------------------------------------------------------------------------


def _settings(path: Path | None) -> Config:
    return configuration.load(path or configuration.default_path())


def _address(ledger: str | None, settings: Config) -> str:
    found = ledger or settings.ledger.url
    if found is None:
        fix = "Name it in the configuration (ledger: {url: …}), with --ledger or in TWOPASS_LEDGER."
        raise ConfigError("There is no ledger.", code="no_ledger", fix=fix)
    return found


class _opened:  # noqa: N801 - reads as a function
    """The ledger for a while. One that is read must be there already: a mistyped name makes no empty one."""

    def __init__(self, address: str, *, new: bool = False) -> None:
        from twopass.cost.ledger.book import Ledger

        path = Path(address.partition(":///")[2]).expanduser()
        if address.startswith("sqlite") and not new and not path.is_file():
            raise ConfigError(f"There is no ledger {path}.", code="no_ledger", fix="Check the name.")
        self._ledger = Ledger.open(address)

    def __enter__(self) -> Any:
        return self._ledger

    def __exit__(self, *_: object) -> None:
        self._ledger.close()


def _cards(settings: Config) -> Any:
    from twopass.cost.prices.cards import load_cards

    return load_cards(settings.ledger.prices, settings.ledger.exchange, settings.prices)


def _charge(book: Any, cards: Any, currency: str) -> None:
    with _bar("charges") as bar:
        task = bar.add_task("", total=None)
        book.charge(cards, currency, progress=lambda done, all_: bar.update(task, completed=done, total=all_))


def _budgets(path: Path | None, settings: Config) -> tuple[Budget, ...]:
    if path is None:
        return tuple(budget.budget for budget in settings.ledger.budgets)
    return read_budgets(path, settings.ledger.currency)


def _refuse_real(book: Any) -> None:
    if book.rows("SELECT id FROM usage WHERE session NOT LIKE 'sim-%' LIMIT 1"):
        fix = "Give another one with --ledger: what is added to a ledger stays in it."
        raise ConfigError("There is real usage in this ledger.", code="real_ledger", fix=fix)


# -- what it writes -------------------------------------------------------------------------------------------------


def _format(wanted: Format | None, output: Path | None) -> Format:
    suffix = output.suffix.removeprefix(".").lower() if output else ""
    return wanted or (Format(suffix) if suffix in tuple(Format) else Format.HTML)


def _write(data: bytes, wanted: Format, output: Path | None) -> None:
    if output is not None:
        try:
            output.write_bytes(data)
        except OSError as error:
            fix = "Name a file in a directory that exists."
            raise ConfigError(f"{output} cannot be written: {error.strerror}.", code="no_output", fix=fix) from None
        return
    if wanted is Format.XLSX and sys.stdout.isatty():
        raise ConfigError("A workbook is nothing for a terminal.", code="no_output", fix="Give a file with --output.")
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _bar(what: str) -> Progress:
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=_err, transient=True, disable=not _err.is_terminal)


def _shown(items: Iterable[_T], total: int, what: str) -> Iterator[_T]:
    with _bar(what) as bar:
        yield from bar.track(items, total=total, update_period=0.5)


def _say(text: str) -> None:
    _err.print(Text(text), soft_wrap=True)
