"""What a worker tells those that start and stop workers."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
import structlog
from tests.cluster.asking import PATIENCE, working
from tests.cluster.servers import Server, free_port, redis_server
from tests.scripted import ScriptedUtterances
from tests.waiting import until

from twopass.cluster import worker_port
from twopass.cluster.broker import Topic
from twopass.cluster.worker_metrics import WorkerMetrics
from twopass.cluster.worker_port import watchable
from twopass.errors import ConfigError


@pytest.fixture
def server() -> Iterator[Server]:
    """A broker."""
    with redis_server() as running:
        yield running


async def status(port: int, path: str) -> int:
    """What it answers."""
    try:
        answer = await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}{path}")
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    with answer:
        code: int = answer.status
        return code


async def test_a_worker_is_ready_while_it_takes_utterances(server: Server) -> None:
    """Neither before it takes any nor while it drains; all the time it lives and tells its metrics."""
    port = free_port()
    with watchable(WorkerMetrics(), ("127.0.0.1", port)):  # its models are being loaded
        assert [200, 503, 200] == [await status(port, path) for path in ("/healthz", "/readyz", "/metrics")]
    async with working(server, ScriptedUtterances()) as (worker, metrics):
        with watchable(metrics, ("127.0.0.1", port)):
            await until(lambda: metrics.takes_utterances)
            assert 200 == await status(port, "/readyz")
            worker.drain()
            await until(lambda: not metrics.takes_utterances)
            assert [200, 503, 200] == [await status(port, path) for path in ("/healthz", "/readyz", "/metrics")]


async def test_a_loop_that_hangs_is_no_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody outside asks while nothing turns: 503, so that the process is started anew."""
    monkeypatch.setattr(worker_port, "_PATIENCE", 0.05)
    port = free_port()
    with watchable(WorkerMetrics(), ("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)) as asking:
        asking.settimeout(60)
        asking.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        answer = asking.recv(1000)  # blocks the event loop
    assert b" 503 " in answer.splitlines()[0]


async def test_a_port_that_is_taken_is_told() -> None:
    """With what to do about it."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="Cannot listen") as told:
        port = taken.getsockname()[1]
        with watchable(WorkerMetrics(), ("127.0.0.1", port)):
            pass
    assert "--metrics-port" in told.value.fix


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_free_port_is_found_and_told(host: str) -> None:
    """Port 0 takes one; the log says which."""
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with (
        structlog.testing.capture_logs() as logs,
        watchable(WorkerMetrics(), (host, 0)),
        await asyncio.to_thread(urllib.request.urlopen, logs[0]["url"]) as answer,
    ):
        assert b"twopass_worker_ready 0.0" in answer.read()


async def test_the_first_dead_letter_is_seen_to_be_one_more(server: Server) -> None:
    """What cannot be read is counted, from 0: a counter that appears with 1 has not risen, to Prometheus."""

    def unreadable(metrics: WorkerMetrics) -> float | None:
        return metrics.registry.get_sample_value("twopass_worker_utterances_total", {"outcome": "unreadable"})

    async with working(server, ScriptedUtterances()) as (_, metrics):
        assert 0 == unreadable(metrics)
        broker = await server.connected()
        await broker.publish(Topic.UTTERANCES, b"garbage", key="session/0")
        await broker.close()
        await until(lambda: unreadable(metrics) == 1, seconds=PATIENCE)
