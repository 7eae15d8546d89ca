"""Gateway and worker as two commands with a real broker between them: the whole way of an utterance."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cluster.servers import Server, end_with_parent, nats_server
from tests.conftest import PATIENCE, running_server
from tests.gateway.doors_driver import PIECES, SHORT, heard_to_the_end, visit, well, whole_session
from tests.gateway.stream_driver import END, Heard, folded, say, start
from tests.waiting import until

from twopass.config import load
from twopass.gateway.messages import Cost, Segment
from twopass.types import Pass


@pytest.fixture
def broker() -> Iterator[Server]:
    """NATS."""
    with nats_server() as running:
        yield running


@contextmanager
def worker(config: Path, environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`twopass worker` with the gateway's configuration."""
    command = [sys.executable, "-m", "twopass.cli", "worker", "--config", str(config)]
    with (
        log.open("ab") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, preexec_fn=end_with_parent
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def clustered(config: Path, broker: Server, directory: Path, *, deadline_ms: int = 120_000) -> Path:
    """The same configuration with its second pass at workers."""
    path = directory / "cluster.yaml"
    text = config.read_text().replace("model: demo}", f'model: demo, dispatch: "{broker.url}"}}')
    path.write_text(text.replace("deadline_ms: 120000", f"deadline_ms: {deadline_ms}"))
    assert broker.url == load(path).profiles["demo"].second_pass.dispatch
    return path


def finals(heard: Heard) -> list[Segment]:
    """What is not expected to change any more."""
    return [each for each in heard.of(Segment) if each.status == "final"]


async def test_an_utterance_is_rewritten_by_a_worker(
    broker: Server, small_config: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """Every final comes from the second pass at the worker, is right, and its cost is the session's."""
    config, log = clustered(small_config, broker, tmp_path), tmp_path / "worker.log"
    with running_server(tmp_path, config, environment) as server, worker(config, environment, log) as process:
        heard = await whole_session(visit(server.url))
        well(heard)
        assert {Pass.SECOND} == {Pass(each.source) for each in finals(heard)}, log.read_text()
        assert folded(SHORT.text) == folded(heard.text())
        assert {"first", "second"} <= {line.pass_ for line in heard.of(Cost)[-1].lines}
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(PATIENCE), log.read_text()


async def test_a_broker_that_comes_late_is_waited_for(
    broker: Server, small_config: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """Who speaks while it is away keeps the first pass's words, and a recording is rewritten when it has come."""
    config, log = clustered(small_config, broker, tmp_path, deadline_ms=200), tmp_path / "worker.log"
    broker.kill()
    with running_server(tmp_path, config, environment) as server, worker(config, environment, log):
        async with visit(server.url) as socket:
            saying = asyncio.create_task(say(socket, [start(realtime=True), *PIECES, END]))
            live = await heard_to_the_end(socket)
            await saying
        assert 1000 == live.code
        assert {(Pass.FIRST, "timeout")} == {(Pass(each.source), each.degraded) for each in finals(live)}
        recording = asyncio.create_task(whole_session(visit(server.url)))
        await until(lambda: server.metric("twopass_sessions") == 1)
        broker.start()
        heard = await recording
        well(heard)
        assert {Pass.SECOND} == {Pass(each.source) for each in finals(heard)}, log.read_text()
