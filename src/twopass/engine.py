"""
What all sessions share: the voice detector, the recognizers of the profiles, and the second pass's queues.

Recognizers are opened when their profile is first needed (or by `warm`), once per provider and settings. A provider
that cannot be used is replaced by the profile's fallback, with a notice that says why and how to end it.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import structlog

from twopass import recognizers
from twopass.circuit import Breaker
from twopass.config import IN_PROCESS, Config, PassConfig, Profile
from twopass.cost.prices.cards import Cards, load_cards
from twopass.cost.prices.running import Pricer
from twopass.cost.usage.entries import HOUSE, Account
from twopass.cost.usage.session_meter import NOWHERE, Sink
from twopass.cost.usage.treasury import NOBODY, Guard, converted, dearer
from twopass.errors import ConfigError, RecognizerUnavailable
from twopass.journal import Journal
from twopass.lane import SessionParts
from twopass.lineup import Line, Lineup
from twopass.opening import Opening
from twopass.racing import Race
from twopass.recognizers import Capabilities, Progress, StreamingRecognizer, StreamOptions, UtteranceRecognizer
from twopass.second_pass import Rewrites, SecondPass, SecondPassSettings
from twopass.second_pass_watch import Watch
from twopass.segmenter import SegmenterSettings
from twopass.session import Session
from twopass.shadow.beside import ALONE, Beside
from twopass.shadow.session import Subject
from twopass.shadow.shadows import Shadows, Till, Told, nobody_told
from twopass.types import Clock, Usage
from twopass.vad import VoiceDetector
from twopass.wishes import able, check_language, check_wishes

if TYPE_CHECKING:
    from twopass.cluster.dispatch import Dispatch

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Request:
    """What a client wants of a session. None means the server's or the profile's default."""

    profile: str | None = None
    options: StreamOptions = field(default_factory=StreamOptions)
    channels: int = 1
    realtime: bool = True
    account: Account = HOUSE


@dataclass(frozen=True, slots=True)
class Speaker:
    """A recognizer in use, for people: who speaks, and a notice if it is only a stand-in for a better one."""

    capabilities: Capabilities
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class _Opened:
    """A profile ready for use."""

    lineup: Lineup
    second: Rewrites
    first_notice: str | None
    second_notice: str | None


class Engine:
    """
    The models and the queues in front of them. Open it before use, close it after.

    Attributes:
        second_passes: What the profiles' second passes have to do.
    """

    def __init__(
        self,
        config: Config,
        cards: Cards | None = None,
        sink: Sink = NOWHERE,
        budgets: Guard = NOBODY,
        shadow_ended: Told = nobody_told,
    ) -> None:
        self._config = config
        self._sink = sink
        self._budgets = budgets
        self._voice = VoiceDetector(config.voice)
        cards = cards or load_cards(config.ledger.prices, config.ledger.exchange, config.prices)
        self._pricer = Pricer(cards.cards, cards.machines)
        self._convert = partial(converted, cards, config.ledger.currency)
        self._profiles: dict[str, _Opened] = {}
        self.second_passes = {
            name: Watch(here=profile.second_pass.dispatch == IN_PROCESS) for name, profile in config.profiles.items()
        }
        self._opening = Opening()
        self._dispatches: dict[str, Dispatch] = {}
        self._queues: dict[tuple[int, SecondPassSettings], SecondPass] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._lock = asyncio.Lock()
        self._shadow_ended = shadow_ended
        self._shadows: Shadows | None = None

    @property
    def default_profile(self) -> str:
        """The profile of sessions that name none."""
        return self._config.default

    @property
    def profiles(self) -> dict[str, str]:
        """Names and titles of all profiles."""
        return {name: profile.title or name for name, profile in self._config.profiles.items()}

    @property
    def ready(self) -> bool:
        """Whether a session of the default profile could begin at once."""
        return self._config.default in self._profiles

    async def open(self) -> None:
        """
        Load the voice detector. Raises RecognizerUnavailable, or ConfigError if the configuration's shadow cannot be.
        """
        self._shadows = await self._made_shadows()
        await self._voice.open()
        if self._shadows is not None:
            self._shadows.open()

    async def warm(self) -> None:
        """Open all profiles. One that cannot be opened is logged: its sessions will be told."""
        for name in self._config.profiles:
            try:
                await self._open_profile(name)
            except (ConfigError, RecognizerUnavailable) as error:
                log.error("profile cannot be opened", profile=name, error=str(error))

    async def close(self) -> None:
        """End every process."""
        if self._shadows is not None:
            await self._shadows.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for dispatch in self._dispatches.values():
            await dispatch.close()
        await self._opening.close()
        await self._voice.close()

    async def speakers(self, profile: str) -> tuple[Speaker, Speaker]:
        """Who speaks in a profile: first and second pass. Raises ConfigError, RecognizerUnavailable."""
        opened = await self._open_profile(profile)
        return (
            Speaker(opened.lineup[0].capabilities, opened.first_notice),
            Speaker(opened.second.capabilities, opened.second_notice),
        )

    def check_budgets(self, account: Account) -> None:
        """Whether an account may begin a session. Raises BudgetSpent."""
        self._budgets.check(account)

    async def session(self, request: Request, identity: str | None = None, journal: Journal | None = None) -> Session:
        """Begin a session, or one that goes on under its name. Raises ConfigError, RecognizerUnavailable."""
        name = request.profile or self._config.default
        profile = self._profile(name)
        options = replace(request.options, language=request.options.language or profile.language)
        opened = await self._open_profile(name)
        check_language(options, opened.lineup[0].capabilities, opened.second.capabilities)
        check_wishes(options, opened.lineup[0].capabilities, opened.second.capabilities)
        first_pass = able(opened.lineup, options)
        identity = identity or secrets.token_urlsafe(12)
        subject = Subject(
            identity, request.account.tenant, name, options, profile.first_pass_run, realtime=request.realtime
        )
        return Session(
            identity,
            SessionParts(
                first_pass=first_pass,
                second_pass=opened.second,
                voice=self._voice,
                pricer=self._pricer,
                options=options,
                segmenter=_fitting(profile, opened.second.capabilities),
                first_settings=profile.first_pass_run,
                second_settings=profile.second_pass_run,
                guard=profile.guard,
                channels=request.channels,
                realtime=request.realtime,
                dear=dearer([self._hour(line.capabilities) for line in first_pass]),
                account=request.account,
                sink=self._sink,
                budgets=self._budgets,
                beside=await self._beside(subject),
            ),
            journal,
        )

    async def _beside(self, subject: Subject) -> Beside:
        return ALONE if self._shadows is None else await self._shadows.beside(subject)

    async def _made_shadows(self) -> Shadows | None:
        """A recognizer of their own, so that nothing that befalls it reaches a profile's."""
        shadow = self._config.shadow
        if shadow is None:
            return None
        part, till = shadow.recognizer, Till(self._pricer, self._convert, self._sink)
        try:
            # In a thread: see `Opening`.
            recognizer = await asyncio.to_thread(recognizers.find(part.provider).streaming, part.settings)
        except RecognizerUnavailable as error:
            log.error("no shadows: the recognizer cannot be used", provider=part.provider, reason=str(error))
            return None
        shadows = Shadows(shadow.settings, recognizer, till, self._shadow_ended)
        shadows.check()
        return shadows

    def _hour(self, recognizer: Capabilities) -> Decimal | None:
        """What an hour of audio costs there, in the ledger's currency; nothing on this machine, None if not known."""
        if recognizer.local:
            return Decimal(0)
        price = self._pricer.price(Usage(recognizer.provider, recognizer.sku or "", Clock.AUDIO_SENT, 3600))
        return self._convert(price, datetime.now(UTC).date()) if price else None

    async def fetch_missing(self, progress: Progress) -> list[str]:
        """
        Download what profiles' passes lack; returns what could not be had. New sessions use what was downloaded.
        """
        await self.warm()  # what opens a profile meanwhile would open it with its fallback
        problems = []
        for name, profile in self._config.profiles.items():
            parts = [(first, "streaming") for first in (profile.first_pass, *profile.first_pass.failover)]
            if profile.second_pass.dispatch == IN_PROCESS:  # else the weights are needed at the workers, not here
                parts.append((profile.second_pass, "utterance"))
            for part, kind in parts:
                try:
                    await self._fetch(part, kind, progress)
                except (ConfigError, RecognizerUnavailable) as error:
                    problems.append(str(error))
                else:
                    self._profiles.pop(name, None)
        await self.warm()
        return problems

    async def _fetch(self, part: PassConfig, kind: str, progress: Progress) -> None:
        try:
            await self._opening.itself(part, kind)
        except RecognizerUnavailable:
            await asyncio.to_thread(recognizers.find(part.provider).fetch, part.settings, progress)

    def _profile(self, name: str) -> Profile:
        if name not in self._config.profiles:
            known = ", ".join(self._config.profiles)
            raise ConfigError(f"There is no profile {name!r}.", code="unknown_profile", fix=f"There are: {known}.")
        return self._config.profiles[name]

    async def _open_profile(self, name: str) -> _Opened:
        profile = self._profile(name)
        if name in self._profiles:
            return self._profiles[name]
        async with self._lock:
            if name not in self._profiles:
                lineup, first_notice = await self._lineup(profile.first_pass)
                second, second_notice = await self._second_pass(name, profile)
                watched = self.second_passes[name].over(second)
                self._profiles[name] = _Opened(lineup, watched, first_notice, second_notice)
            return self._profiles[name]

    async def _second_pass(self, name: str, profile: Profile) -> tuple[Rewrites, str | None]:
        part = profile.second_pass
        if part.dispatch == IN_PROCESS:
            recognizer, notice = await self._opening.utterance(part)
            return self._queue(recognizer, profile.second_pass_run), notice
        from twopass.cluster.dispatch import RemoteSecondPass  # here: most servers have no workers elsewhere

        dispatch = await self._dispatch(part.dispatch)
        return RemoteSecondPass(dispatch, name, await _elsewhere(part), profile.second_pass_run), None

    async def _dispatch(self, url: str) -> Dispatch:
        """
        The connection to the workers at a broker. While the broker is away sessions begin all the same, and what it
        does not bring in time keeps the first pass's words. Raises ConfigError if it never can be used.
        """
        from twopass.cluster.broker import BrokerSettings, broker_for
        from twopass.cluster.dispatch import Dispatch
        from twopass.cluster.reaching import reached

        if url not in self._dispatches:
            settings = BrokerSettings(url)
            await broker_for(settings)  # to know at once whether it can be used
            self._dispatches[url] = dispatch = Dispatch(partial(reached, settings))
            self._tasks.add(asyncio.create_task(dispatch.open()))
        return self._dispatches[url]

    async def _lineup(self, part: PassConfig) -> tuple[Lineup, str | None]:
        """The first pass's recognizers in their order. Those that cannot be used are left out, with a notice."""
        lines: list[Line] = []
        notices: list[str] = []
        last: RecognizerUnavailable | None = None
        for each in (part, *part.failover):
            try:
                recognizer, notice = await self._racing(each)
            except RecognizerUnavailable as error:
                log.warning("recognizer cannot be used", provider=each.provider, reason=str(error))
                last, notice = error, str(error)
            else:
                capabilities = recognizer.capabilities
                breaker = self._breakers.setdefault((capabilities.provider, capabilities.region), Breaker())
                lines.append(Line(recognizer, breaker))
            notices += [notice] if notice else []
        if not lines and last is not None:
            raise last
        return tuple(lines), " ".join(notices) or None

    async def _racing(self, part: PassConfig) -> tuple[StreamingRecognizer, str | None]:
        recognizer, notice = await self._opening.streaming(part)
        if part.race is None:
            return recognizer, notice
        rival, _ = await self._opening.streaming(part.race)
        return Race((recognizer, rival)), notice

    def _queue(self, recognizer: UtteranceRecognizer, settings: SecondPassSettings) -> SecondPass:
        key = (id(recognizer), settings)
        if key not in self._queues:
            self._queues[key] = SecondPass(recognizer, settings)
            self._tasks.add(asyncio.create_task(self._queues[key].run()))
        return self._queues[key]


async def _elsewhere(part: PassConfig) -> Capabilities:
    """What a recognizer can do that works at the workers; its weights need not be here."""
    try:
        made = await asyncio.to_thread(recognizers.find(part.provider).utterance, part.settings)
    except RecognizerUnavailable:
        return Capabilities(part.provider, f"{part.provider} at the workers", "What the workers' model understands.")
    return made.capabilities


def _fitting(profile: Profile, second: Capabilities) -> SegmenterSettings:
    """The profile's segmenter, with utterances that fit the second pass with their context."""
    context = 2 * profile.second_pass_run.context_ms
    shortest = profile.segmenter.min_cut + profile.segmenter.cut_margin + 500
    longest = int(second.max_utterance_seconds * 1000) - context
    return replace(profile.segmenter, max_utterance=max(shortest, min(profile.segmenter.max_utterance, longest)))
