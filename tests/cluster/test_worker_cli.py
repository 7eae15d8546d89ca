"""`twopass worker` with a real model: hears, tells its metrics, and ends when it is told to."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.asking import CAPABILITIES, PATIENCE
from tests.cluster.servers import Server, end_with_parent, redis_server
from tests.waiting import until

from twopass import worker_cli
from twopass.audio import decode_file
from twopass.cluster.dispatch import Dispatch, RemoteSecondPass
from twopass.cluster.worker import WorkerSettings
from twopass.config import Config, parse
from twopass.cost.ledger.book import Ledger
from twopass.cost.usage import treasury
from twopass.recognizers import StreamOptions, UtteranceAudio
from twopass.second_pass import SecondPassSettings
from twopass.types import Clock, Usage

SPEECH = Path("tests/speech/short_slt.flac")


@pytest.fixture
def server() -> Iterator[Server]:
    """A broker."""
    with redis_server() as running:
        yield running


async def test_a_worker_hears_for_a_gateway(server: Server, small_config: Path, environment: dict[str, str]) -> None:
    """Whisper in a worker's process answers with words and their cost; SIGTERM ends it in order."""
    log = server.home / "worker.log"
    command = [sys.executable, "-m", "twopass.cli", "worker", "--broker", server.url, "--metrics-port", "0"]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            "--config",
            str(small_config),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            preexec_fn=end_with_parent,
        )
    dispatch = Dispatch(server.connected)
    await dispatch.open()
    try:
        pcm = b"".join(piece[0] for piece in decode_file(SPEECH))
        second = RemoteSecondPass(dispatch, "demo", CAPABILITIES, SecondPassSettings())
        usage: list[Usage] = []
        job = second.submit(UtteranceAudio(pcm, StreamOptions(language="en-US")), used=usage.append)
        answered = asyncio.ensure_future(asyncio.wait({job.answer}))
        await until(lambda: answered.done() or process.returncode is not None, seconds=PATIENCE)
        assert process.returncode is None, log.read_text()
        assert job.answer.result().words
        assert {Clock.CPU_BUSY} == {each.clock for each in usage}
        (url,) = re.findall(r"http://[\d.]+:\d+/metrics", log.read_text())
        with await asyncio.to_thread(urllib.request.urlopen, url) as answer:
            assert 'twopass_worker_utterances_total{outcome="answered"} 1.0' in answer.read().decode()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            assert 0 == await process.wait(), log.read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await dispatch.close()


LEDGER = """\
default: only
profiles: {only: {first_pass: {provider: pocketsphinx}, second_pass: {provider: pocketsphinx}}}
ledger:
  url: sqlite:///DIRECTORY/ledger.sqlite
  waiting: DIRECTORY/waiting
  provisioned: {cpu_core: 4}
  worker_provisioned: {gpu: 2}
"""


async def test_a_worker_counts_its_own_machines(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a configuration that it shares with gateways, the ledger gets the time of a worker's machines from it."""
    monkeypatch.setattr(treasury, "_HEARTBEAT_SECONDS", 0.02)
    config = parse(LEDGER.replace("DIRECTORY", str(tmp_path)))
    working = asyncio.create_task(worker_cli._work(config, server.broker(), WorkerSettings(), None))
    try:
        book = tmp_path / "ledger.sqlite"
        await until(lambda: working.done() or bool(book.exists() and _provisioned(config)), seconds=PATIENCE)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    assert {"gpu"} == _provisioned(config)


def _provisioned(config: Config) -> set[str]:
    assert config.ledger.url is not None
    ledger = Ledger.open(config.ledger.url)
    try:
        return {row.sku for row in ledger.rows("SELECT sku FROM usage WHERE clock = 'provisioned'")}
    finally:
        ledger.close()
