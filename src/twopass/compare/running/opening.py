"""From names to systems that are ready to hear."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twopass import config as configuration
from twopass import recognizers
from twopass.compare.results import System
from twopass.compare.running.alone import Alone
from twopass.compare.running.hearer import Hearer, Payees
from twopass.compare.running.specs import Kind, Spec
from twopass.compare.running.standins import stand_in
from twopass.compare.running.two_pass import Receipts, TwoPass
from twopass.config import Config, LedgerConfig, PassConfig
from twopass.cost.prices.cards import Cards
from twopass.cost.usage.session_meter import Sink
from twopass.engine import Engine
from twopass.errors import ConfigError, RecognizerUnavailable
from twopass.recognizers import Capabilities, StreamingRecognizer
from twopass.vad import VoiceDetector

_OWN_ADDRESS = re.compile(r"(?:\w+://)?(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?(?:/.*)?")
_STAND_IN = "A stand-in on this machine speaks the vendor's protocol: its words and latencies are not the vendor's."


@dataclass(frozen=True, slots=True)
class Room:
    """
    What all systems of a comparison share.

    Attributes:
        ledger: Where what they use is written down.
    """

    voice: VoiceDetector
    cards: Cards
    ledger: Sink


@asynccontextmanager
async def opened(specs: Sequence[Spec], room: Room) -> AsyncIterator[list[Hearer]]:
    """All systems, ready. Raises ConfigError or RecognizerUnavailable for one that cannot be used."""
    async with AsyncExitStack() as stack:
        yield [await _open(spec, room, stack) for spec in specs]


def dependencies(spec: Spec) -> Any:
    """What a system's answers depend on, besides its models: for `store.key`. Raises ConfigError."""
    return [
        spec.kind,
        spec.target,
        dict(spec.settings),
        profile_of(spec).model_dump(mode="json", include={"profiles", "voice"}) if _is_profile(spec) else None,
    ]


async def _open(spec: Spec, room: Room, stack: AsyncExitStack) -> Hearer:
    match spec.kind:
        case Kind.PROFILE:
            return await _two_pass(spec, room, stack)
        case Kind.STAND_IN:
            settings = await stack.enter_async_context(stand_in(spec.target, spec.settings))
            return await _alone(spec, settings["provider"], _without_provider(settings), room, stack)
        case Kind.PROVIDER:
            return await _alone(spec, spec.target, spec.settings, room, stack)


async def _alone(spec: Spec, provider: str, settings: Mapping[str, Any], room: Room, stack: AsyncExitStack) -> Alone:
    # In a thread: it may import heavy packages, and ask a driver for its devices.
    recognizer: StreamingRecognizer = await asyncio.to_thread(recognizers.find(provider).streaming, settings)
    stack.push_async_callback(recognizer.close)  # before it opens: that may be interrupted
    await recognizer.open()
    capabilities = recognizer.capabilities
    system = System(spec.name, capabilities.model, local=capabilities.local)
    return Alone(_honest(system, settings), recognizer, room.voice, room.ledger)


async def _two_pass(spec: Spec, room: Room, stack: AsyncExitStack) -> TwoPass:
    config, receipts = profile_of(spec), Receipts(room.ledger)
    engine = Engine(config, room.cards, receipts)
    stack.push_async_callback(engine.close)
    await engine.open()
    first, second = await engine.speakers(config.default)
    notes = tuple(speaker.notice for speaker in (first, second) if speaker.notice)
    title = f"{first.capabilities.model}, then {second.capabilities.model}"
    system = System(spec.name, title, two_pass=True, local=first.capabilities.local, notes=notes)
    settings = config.profiles[config.default].first_pass.settings
    paid = await asyncio.to_thread(payees, config)
    return TwoPass(_honest(system, settings), engine, first.capabilities, paid, receipts)


def _is_profile(spec: Spec) -> bool:
    return spec.kind is Kind.PROFILE


def profile_of(spec: Spec) -> Config:
    """
    A configuration with this one profile, and nothing that is of a server: above all no shadow, whom nobody here asked
    to pay. Raises ConfigError.
    """
    config = configuration.load(Path(spec.target))
    name = spec.profile or config.default
    if name not in config.profiles:
        fix = f"There are: {', '.join(config.profiles)}."
        raise ConfigError(f"{spec.target} has no profile {name!r}.", code="unknown_profile", fix=fix)
    only = {"default": name, "profiles": {name: config.profiles[name]}, "ledger": LedgerConfig(), "shadow": None}
    return config.model_copy(update=only)


def _honest(system: System, settings: Mapping[str, Any]) -> System:
    """What is led to an address of this machine is no vendor."""
    if system.local or not any(map(is_own_address, settings.values())):
        return system
    return replace(system, stand_in=True, notes=(_STAND_IN, *system.notes))


def is_own_address(value: object) -> bool:
    """Whether a setting leads to this machine."""
    return isinstance(value, str) and _OWN_ADDRESS.fullmatch(value) is not None


def payees(config: Config) -> Payees:
    """
    Vendors that may hear the default profile's audio: also who goes on when the first one fails, or stands in for it.

    Imports providers; may take a while.
    """
    first = config.profiles[config.default].first_pass
    return tuple(
        tuple(capabilities for part in (instead, each.race) if part for capabilities in _paid(part))
        for each in (first, *first.failover)
        for instead in _chain(each)
    )


def _chain(part: PassConfig) -> Iterator[PassConfig]:
    """It, and who stands in for it."""
    yield part
    if part.fallback is not None:
        yield from _chain(part.fallback)


def _paid(part: PassConfig) -> Iterator[Capabilities]:
    """Its capabilities, if it is a vendor that can be used."""
    if any(map(is_own_address, part.settings.values())):
        return
    try:
        capabilities: Capabilities = recognizers.find(part.provider).streaming(part.settings).capabilities
    except RecognizerUnavailable:
        return
    if not capabilities.local:
        yield capabilities


def _without_provider(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in settings.items() if name != "provider"}
