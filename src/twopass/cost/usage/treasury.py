"""
The money side of a running server: brings entries to the ledger (`meter`) and keeps the budgets (`budgets`) while they
come in, so that the end of a budget is seen when it comes and not on the next report.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog

from twopass.cost.prices.cards import Cards
from twopass.cost.prices.pricing import MACHINE
from twopass.cost.prices.rates import Money
from twopass.cost.prices.running import Pricer
from twopass.cost.usage.budgets import Budget, BudgetState, Level, Policy, Purse, Spent, summed
from twopass.cost.usage.entries import MICROS, Account, Entry, entry
from twopass.cost.usage.meter import Book, Meter
from twopass.errors import BudgetSpent, TwopassError
from twopass.types import Clock, Pass, Usage

log = structlog.get_logger()

_ASK_EVERY_SECONDS = 900.0
_HEARTBEAT_SECONDS = 60.0


class Guard(Protocol):
    """Who watches the budgets."""

    def check(self, account: Account) -> None:
        """Whether a session may begin. Raises BudgetSpent."""

    def states(self, account: Account) -> Sequence[BudgetState]:
        """How far the budgets of an account have come."""


class NoGuard:
    """There are no budgets."""

    def check(self, account: Account) -> None:
        """Everybody may."""

    def states(self, account: Account) -> Sequence[BudgetState]:  # noqa: ARG002 - the contract's
        """None."""
        return ()


NOBODY = NoGuard()


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """
    Attributes:
        url: Of the ledger's database; None keeps none.
        currency: Of its sums.
        waiting: Where entries wait for it.
        machines: How many of each own machine are provisioned for this process.
    """

    url: str | None
    currency: str
    waiting: Path
    machines: Mapping[str, int]
    budgets: tuple[Budget, ...]


@dataclass(frozen=True, slots=True)
class Purser:
    """
    How the treasury counts money.

    Attributes:
        convert: An amount from its currency into the ledger's, at a day's rate; None if that is not known.
        spent: Asks the ledger what every account has spent in the current month, by day. Blocks.
    """

    pricer: Pricer
    convert: Callable[[Money, date], Decimal | None]
    spent: Callable[[Book], Spent]


class Treasury:
    """
    A sink of entries and the guard of the budgets.

    Args:
        machines: How many of each own machine are provisioned for this server.
    """

    def __init__(self, meter: Meter, purse: Purse, purser: Purser, machines: Mapping[str, int]) -> None:
        self._meter = meter
        self._purse = purse
        self._purser = purser
        self._machines = machines
        self._began = datetime.now(UTC)
        self._boot = f"machine-{secrets.token_hex(6)}"
        self._beats = 0

    def take(self, entries: Sequence[Entry]) -> None:
        """Keep entries, and count what they cost."""
        self._meter.take(entries)
        for each in entries:
            # A session that goes on after a crash brings entries again that the ledger knows; and own machines count by
            # what they did: the time that they are there is the same money again.
            if each.at < self._began or each.clock is Clock.PROVISIONED:
                continue
            cost = self._purser.pricer.price(_usage(each))
            amount = cost and self._purser.convert(cost, each.at.date())
            if amount:
                self._purse.add(each.account, each.at, amount)

    def check(self, account: Account) -> None:
        """Whether a session may begin. Raises BudgetSpent."""
        for state in self.states(account):
            if state.level is Level.SPENT and state.budget.policy is Policy.REFUSE:
                raise spent_error(state)

    def states(self, account: Account) -> Sequence[BudgetState]:
        """How far the budgets of an account have come."""
        return self._purse.states(account, datetime.now(UTC))

    async def run(self) -> None:
        """Until it is cancelled; then `stop`."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._meter.run())
            tasks.create_task(self._ask())
            tasks.create_task(self._beat())

    async def stop(self) -> None:
        """Bring what waits to the ledger, and close it."""
        await self._meter.stop()

    async def _ask(self) -> None:
        """
        Ask the ledger now and then: it knows what was spent before, by other servers too, with the allowances and
        rounding of the month.
        """
        while self._purse.budgets:
            try:
                async with self._meter.settled() as book:
                    held = self._purse.since()
                    self._purse.known(await asyncio.to_thread(self._purser.spent, book), held)
            except TwopassError as error:
                log.warning("budgets are counted without the ledger for now", reason=str(error))
            except Exception:  # entries must come to the ledger all the same
                log.exception("the ledger could not be asked for what was spent")
            await asyncio.sleep(_ASK_EVERY_SECONDS)

    async def _beat(self) -> None:
        """Own machines cost money whether they work or not."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while self._machines:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            now = datetime.now(UTC)
            elapsed, last = loop.time() - last, loop.time()
            self.take([self._provisioned(name, count * elapsed, now) for name, count in self._machines.items()])

    def _provisioned(self, machine: str, seconds: float, now: datetime) -> Entry:
        self._beats += 1
        usage = Usage(MACHINE, machine, Clock.PROVISIONED, seconds, Pass.SECOND, stream=f"{machine}.{now:%Y-%m-%d}")
        return entry(self._boot, self._beats, now, Account("", ""), usage)


@contextlib.asynccontextmanager
async def running(treasury: Treasury | None) -> AsyncIterator[None]:
    """With the treasury at work, if there is one. At the end what waits is brought to the ledger."""
    if treasury is None:
        yield
        return
    work = asyncio.create_task(treasury.run())
    try:
        yield
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await treasury.stop()


def spent_error(state: BudgetState) -> BudgetSpent:
    """What a client is told who can have no more."""
    budget = state.budget
    message = f"The budget of this {budget.period.value} is spent."
    return BudgetSpent(message, fix="Whoever runs the server can raise it; or wait for the next one.")


def _usage(each: Entry) -> Usage:
    seconds = each.micros / MICROS
    return Usage(each.provider, each.sku, each.clock, seconds, each.pass_, features=each.features)


def dearer(hours: Sequence[Decimal | None]) -> frozenset[int]:
    """
    Which of several recognizers cost more than the cheapest, by what an hour of each costs in one currency.

    One whose price is not known is taken for dear. Empty if there is nothing to choose.
    """
    known = [hour for hour in hours if hour is not None]
    return frozenset(i for i, hour in enumerate(hours) if known and (hour is None or hour > min(known)))


def converted(cards: Cards, currency: str, money: Money, day: date) -> Decimal | None:
    """An amount in another currency at a day's rate; None if that is not known."""
    return cards.exchange.convert(money.amount, money.currency, currency, day)


def open_treasury(settings: LedgerSettings, cards: Cards) -> Treasury | None:
    """The treasury of a server; None if it keeps no ledger. Nothing is opened yet: the ledger may come later."""
    url = settings.url
    if url is None:
        return None
    from twopass.cost.ledger.book import Ledger  # here: it takes a while to import, and many servers keep none

    currency = settings.currency

    def spent(book: Book) -> Spent:
        assert isinstance(book, Ledger)
        month = f"{datetime.now(UTC):%Y-%m}"
        book.charge(cards, currency, month)
        return summed(book.spending(month))

    pricer = Pricer(cards.cards, cards.machines)
    purser = Purser(pricer, partial(converted, cards, currency), spent)

    def open_book() -> Book:
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Ledger.open(url)

    meter = Meter(open_book, settings.waiting.expanduser())
    return Treasury(meter, Purse(settings.budgets), purser, settings.machines)
