"""Shadow traffic in parts: whose sessions, what it may cost, its clock and its bounds, and how all that is written."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter
from tests.scripted import ScriptedStreaming
from tests.shadow.test_shadows import A_CENT_A_SECOND, CHUNK_MS, PCM, PRICER, WORDS, same, settings
from tests.test_failover import Vendor

from twopass import config
from twopass.compare.measures.timeline import Seen
from twopass.compare.records import Hearing
from twopass.cost.prices.rates import RateCard
from twopass.cost.prices.running import Pricer
from twopass.cost.usage.budgets import Period
from twopass.cost.usage.session_meter import NOWHERE
from twopass.engine import Engine
from twopass.errors import ConfigError, RecognizerError
from twopass.recognizers import Capabilities, StreamOptions
from twopass.shadow.purse import ShadowPurse
from twopass.shadow.recognizer import Restrained
from twopass.shadow.record import Reel
from twopass.shadow.session import ArrivalClock
from twopass.shadow.settings import ShadowSettings
from twopass.shadow.shadows import Shadows, Till
from twopass.types import Clock, Hypothesis, Pass, Revision, Status, Usage

SOMETHING = Seen(1_200.5, Revision("s0", 1, Status.INTERIM, 0, 1_000, WORDS[:2], Pass.FIRST))


@dataclass
class Hand:
    """A clock that a test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_clock_reads_the_time_of_the_audio_that_has_arrived() -> None:
    """It goes on between two pieces of audio, takes up late ones, and never goes back."""
    hand = Hand()
    clock, read = ArrivalClock(hand), []
    steps = (1_000, 0.0), (1_000, 0.25), (900, 0.25), (1_100, 0.0), (5_000, 0.0), (5_000, 2.0), (5_100, 0.0)
    for end, seconds in steps:
        clock.arrived(end)
        hand.now += seconds
        read.append(clock())
    assert read == [1_000, 1_250, 1_500, 1_500, 5_000, 7_000, 7_000]


def purse_at(directory: Path, hand: list[datetime], **changes: Any) -> ShadowPurse:
    """A process's purse."""
    return ShadowPurse(settings(directory, **changes), lambda: hand[0])


def test_a_purse_knows_what_other_processes_spend(tmp_path: Path) -> None:
    """After each has told; whatever is no amount counts nothing, another currency neither."""
    today = [datetime(2026, 11, 21, 12, tzinfo=UTC)]
    one, other = purse_at(tmp_path, today), purse_at(tmp_path, today)
    one.add(Decimal(6))
    other.add(Decimal("3.5"))
    assert [Decimal(6), Decimal("3.5")] == [one.spent, other.spent]
    one.sync()
    other.sync()
    one.sync()
    assert [Decimal("9.5"), Decimal("9.5")] == [one.spent, other.spent]
    spent = tmp_path / "shadows" / "spent"
    (spent / "2026-11-21-USD-torn").write_text("NaN")
    (spent / "2026-11-21-USD-torn2").write_bytes(b"\xff")
    (spent / "2026-11-21-EUR-foreign").write_text("100")
    other.add(Decimal("0.5"))
    other.sync()
    assert (Decimal(10), True) == (other.spent, other.empty)


def test_a_new_day_or_month_has_a_new_limit(tmp_path: Path) -> None:
    """By UTC; a month holds its days together, and files that count no more are removed."""
    hand = [datetime(2026, 11, 21, 23, 59, tzinfo=UTC)]
    daily, monthly = purse_at(tmp_path, hand), purse_at(tmp_path, hand, period=Period.MONTH)
    for purse in (daily, monthly):
        purse.add(Decimal(5))
    hand[0] = datetime(2026, 11, 22, 0, 1, tzinfo=UTC)
    assert (Decimal(0), Decimal(5)) == (daily.spent, monthly.spent)
    daily.sync()
    monthly.sync()
    assert Decimal(10) == monthly.spent
    hand[0] = datetime(2027, 3, 1, tzinfo=UTC)
    fresh = purse_at(tmp_path, hand)
    fresh.sync()
    assert [] == list((tmp_path / "shadows" / "spent").iterdir())


@pytest.mark.parametrize(
    ("increment", "pieces", "cost"),
    [(0, [1.0, 1.0], "0.02"), (15, [1.0, 1.0], "0.15"), (15, [10.0, 10.0], "0.30")],
)
def test_a_request_costs_what_the_vendor_rounds_it_to(increment: int, pieces: list[float], cost: str) -> None:
    """Second by second, together it is the price of the whole stream at list price."""
    rate = replace(A_CENT_A_SECOND.rates[0], increment=Decimal(increment))
    till = Till(Pricer({"vendor": RateCard("vendor", (rate,))}, {}), same, NOWHERE)
    before, total = 0.0, Decimal(0)
    for seconds in pieces:
        part = till.cost(Usage("vendor", "stream", Clock.AUDIO_SENT, seconds), before)
        assert part is not None
        before, total = before + seconds, total + part
    assert total == Decimal(cost)


def test_what_has_no_price_cannot_be_capped(tmp_path: Path) -> None:
    """One that no card knows, or in a currency without a rate, is refused with what to do; own machines never."""

    def checked(recognizer: ScriptedStreaming, convert: Any = same) -> None:
        Shadows(settings(tmp_path), recognizer, Till(PRICER, convert, NOWHERE), print).check()

    checked(Vendor())
    checked(ScriptedStreaming())
    for unpriced in (Vendor(name="other"), Vendor(extra={"sku": "dear"}), Vendor(extra={"sku": ""})):
        with pytest.raises(ConfigError, match=r"price of .* is not known") as caught:
            checked(unpriced)
        assert "ledger.prices" in caught.value.fix
    with pytest.raises(ConfigError):
        checked(Vendor(), lambda money, day: None)


def test_a_share_is_a_share_and_stays_the_same(tmp_path: Path) -> None:
    """About 300 of 1000 sessions at 0.3, always the same ones, and more with a larger share; tenants have their own."""
    chosen = settings(tmp_path, share=0.3, tenants={"eager": 1.0, "shy": 0.0, "half": 0.5})
    names = [f"session-{i}" for i in range(1_000)]
    taken = {name for name in names if chosen.takes(name, "anybody")}
    assert 250 < len(taken) < 350
    assert taken == {name for name in names if settings(tmp_path, share=0.3).takes(name, "somebody")}
    assert taken < {name for name in names if chosen.takes(name, "half")}
    assert all(chosen.takes(name, "eager") for name in names)
    assert not any(chosen.takes(name, "shy") for name in names)


def test_what_comes_after_the_end_of_a_record_is_ignored() -> None:
    """A shadow that cannot be ended may still say something."""
    reel, rest = Reel(), Hearing("a", "b", audio_ms=5)
    reel.add(SOMETHING)
    data = reel.closed(rest)
    reel.add(SOMETHING)
    assert TypeAdapter(Hearing).validate_json(gzip.decompress(data)) == replace(rest, seen=(SOMETHING,))


async def test_a_restrained_recognizer_says_what_it_says() -> None:
    """All of it, in order, as long as that is not too much."""
    recognizer = Restrained(ScriptedStreaming(endpoints=True))

    async def audio() -> AsyncIterator[bytes]:
        for at in range(0, len(PCM), CHUNK_MS * 32):
            yield PCM[at : at + CHUNK_MS * 32]

    taken = [answer async for answer in recognizer.stream(audio(), StreamOptions())]
    plain = [answer async for answer in ScriptedStreaming(endpoints=True).stream(audio(), StreamOptions())]
    assert taken == plain


@dataclass
class Talkative(Vendor):
    """It says very much at once."""

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        yield Hypothesis(0, 100, WORDS * 1_000)


async def test_an_answer_without_end_is_a_failure() -> None:
    """Nobody could show it."""

    async def audio() -> AsyncIterator[bytes]:
        yield b""

    with pytest.raises(RecognizerError):
        async for _ in Restrained(Talkative()).stream(audio(), StreamOptions()):
            pass


PROFILES = """
default: demo
voice: tests.shadow.test_shadows:no_voice
profiles: {demo: {first_pass: {provider: pocketsphinx}, second_pass: {provider: pocketsphinx}}}
"""


def parsed(shadow: str, ledger: str = "{}") -> config.Config:
    """A configuration with this shadow section."""
    return config.parse(f"{PROFILES}\nshadow: {shadow}\nledger: {ledger}", name="file.yaml")


def test_a_shadow_is_off_unless_it_is_asked_for() -> None:
    """No section, no shadow; and the one that is shown in the documented configuration is commented out."""
    assert config.parse(PROFILES).shadow is None
    local = Path(__file__).parents[2] / "configs" / "local.yaml"
    assert "shadow" not in yaml.safe_load(local.read_text())
    lines = local.read_text().split("# shadow:\n", 1)[1].split("\n\n", 1)[0].splitlines()
    shown = yaml.safe_load("\n".join(line.removeprefix("# ") for line in lines))
    section = config.ShadowConfig.model_validate(shown)
    assert set(shown) == set(config.ShadowConfig.model_fields)
    plain = config.ShadowConfig.model_validate({"recognizer": {"provider": "x"}, "limit": "1 USD"})
    assert (plain.period, plain.directory, plain.max_mb) == (section.period, section.directory, section.max_mb)


def test_a_shadow_section_becomes_values() -> None:
    """Shares, limit and directory as they were written."""
    shadow = parsed(
        "{recognizer: {provider: x, model: y}, share: 0.1, tenants: {a: 1}, limit: 5 USD, directory: ~/d}"
    ).shadow
    assert shadow is not None
    assert shadow.settings == ShadowSettings(
        0.1, {"a": 1.0}, Decimal(5), "USD", Period.MONTH, Path.home() / "d", 1 << 30
    )
    assert shadow.recognizer.settings == {"model": "y"}


@pytest.mark.parametrize(
    ("shadow", "place"),
    [
        ("{recognizer: {provider: x}, share: 0.1}", "shadow.limit"),
        ("{recognizer: {provider: x}, share: 1.1, limit: 5 USD}", "shadow.share"),
        ("{recognizer: {provider: x}, tenants: {a: -1}, limit: 5 USD}", r"shadow.tenants.a"),
        ("{recognizer: {provider: x}, limit: 5 EUR}", "shadow: the limit must be in USD"),
        ("{recognizer: {provider: x}, limit: 5 USD, period: week}", "shadow.period"),
        ("{recognizer: {provider: x, failover: [{provider: y}]}, limit: 5 USD}", "shadow.recognizer: a shadow is one"),
        ("{recognizer: {provider: x, fallback: {provider: y}}, limit: 5 USD}", "shadow.recognizer"),
        ("{recognizer: {provider: x}, limit: 5 USD, max_mb: 0}", "shadow.max_mb"),
    ],
)
def test_a_wrong_shadow_section_is_told_with_its_place(shadow: str, place: str) -> None:
    """What is wrong, and where."""
    with pytest.raises(ConfigError, match=place):
        parsed(shadow)


async def test_a_shadow_that_cannot_be_is_told_before_the_server_begins() -> None:
    """An unknown provider, and settings that are none of its own."""
    for wrong in ("{provider: nobody}", "{provider: pocketsphinx, nonsense: 1}"):
        engine = Engine(parsed(f"{{recognizer: {wrong}, limit: 5 USD}}"))
        with pytest.raises(ConfigError):
            await engine.open()


def test_capabilities_are_the_recognizers_own() -> None:
    """Whoever asks the restrained one is told of the other."""
    assert isinstance(Restrained(Vendor()).capabilities, Capabilities)
    assert Restrained(Vendor()).capabilities == Vendor().capabilities
