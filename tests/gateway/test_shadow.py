"""Shadow traffic at the gateway: the client is told who hears it, and nothing that is heard there."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.conftest import CONFIG, PATIENCE, Server, running_server
from tests.gateway.doors_driver import PIECES, SHORT, heard_to_the_end, visit, well, whole_session
from tests.gateway.stream_driver import END, Heard, folded, say, start
from tests.waiting import until

from twopass.compare.page.files import read
from twopass.compare.recordings.live import records
from twopass.gateway.messages import SessionStarted, parse_server


@dataclass(frozen=True)
class Watched:
    """
    A server whose live sessions all have a shadow.

    Attributes:
        records: Where both transcripts are kept.
    """

    server: Server
    records: Path
    ledger: Path

    def outcomes(self) -> str:
        """What /metrics says of shadows."""
        with urllib.request.urlopen(f"{self.server.url}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return "\n".join(line for line in lines if line.startswith("twopass_shadows_total"))

    def sessions(self, which: str) -> set[str]:
        """The sessions in the ledger with such entries; none before it has its first."""
        with closing(sqlite3.connect(self.ledger)) as database, suppress(sqlite3.OperationalError):
            return {session for (session,) in database.execute(f"SELECT DISTINCT session FROM usage WHERE {which}")}
        return set()

    def used(self) -> dict[str, float]:
        """Seconds of the first pass in the ledger, by what they were for; none before it has its first."""
        with closing(sqlite3.connect(self.ledger)) as database, suppress(sqlite3.OperationalError):
            query = "SELECT reason, SUM(micros) FROM usage WHERE provider = 'pocketsphinx' GROUP BY 1"
            return {reason: micros / 1e6 for reason, micros in database.execute(query).fetchall()}
        return {}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Watched]:
    """`twopass serve` with a shadow on everything."""
    directory = tmp_path_factory.mktemp("watched")
    records, ledger, config = directory / "records", directory / "ledger.sqlite", directory / "t.yaml"
    config.write_text(
        re.sub(r"  live:.*?(?=prices)", "", CONFIG, flags=re.DOTALL)
        + f"""shadow: {{recognizer: {{provider: pocketsphinx}}, share: 1, limit: 1 USD, directory: {records}}}
ledger: {{url: "sqlite:///{ledger}", waiting: {directory / "waiting"}}}
"""
    )
    ours = {name: value for name, value in environment.items() if name != "TWOPASS_LEDGER"}
    with running_server(directory, config, ours) as server:
        yield Watched(server, records, ledger)


async def live_session(url: str) -> Heard:
    """A session of somebody who speaks now. Those that began before the shadow was ready are dropped."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with visit(url) as socket:
                await socket.send(start(realtime=True))
                started = parse_server(await socket.recv())
                assert isinstance(started, SessionStarted)
                if started.shadow is None:
                    await asyncio.sleep(0.2)
                    continue
                saying = asyncio.create_task(say(socket, [*PIECES, END]))
                heard = await heard_to_the_end(socket, Heard([started]))
                await saying
                return heard


async def test_a_live_session_is_told_who_hears_it_and_hears_nothing_of_it(watched: Watched) -> None:
    """Stated when it starts; the transcript is the usual one, and both are on the disk, in the ledger and counted."""
    heard = await live_session(watched.server.url)
    well(heard)
    assert heard.started.shadow == "pocketsphinx"
    assert "shadow" not in "".join(message.model_dump_json() for message in heard.messages[1:])
    await until(lambda: (watched.records / heard.started.session).is_dir(), seconds=PATIENCE)
    recorded = {about.session: hearings for about, hearings in records(watched.records)}[heard.started.session]
    texts = [folded(" ".join(word.text for word in hearing.timeline.last_words())) for hearing in recorded]
    assert texts[0] == folded(heard.text()) == folded(SHORT.text)
    assert texts[1]
    assert [f"live: {heard.started.profile}", "shadow: pocketsphinx"] == [hearing.system for hearing in recorded]
    await until(lambda: 'outcome="compared"' in watched.outcomes(), seconds=PATIENCE)
    await until(lambda: watched.used().get("shadow", 0) > 0, seconds=PATIENCE)
    await until(lambda: watched.used().get("work", 0) > 0, seconds=PATIENCE)
    assert not any(word in watched.server.log.read_text() for word in ("Traceback", SHORT.text))


async def test_live_traffic_makes_the_same_report(watched: Watched, tmp_path: Path) -> None:
    """`twopass compare --live` shows both systems of the server's sessions, their agreement and what they cost."""
    heard = await live_session(watched.server.url)
    await until(lambda: (watched.records / heard.started.session).is_dir(), seconds=PATIENCE)
    command = (sys.executable, "-m", "twopass.cli", "compare", "--live", str(watched.records), "-o", str(tmp_path))
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert 0 == process.returncode, said
    made = read(tmp_path / "comparison.json")
    assert heard.started.session in {played.name for played in made.recordings}
    names = {f"live: {heard.started.profile}", "shadow: pocketsphinx"}
    assert names == {score.system for score in made.scores} == {system.name for system in made.systems}
    assert [True] == [pair.agreement is not None and 0 < pair.agreement <= 1 for pair in made.pairs]
    assert all(score.final is not None and score.cost_per_hour is not None for score in made.scores)


async def test_recordings_are_not_sent_on(watched: Watched) -> None:
    """Neither over the socket nor as an upload: the ledger has both sessions, and no shadow of either."""
    shadows, sessions = watched.sessions("reason = 'shadow'"), watched.sessions("clock = 'finalized'")
    heard = await whole_session(visit(watched.server.url))
    well(heard)
    assert heard.started.shadow is None
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        files = {"file": ("a.flac", (Path(__file__).parents[1] / "speech" / "short_awb.flac").read_bytes())}
        answer = await client.post(f"{watched.server.url}/v1/transcriptions", files=files)
    assert 200 == answer.status_code
    await until(lambda: len(watched.sessions("clock = 'finalized'") - sessions) == 2, seconds=PATIENCE)
    assert watched.sessions("reason = 'shadow'") == shadows
