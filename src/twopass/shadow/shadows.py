"""
Shadow traffic: a share of the live sessions is heard by a second provider too, for comparison with what was shown.

Off unless configured. Capped: no shadow begins, and those that hear end, when what all of them cost has reached the
limit of the day or month. The client is told by whom it is heard (the `session` message), and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import structlog

from twopass.circuit import Breaker
from twopass.cost.prices.pricing import Position, Request, Standing, price, rate_for, standing
from twopass.cost.prices.rates import Money, Rate
from twopass.cost.prices.running import Pricer
from twopass.cost.usage.entries import Account, entry
from twopass.cost.usage.session_meter import Sink
from twopass.errors import ConfigError, RecognizerError
from twopass.lineup import Line
from twopass.recognizers import Capabilities, Feature, StreamingRecognizer, StreamOptions
from twopass.shadow.beside import ALONE, Beside
from twopass.shadow.purse import ShadowPurse
from twopass.shadow.recognizer import Restrained
from twopass.shadow.record import ABOUT, About, Shelf, about_file
from twopass.shadow.session import Report, Shadow, Subject
from twopass.shadow.settings import ShadowSettings
from twopass.types import Clock, Usage
from twopass.wishes import knows

log = structlog.get_logger()

COMPARING = Account("compare")
"""On whose account shadows are: what is heard for the comparison is on no tenant's budget."""
_SYNC_SECONDS = 10.0
_LOOK_SECONDS = 1.0
_CLOSE_SECONDS = 5.0
_HOUR = 3600.0

Told = Callable[[str], None]
"""Told how each shadow ended: "compared", "limit" (early, for its money), "lost" (its record was not kept)."""


def nobody_told(outcome: str) -> None:
    """Nobody counts."""


@dataclass(frozen=True, slots=True)
class Till:
    """
    How shadows are paid.

    Attributes:
        convert: An amount into the limit's currency, at a day's rate; None if that is not known.
    """

    pricer: Pricer
    convert: Callable[[Money, date], Decimal | None]
    sink: Sink

    def cost(self, usage: Usage, before: float = 0.0) -> Decimal | None:
        """
        What it costs, after `before` seconds of the same request, with the vendor's rounding; nothing if another clock
        is billed, None if the price is not known. No allowance and no lower tier is counted on.
        """
        at, cards = datetime.now(UTC), self.pricer.cards
        billed = standing(cards.get(usage.provider), usage.sku, usage.clock, at)
        if billed is Standing.COMPARED or usage.seconds <= 0:
            return Decimal(0)
        rate = rate_for(cards, usage.provider, usage.sku, usage.clock, at)
        if rate is None:
            return None
        listed = [self._listed(usage, rate, seconds, at) for seconds in (before, before + usage.seconds)]
        if listed[1] is None:
            return None
        earlier = listed[0].amount if listed[0] else Decimal(0)
        return self.convert(Money(listed[1].amount - earlier, listed[1].currency), at.date())

    def _listed(self, usage: Usage, rate: Rate, seconds: float, at: datetime) -> Money | None:
        """What a request of so many seconds costs at list price; None if that is not known, or it is none."""
        request = Request(at, usage.clock, Decimal(str(seconds)), features=usage.features)
        lines, _ = price(request, rate, Position(), self.pricer.machines)
        amounts = [line.list for line in lines if line.list is not None]
        return Money(sum(amounts, Decimal(0)), lines[0].currency) if lines and len(amounts) == len(lines) else None


class Shadows:
    """All shadows of one engine. Open it before use, close it after."""

    def __init__(self, settings: ShadowSettings, recognizer: StreamingRecognizer, till: Till, told: Told) -> None:
        self.line = Line(Restrained(recognizer), Breaker())
        self._set = settings
        self._till = till
        self._told = told
        self._purse = ShadowPurse(settings)
        self._shelf = Shelf(settings)
        self._hearing: set[Shadow] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._concluding: set[asyncio.Task[None]] = set()
        self._syncing: asyncio.Task[None] | None = None
        self._open = self._usable = self._full = False
        self._said = ""  # the period whose limit the log has told

    # -- beginning and end ------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises ConfigError if the limit could not be kept, because nobody knows what the provider costs."""
        capabilities = self.line.capabilities
        hour = Usage(capabilities.provider, capabilities.sku, Clock.AUDIO_SENT, _HOUR)
        if not capabilities.local and self._till.cost(hour) is None:
            raise ConfigError(
                f"shadow: the price of {capabilities.provider} is not known, so its limit could not be kept.",
                code="shadow_without_price",
                fix=f"Put the price of {capabilities.sku or 'its audio'} into the file that ledger.prices names "
                f"(see configs/prices-example.yaml; other currencies need a rate to {self._set.currency}).",
            )

    @property
    def ready(self) -> bool:
        """Whether one could begin, for all that the recognizer needs."""
        return self._open

    def open(self) -> None:
        """Get ready, in the background: sessions that begin before are heard by nobody else."""
        self._spawn(self._opened(), self._tasks)

    async def _opened(self) -> None:
        try:
            await self.line.recognizer.open()
        except RecognizerError as error:
            log.error("no shadows: the recognizer cannot be used", provider=error.provider, reason=str(error))
            return
        await self._sync()
        self._open = True
        while True:
            await asyncio.sleep(_SYNC_SECONDS)
            await self._sync()

    async def close(self) -> None:
        """End all of them, and keep what they heard. What does not end in time is left."""
        for shadow in self._hearing.copy():
            shadow.stop("The server stopped.")
            shadow.over(complete=False)
        if self._concluding:
            await asyncio.wait(self._concluding, timeout=_CLOSE_SECONDS)
        for task in self._tasks | self._concluding:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._sync()  # the one that runs now may have begun before the last usage came
                await self._sync()
                await self.line.recognizer.close()

    def _spawn(self, work: Coroutine[Any, Any, None], group: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        group.add(task)
        task.add_done_callback(group.discard)

    # -- whose ------------------------------------------------------------------------------------------------------

    async def beside(self, subject: Subject) -> Beside:
        """
        Who hears this session too. Never raises, and takes a second at most.

        Recordings are no live sessions: a shadow would have to skip what is sent faster than it may be sent on, and its
        latencies would mean nothing.
        """
        options = _asked(subject.options, self.line.capabilities)
        live = subject.realtime and subject.tenant != COMPARING.tenant
        if not (self._open and live and options and self._set.takes(subject.session, subject.tenant)):
            return ALONE
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._sync()
        if self._purse.empty or self._full or not self._usable:
            return ALONE
        return Shadow(replace(subject, options=options), self)

    async def _sync(self) -> None:
        """What do other processes spend, and is there room on the disk? Once at a time, for all who ask."""
        if self._syncing is None or self._syncing.done():
            self._syncing = asyncio.create_task(self._synced())
        await asyncio.shield(self._syncing)

    async def _synced(self) -> None:
        try:
            self._full = await asyncio.to_thread(self._look)
            self._usable = True
        except OSError as error:
            if self._usable or not self._open:
                log.error("no shadows: their directory cannot be used", reason=error.strerror)
            self._usable = False
        except Exception:
            log.exception("no shadows: their directory cannot be used")
            self._usable = False
        self._watch()

    def _look(self) -> bool:
        self._purse.sync()
        return self._shelf.full()

    # -- what shadows tell ------------------------------------------------------------------------------------------

    def begun(self, shadow: Shadow) -> None:
        """It hears."""
        self._hearing.add(shadow)

    def spent(self, subject: Subject, number: int, usage: Usage, before: float) -> Decimal | None:
        """
        A shadow used something. Its entries are the session's but have names of their own: they depend on no journal,
        and are right whatever becomes of the session.
        """
        made = entry(subject.session, number, datetime.now(UTC), COMPARING, usage)
        identity = f"{subject.session}/shadow/{number}"
        request = f"{subject.session}/shadow/{usage.stream}" if usage.stream else identity
        self._till.sink.take([replace(made, id=identity, request=request)])
        cost = self._till.cost(usage, before)
        if cost:
            self._purse.add(cost)
            self._watch()
        return cost

    def ends(self, shadow: Shadow) -> None:
        """Its session is over."""
        self._spawn(self._conclude(shadow), self._concluding)

    def _watch(self) -> None:
        """Whether the limit is reached; then nobody hears any more."""
        if not self._purse.empty:
            return
        if self._said != self._purse.period:
            self._said = self._purse.period
            limit = f"{self._set.limit} {self._set.currency}"
            log.warning("no shadows: their limit is reached", period=self._said, limit=limit)
        for shadow in self._hearing.copy():
            if shadow.stopped_at is None:
                shadow.stop(f"The limit of this {self._set.period.value} was reached.")
                self._told("limit")

    async def _conclude(self, shadow: Shadow) -> None:
        how = "lost"
        try:
            report = await shadow.concluded()
            files = report.files | {ABOUT: about_file(self._about(report))}
            await asyncio.to_thread(self._shelf.put, report.subject.session, files)
            how = "compared"
        except OSError as error:
            log.error("a shadow's record is lost", session=shadow.subject.session, reason=error.strerror)
        except Exception:
            log.exception("a shadow's record is lost", session=shadow.subject.session)
        finally:
            self._hearing.discard(shadow)
            self._told(how)

    def _about(self, report: Report) -> About:
        subject, capabilities = report.subject, self.line.capabilities
        return About(
            subject.session,
            subject.tenant,
            report.began.isoformat(timespec="seconds"),
            subject.profile,
            capabilities.provider,
            capabilities.model,
            subject.options.language,
            subject.realtime,
            None if report.cost is None else str(report.cost),
            self._set.currency,
        )


def _asked(options: StreamOptions, capabilities: Capabilities) -> StreamOptions | None:
    """What of the client's wishes is asked of the shadow; None if it cannot hear such a session."""
    can = capabilities.features
    if not all(knows(capabilities, language) for language in (options.language, *options.languages)):
        return None
    if options.languages and Feature.DETECTION not in can:
        return None
    return replace(
        options,
        phrases=options.phrases if Feature.PHRASES in can else (),
        punctuation=options.punctuation if Feature.PUNCTUATION in can else None,
        profanity=options.profanity if Feature.PROFANITY in can else None,
        diarization=False,
    )
