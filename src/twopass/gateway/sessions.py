"""
All sessions of one gateway: new ones, those whose client has gone and may come back, and those that an earlier
process left on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import secrets
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import asdict
from typing import Any
from weakref import WeakValueDictionary

import structlog

from twopass.cost.usage.entries import Account
from twopass.engine import Engine, Request
from twopass.errors import ServerStopping, SessionTooLong, StateUnavailable, TwopassError, UnknownSession
from twopass.gateway import messages
from twopass.gateway.held import HeldSession
from twopass.gateway.intake import Intake, forget
from twopass.gateway.limits import SessionLimit, SessionSettings
from twopass.gateway.metrics import Metrics
from twopass.keeping import About, Keeper, Kept
from twopass.outbox import Expiring, Problem
from twopass.types import SAMPLE_RATE

log = structlog.get_logger()

_TICK_SECONDS = 0.5
_TICKS_PER_CLEANING = 40
_RECORDS_AT_ONCE = 100
_RELOADING_AT_ONCE = 8
_MOST_BACKLOG = 1 << 20
_BACKLOG_SECONDS = 0.01
_FORMAT = 2
"""Of what is kept on disk about a session."""


class Sessions:
    """The registry."""

    def __init__(
        self, engine: Engine, metrics: Metrics, limit: SessionLimit, settings: SessionSettings, keeper: Keeper | None
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._limit = limit
        self._keeper = keeper
        self._held: dict[str, HeldSession] = {}
        self._coming: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._reloading = asyncio.Semaphore(_RELOADING_AT_ONCE)
        self._unreadable: set[str] = set()
        self._stopping = False
        if keeper is not None:
            keeper.wanted = self._let_go
        self._dropping: set[asyncio.Task[None]] = set()
        self.settings = settings

    # -- beginning and going on -------------------------------------------------------------------------------------

    async def begin(
        self, start: messages.Start, place: contextlib.AbstractContextManager[None], account: Account
    ) -> tuple[HeldSession, str]:
        """
        A new session, which has the place until its end, and its token.

        Raises TooManySessions, ServerStopping, BudgetSpent, and what `Engine.session` raises.
        """
        if self._stopping:
            raise _stopping()
        self._engine.check_budgets(account)
        identity, token = secrets.token_urlsafe(12), secrets.token_urlsafe(24)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._place())
            stack.enter_context(place)
            # A format that cannot be is refused before anything is written.
            Intake(start, keep=forget, jitter_ms=0).close()
            kept = self._create(identity, start, _hashed(token), account)
            try:
                held = await self._hold(identity, start, kept, _hashed(token), account)
                self._start(held, stack)
            except BaseException:
                if kept is not None:
                    kept.discard()
                raise
        return held, token

    async def resume(self, request: messages.SessionResume) -> HeldSession:
        """The session that a client wants to go on with. Raises UnknownSession, ServerStopping."""
        if self._stopping:
            raise _stopping()
        if request.session not in self._held:
            await self._take(request.session, _hashed(request.token))
        held = self._held.get(request.session)
        if held is None or not hmac.compare_digest(held.token_hash, _hashed(request.token)):
            raise UnknownSession("There is no such session (any more).", fix="Start a new one.")
        held.session.skip_to(request.last_event)
        return held

    def holds(self, held: HeldSession) -> bool:
        """Whether it has not been given up."""
        return held.session.id in self._held

    async def drop(self, held: HeldSession) -> None:
        """Nobody will ask for it again."""
        if self._held.pop(held.session.id, None) is not None:
            log.info("session over", session=held.session.id, seconds=round(held.session.next_sample / SAMPLE_RATE, 1))
            await held.abandon()

    async def _hold(
        self, identity: str, start: messages.Start, kept: Kept | None, token_hash: str, account: Account
    ) -> HeldSession:
        keep = forget if kept is None else kept.receive
        intake = Intake(start, keep, jitter_ms=self.settings.jitter_ms)
        request = Request(start.profile, start.options, intake.channels, start.realtime, account)
        try:
            session = await self._engine.session(request, identity, kept)
        except BaseException:
            intake.close()
            raise
        now = asyncio.get_running_loop().time()
        held = HeldSession(session, intake, kept, token_hash, now, now, now)
        held.left.set()
        return held

    def _start(self, held: HeldSession, stack: contextlib.ExitStack) -> None:
        if self._stopping:
            raise _stopping()
        session, before = held.session, held.session.next_sample
        self._held[session.id] = held
        stack.callback(lambda: self._metrics.audio_seconds.inc((session.next_sample - before) / SAMPLE_RATE))
        held.start(stack.pop_all())

    @contextlib.contextmanager
    def _place(self, *, forced: bool = False) -> Iterator[None]:
        with self._limit.place(forced=forced):
            self._metrics.sessions.inc()
            try:
                yield
            finally:
                self._metrics.sessions.dec()

    def _create(self, identity: str, start: messages.Start, token_hash: str, account: Account) -> Kept | None:
        if self._keeper is None:
            return None
        about = {
            "format": _FORMAT,
            "token": token_hash,
            "account": asdict(account),
            "start": start.model_dump(mode="json"),
        }
        try:
            return self._keeper.create(identity, about)
        except OSError as error:
            log.error("a session cannot be kept", session=identity, reason=error.strerror)
            return None

    # -- after the end of another process, or instead of one ----------------------------------------------------------

    async def recover(self) -> None:
        """Go on with what other processes have left: an earlier one, or one that stops just now."""
        if self._keeper is not None:
            async for kept in self._keeper.left_behind(self._is_free):
                async with self._alone(kept.session):
                    await self._recover(kept)

    async def _take(self, session: str, token_hash: str) -> None:
        """Go on with one, wherever it is. Raises StateUnavailable."""

        def allowed(about: About) -> bool:
            rightful = hmac.compare_digest(str(about.get("token")), token_hash)
            if rightful and about.get("format") != _FORMAT:
                raise StateUnavailable("A server of another version has the session.", fix="Resume it in a moment.")
            return rightful

        async with self._alone(session):
            if self._keeper is not None and session not in self._held:
                kept = await self._keeper.take(session, allowed)
                if kept is not None:
                    await self._recover(kept)

    def _is_free(self, session: str) -> bool:
        """Whether it can be read, as far as that is known, and nobody here brings it already."""
        return session not in self._unreadable and session not in self._coming

    def _alone(self, session: str) -> asyncio.Lock:
        """Nobody else here may bring this session."""
        lock = self._coming.get(session)
        if lock is None:
            self._coming[session] = lock = asyncio.Lock()
        return lock

    async def _recover(self, kept: Kept) -> None:
        async with self._reloading:
            if self._stopping:
                kept.close()
                return
            try:
                await self._reload(await self._begun(kept), kept)
            except Exception as error:  # one that is damaged must not stop the others
                kept.close()
                self._unreadable.add(kept.session)
                log.error("session cannot be recovered: it stays", session=kept.session, reason=type(error).__name__)

    async def _begun(self, kept: Kept) -> HeldSession:
        """The session as it was when it began."""
        about = kept.about
        if about["format"] != _FORMAT:
            raise ValueError(f"format {about['format']}")
        start = messages.Start.model_validate(about["start"])
        return await self._hold(kept.session, start, None, about["token"], Account(**about["account"]))

    async def _reload(self, held: HeldSession, kept: Kept) -> None:
        """Make it anew. Raises ValueError, and whatever else a damaged one may cause."""
        with contextlib.ExitStack() as undo:
            undo.callback(held.intake.close)
            await self._replay(held, kept)
            undo.pop_all()
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._place(forced=True))
            self._start(held, stack)
        seconds = round(held.session.next_sample / SAMPLE_RATE, 1)
        log.info("session recovered", session=held.session.id, seconds=seconds)

    async def _replay(self, held: HeldSession, kept: Kept) -> None:
        session, intake = held.session, held.intake
        for number, record in enumerate(kept.records()):
            session.replay([record])
            if number % _RECORDS_AT_ONCE == 0:
                await asyncio.sleep(0)
        session.recover()
        target = _Reloading(held)
        if kept.begins is not None:
            session.begin_at(kept.begins.sample)
            intake.begin_at(kept.begins)
        for frame in kept.frames():
            with contextlib.suppress(TwopassError):  # it was refused then, too, and the client was told
                intake.replay(frame)
                await intake.drain(target)
        session.received = intake.received
        if session.ended:
            with contextlib.suppress(TwopassError):
                await intake.finish(target)
        session.reloaded()
        session.keep_in(kept)
        intake.keep_in(kept.receive)
        held.kept = kept
        held.began -= session.next_sample / SAMPLE_RATE

    def _let_go(self, session: str) -> None:
        """
        Somebody else goes on with it, or wants to. Who is connected is told to come back and not, as at one server, to
        stay away: it may be the same client, whose earlier wish was heard only now.
        """
        held = self._held.pop(session, None)
        if held is not None:
            log.info("session moves", session=session)
            held.dismiss(ServerStopping("The session goes on at another server.", fix="Resume it."))
            self._soon(held.suspend())

    # -- time -------------------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """End what has become too long or too idle, and drop what nobody came back for. For ever."""
        for tick in itertools.count():
            await asyncio.sleep(_TICK_SECONDS)
            try:
                self._look_around()
                if self._keeper is not None and tick % _TICKS_PER_CLEANING == 0:
                    await asyncio.to_thread(self._keeper.tidy)
                    await self.recover()
            except Exception:
                log.exception("watching the sessions failed")

    def _look_around(self) -> None:
        now = asyncio.get_running_loop().time()
        over = [held for held in self._held.values() if held.over_at is not None and held.absent_since is not None]
        surplus = over[: max(0, len(over) - 2 * self._limit.most)]  # the oldest first
        for held in list(self._held.values()):
            self._check(held, now)
            if held in surplus or self._forgettable(held, now):
                self._soon(self.drop(held))

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Beside the watch: one that does not end at once must not keep the others waiting."""
        task = asyncio.create_task(work)
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)

    def _check(self, held: HeldSession, now: float) -> None:
        session, limits = held.session, self.settings
        if held.ending or held.over_at is not None:
            return
        left = limits.longest_minutes * 60 - max(now - held.began, session.next_sample / SAMPLE_RATE)
        if left <= 0:
            fix = "Start a new one, or raise sessions.longest_minutes on the server."
            error = SessionTooLong(f"Sessions end after {limits.longest_minutes:g} minutes.", fix=fix)
            session.tell(Problem(error, fatal=False))
            held.end()
        elif left <= limits.warning_seconds and not held.warned:
            held.warned = True
            session.tell(Expiring(round(left, 1)))
        if held.absent_since is not None and now - held.absent_since > limits.resume_seconds:
            held.end()
        if now - held.audio_at > limits.idle_minutes * 60:
            held.end()

    def _forgettable(self, held: HeldSession, now: float) -> bool:
        """Whether it is over, and its client has had time enough to come back for the rest."""
        if held.over_at is None or held.absent_since is None:
            return False
        return now - max(held.over_at, held.absent_since) > self.settings.resume_seconds

    # -- the server's end -------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """
        Begin no session any more, and let go of all: those on disk go on in the next process, and their clients are
        told to come back; the others get their finals now, as far as there is time.
        """
        self._stopping = True
        await self._in_time([self._all_reloaded()])
        lasting = [held for held in self._held.values() if held.lasting]
        passing = [held for held in self._held.values() if not held.lasting]
        for held in lasting:
            held.dismiss(_stopping())
        await self._in_time(held.suspend() for held in lasting)
        for held in passing:
            held.session.tell(
                Problem(
                    _stopping("The session ends here; its last words follow. Start a new one in a moment."), fatal=False
                )
            )
            held.end()
        await self._in_time(held.left.wait() for held in passing)
        for held in passing:
            held.dismiss(_stopping())
        await self._in_time(held.abandon() for held in passing)
        self._held.clear()
        await self._in_time([asyncio.wait(self._dropping)] if self._dropping else [])

    async def _all_reloaded(self) -> None:
        """What is being reloaded is one of them."""
        async with contextlib.AsyncExitStack() as all_of_it:
            for _ in range(_RELOADING_AT_ONCE):
                await all_of_it.enter_async_context(self._reloading)

    async def _in_time(self, works: Iterable[Coroutine[Any, Any, object]]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.stop_seconds):
                await asyncio.gather(*works, return_exceptions=True)


class _Reloading:
    """A session as the target of audio that an earlier process had taken."""

    def __init__(self, held: HeldSession) -> None:
        self.write = held.session.reload
        self._intake = held.intake

    async def room(self) -> None:
        """Nobody hears yet; only the decoder may have to catch up."""
        while self._intake.backlog > _MOST_BACKLOG:  # noqa: ASYNC110 - a thread of FFmpeg's has no event for it
            await asyncio.sleep(_BACKLOG_SECONDS)


def _hashed(token: str) -> str:
    """Tokens are random: a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def _stopping(fix: str = "Resume the session in a moment, here or elsewhere.") -> ServerStopping:
    return ServerStopping("This server stops.", fix=fix)
