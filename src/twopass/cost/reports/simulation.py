"""
A month of made-up usage, to see every report with: twelve tenants, all vendors, own machines, and everything that goes
wrong in life (broken streams heard again, races, speculation, silence, a product that is on no rate card).

The same month, number of entries and seed give the same entries with the same ids; writing them twice doubles nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import count, islice
from random import Random

from twopass.cost.prices.pricing import MACHINE
from twopass.cost.reports.report import Month
from twopass.cost.usage.entries import Account, Entry
from twopass.types import Clock, Pass, Reason

_MICROS = 1_000_000
_PIECE = 10
"""Seconds of audio in an entry."""
_WEEKEND = 0.35
_BUSY_HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 13, 15, 15, 13, 11, 14, 15, 14, 12, 9, 6, 5, 4, 3, 2, 1)
_MACHINES = (("gpu", 1), ("cpu_core", 8))
"""Which own machines are kept ready, and how many."""


@dataclass(frozen=True, slots=True)
class Product:
    """What is bought of whom, by which clock. `limit`: how many seconds a stream may last."""

    provider: str
    sku: str
    clock: Clock = Clock.AUDIO_SENT
    limit: int = 3600


@dataclass(frozen=True, slots=True)
class Tenant:
    """
    Attributes:
        products: The first pass's, two at least: the others stand in for the first now and then, or race with it.
        second: What corrects: on own machines, or a vendor that hears single utterances.
        share: Of all sessions (weights).
        minutes: Of a session, on average.
        speech: Share of the audio.
    """

    name: str
    products: tuple[Product, ...]
    second: Product
    share: int
    minutes: int
    speech: float
    races: bool = False
    channels: int = 1
    features: tuple[str, ...] = ()
    region: str = ""


_GPU = Product("whisper", "gpu", Clock.GPU_BUSY)
_CPU = Product("whisper", "cpu", Clock.CPU_BUSY)
_GROQ = Product("groq", "whisper-large-v3")
_GROQ_TURBO = Product("groq", "whisper-large-v3-turbo")
_GOOGLE = Product("google", "v2-standard", limit=240)
_GOOGLE_1 = Product("google", "v1-standard", limit=240)
_LOGGED = Product("google", "v1-standard-logged", limit=240)
_MEDICAL = Product("google", "v1-medical", limit=240)
_AZURE = Product("azure", "s1_speech_to_text", limit=600)
_CUSTOM = Product("azure", "s1_custom_speech_to_text", limit=600)
_SARVAM = Product("sarvam", "stt_realtime")
_NOVA, _NOVA_MULTI = Product("deepgram", "nova-3"), Product("deepgram", "nova-3-multilingual")
_FLUX, _FLUX_MULTI = Product("deepgram", "flux-en"), Product("deepgram", "flux-multilingual")
_ASSEMBLY = Product("assemblyai", "universal-streaming", Clock.SOCKET_OPEN)
_ASSEMBLY_PRO = Product("assemblyai", "universal-pro-realtime", Clock.SOCKET_OPEN)
_OPENAI, _OPENAI_LIVE = Product("openai", "gpt-realtime-whisper"), Product("openai", "gpt-live-transcribe")
_AWS = Product("aws", "transcribe-streaming")
_SPEECHMATICS = Product("speechmatics", "realtime-pro")
_ELEVEN = Product("elevenlabs", "scribe-v2-realtime")
_GLADIA = Product("gladia", "realtime")
_SONIOX = Product("soniox", "stt-rt", Clock.SOCKET_OPEN)
_OWN = Product("pocketsphinx", "cpu", Clock.CPU_BUSY)
UNPRICED = Product("google", "v3-preview", limit=240)
"""On no rate card."""

TENANTS = (
    Tenant("newsroom", (_GOOGLE, _AZURE), _GPU, 16, 20, 0.72, races=True, region="europe-west3"),
    Tenant("parliament", (_SPEECHMATICS, _GOOGLE), _GPU, 22, 55, 0.81),
    Tenant("helpdesk", (_AZURE, _CUSTOM), _GPU, 20, 7, 0.48, features=("diarization",), region="eastus"),
    Tenant("clinic", (_MEDICAL, _GOOGLE_1), _GPU, 6, 9, 0.66),
    Tenant("school", (_GOOGLE_1, _LOGGED, _OWN), _CPU, 9, 40, 0.55, channels=2),
    Tenant("chennai-calls", (_SARVAM, _AWS), _GPU, 12, 6, 0.51),
    Tenant("podcasts", (_NOVA, _FLUX), _GROQ, 6, 35, 0.9, channels=2),
    Tenant("games", (_NOVA_MULTI, _FLUX_MULTI), _GROQ_TURBO, 5, 30, 0.22),
    Tenant("court", (_ASSEMBLY, _ASSEMBLY_PRO), _GPU, 5, 45, 0.44, features=("diarization",)),
    Tenant("startup", (_OPENAI, _OPENAI_LIVE), _GPU, 5, 5, 0.6),
    Tenant("museum", (_ELEVEN, _GLADIA, _SONIOX), _CPU, 4, 12, 0.35),
    Tenant("laboratory", (UNPRICED, _OWN, _AWS), _CPU, 3, 15, 0.5),
)


def simulate(month: Month, entries: int, seed: int) -> Iterator[Entry]:
    """
    That many entries of the month; the machines' come first, then a session of each tenant, then any.

    None crosses the month's end.
    """
    return islice(_endless(month, seed), entries)


def _endless(month: Month, seed: int) -> Iterator[Entry]:
    yield from _provisioned(month, seed)
    chance = Random(seed)
    for number in count(1):
        tenant = TENANTS[number - 1 : number] or chance.choices(TENANTS, [tenant.share for tenant in TENANTS])
        yield from _Session(chance, month, f"sim-{seed}-{number:06}", tenant[0]).entries()


def _provisioned(month: Month, seed: int) -> Iterator[Entry]:
    """What the machines' time costs whether they work or not: for each day one entry."""
    session, number = f"sim-{seed}-machines", 0
    for day in range((month.end - month.start).days):
        at = _midnight(month) + timedelta(days=day, hours=23, minutes=59)
        for machine, amount in _MACHINES:
            number += 1
            identity = f"{session}/{number}"
            micros = amount * 86_400 * _MICROS
            request = f"{session}/{machine}.{at:%Y-%m-%d}"
            product = Product(MACHINE, machine, Clock.PROVISIONED)
            yield _entry(identity, at, session, request, Account("", ""), product, micros, Pass.SECOND)


def _entry(
    identity: str,
    at: datetime,
    session: str,
    request: str,
    account: Account,
    product: Product,
    micros: int,
    pass_: Pass,
) -> Entry:
    return Entry(identity, at, session, request, account, product.provider, product.sku, product.clock, micros, pass_)


def _midnight(month: Month) -> datetime:
    return datetime.combine(month.start, time(), UTC)


class _Session:
    """One session of some tenant. All chances are drawn from `chance`, in the order of the entries."""

    def __init__(self, chance: Random, month: Month, name: str, tenant: Tenant) -> None:
        self._chance, self._name, self._tenant = chance, name, tenant
        self._account = Account(self._tenant.name, f"key{chance.randrange(1, 4)}")
        self._seconds = max(10.0, min(3600.0, chance.expovariate(1 / (self._tenant.minutes * 60))))
        self._start = _begin(chance, month, self._seconds + 600)
        self._numbers = count(1)
        self._streams = count(1)

    def entries(self) -> Iterator[Entry]:
        """All of them, by kind: what listens, what else listens, what corrects, and what it was for."""
        first, *others = self._tenant.products
        if self._chance.random() < 0.2:
            first, *others = self._chance.sample(self._tenant.products, len(self._tenant.products))
        yield from self._listening(first, Reason.WORK)
        if self._tenant.races:
            yield from self._listening(others[0], Reason.RACE_LOSER)
        elif self._chance.random() < 0.02:
            yield from self._listening(others[0], Reason.SHADOW)
        yield from self._correcting()
        yield from self._purpose()

    def _listening(self, product: Product, reason: Reason) -> Iterator[Entry]:
        """Streams one after the other: replaced at the vendor's limit, or because they break."""
        at = 0.0
        while at < self._seconds:
            stream = f"s{next(self._streams)}"
            whole = min(self._seconds - at, product.limit)
            length = whole if self._chance.random() > 0.04 else self._chance.uniform(0.2, 1) * whole
            if at:  # around the seam the new stream hears again what the old one had heard
                again = self._chance.uniform(0.5, 4)
                yield self._heard(product, at, again, Reason.REPLAY if reason is Reason.WORK else reason, stream)
            yield from self._stream(product, at, length, reason, stream)
            at += max(length, 1)

    def _stream(self, product: Product, at: float, length: float, reason: Reason, stream: str) -> Iterator[Entry]:
        for begin, part in _pieces(length, _PIECE):
            yield self._heard(product, at + begin, part, reason, stream)
            if product.clock is Clock.SOCKET_OPEN:  # recorded to compare
                yield self._heard(replace(product, clock=Clock.AUDIO_SENT), at + begin, part, reason, stream)
        if product.provider == "google":
            reported = replace(product, clock=Clock.VENDOR_REPORTED)
            yield self._heard(reported, at + length, float(-(-length // 1)), reason, stream)

    def _heard(self, product: Product, at: float, seconds: float, reason: Reason, stream: str) -> Entry:
        """Of a vendor's stream; own machines are busy for a third of the time."""
        own = product.clock is Clock.CPU_BUSY
        made = self._entry(product, at, seconds / 3 if own else seconds, Pass.FIRST, "" if own else stream)
        channels = 1 if own else self._tenant.channels
        return replace(
            made, reason=reason, channels=channels, features=self._tenant.features, region=self._tenant.region
        )

    def _correcting(self) -> Iterator[Entry]:
        """The second pass hears each utterance; what it began too early is thrown away."""
        left, at, second = self._seconds * self._tenant.speech, 0.0, self._tenant.second
        while left > 0:
            length = min(left, self._chance.uniform(1.5, 22))
            at += length / self._tenant.speech
            if self._chance.random() < 0.15:
                yield self._corrected(second, at, length * 0.7, Reason.SPECULATION)
            yield self._corrected(second, at, length, Reason.WORK)
            left -= length

    def _corrected(self, product: Product, at: float, length: float, reason: Reason) -> Entry:
        own = product.provider == "whisper"
        seconds = length * self._chance.uniform(0.03, 0.09) if own else length
        return replace(self._entry(product, at, seconds, Pass.SECOND, ""), reason=reason)

    def _purpose(self) -> Iterator[Entry]:
        """The audio that came in, and the speech that has final words: minute by minute."""
        audio, channels = Product("twopass", "audio", Clock.RECEIVED), self._tenant.channels
        for begin, part in _pieces(self._seconds, 60):
            yield self._entry(audio, begin + part, part * channels, Pass.FIRST, "")
            speech = part * channels * min(1.0, self._tenant.speech * self._chance.uniform(0.8, 1.2))
            yield self._entry(replace(audio, clock=Clock.FINALIZED), begin + part, speech, Pass.FIRST, "")

    def _entry(self, product: Product, at: float, seconds: float, pass_: Pass, stream: str) -> Entry:
        identity = f"{self._name}/{next(self._numbers)}"
        request = f"{self._name}/{stream}" if stream else identity
        moment = self._start + timedelta(milliseconds=round(at * 1000))
        micros = max(1, round(seconds * _MICROS))
        return _entry(identity, moment, self._name, request, self._account, product, micros, pass_)


def _begin(chance: Random, month: Month, length: float) -> datetime:
    """Some moment of the month, rather by day than by night and on weekdays, that leaves room for the session."""
    days = (month.end - month.start).days
    weights = [_WEEKEND if (month.start + timedelta(days=day)).weekday() >= 5 else 1.0 for day in range(days)]
    day, hour = chance.choices(range(days), weights)[0], chance.choices(range(24), _BUSY_HOURS)[0]
    start = _midnight(month) + timedelta(days=day, hours=hour, milliseconds=chance.randrange(3_600_000))
    latest = _midnight(month) + timedelta(days=days, seconds=-length)
    return min(start, latest)


def _pieces(length: float, most: float) -> Sequence[tuple[float, float]]:
    """Where each piece begins, and how long it is."""
    whole = int(length // most)
    rest = length - whole * most
    pieces = [(number * most, most) for number in range(whole)]
    return [*pieces, (whole * most, rest)] if rest > 0.001 else pieces
