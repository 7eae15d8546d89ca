"""A two-pass profile of ours: a whole session, as `serve` runs it, without the socket."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from twopass.compare.measures.timeline import Seen
from twopass.compare.records import Hearing
from twopass.compare.results import System
from twopass.compare.running.hearer import ACCOUNT, Payees, Piece
from twopass.compare.running.player import Player
from twopass.cost.usage.entries import MICROS, Entry
from twopass.cost.usage.session_meter import Sink
from twopass.engine import Engine, Request
from twopass.errors import TwopassError
from twopass.outbox import AudioSkipped, Event, ProviderTrouble
from twopass.recognizers import Capabilities
from twopass.session import Session
from twopass.types import Reason, Revision, Usage


class Receipts:
    """A sink of entries: hands them on as what they are, work for a comparison, and keeps each session's usage."""

    def __init__(self, ledger: Sink) -> None:
        self._ledger = ledger
        self._usage: dict[str, list[Usage]] = defaultdict(list)

    def take(self, entries: Sequence[Entry]) -> None:
        """Keep entries."""
        for each in entries:
            self._usage[each.session].append(_usage(each))
        self._ledger.take([replace(each, reason=Reason.SHADOW) for each in entries])

    def of(self, session: str) -> tuple[Usage, ...]:
        """What a session used; it is forgotten then."""
        seconds: dict[Usage, float] = defaultdict(float)
        for usage in self._usage.pop(session, ()):
            seconds[replace(usage, seconds=0.0)] += usage.seconds
        return tuple(replace(usage, seconds=total) for usage, total in seconds.items())


def _usage(entry: Entry) -> Usage:
    stream = entry.request.removeprefix(f"{entry.session}/") if entry.request != entry.id else ""
    seconds = entry.micros / MICROS
    return Usage(
        entry.provider, entry.sku, entry.clock, seconds, entry.pass_, entry.reason, stream, features=entry.features
    )


class TwoPass:
    """
    Hears with sessions of an engine's default profile. Whoever gives the engine opens and closes it.

    Args:
        capabilities: Of the first pass.
        payees: Vendors among all that the profile may use.
        receipts: The engine's sink.
    """

    def __init__(
        self, system: System, engine: Engine, capabilities: Capabilities, payees: Payees, receipts: Receipts
    ) -> None:
        self.system = system
        self.capabilities = capabilities
        self.payees = payees
        self._engine = engine
        self._receipts = receipts

    @property
    def paceless(self) -> bool:
        """Its final words are the second pass's. But a vendor is not sent more than people would speak."""
        return self.capabilities.local

    async def hear(self, piece: Piece) -> Hearing:
        """One recording."""
        player, seen, troubles = Player(piece), list[Seen](), list[str]()
        request = Request(options=piece.options, realtime=piece.realtime, account=ACCOUNT)
        try:
            session = await self._engine.session(request, piece.session)
            failed = await _Run(session, player, seen, troubles).whole()
        except TwopassError as error:
            failed = str(error)
        return replace(
            player.hearing(self.system.name),
            seen=tuple(seen),
            usage=self._receipts.of(piece.session),
            troubles=tuple(troubles),
            failed=failed,
        )


class _Run:
    """One recording on its way."""

    def __init__(self, session: Session, player: Player, seen: list[Seen], troubles: list[str]) -> None:
        self._session = session
        self._player = player
        self._seen = seen
        self._troubles = troubles

    async def whole(self) -> str:
        """Returns why it failed, if it did."""
        failed = ""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._session.run())
                group.create_task(self._read())
                await self._play()
        except* TwopassError as errors:
            failed = str(errors.exceptions[0])
        return failed

    async def _play(self) -> None:
        async for chunk in self._player.chunks():
            if not self._player.piece.realtime:
                await self._session.room()
            self._session.write([chunk])
        self._session.end()

    async def _read(self) -> None:
        number = 0
        while not self._session.complete or self._session.outbox.newest > number:
            await self._session.outbox.wait_beyond(number)
            for each, event in self._session.outbox.since(number):
                self._note(event)
                number = each
            self._session.outbox.forget(number)

    def _note(self, event: Event) -> None:
        match event:
            case Revision():
                self._seen.append(Seen(self._player.now(), event))
            case ProviderTrouble():
                to = f", {event.to} goes on" if event.to else ""
                self._troubles.append(f"{event.provider} ({event.pass_} pass) {event.state}: {event.reason}{to}")
            case AudioSkipped(start, end):
                self._troubles.append(f"The first pass skipped {(end - start) / 1000:.1f} s at {start / 1000:.1f} s.")
