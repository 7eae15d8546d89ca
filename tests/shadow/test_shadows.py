"""Shadow traffic: a second provider hears a share of the live sessions, and nobody who is in them can tell."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.scripted import ScriptedStreaming, crash, numbered, scripted_parts, spoken
from tests.test_failover import Vendor
from tests.test_recovery import Disk, lived, script, second_pass
from tests.test_session_money import Book
from tests.waiting import until

from twopass.compare.recordings.live import records
from twopass.compare.records import Hearing
from twopass.cost.prices.rates import Money, Rate, RateCard, Tier, Unit
from twopass.cost.prices.running import Pricer
from twopass.cost.usage.budgets import Period
from twopass.cost.usage.session_meter import NOWHERE, Sink
from twopass.errors import ConfigError, RecognizerUnavailable
from twopass.first_pass_contract import FirstPassSettings
from twopass.lane import SessionParts
from twopass.outbox import AudioSkipped, Event
from twopass.recognizers import StreamOptions
from twopass.second_pass import SecondPass
from twopass.segmenter import FRAME_SAMPLES
from twopass.session import Session
from twopass.shadow.beside import ALONE, Beside
from twopass.shadow.record import ABOUT, SHADOW
from twopass.shadow.session import ArrivalClock, Shadow, Subject
from twopass.shadow.settings import ShadowSettings
from twopass.shadow.shadows import COMPARING, Shadows, Till
from twopass.types import SAMPLE_RATE, Clock, Hypothesis, Reason, Revision, Status, Usage, Words

WORDS = numbered(24, gap=60)
PCM = spoken(WORDS, 8_000)
CHUNK_MS = 100
FAST = FirstPassSettings(backoff_seconds=0.001, attempts=2, silence_seconds=0.3)
A_CENT_A_SECOND = RateCard(
    "vendor", (Rate("stream", Clock.AUDIO_SENT, Unit.SECOND, tiers=(Tier(Decimal(0), Decimal("0.01")),)),)
)
PRICER = Pricer({"vendor": A_CENT_A_SECOND}, {})


def settings(directory: Path, **changes: Any) -> ShadowSettings:
    """Every session, ten dollars a day."""
    usual = ShadowSettings(1.0, {}, Decimal(10), "USD", Period.DAY, directory / "shadows", 1 << 20)
    return replace(usual, **changes)


def same(money: Money, day: date) -> Decimal | None:
    """There is one currency."""
    return money.amount if money.currency == "USD" else None


@dataclass
class Place:
    """Where shadows are kept, and what is told of them."""

    directory: Path
    sink: Sink = NOWHERE
    pricer: Pricer = PRICER
    told: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def shadows(self, recognizer: ScriptedStreaming, **changes: Any) -> AsyncIterator[Shadows]:
        """Ready to begin; closed afterwards."""
        shadows = Shadows(
            settings(self.directory, **changes), recognizer, Till(self.pricer, same, self.sink), self.told.append
        )
        shadows.check()
        shadows.open()
        await until(lambda: shadows.ready)
        try:
            yield shadows
        finally:
            await shadows.close()

    def hearings(self) -> tuple[Hearing, Hearing]:
        """What was shown in the only session, and what the shadow heard."""
        warnings: list[str] = []
        ((_, (shown, shadow)),) = records(self.directory / "shadows", warnings=warnings)
        assert warnings == []
        return shown, shadow


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty one."""
    return Place(tmp_path)


def subject(session: str = "s", **changes: Any) -> Subject:
    """A session as the engine describes it."""
    return replace(Subject(session, "news", "demo", StreamOptions(language="en-US"), FAST, realtime=True), **changes)


async def step(session: Session, main: ScriptedStreaming, ms: int) -> None:
    """Wait until the session has nothing left to do but to hear what comes after `ms`."""
    lane = session._lanes[0]  # how far it is tells nobody else
    await until(
        lambda: (
            main.heard_ms != []
            and main.heard_ms[-1] >= ms
            and lane._cursor.lag < FRAME_SAMPLES
            and not lane._merge.unanswered
        )
    )
    for _ in range(20):
        await asyncio.sleep(0)


async def events(
    beside: Beside = ALONE,
    *,
    sink: Sink = NOWHERE,
    meanwhile: Callable[[int], Any] = lambda ms: None,
    heard_by: ScriptedStreaming | None = None,
) -> list[tuple[int, Event]]:
    """A session over all the words, one chunk after the other; everything that its client was told, with numbers."""
    async with second_pass() as passing:
        main = ScriptedStreaming(endpoints=True)
        parts = replace(parts_of(passing, main), beside=beside, sink=sink)
        session = Session("s", parts)
        running = asyncio.create_task(session.run())
        for at in range(0, len(PCM), CHUNK_MS * 32):
            session.write((PCM[at : at + CHUNK_MS * 32],))
            ms = at // 32 + CHUNK_MS
            await step(session, main, ms)
            if heard_by is not None:
                await until(lambda ms=ms: heard_by.heard_ms != [] and heard_by.heard_ms[-1] >= ms)  # type: ignore[misc]
                for _ in range(20):
                    await asyncio.sleep(0)
            meanwhile(ms)
        session.end()
        async with asyncio.timeout(60):
            await running
    return session.outbox.since(0)


def parts_of(passing: SecondPass, main: ScriptedStreaming) -> SessionParts:
    """A session whose course depends on its audio alone."""
    parts = scripted_parts(passing, endpoints=True)
    return replace(parts, first_pass=[replace(parts.first_pass[0], recognizer=main)])


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost is told at the end only, and shadows have time to come to theirs."""
    monkeypatch.setattr("twopass.session._COST_EVERY_SECONDS", 3600)
    monkeypatch.setattr("twopass.shadow.session._AFTER_SECONDS", 60)


# -- nobody can tell ------------------------------------------------------------------------------------------------


@dataclass
class Flooding(Vendor):
    """It says something without end, and never waits."""

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        self.streams += 1
        async for _ in audio:
            while True:
                yield Hypothesis(0, 100, WORDS[:1])


@dataclass
class Buggy(Vendor):
    """It raises what no recognizer should."""

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        self.streams += 1
        async for _ in audio:
            raise ZeroDivisionError("a bug")
        yield Usage("vendor", "stream", Clock.AUDIO_SENT, 1.0)


@dataclass
class Stubborn(Vendor):
    """It takes no audio, and does not let itself be ended before it is told that it is free to go."""

    free: asyncio.Event = field(default_factory=asyncio.Event)

    async def stream(self, audio: AsyncIterator[bytes], options: StreamOptions) -> AsyncIterator[Hypothesis | Usage]:
        self.streams += 1
        while not self.free.is_set():
            try:
                await self.free.wait()
            except asyncio.CancelledError:
                continue
        yield Usage("vendor", "stream", Clock.AUDIO_SENT, 1.0)


SHADOWS: dict[str, Callable[[], ScriptedStreaming]] = {
    "well": Vendor,
    "by utterance": lambda: Vendor(endpoints=False),
    "crashes": lambda: Vendor(fault=lambda stream, ms: crash()),
    "crashes in the middle": lambda: Vendor(fault=lambda stream, ms: crash() if ms > 3_000 else None),
    "hangs": lambda: Vendor(fault=lambda stream, ms: 3600.0 if ms > 1_000 else None),
    "is slow": lambda: Vendor(fault=lambda stream, ms: 0.05),
    "floods": Flooding,
    "has a bug": Buggy,
    "is stubborn": Stubborn,
}


ENDLESS = {"hangs", "is slow", "floods", "is stubborn"}


@pytest.fixture(scope="module")
def unshadowed() -> list[tuple[int, Event]]:
    """What a client is told of whose session nobody else hears."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("twopass.session._COST_EVERY_SECONDS", 3600)
        return asyncio.run(events())


@pytest.mark.parametrize("kind", SHADOWS)
async def test_a_client_is_told_the_same_with_and_without_a_shadow(
    place: Place, kind: str, unshadowed: list[tuple[int, Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Event for event, numbers and cost included, whatever becomes of the shadow; and there is a record of it."""
    if kind in ENDLESS:
        monkeypatch.setattr("twopass.shadow.session._AFTER_SECONDS", 0.5)
    recognizer = SHADOWS[kind]()
    async with place.shadows(recognizer) as shadows:
        assert await events(await shadows.beside(subject())) == unshadowed
        assert recognizer.streams > 0
        await until(lambda: place.told != [])
        if isinstance(recognizer, Stubborn):
            recognizer.free.set()
    assert place.told == ["compared"]
    shown, shadow = place.hearings()
    assert words_of(shown) == [word.text for word in WORDS]
    if kind in ("well", "by utterance"):
        assert (words_of(shadow), shadow.troubles) == ([word.text for word in WORDS], ())
    if kind in ("crashes", "hangs", "has a bug", "is stubborn"):
        assert shadow.troubles


def words_of(hearing: Hearing) -> list[str]:
    """The transcript."""
    return [word.text for word in hearing.timeline.last_words()]


async def test_a_shadow_that_fails_in_our_own_code_ends_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch, unshadowed: list[tuple[int, Event]]
) -> None:
    """Even a bug of ours in what carries the shadow reaches nobody."""

    def broken(self: object, until: int) -> None:
        raise ZeroDivisionError("a bug")

    async with place.shadows(Vendor()) as shadows:
        beside = await shadows.beside(subject())
        monkeypatch.setattr("twopass.shadow.session._Heard.fact", broken)
        assert await events(beside) == unshadowed
        await until(lambda: place.told != [])
    assert any("a bug" in trouble for trouble in place.hearings()[1].troubles)


@pytest.mark.parametrize("skips", [True, False])
async def test_the_tape_is_not_kept_for_a_shadow_that_hears_nothing(
    place: Place, skips: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be behind as far as any first pass may be, and no farther, even if it failed to skip."""
    if not skips:
        monkeypatch.setattr("twopass.first_pass.FirstPassRunner.relieve", lambda self: None)
    async with place.shadows(Vendor(fault=lambda stream, ms: 3600.0)) as shadows, second_pass() as passing:
        patient = replace(FAST, silence_seconds=60, max_waiting_ms=1_000, catch_up_ms=500)
        beside = await shadows.beside(subject(first_settings=patient))
        main = ScriptedStreaming(endpoints=True)
        session = Session("s", replace(parts_of(passing, main), beside=beside))
        running = asyncio.create_task(session.run())
        tape, longest = session._lanes[0].tape, 0
        for ms in range(CHUNK_MS, 20_000, CHUNK_MS):
            session.write((bytes(CHUNK_MS * 32),))
            await step(session, main, ms)
            longest = max(longest, (tape.end - tape.start) // 16)
        session.end()
        await running
    assert longest < 5_000


@dataclass
class Gated(Vendor):
    """After two seconds of audio it waits until somebody opens the gate."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def _break(self, stream: int, ms: int) -> None:
        if ms >= 2_000:
            await self.gate.wait()


async def test_a_shadow_that_cannot_keep_up_skips_and_goes_on(place: Place) -> None:
    """What it did not hear is noted, not told; the end it hears."""
    recognizer = Gated()
    hasty = replace(FAST, silence_seconds=60, max_waiting_ms=1_000, catch_up_ms=500)
    async with place.shadows(recognizer) as shadows:
        beside = await shadows.beside(subject(first_settings=hasty))
        told = await events(beside, meanwhile=lambda ms: recognizer.gate.set() if ms >= 6_000 else None)
        await until(lambda: place.told != [])
    shadow = place.hearings()[1]
    assert any("skipped" in trouble for trouble in shadow.troubles)
    assert not any(isinstance(event, AudioSkipped) for _, event in told)
    assert sum(recognizer.heard_ms) < 8_000
    assert words_of(shadow)[-1] == WORDS[-1].text


# -- what it makes --------------------------------------------------------------------------------------------------


async def test_both_timelines_are_right(place: Place, unshadowed: list[tuple[int, Event]]) -> None:
    """Each revision of the session and each belief of the shadow, at the time that had arrived when it was said."""
    recognizer = Vendor()
    async with place.shadows(recognizer) as shadows:
        beside = await shadows.beside(subject())
        assert isinstance(beside, Shadow)
        beside.clock = ArrivalClock(lambda: 0.0)  # time is the audio's alone
        told = await events(beside, heard_by=recognizer)
    shown, shadow = place.hearings()
    said = await straight(Vendor())
    heard = [(seen.at, seen.revision.status is Status.FINAL, seen.revision.text) for seen in shadow.seen]
    assert heard == said
    assert {seen.at for seen in shown.seen} <= set(range(CHUNK_MS, 8_001, CHUNK_MS))
    assert [seen.revision for seen in latest(shown)] == [event for _, event in told if isinstance(event, Revision)]
    assert all(before.at <= after.at for before, after in pairwise(shown.seen))
    for seen in shown.seen:
        assert all(word.start < seen.at for word in seen.revision.words)
    assert (8_000, 8_000, True) == (shown.audio_ms, shadow.audio_ms, shown.realtime)
    assert ("live: demo", "shadow: vendor", "s", "s") == (
        shown.system,
        shadow.system,
        shown.recording,
        shadow.recording,
    )


async def straight(recognizer: ScriptedStreaming) -> list[tuple[float, bool, str]]:
    """What a recognizer says of the words by itself: after how much audio, how sure, what; without repetitions."""
    taken, said = 0, []
    shown: Words = ()

    async def audio() -> AsyncIterator[bytes]:
        nonlocal taken
        for at in range(0, len(PCM), CHUNK_MS * 32):
            taken = at // 32 + CHUNK_MS
            yield PCM[at : at + CHUNK_MS * 32]

    async for answer in recognizer.stream(audio(), StreamOptions()):
        if isinstance(answer, Hypothesis):
            if answer.words != shown or (answer.final and answer.words):
                said.append((float(taken), answer.final, answer.text))
            shown = () if answer.final else answer.words
    return said


def latest(hearing: Hearing) -> list[Any]:
    """The last revision of each utterance, in the order in which they came: what the outbox keeps."""
    last = {seen.revision.utterance: seen for seen in hearing.seen}
    return sorted(last.values(), key=lambda seen: hearing.seen.index(seen))


async def test_both_channels_are_in_one_record(place: Place) -> None:
    """Two people on two channels: each has a shadow, and no word of one is the other's."""
    words = WORDS[:8], tuple(replace(word, text=str(100 + i)) for i, word in enumerate(numbered(8, start=300, gap=60)))
    left, right = (spoken(channel, 3_000) for channel in words)
    async with place.shadows(Vendor()) as shadows, second_pass() as passing:
        beside = await shadows.beside(subject())
        session = Session("s", replace(scripted_parts(passing, endpoints=True, channels=2), beside=beside))
        running = asyncio.create_task(session.run())
        for at in range(0, len(left), CHUNK_MS * 32):
            session.write((left[at : at + CHUNK_MS * 32], right[at : at + CHUNK_MS * 32]))
            await asyncio.sleep(0.002)
        session.end()
        await running
        await until(lambda: place.told != [])
    for hearing in place.hearings():
        for channel in (0, 1):
            finals = [final for final in hearing.timeline.finals() if final.channel == channel]
            assert [word.text for final in finals for word in final.words] == [word.text for word in words[channel]]


async def test_what_it_uses_is_in_the_ledger_and_not_on_the_clients_bill(place: Place) -> None:
    """As shadow, in the session, on an account of its own, with names that nothing of the session's has."""
    recognizer, place.sink = Vendor(), Book()
    book = place.sink
    async with place.shadows(recognizer) as shadows:
        await events(await shadows.beside(subject()), sink=book)
        await until(lambda: place.told != [])
    entries = [entry for entry in book.entries.values() if entry.reason is Reason.SHADOW]
    sent = [entry for entry in entries if entry.sku == "stream"]
    assert sum(entry.micros for entry in sent) / 1e6 == pytest.approx(sum(recognizer.heard_ms) / 1000)
    assert {(COMPARING, "s", "vendor")} == {(entry.account, entry.session, entry.provider) for entry in sent}
    others = [entry for entry in book.entries.values() if entry.reason is not Reason.SHADOW]
    assert others
    assert not {entry.request for entry in others} & {entry.request for entry in entries}
    assert sorted(entry.id for entry in entries) == sorted(f"s/shadow/{i + 1}" for i in range(len(entries)))
    shown, shadow = place.hearings()
    assert {Reason.SHADOW} == {usage.reason for usage in shadow.usage}
    assert Reason.SHADOW not in {usage.reason for usage in shown.usage}
    assert shown.usage


async def test_the_record_says_whose_it_is_and_is_for_nobody_else(place: Place) -> None:
    """Tenant, profile, day and price; no other user of the machine may read it."""
    async with place.shadows(Vendor()) as shadows:
        await events(await shadows.beside(subject()))
        await until(lambda: place.told != [])
    ((about, _),) = records(place.directory / "shadows")
    assert ("s", "news", "demo", "vendor", "en-US", "USD") == (
        about.session,
        about.tenant,
        about.profile,
        about.provider,
        about.language,
        about.currency,
    )
    assert abs(datetime.now(UTC) - datetime.fromisoformat(about.began)) < timedelta(hours=1)
    folder = place.directory / "shadows" / "s"
    assert 0o700 == folder.stat().st_mode & 0o777
    assert {0o600} == {path.stat().st_mode & 0o777 for path in folder.iterdir()}


async def test_a_session_that_is_broken_off_is_recorded_so_far(place: Place) -> None:
    """The server stops in the middle: what both heard until then is kept, and the record says so."""
    async with place.shadows(Vendor()) as shadows, second_pass() as passing:
        main = ScriptedStreaming(endpoints=True)
        session = Session("s", replace(parts_of(passing, main), beside=await shadows.beside(subject())))
        running = asyncio.create_task(session.run())
        await lived(session, PCM, 0, 4_000 * 32, random.Random(1))
        await step(session, main, 4_000)
        session.suspend()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await until(lambda: place.told != [])
    shown, shadow = place.hearings()
    assert (4_000, 4_000) == (shown.audio_ms, shadow.audio_ms)
    assert any("broken off" in trouble for trouble in shadow.troubles)
    assert words_of(shown)[:8] == words_of(shadow)[:8] == [word.text for word in WORDS[:8]]


async def test_the_end_of_the_server_waits_for_no_shadow(place: Place) -> None:
    """It is closed while one hears: its record is written, and the session that goes on does not notice."""
    async with second_pass() as passing:
        main = ScriptedStreaming(endpoints=True)
        async with place.shadows(Vendor()) as shadows:
            session = Session("s", replace(parts_of(passing, main), beside=await shadows.beside(subject())))
            running = asyncio.create_task(session.run())
            await lived(session, PCM, 0, 4_000 * 32, random.Random(1))
        assert place.told == ["compared"]
        await lived(session, PCM, 4_000 * 32, None, random.Random(1))
        session.end()
        await running
        assert session.complete


@pytest.mark.parametrize("at", [1_000, 3_000])
async def test_a_recovered_session_has_lost_its_shadow_and_nothing_else(place: Place, at: int) -> None:
    """The process dies: the next one goes on alone, and its entries take nobody's number."""
    disk, book, recognizer = Disk(), Book(), Vendor()
    place.sink = book
    _, pcm = script(3)
    async with place.shadows(recognizer) as shadows, second_pass() as passing:
        parts = replace(scripted_parts(passing, endpoints=True), sink=book, beside=await shadows.beside(subject()))
        first = Session("s", parts, disk)
        running = asyncio.create_task(first.run())
        await lived(first, pcm, 0, at * 32, random.Random(at))
        first.flush()
        disk.gone = True
        first.flush = lambda: None  # type: ignore[method-assign] # a dead process writes nothing
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        streams = recognizer.streams
        second = Session("s", replace(parts, beside=await shadows.beside(subject())))
        second.replay(Disk(disk.lines).records())
        second.recover()
        assert second.also_heard_by is None
        second.reload((pcm[: at * 32],))
        second.reloaded()
        second.keep_in(Disk(disk.lines))
        running = asyncio.create_task(second.run())
        await lived(second, pcm, at * 32, None, random.Random(at))
        second.end()
        await running
    assert 0 < streams == recognizer.streams
    own = sorted(int(identity.split("/")[1]) for identity in book.entries if "/shadow/" not in identity)
    assert own == list(range(1, len(own) + 1))
    received = [entry.micros for entry in book.entries.values() if entry.clock is Clock.RECEIVED]
    assert sum(received) / 1e6 == pytest.approx(len(pcm) / 2 / SAMPLE_RATE, abs=1e-3)


# -- what it may cost -----------------------------------------------------------------------------------------------


async def test_the_limit_ends_a_shadow_and_begins_no_other(place: Place, unshadowed: list[tuple[int, Event]]) -> None:
    """Nothing more is sent once it is reached, also after a restart; the session goes on as if nothing had been."""
    recognizer = Vendor()
    limit = Decimal("0.03")
    async with place.shadows(recognizer, limit=limit) as shadows:
        assert await events(await shadows.beside(subject())) == unshadowed
        await until(lambda: "compared" in place.told)
        assert await shadows.beside(subject("other")) is ALONE
    assert 3_000 <= sum(recognizer.heard_ms) <= 4_100
    assert place.told == ["limit", "compared"]
    shown, shadow = place.hearings()
    assert any("limit" in trouble for trouble in shadow.troubles)
    assert shown.audio_ms == shadow.audio_ms < 8_000
    assert all(seen.revision.start < shown.audio_ms for seen in shown.seen)
    assert {Status.FINAL} == {history[-1].revision.status for history in shown.timeline.utterances()}
    async with place.shadows(Vendor(), limit=limit) as again:
        assert await again.beside(subject("third")) is ALONE
    async with place.shadows(Vendor(), limit=2 * limit) as richer:
        assert await richer.beside(subject("third")) is not ALONE


@pytest.mark.parametrize(
    ("own_report", "increment", "cost"),
    [
        (Rate("cpu", Clock.CPU_BUSY), 0, Decimal("0.08")),
        (Rate("cpu", Clock.CPU_BUSY), 3, Decimal("0.09")),
        (Rate("cpu", Clock.AUDIO_SENT), 0, None),
    ],
)
async def test_the_record_says_what_the_shadow_cost(
    place: Place, own_report: Rate, increment: int, cost: Decimal | None
) -> None:
    """Eight seconds in one stream, with the vendor's rounding; not known if a part has no price, and never nothing."""
    rate = replace(A_CENT_A_SECOND.rates[0], increment=Decimal(increment))
    cards = {"vendor": RateCard("vendor", (rate,)), "scripted": RateCard("scripted", (own_report,))}
    place.pricer = Pricer(cards, {})
    async with place.shadows(Vendor()) as shadows:
        await events(await shadows.beside(subject()))
        await until(lambda: place.told != [])
    ((about, _),) = records(place.directory / "shadows")
    assert cost == (None if about.cost is None else Decimal(about.cost))


# -- whose sessions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"realtime": False},
        {"tenant": COMPARING.tenant},
        {"tenant": "legal"},
        {"options": StreamOptions(language="de-DE")},
        {"options": StreamOptions(language="en-US", languages=("en-GB",))},
    ],
)
async def test_what_is_no_live_session_or_cannot_be_understood_has_none(place: Place, changes: dict[str, Any]) -> None:
    """Recordings, comparisons, tenants that have been left out, languages that the shadow does not know."""
    async with place.shadows(Vendor(extra={"languages": ("en-US",)}), tenants={"legal": 0.0}) as shadows:
        assert await shadows.beside(subject(**changes)) is ALONE
        assert (await shadows.beside(subject())).provider == "vendor"


async def test_a_shadow_is_asked_only_what_it_can_do(place: Place) -> None:
    """The session's wishes that it knows nothing of are no reason to refuse, and diarization is not paid for."""
    wishes = StreamOptions(language="en-US", phrases=("twopass",), punctuation=True, diarization=True)
    async with place.shadows(Vendor()) as shadows:
        beside = await shadows.beside(subject(options=wishes))
    assert isinstance(beside, Shadow)
    assert beside.subject.options == StreamOptions(language="en-US")


# -- the disk -------------------------------------------------------------------------------------------------------


async def test_a_full_directory_begins_no_shadow(place: Place) -> None:
    """What cannot be kept is not paid for."""
    (place.directory / "shadows").mkdir()
    (place.directory / "shadows" / "much").write_bytes(bytes(2 << 20))
    async with place.shadows(Vendor()) as shadows:
        assert await shadows.beside(subject()) is ALONE


async def test_a_directory_that_is_none_begins_no_shadow(place: Place) -> None:
    """The limit could not be kept: nobody hears."""
    (place.directory / "shadows").write_text("a file")
    async with place.shadows(Vendor()) as shadows:
        assert await shadows.beside(subject()) is ALONE


async def test_a_record_that_cannot_be_written_costs_the_session_nothing(
    place: Place, unshadowed: list[tuple[int, Event]]
) -> None:
    """It is lost, and counted as lost."""
    (place.directory / "shadows" / "s" / "in the way").mkdir(parents=True)
    async with place.shadows(Vendor()) as shadows:
        assert await events(await shadows.beside(subject())) == unshadowed
        await until(lambda: place.told != [])
    assert place.told == ["lost"]


async def test_broken_records_are_left_out(place: Place) -> None:
    """With a sentence for each; those of an earlier day, or not written whole, without one."""
    async with place.shadows(Vendor()) as shadows:
        await events(await shadows.beside(subject()))
        await until(lambda: place.told != [])
    directory = place.directory / "shadows"
    for name, file, data in (
        ("torn", SHADOW, b"\x1f\x8b"),
        ("cut", SHADOW, (directory / "s" / SHADOW).read_bytes()[:-20]),
        ("other", ABOUT, b"{}"),
    ):
        (directory / name).mkdir()
        for path in (directory / "s").iterdir():
            (directory / name / path.name).write_bytes(path.read_bytes())
        (directory / name / file).write_bytes(data)
    (directory / ".half.part").mkdir()
    (directory / ".half.part" / ABOUT).write_text("{")
    old = directory / "old"
    old.mkdir()
    about = json.loads((directory / "s" / ABOUT).read_text()) | {"began": "2020-01-01T00:00:00+00:00"}
    (old / ABOUT).write_text(json.dumps(about))
    warnings: list[str] = []
    found = records(directory, since=date(2021, 1, 1), warnings=warnings)
    assert ["s"] == [about.session for about, _ in found]
    assert len(warnings) == 3
    with pytest.raises(ConfigError):
        records(directory / "nowhere")


@dataclass
class Absent(Vendor):
    """A recognizer that is not there."""

    async def open(self) -> None:
        raise RecognizerUnavailable("It is not there.", provider="vendor")


async def test_a_recognizer_that_is_not_there_is_no_reason_not_to_serve(place: Place) -> None:
    """Sessions are heard by nobody else."""
    shadows = Shadows(settings(place.directory), Absent(), Till(PRICER, same, NOWHERE), place.told.append)
    shadows.open()
    assert await shadows.beside(subject()) is ALONE
    await asyncio.sleep(0)
    assert await shadows.beside(subject()) is ALONE
    await shadows.close()
