"""
Sessions in a Redis that all gateways share: any of them can go on with any session.

A session has one owner. Who wants one that another has asks for it, and takes it if the other one does not answer: from
then on Redis refuses whatever the earlier owner writes. A server that nothing is heard of loses its sessions to whoever
looks first. All sessions' changes go to Redis together, one round trip after the other; while it is away they wait
here, and sessions go on without being safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from twopass.cluster.redis_reply import replied
from twopass.cluster.shared_session import Change, Loaded, SharedSession
from twopass.cluster.state_scripts import LEAVE, REMOVE, SESSIONS, TAKE, WRITE, Answer, alive, keys, wanted
from twopass.errors import ConfigError, StateUnavailable
from twopass.keeping import About, anyone, nobody_wants
from twopass.spool import SpoolSettings

try:
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import NoScriptError, RedisError, ResponseError
except ImportError as missing:  # pragma: no cover - the extra is there when tests run
    raise ConfigError(f"{missing.name} is not installed.", fix='pip install "twopass[cluster]"') from None

log = structlog.get_logger()

_FAILURES = (RedisError, OSError)
_PASSING = ("BUSY", "CLUSTERDOWN", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN")
_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 5.0
_HEALTH_SECONDS = 5.0
_PORTION = 4 << 20
"""Bytes sent at once, about: they must be there in less time than an answer may take."""
_AGAIN_SECONDS = 0.25
_ALIVE_EVERY = 2.0
_ALIVE_MS = 10_000
_MISSED_SECONDS = 5.0
"""So long after it was first missed a server is taken for gone: after Redis was away nobody has been heard of."""
_TAKE_SECONDS = 2.0
_OWN_SECONDS = 1.0
_ASKED_SECONDS = 4.0
_ALL_LISTEN_SECONDS = 3.0
_POLL_SECONDS = 0.05
_LAST_SECONDS = 5.0


def shared_spool(settings: SpoolSettings) -> SharedSpool:
    """The spool at `settings.url`; it need not be there yet. Raises ConfigError if that is no address."""
    try:
        redis: Redis = Redis.from_url(
            settings.url or "",
            retry=Retry(NoBackoff(), 0),  # a change that was not answered is made anew, not sent again
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=_ANSWER_SECONDS,
            socket_keepalive=True,
            health_check_interval=_HEALTH_SECONDS,
        )
    except ValueError as error:
        raise ConfigError(f"spool.url: {error}.", fix="Write redis://host:port/db.") from None
    return SharedSpool(redis, settings)


class SharedSpool:
    """
    See `keeping.Keeper`.

    Attributes:
        owner: This server's name there.
    """

    patience = 1.0

    def __init__(self, redis: Redis, settings: SpoolSettings) -> None:
        self.wanted: Callable[[str], None] = nobody_wants
        self.owner = secrets.token_hex(8)
        self._redis = redis
        self._set = settings
        self._used = 0
        self._scripts: dict[str, str] = {}
        self._waiting: dict[SharedSession, None] = {}
        self._sending: Sequence[tuple[SharedSession, Change]] = ()
        self._woken = asyncio.Event()
        self._failed = False
        self._since: float | None = None
        self._missed: dict[str, float] = {}
        self._listening_since = math.inf
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Begin. Redis may be away."""
        self._tasks = [asyncio.create_task(work) for work in (self._write_on(), self._live(), self._listen())]

    async def shut(self) -> None:
        """What was written is brought to Redis, unless that takes long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                while self._waiting or self._sending:  # noqa: ASYNC110 - once, at the end
                    await asyncio.sleep(_POLL_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for session in {*self._waiting, *(session for session, _ in self._sending)}:
            session.given_up()
        with contextlib.suppress(*_FAILURES):
            await self._redis.delete(alive(self.owner))
        await self._redis.aclose()

    def create(self, session: str, about: About) -> SharedSession:
        """A place for a new session; Redis gets to know with the first change."""
        return SharedSession(self, session, about)

    def tidy(self) -> None:
        """Redis does it."""

    # -- from other servers -----------------------------------------------------------------------------------------

    async def take(self, session: str, allowed: Callable[[About], bool]) -> SharedSession | None:
        """See `keeping.Keeper`. Raises StateUnavailable if nobody can say now."""
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(_FAILURES),
            stop=stop_after_delay(_TAKE_SECONDS),
            wait=wait_fixed(_AGAIN_SECONDS),
            reraise=True,
        )
        try:
            return await attempts(self._take, session, allowed)
        except _FAILURES as error:
            message = f"Nobody can say now where the session is: {type(error).__name__}."
            raise StateUnavailable(message, fix="Resume it in a moment.") from None

    async def _take(self, session: str, allowed: Callable[[About], bool]) -> SharedSession | None:
        if not await self._allowed(session, allowed):
            return None
        while (owner := await self._let_go(session)) is not None:
            if (taken := await self._acquire(session, owner)) is not None:
                return taken
        return None

    async def _allowed(self, session: str, allowed: Callable[[About], bool]) -> bool:
        about = await replied(self._redis.hget(keys(session).about, "about"))
        try:
            return about is not None and allowed(json.loads(about))
        except ValueError:
            return False

    async def _let_go(self, session: str) -> str | None:
        """
        Ask the session's owner to let it go, whoever that is meanwhile, and wait for that a little. Who has it then;
        None if it is over. Raises StateUnavailable if nobody can say who lives, or if it comes to us just now.
        """
        began = _now()
        while owner := await self._owner(session):
            if owner != self.owner and await self._is_deaf(owner, session):
                return owner
            if _now() - began > (_OWN_SECONDS if owner == self.owner else _ASKED_SECONDS):
                if owner == self.owner or not self._all_listen:
                    raise StateUnavailable("The session is on its way.", fix="Resume it in a moment.")
                return owner
            await asyncio.sleep(_POLL_SECONDS)
        return owner

    async def _is_deaf(self, owner: str, session: str) -> bool:
        """Tell a server that its session is wanted. Whether it cannot hear that, because it has gone."""
        heard = await replied(self._redis.publish(wanted(owner), session))
        return self._all_listen and not (heard and await replied(self._redis.exists(alive(owner))))

    @property
    def _all_listen(self) -> bool:
        """Whether every server that lives can have found back to Redis since it was away."""
        return _now() - self._listening_since > _ALL_LISTEN_SECONDS

    async def _owner(self, session: str) -> str | None:
        owner = await replied(self._redis.hget(keys(session).about, "owner"))
        return None if owner is None else owner.decode()

    async def _acquire(self, session: str, owner: str) -> SharedSession | None:
        """Make it ours, with all that is there, if it is still that owner's."""
        found = await replied(self._redis.eval(TAKE, 3, *keys(session), self.owner, owner))
        if len(found) < 2:
            return None
        _, about, *rest = found
        return SharedSession(self, session, json.loads(about), Loaded.of(*rest))

    async def left_behind(self, fit: Callable[[str], bool] = anyone) -> AsyncIterator[SharedSession]:
        """The sessions whose server was not heard of for a while, or has let them go."""
        try:
            for session, owner in await self._orphans():
                if fit(session) and (taken := await self._acquire(session, owner)) is not None:
                    yield taken
        except _FAILURES as error:
            log.warning("sessions cannot be looked for", error=type(error).__name__)

    async def _orphans(self) -> Sequence[tuple[str, str]]:
        """Sessions that nobody goes on with, and their owners."""
        names = [name.decode() for name in await replied(self._redis.smembers(SESSIONS))]
        async with self._redis.pipeline(transaction=False) as together:
            for name in names:
                together.hget(keys(name).about, "owner")
            owners = await together.execute()
        if over := [name for name, owner in zip(names, owners, strict=True) if owner is None]:
            await replied(self._redis.srem(SESSIONS, *over))
        owned = [(name, owner.decode()) for name, owner in zip(names, owners, strict=True) if owner is not None]
        gone = {owner for owner in {owner for _, owner in owned} - {self.owner} if await self._is_gone(owner)}
        return [(name, owner) for name, owner in owned if owner in gone]

    async def _is_gone(self, owner: str) -> bool:
        now = _now()
        if not owner:
            return True
        if await replied(self._redis.exists(alive(owner))):
            self._missed.pop(owner, None)
            return False
        return now - self._missed.setdefault(owner, now) >= _MISSED_SECONDS

    async def _live(self) -> None:
        """Show that this server is there. For ever."""
        while True:
            try:
                await replied(self._redis.set(alive(self.owner), b"", px=_ALIVE_MS))
            except Exception:
                self._missed.clear()  # the others could not show it either
            await asyncio.sleep(_ALIVE_EVERY)

    async def _listen(self) -> None:
        """Hear which sessions others want. For ever."""
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as heard:
                    await heard.subscribe(wanted(self.owner))
                    self._listening_since = _now()
                    while True:
                        message = await heard.get_message(timeout=_ALIVE_EVERY)
                        if message is not None:
                            self.wanted(message["data"].decode(errors="replace"))
            except Exception as error:  # whatever it is: who does not listen is taken for dead
                self._listening_since = math.inf
                log.debug("nobody can ask for sessions now", error=type(error).__name__)
                await asyncio.sleep(_AGAIN_SECONDS)

    # -- to Redis ---------------------------------------------------------------------------------------------------

    @property
    def away(self) -> bool:
        """Redis does not answer, or not soon."""
        now = _now()
        return self._failed or (self._since is not None and now - self._since > self.patience)

    def write(self, session: SharedSession) -> None:
        """There is something to write."""
        self._waiting[session] = None
        self._woken.set()

    def grown(self, by: int, size: int) -> bool:
        """A session has grown by so many bytes to this size. Whether that may be."""
        self._used += by
        return size <= self._set.session_mb << 20 and self._used <= self._set.total_mb << 20

    async def _write_on(self) -> None:
        """Bring to Redis what was written, all sessions together. For ever."""
        while True:
            if not self._waiting:
                self._woken.clear()
                await self._woken.wait()
            self._sending = self._portion()
            self._since = _now()
            try:
                answers = await self._send(self._sending)
            except Exception as error:  # whatever it is, the next try may go well
                self._fail(error)
                self._waiting = dict.fromkeys(session for session, _ in self._sending) | self._waiting
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                self._recovered()
                for (session, change), answer in zip(self._sending, answers, strict=True):
                    self._tell(session, change, answer)
            self._sending = ()

    def _portion(self) -> Sequence[tuple[SharedSession, Change]]:
        """What to send next: of as many sessions as fit, those that have waited longest first."""
        portion, size = [], 0
        while self._waiting and size < _PORTION:
            session = next(iter(self._waiting))
            del self._waiting[session]
            portion.append((session, session.change()))
            size += portion[-1][1].size
        return portion

    def _tell(self, session: SharedSession, change: Change, answer: Answer) -> None:
        """What fails for one session must not stop the others."""
        try:
            session.answered(change, answer)
            if answer is Answer.TAKEN:
                self.wanted(session.session)
        except Exception:
            log.exception("an answer could not be dealt with", session=session.session)

    def _fail(self, error: Exception) -> None:
        if not self._failed:
            log.error(
                "sessions are not kept now", error=type(error).__name__, exc_info=not isinstance(error, _FAILURES)
            )
        self._failed = True

    def _recovered(self) -> None:
        if self._failed:
            log.info("sessions are kept again")
        self._failed, self._since = False, None

    async def _send(self, changes: Sequence[tuple[SharedSession, Change]]) -> Sequence[Answer]:
        """Raises RedisError, OSError."""
        try:
            return await self._sent(changes)
        except NoScriptError:  # Redis came back, or was made to forget them
            for script in (WRITE, LEAVE, REMOVE):
                self._scripts[script] = await replied(self._redis.script_load(script))
            return await self._sent(changes)

    async def _sent(self, changes: Sequence[tuple[SharedSession, Change]]) -> Sequence[Answer]:
        """What Redis says to each change; those that are none are kept. Raises NoScriptError, and what `_send` does."""
        writes: list[int | None] = []
        async with self._redis.pipeline(transaction=False) as together:
            for session, change in changes:
                writes.append(None if change.empty else len(together))
                self._put(together, session, change)
            replies = await together.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, NoScriptError):
                raise reply
        return [Answer.KEPT if at is None else _answer(replies[at]) for at in writes]

    def _put(self, together: Any, session: SharedSession, change: Change) -> None:
        names = keys(session.session)
        if not change.empty:
            together.evalsha(self._scripts.get(WRITE, _UNKNOWN), 3, *names, *change.arguments(self.owner))
        if change.about:
            together.sadd(SESSIONS, session.session)
        if change.farewell is not None:
            together.evalsha(self._scripts.get(change.farewell, _UNKNOWN), 3, *names, self.owner)
            if change.farewell is REMOVE:
                together.srem(SESSIONS, session.session)


_UNKNOWN = "0" * 40


def _answer(reply: Any) -> Answer:
    """What Redis says. Raises what it might say otherwise in a moment: it has no room, or is not the master."""
    if type(reply) is ResponseError and not str(reply).startswith(_PASSING):
        log.error("Redis refuses a session", reason=str(reply))
        return Answer.LOST
    if isinstance(reply, Exception):
        raise reply
    return Answer(reply.decode())


def _now() -> float:
    return asyncio.get_running_loop().time()
