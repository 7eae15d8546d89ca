"""Two real gateways behind a real nginx, with the configuration that is shipped."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.conftest import PATIENCE, Server, running_server
from tests.deploy.manifests import DEPLOY, program
from tests.gateway.doors_driver import visit, well, whole_session
from tests.gateway.nginx_driver import HOST, free_port, shipped_nginx
from tests.gateway.stream_driver import start
from tests.waiting import until

SHIPPED = DEPLOY / "nginx-cluster.conf"
_OWN = {"listen", "server_name", "ssl_certificate", "ssl_certificate_key", "ssl_protocols", "access_log", "error_log"}


@dataclass(frozen=True)
class Cluster:
    """nginx and the gateways behind it."""

    url: str
    gateways: tuple[Server, Server]
    log: Path


def settings(path: Path) -> list[str]:
    """The directives of the `server` block but those that must differ, and of no location in it."""
    block = re.sub(r"#.*", "", path.read_text()).partition("\nserver {")[2].partition("location")[0]
    found = [" ".join(line.split()) for line in block.split(";")]
    return [each for each in found if each and each.split()[0] not in _OWN]


def test_one_gateway_and_several_are_served_alike() -> None:
    """What is said about requests is the same, but that another gateway may be asked."""
    cluster = settings(SHIPPED)
    assert "proxy_next_upstream error timeout" in cluster
    cluster.remove("proxy_next_upstream error timeout")
    assert settings(DEPLOY / "nginx.conf") == cluster
    assert len(cluster) > 10


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, small_config: Path, environment: dict[str, str]
) -> Iterator[Cluster]:
    """Two gateways, and nginx that knows both."""
    program("nginx")
    with contextlib.ExitStack() as stack:
        directory = tmp_path_factory.mktemp("config")
        config = directory / "twopass.yaml"
        config.write_text(f"{small_config.read_text()}doors: {{trusted_proxies: [{HOST}]}}\n")
        one, other = (
            stack.enter_context(running_server(tmp_path_factory.mktemp("gateway"), config, environment))
            for _ in range(2)
        )
        url, log = stack.enter_context(running_nginx(tmp_path_factory.mktemp("nginx"), (one, other)))
        yield Cluster(url, (one, other), log)


@contextlib.contextmanager
def running_nginx(directory: Path, gateways: tuple[Server, Server]) -> Iterator[tuple[str, Path]]:
    """nginx with the shipped file; only its addresses and paths are those of the test. Gives its URL and its log."""
    port = free_port()
    one, other = (each.url.removeprefix("http://") for each in gateways)
    changes = {
        "listen 80;": f"listen {HOST}:{port};",
        "server gateway-1:8765 ": f"server {one} ",
        "server gateway-2:8765 ": f"server {other} ",
    }
    with shipped_nginx(program("nginx"), SHIPPED, directory, port, changes):
        yield f"http://{HOST}:{port}", directory / "access.log"


async def test_metrics_stay_inside(cluster: Cluster) -> None:
    """Prometheus asks the gateways; through nginx nobody reads them, and the rest goes through."""
    async with httpx.AsyncClient(base_url=cluster.url, timeout=PATIENCE) as client:
        assert [200, 403] == [(await client.get(path)).status_code for path in ("/readyz", "/metrics")]


async def test_a_gateway_that_dies_is_not_asked_again(cluster: Cluster) -> None:
    """Sessions are spread over both; after the end of one of them every new session comes to its right end."""
    one, _ = cluster.gateways
    async with visit(cluster.url) as first, visit(cluster.url) as second:
        for socket in (first, second):
            await socket.send(start())
        await until(lambda: [1, 1] == [each.metric("twopass_sessions") for each in cluster.gateways], seconds=PATIENCE)
        one.process.kill()
        one.process.wait(PATIENCE)
        for _ in range(3):
            well(await whole_session(visit(cluster.url)))
    ports = [each.url.rpartition(":")[2] for each in cluster.gateways]
    await until(lambda: 5 == cluster.log.read_text().count('"GET /v1/stream" 101'), seconds=PATIENCE)
    tried = re.findall(rf"upstream={HOST}:{ports[0]}, {HOST}:{ports[1]}=502, 101", cluster.log.read_text())
    assert tried, cluster.log.read_text()
