"""The compose file fits the image, the configuration, and what really runs."""

from __future__ import annotations

import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.servers import Server, end_with_parent, free_port
from tests.deploy.manifests import CONFIG, DEPLOY, MOUNTED, container, named, one, program

from twopass.cluster.worker import WorkerSettings
from twopass.config import load

COMPOSE: Mapping[str, Any] = one(DEPLOY / "compose.yaml")
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
CONFIGURED = load(CONFIG)
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
PARENTS = {stage: parent for parent, stage in re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)}


def seconds(text: str) -> float:
    """Of a duration."""
    (number,) = re.findall(r"^(\d+)s$", text)
    return float(number)


def mounts(service: str) -> Mapping[str, str]:
    """What is mounted, by where."""
    pairs = (each.split(":")[:2] for each in SERVICES[service].get("volumes", ()))
    return {where: what for what, where in pairs}


def test_what_is_named_is_there() -> None:
    """Services that others wait for, networks, volumes and files exist; whoever is waited for says that it is well."""
    for name, service in SERVICES.items():
        for other, wish in service.get("depends_on", {}).items():
            assert wish == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[other]
        assert set(service["networks"]) <= COMPOSE["networks"].keys()
        for what in mounts(name).values():
            assert (DEPLOY / what).is_file() if what.startswith(".") else what in COMPOSE["volumes"]
        if build := service.get("build"):
            assert (DEPLOY / build["context"] / build["dockerfile"]).samefile(DEPLOY / "Dockerfile")
            assert f" AS {build['target']}\n" in DOCKERFILE


def test_hosts_of_all_configurations_are_services_on_one_network() -> None:
    """Whom gateways, workers, nginx, Prometheus and Grafana ask by name can be reached from there, on its own port."""
    broker = CONFIGURED.profiles[CONFIGURED.default].second_pass.dispatch
    port = CONFIGURED.server.port
    texts = {
        "gateway-1": f"{broker} {CONFIGURED.spool.url}",
        "worker": broker,
        "nginx": (DEPLOY / "nginx-cluster.conf").read_text(),
        "prometheus": (DEPLOY / "prometheus.yml").read_text(),
        "grafana": (DEPLOY / "grafana" / "datasources.yaml").read_text(),
    }
    own = {"gateway-1": port, "gateway-2": port, "nats": 4222, "redis": 6379, "prometheus": 9090}
    for asking, text in texts.items():
        asked = [(host, int(number)) for host, number in re.findall(r"\b([a-z]+(?:-\d)?):(\d{4})\b", text)]
        assert asked
        for host, number in asked:
            assert own[host] == number
            assert set(SERVICES[host]["networks"]) & set(SERVICES[asking]["networks"])
    assert SERVICES["gateway-1"] == SERVICES["gateway-2"]
    (workers,) = (each for each in one(DEPLOY / "prometheus.yml")["scrape_configs"] if "dns_sd_configs" in each)
    (found,) = workers["dns_sd_configs"]
    assert (["worker"], 9464) == (found["names"], found["port"])
    assert set(SERVICES["worker"]["networks"]) & set(SERVICES["prometheus"]["networks"])


@pytest.mark.parametrize(("service", "port"), [("gateway-1", 8765), ("worker", 9464)])
def test_the_image_starts_what_is_asked_after(service: str, port: int) -> None:
    """Its command takes the mounted configuration; the health check asks for its port; and it exposes that."""
    own = SERVICES[service]
    assert (DEPLOY / mounts(service)[MOUNTED]).samefile(CONFIG)
    assert f"http://127.0.0.1:{port}/readyz" in own["healthcheck"]["test"][-1]
    compile(own["healthcheck"]["test"][-1], "healthcheck", "exec")
    stage = own["build"]["target"]
    text = ""
    while stage in PARENTS:
        text += DOCKERFILE.partition(f" AS {stage}\n")[2].partition("\nFROM")[0]
        stage = PARENTS[stage]
    assert f"EXPOSE {port}\n" in text
    assert f'"--config", "{MOUNTED}"' in text
    assert "USER 10001:10001" in text
    assert own["read_only"]
    assert str(CONFIGURED.ledger.waiting) in mounts(service)


def test_there_is_time_to_end() -> None:
    """Longer than a gateway and a worker take at most."""
    assert seconds(SERVICES["gateway-1"]["stop_grace_period"]) >= 2 * (CONFIGURED.sessions.stop_seconds + 5)
    assert seconds(SERVICES["worker"]["stop_grace_period"]) >= WorkerSettings().drain_seconds + 20


def test_only_this_machine_gets_in() -> None:
    """Whatever listens for people does so on the loopback address."""
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_keys_are_where_the_configuration_looks_for_them() -> None:
    """Both gateways have the same volume there, and the image lets twopass write into it."""
    assert CONFIGURED.doors.keys is not None
    directory = str(CONFIGURED.doors.keys.parent)
    assert mounts("gateway-1")[directory] == mounts("gateway-2")[directory] == "keys"
    assert f"install -d -o twopass -g twopass -m 0700 {directory} {CONFIGURED.ledger.waiting}" in DOCKERFILE


def test_everything_of_the_image_is_there_and_locked() -> None:
    """What is copied exists and is not ignored; packages are installed by hash, and then from those files only."""
    allowed = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"]
    root = DEPLOY.parents[1]
    copied = re.findall(r"^COPY ((?!--from)[^\n]+) \S+$", DOCKERFILE, flags=re.MULTILINE)
    assert len(copied) > 5
    for name in (name for line in copied for name in line.split()):
        assert (root / name).exists()
        assert name in allowed
    for line in re.findall(r"pip (?:download|install)[^&]*?(?:\n\n|\nFROM|\n#|\Z)", DOCKERFILE):
        assert ("--require-hashes" in line) != ("--no-index" in line), line
    assert re.findall(r"^nvidia-cublas-cu12==12\..*\\$", (DEPLOY / "cuda.lock").read_text(), flags=re.MULTILINE)


def test_kubernetes_and_compose_start_the_same_stores() -> None:
    """The same images with the same options, but for where Redis writes, which its image knows by itself."""
    for name in ("nats", "redis"):
        own = container(named("StatefulSet", name))
        assert SERVICES[name]["image"] == own["image"]
        assert SERVICES[name]["command"] == own["command"][: len(SERVICES[name]["command"])]


def started(tmp_path: Path, name: str, replaced: Mapping[str, str], *more: str, port: int) -> Server:
    """A store with the very options of the compose file, but with addresses and directories of the test."""
    options = [replaced.get(each, each) for each in SERVICES[name]["command"][1:]]
    command = [program(SERVICES[name]["command"][0]), *options, *more]
    return Server(f"{name}://127.0.0.1:{port}", tmp_path, command)


def test_nats_starts_and_is_well(tmp_path: Path) -> None:
    """With these options it serves JetStream, and both probes get their answer."""
    port, monitor = free_port(), free_port()
    replaced = {"/data": str(tmp_path / "data"), "8222": str(monitor)}
    server = started(tmp_path, "nats", replaced, "-a", "127.0.0.1", "-p", str(port), port=port)
    server.start()
    try:
        server.listening()
        asked = {SERVICES["nats"]["healthcheck"]["test"][-1].partition("8222")[2]}
        for kind in ("startup", "liveness", "readiness"):
            asked.add(container(named("StatefulSet", "nats"))[f"{kind}Probe"]["httpGet"]["path"])
        for path in asked:
            with urllib.request.urlopen(f"http://127.0.0.1:{monitor}{path}") as answer:
                assert b"ok" in answer.read()
    finally:
        server.kill()


def test_redis_starts_and_keeps_everything(tmp_path: Path) -> None:
    """With these options it writes all to its disk and throws nothing away."""
    port, ask = free_port(), program("redis-cli")
    server = started(
        tmp_path, "redis", {}, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(tmp_path), port=port
    )
    server.start()
    try:
        server.listening()
        said = subprocess.run(
            [ask, "-p", str(port), "config", "get", "maxmemory-policy"],
            capture_output=True,
            text=True,
            check=True,
            preexec_fn=end_with_parent,
        )
        assert "noeviction" in said.stdout
        give_up = time.monotonic() + 60
        while not any(tmp_path.glob("appendonlydir/*.aof")):  # it listens before it has made them
            assert time.monotonic() < give_up
            time.sleep(0.05)
    finally:
        server.kill()
