"""
A short measurement of this machine for `twopass.sizing.plan`: the bundled sample, in real time, through a real gateway.

Four clients play it into one server: what it takes without any is shared by all, and fewer would make it theirs. What
models report as their own work is theirs; all other CPU time of this process and its children, less that of the
clients, is the gateway's. (On a GPU, what the second pass takes of the CPU too is among it.) Then the second pass
alone, for its memory and for what batches gain.
"""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import psutil

from twopass import playing, recognizers
from twopass.client import Client
from twopass.cluster.flac import to_flac
from twopass.cluster.wire import JobId, Result, encode
from twopass.config import Config, DoorsConfig, LedgerConfig, PassConfig, Profile
from twopass.cost.prices.rates import RateCard
from twopass.engine import Engine
from twopass.errors import ConfigError, RecognizerUnavailable
from twopass.gateway.app import create_app
from twopass.gateway.messages import Cost, Segment
from twopass.recognizers import StreamOptions, UtteranceAudio, UtteranceRecognizer
from twopass.serving import served
from twopass.sizing.asking import COMMAND, model_of
from twopass.sizing.measured import Figure, FirstPassFigure, GatewayFigure, Hears, SecondPassFigure, TrafficFigure
from twopass.spool import SpoolSettings
from twopass.types import BYTES_PER_SAMPLE, SAMPLES_PER_MS, Clock, Hypothesis, Word

_MB = 1 << 20
_MS_BYTES = SAMPLES_PER_MS * BYTES_PER_SAMPLE
_WARM_MS = 4000
_DIGITS = 4
_MEMORY_AT = 0.7
"""At this share of the audio memory is looked at: everything is at work."""


@dataclass
class Heard:
    """
    What one client got.

    Attributes:
        captions: Bytes of all messages.
        cpu: Seconds that the client itself took.
    """

    finals: list[Segment] = field(default_factory=list)
    cost: Cost | None = None
    captions: int = 0
    cpu: float = 0.0

    def busy(self, pass_: str) -> float:
        """Seconds that the models of a pass report."""
        lines = self.cost.lines if self.cost else ()
        return sum(line.seconds for line in lines if line.pass_ == pass_ and line.clock in _BUSY)

    @property
    def speech_ms(self) -> int:
        """How much of it was in utterances."""
        return sum(final.end - final.start for final in self.finals)


_BUSY = (Clock.CPU_BUSY.value, Clock.GPU_BUSY.value)


async def sample() -> bytes:
    """The bundled sample, 16 kHz s16."""
    path = Path(str(files("twopass"))) / "assets" / "sample.wav"
    return b"".join([block async for block in playing.from_file(path)])


async def measure(
    config: Config, profile: str, cards: Mapping[str, RateCard], pcm: bytes, streams: int = 4
) -> list[Figure]:
    """
    Measure a profile's passes and the gateway. Takes as long as the audio and some ten seconds more.

    A first pass that does not run on this machine is replaced by one that does, and is not measured. Raises ConfigError
    if the second pass cannot be used as it is, RecognizerUnavailable if a pass cannot be used at all.
    """
    settings, local = _alone(config, profile)
    app = create_app(settings)
    engine: Engine = app.state.engine
    async with served(app) as url:
        _, second = await engine.speakers(profile)
        if second.notice:
            raise ConfigError(f"The second pass cannot be measured: {second.notice}", code="no_second_pass")
        await _play(url, profile, pcm[: _WARM_MS * _MS_BYTES])
        idle, began = _memory(), _cpu_seconds()
        playing_now = [asyncio.create_task(_play(url, profile, pcm)) for _ in range(streams)]
        await asyncio.sleep(len(pcm) / _MS_BYTES / 1000 * _MEMORY_AT)
        grown = _memory() - idle
        heard = await asyncio.gather(*playing_now)
        used = _cpu_seconds() - began - _Part(sum(each.cpu for each in heard), 0.0)
    chosen = settings.profiles[profile]
    audio = [UtteranceAudio(_piece(pcm, final), StreamOptions(chosen.language)) for final in heard[0].finals]
    alone = await _alone_at_work(chosen.second_pass, audio)
    run = _Run(chosen, profile, cards, pcm, heard, used, idle, grown, alone)
    return [run.gateway(), run.traffic(), *([run.first_pass()] if local else []), run.second_pass()]


def _alone(config: Config, profile: str) -> tuple[Config, bool]:
    """A configuration with this profile only, for a server that nobody else uses; whether its first pass is its own."""
    if profile not in config.profiles:
        known = ", ".join(config.profiles)
        raise ConfigError(f"There is no profile {profile!r}.", code="unknown_profile", fix=f"There are: {known}.")
    chosen = config.profiles[profile]
    local = _is_local(chosen.first_pass.provider, chosen.first_pass.settings)
    first = PassConfig(provider=chosen.first_pass.provider if local else _some_local(), **_settings(chosen, local))
    changes = {"doors": DoorsConfig(), "spool": SpoolSettings(), "ledger": LedgerConfig(), "shadow": None}
    only = {profile: chosen.model_copy(update={"first_pass": first})}
    return config.model_copy(update=changes | {"default": profile, "profiles": only}), local


def _settings(profile: Profile, local: bool) -> dict[str, Any]:
    return dict(profile.first_pass.settings) if local else {}


def _is_local(provider: str, settings: Mapping[str, Any]) -> bool:
    try:
        return recognizers.find(provider).streaming(settings).capabilities.local
    except RecognizerUnavailable:
        return False


def _some_local() -> str:
    """A provider whose first pass runs here without anything that is missing."""
    name = next((name for name in recognizers.installed() if _is_local(name, {})), None)
    if name is None:
        raise ConfigError("No first pass can run on this machine.", fix="`twopass doctor` says what is missing.")
    return name


# -- clients ----------------------------------------------------------------------------------------------------------


async def _play(url: str, profile: str, pcm: bytes) -> Heard:
    """In a thread with a loop of its own, so that its CPU time can be told from the server's."""

    def work() -> Heard:
        began = time.thread_time()
        heard = asyncio.run(_listen(url, profile, pcm))
        heard.cpu = time.thread_time() - began
        return heard

    return await asyncio.to_thread(work)


async def _listen(url: str, profile: str, pcm: bytes) -> Heard:
    heard = Heard()

    async def whole() -> AsyncIterator[bytes]:
        yield pcm

    async with Client(url).session(profile=profile) as session:
        session.feed(playing.paced(playing.chunked(whole())))
        async for message in session:
            heard.captions += len(message.model_dump_json())
            if isinstance(message, Segment) and message.status == "final":
                heard.finals.append(message)
            elif isinstance(message, Cost):
                heard.cost = message
    return heard


# -- processes --------------------------------------------------------------------------------------------------------


def _tree() -> list[psutil.Process]:
    this = psutil.Process()
    return [this, *this.children(recursive=True)]


@dataclass(frozen=True)
class _Part:
    """Something of this process and of its children."""

    own: float
    children: float

    def __sub__(self, before: _Part) -> _Part:
        return _Part(max(0.0, self.own - before.own), max(0.0, self.children - before.children))


def _cpu_seconds() -> _Part:
    """Of this process and of its children, those that have ended included."""
    own, *children = (process.cpu_times() for process in _tree())
    ended = own.children_user + own.children_system
    running = sum(t.user + t.system + t.children_user + t.children_system for t in children)
    return _Part(own.user + own.system, running + ended)


def _memory() -> _Part:
    """What these processes alone have, MB."""
    own, *children = (process.memory_full_info().uss / _MB for process in _tree())
    return _Part(own, sum(children))


# -- figures ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Run:
    """
    What was seen.

    Attributes:
        used: CPU seconds without the clients'.
        idle, grown: Memory before the streams began, and what they added.
        alone: The second pass on its own.
    """

    chosen: Profile
    profile: str
    cards: Mapping[str, RateCard]
    pcm: bytes
    heard: Sequence[Heard]
    used: _Part
    idle: _Part
    grown: _Part
    alone: _Alone

    @property
    def _origin(self) -> dict[str, Any]:
        busy = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        conditions = f"{len(self.heard)} streams of {self._seconds:.0f} s, synthetic speech; {busy}"
        return {
            "command": f"{COMMAND} --profile {self.profile}",
            "machine": machine(),
            "date": datetime.now(UTC).date(),
            "conditions": conditions,
        }

    @property
    def _seconds(self) -> float:
        return len(self.pcm) / _MS_BYTES / 1000

    @property
    def _speech(self) -> float:
        """Seconds of all clients."""
        speech = sum(each.speech_ms for each in self.heard) / 1000
        if not speech:
            raise ConfigError("No speech was heard, so nothing can be measured.", code="no_speech")
        return speech

    def gateway(self) -> GatewayFigure:
        models = self._busy("first") + self._busy("second")
        others, audio = max(0.0, self.used.children - models), self._seconds * len(self.heard)
        return GatewayFigure(
            **self._origin,
            cores_per_stream=_rounded((self.used.own + others) / audio),
            busiest_process=_rounded(max(self.used.own, others) / audio),
            process_mb=_rounded(self.idle.own + max(0.0, self.idle.children - self.alone.memory.children)),
            stream_mb=_rounded(self.grown.own / len(self.heard)),
            captions_bytes=_rounded(sum(each.captions for each in self.heard) / audio),
        )

    def traffic(self) -> TrafficFigure:
        finals = [final for each in self.heard for final in each.finals]
        spoken = [_piece(self.pcm, final) for final in finals]
        return TrafficFigure(
            **self._origin,
            utterance_seconds=_rounded(self._speech / len(finals)),
            flac_share=_rounded(sum(len(to_flac(pcm)) for pcm in spoken) / sum(map(len, spoken))),
            result_bytes=_rounded(sum(map(_result_bytes, finals)) / len(finals)),
        )

    def first_pass(self) -> FirstPassFigure:
        part = self.chosen.first_pass
        capabilities = recognizers.find(part.provider).streaming(part.settings).capabilities
        hears = Hears.AUDIO if capabilities.endpoints else Hears.SPEECH
        per = self._seconds * len(self.heard) if capabilities.endpoints else self._speech
        return FirstPassFigure(
            **self._origin,
            provider=part.provider,
            model=model_of(part),
            machine_kind=self._kind("first"),
            busy=_rounded(self._busy("first") / per),
            hears=hears,
            stream_mb=_rounded(self.grown.children / len(self.heard)),
        )

    def second_pass(self) -> SecondPassFigure:
        part = self.chosen.second_pass
        return SecondPassFigure(
            **self._origin,
            provider=part.provider,
            model=model_of(part),
            machine_kind=self._kind("second"),
            busy=_rounded(self._busy("second") / self._speech),
            batch_factor=_rounded(self.alone.batch_factor),
            worker_mb=_rounded(self.alone.memory.own + self.alone.memory.children),
        )

    def _busy(self, pass_: str) -> float:
        return sum(each.busy(pass_) for each in self.heard)

    def _kind(self, pass_: str) -> str:
        """The machine that a pass's own report of its work is billed by."""
        lines = [line for each in self.heard if each.cost for line in each.cost.lines if line.pass_ == pass_]
        for line in lines:
            card = self.cards.get(line.provider)
            for rate in card.rates if card else ():
                if (rate.sku, rate.clock.value) == (line.sku, line.clock) and rate.machine:
                    return rate.machine
        raise ConfigError(f"The {pass_} pass did not say what it used.", code="not_metered")


@dataclass(frozen=True)
class _Alone:
    """
    A second pass on its own.

    Attributes:
        batch_factor: How many times as much it takes in full batches; 1 if it makes none.
        memory: Of a process that has nothing but this, and of the model's.
    """

    batch_factor: float
    memory: _Part


async def _alone_at_work(part: PassConfig, audio: Sequence[UtteranceAudio]) -> _Alone:
    recognizer: UtteranceRecognizer = await asyncio.to_thread(recognizers.find(part.provider).utterance, part.settings)
    await recognizer.open()
    try:
        alone, factor = [[each] for each in audio], 1.0
        if (largest := recognizer.capabilities.max_batch) > 1:
            many = sorted(list(audio) * largest, key=lambda each: len(each.pcm))
            batches = [many[at : at + largest] for at in range(0, len(many), largest)]
            factor = await _busy(recognizer, alone) * largest / await _busy(recognizer, batches)
        else:
            await _busy(recognizer, alone)
        return _Alone(factor, _memory())
    finally:
        await recognizer.close()


async def _busy(recognizer: UtteranceRecognizer, batches: Sequence[Sequence[UtteranceAudio]]) -> float:
    """Seconds that the recognizer reports. The first batch is heard twice: it warms up."""
    await recognizer.recognize(batches[0])
    answers = [answer for batch in batches for answer in await recognizer.recognize(batch)]
    return sum(usage.seconds for answer in answers for usage in answer.usage)


def machine() -> str:
    """This machine, for people: nothing that tells whose it is."""
    return f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"


def _piece(pcm: bytes, final: Segment) -> bytes:
    return pcm[final.start * _MS_BYTES : final.end * _MS_BYTES]


def _result_bytes(final: Segment) -> int:
    words = tuple(Word(word.text, word.start, word.end, word.confidence) for word in final.words)
    hypothesis = Hypothesis(final.start, final.end, words, final=True, stable=len(words))
    return len(encode(Result(JobId("gateway-0123456789abcdef", 1000), 1, "worker-0123456789abcdef", 1, hypothesis)))


def _rounded(value: float) -> Decimal:
    """To four digits: no more are true."""
    return Decimal(f"{value:.{_DIGITS}g}")
