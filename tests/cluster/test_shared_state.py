"""Gateways that share a Redis: the session goes on at any of them, and its transcript is that of an unbroken one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

import pytest
import redis
from tests.cluster.servers import Server as Redis
from tests.cluster.servers import redis_server
from tests.conftest import PATIENCE, Server, running_server
from tests.faults import script
from tests.faults.configs import TEXTS
from tests.faults.programs import PLUGIN
from tests.faults.serving import served
from tests.gateway.resume_driver import Caller, acknowledged, finals, indexed, raw
from tests.gateway.stream_driver import END, Heard, in_order
from tests.waiting import until

from twopass.cluster.state_scripts import SESSIONS, keys
from twopass.gateway.messages import Ack, Ended

INDEXED = {"framing": "indexed"}
SCRIPTED = TEXTS["scripted"]
SAID = script.written("shared", 12_000)


@dataclass
class Pair:
    """Two gateways, and the Redis that they share; any can be started again."""

    stack: ExitStack
    directory: Path
    config: Path
    environment: dict[str, str]
    redis: Redis
    gateways: list[Server]
    starts: int = 0

    def start(self) -> Server:
        """One more gateway."""
        self.starts += 1
        place = self.directory / str(self.starts)
        place.mkdir()
        return self.stack.enter_context(running_server(place, self.config, self.environment))

    def end(self, which: int, number: Signals) -> None:
        """Send a gateway a signal and wait for its end."""
        self.gateways[which].process.send_signal(number)
        self.gateways[which].process.wait(PATIENCE)

    def log(self) -> str:
        """What all of them have logged."""
        return "".join((self.directory / str(n) / "log").read_text() for n in range(1, self.starts + 1))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Pair]:
    """Two gateways whose recognizers hear the numbers of words."""
    directory = tmp_path_factory.mktemp("pair")
    with ExitStack() as stack:
        shared = stack.enter_context(redis_server())
        path = directory / "shared.yaml"
        path.write_text(SCRIPTED.replace('directory: "{directory}/spool"', f'url: "{shared.url}"'))
        pair = Pair(stack, directory, path, environment | {"PYTHONPATH": str(PLUGIN)}, shared, [])
        pair.gateways = [pair.start(), pair.start()]
        yield pair
        assert "Traceback" not in pair.log()


def word_for_word(caller: Caller) -> None:
    """As if nothing had happened, but that a Redis on a busy machine may be slow for a second."""
    in_order(caller.heard)
    assert (1000, set()) == (caller.heard.code, set(caller.heard.codes) - {"not_durable"})
    assert SAID.texts == [word.text for segment in caller.heard.finals() for word in segment.words]


async def forgotten(pair: Pair, session: str) -> None:
    """Nothing of a finished session stays in Redis."""
    with redis.Redis.from_url(pair.redis.url) as direct:
        await until(lambda: not any(map(direct.exists, keys(session))), seconds=PATIENCE)
        assert not direct.sismember(SESSIONS, session)


async def test_a_session_moves_between_living_gateways(pair: Pair) -> None:
    """Every connection at the other gateway: same words, every event once, and nothing stays behind."""
    caller = Caller(pair.gateways[0].url)
    await caller.begin([SAID.pcm[:100_000]], until=acknowledged(20_000))
    for turn, until_ in enumerate((acknowledged(90_000), finals(1), acknowledged(110_000)), start=1):
        caller.url = pair.gateways[turn % 2].url
        await caller.go_on(raw(SAID.pcm), until=until_)
    caller.url = pair.gateways[0].url
    await caller.go_on(raw(SAID.pcm))
    word_for_word(caller)
    await forgotten(pair, caller.session)


@pytest.mark.parametrize(
    ("number", "fmt"), [(SIGTERM, "raw"), (SIGKILL, "raw"), (SIGTERM, "indexed"), (SIGKILL, "indexed")]
)
async def test_a_gateway_that_ends(pair: Pair, number: Signals, fmt: str) -> None:
    """kill -9, or an orderly end, in mid-speech: the other gateway goes on at what was acknowledged as safe."""
    caller = Caller(pair.gateways[0].url)
    if fmt == "indexed":
        await caller.begin(indexed(SAID.pcm)[:50], audio=INDEXED, until=acknowledged(60_000))
    else:
        await caller.begin([SAID.pcm[: len(SAID.pcm) * 2 // 3]], until=acknowledged(60_000))
    safe = max(ack.samples for ack in caller.heard.of(Ack) if ack.durable)
    await asyncio.to_thread(pair.end, 0, number)
    pair.gateways.pop(0)
    caller.url = pair.gateways[0].url
    rest = raw(SAID.pcm, 4_000)
    if fmt == "indexed":
        rest = lambda resumed: [*indexed(SAID.pcm, resumed.next_sample), END]  # noqa: E731
    await caller.go_on(rest)
    assert safe <= caller.resumed[0].next_sample
    word_for_word(caller)
    await forgotten(pair, caller.session)
    pair.gateways.append(await asyncio.to_thread(pair.start))


async def test_redis_that_is_killed_and_comes_back(pair: Pair) -> None:
    """The session goes on meanwhile, and says that it is not safe; afterwards another gateway can go on with it."""
    caller = Caller(pair.gateways[0].url)
    gone = False

    def unsafe(heard: Heard) -> bool:
        nonlocal gone
        if not gone and acknowledged(30_000)(heard):
            pair.redis.kill()
            gone = True
        return gone and "not_durable" in heard.codes

    await caller.begin(indexed(SAID.pcm)[:30], audio=INDEXED, until=unsafe)
    pair.redis.start()
    pair.redis.listening()
    again = len(caller.heard.of(Ack))
    await caller.go_on(
        lambda resumed: indexed(SAID.pcm[: 40 * 6_400], resumed.next_sample),
        until=lambda heard: any(ack.durable for ack in heard.of(Ack)[again:]),
    )
    caller.url = pair.gateways[1].url
    await caller.go_on(lambda resumed: [*indexed(SAID.pcm, resumed.next_sample), END])
    assert "not_durable" in caller.heard.codes
    word_for_word(caller)


async def test_who_has_no_token_moves_no_session(pair: Pair) -> None:
    """A wrong token is refused at the other gateway, and the session's own client notices nothing."""
    caller = Caller(pair.gateways[0].url)
    await caller.begin([SAID.pcm[:100_000]], until=acknowledged(20_000))
    stranger = Caller(pair.gateways[1].url, session=caller.session, token="x" * 32)
    with pytest.raises(AssertionError, match="unknown_session"):
        await stranger.go_on(raw(SAID.pcm))
    await caller.go_on(raw(SAID.pcm))
    word_for_word(caller)


async def test_audio_that_nobody_needs_is_not_kept(tmp_path: Path) -> None:
    """Of minutes of speech only the last seconds are in Redis; another gateway goes on from them, word for word."""
    said = script.written("trimmed", 120_000)
    homes = [tmp_path / name for name in ("one", "other")]
    for home in homes:
        home.mkdir()
    with redis_server() as shared:
        config = SCRIPTED.replace('directory: "{directory}/spool"', f'url: "{shared.url}"')
        async with served(config, homes[0]) as one, served(config, homes[1]) as other:
            caller = Caller(one.url)
            almost = len(said.pcm) // 2 - 32_000
            await caller.begin(indexed(said.pcm), audio=INDEXED, until=acknowledged(almost))
            with redis.Redis.from_url(shared.url) as direct:
                kept = sum(map(len, direct.lrange(keys(caller.session).frames, 0, -1)))
            assert 0 < kept < len(said.pcm) // 2
            caller.url = other.url
            await caller.go_on(lambda resumed: [*indexed(said.pcm, resumed.next_sample), END])
    assert said.texts == [word.text for segment in caller.heard.finals() for word in segment.words]
    assert caller.heard.of(Ended)
