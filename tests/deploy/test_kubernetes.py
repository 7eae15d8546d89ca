"""The manifests fit each other, what they start, and Kubernetes' own schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.manifests import (
    CONFIG,
    KUBERNETES,
    MOUNTED,
    OVERLAYS,
    Document,
    container,
    documents,
    files,
    named,
    one,
    program,
    resources,
    well,
    workloads,
)
from typer.main import get_command

from twopass.cli import app
from twopass.cluster.worker import WorkerSettings
from twopass.config import load, parse
from twopass.gateway.app import create_app

CONFIGURED = load(CONFIG)
PORTS = {"http": CONFIGURED.server.port, "metrics": 9464, "nats": 4222, "monitor": 8222, "redis": 6379}
OWN = [each for each in resources() if not each["apiVersion"].startswith(("keda.sh/", "monitoring.coreos.com/"))]
"""What Kubernetes itself knows."""
INSIDE = {"/metrics", "/healthz", "/readyz"}
PATHS = {
    "http": {"/healthz", "/readyz", "/metrics"},
    "metrics": {"/healthz", "/readyz", "/metrics"},
    "monitor": {"/healthz"},
}


def title(resource: Document) -> str:
    """For people."""
    return f"{resource['kind']}-{resource['metadata']['name']}"


def served() -> set[str]:
    """The paths of a gateway."""
    routes = list(create_app(CONFIGURED).routes)
    for each in routes:
        routes += getattr(getattr(each, "original_router", None), "routes", [])  # FastAPI keeps what is included apart
    return {str(path) for each in routes if (path := getattr(each, "path", None))} - {"/openapi.json"}


def labels(workload: Document) -> Mapping[str, str]:
    """Of its pods."""
    found: Mapping[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def chosen(selector: Mapping[str, str]) -> list[Document]:
    """The workloads whose pods a selector finds."""
    return [each for each in workloads() if selector.items() <= labels(each).items()]


def ports(workload: Document) -> Mapping[str, int]:
    """Of its container, by name."""
    return {port["name"]: port["containerPort"] for port in container(workload)["ports"]}


def probes(workload: Document) -> Mapping[str, Any]:
    """By what they are for."""
    return {kind: container(workload)[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")}


def options_of(command: str) -> set[str]:
    """What a command of twopass takes."""
    commands = get_command(app).commands  # type: ignore[attr-defined]
    return {option for parameter in commands[command].params for option in parameter.opts}


@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_every_file_is_yaml(path: Path) -> None:
    """And says something."""
    assert documents(path)


@pytest.mark.parametrize("resource", OWN, ids=title)
def test_the_schemas_of_kubernetes_know_it_all(resource: Document) -> None:
    """No field is misspelt and none is missing: nothing is allowed that the schema does not name."""
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed here").validate
    validate(resource, "1.32", strict=True)


@pytest.mark.parametrize("workload", workloads(), ids=title)
def test_what_selects_pods_finds_them(workload: Document) -> None:
    """A workload selects its own pods and nobody else's, and spreads those."""
    spec = workload["spec"]
    assert [workload] == chosen(spec["selector"]["matchLabels"])
    for spread in spec["template"]["spec"].get("topologySpreadConstraints", ()):
        assert spread["labelSelector"] == spec["selector"]
    if workload["kind"] == "StatefulSet":
        assert named("Service", spec["serviceName"])["spec"]["selector"] == spec["selector"]["matchLabels"]


@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "NetworkPolicy", "PodMonitor", "Service"])
def test_what_is_about_pods_is_about_one_workload(kind: str) -> None:
    """It has the workload's name, and the ports that it names are the workload's."""
    found = [each for each in resources() if each["kind"] == kind]
    assert {"gateway", "worker"} & {each["metadata"]["name"] for each in found}
    for each in found:
        spec = each["spec"]
        selector = spec.get("podSelector") or spec["selector"]
        (workload,) = chosen(selector.get("matchLabels", selector))
        assert each["metadata"]["name"] == workload["metadata"]["name"]
        wanted = {port.get("targetPort", port.get("port")) for port in spec.get("ports", ())}
        wanted |= {port["port"] for rule in spec.get("ingress", ()) for port in rule["ports"]}
        wanted |= {endpoint["port"] for endpoint in spec.get("podMetricsEndpoints", ())}
        assert wanted <= set(ports(workload))


@pytest.mark.parametrize("workload", workloads(), ids=title)
def test_ports_and_probes_are_what_is_served(workload: Document) -> None:
    """Each port has its program's number; probes ask for paths that are there."""
    assert {name: PORTS[name] for name in ports(workload)} == ports(workload)
    for probe in probes(workload).values():
        if asked := probe.get("httpGet"):
            assert asked["path"].partition("?")[0] in PATHS[asked["port"]]
            assert asked["port"] in ports(workload)
        else:
            assert "redis-cli" in str(probe["exec"]["command"])


def test_the_gateway_serves_what_is_asked_for() -> None:
    """The paths of its probes and of Prometheus exist; a worker's are tried in tests/cluster."""
    assert PATHS["http"] <= served()
    gateway = probes(named("Deployment", "gateway"))
    assert ["/healthz", "/readyz"] == [gateway[kind]["httpGet"]["path"] for kind in ("liveness", "readiness")]
    worker = probes(named("Deployment", "worker"))
    assert ["/healthz", "/readyz"] == [worker[kind]["httpGet"]["path"] for kind in ("liveness", "readiness")]


def test_from_outside_everything_is_reached_but_what_is_for_operators() -> None:
    """The ingress lets through every path of the gateway except its metrics and probes."""
    (rule,) = named("Ingress", "gateway")["spec"]["rules"]
    open_ = [(path["path"], path["pathType"]) for path in rule["http"]["paths"]]
    assert {"/", "/v1/stream", "/static", "/reports/{name}"} | INSIDE <= served()
    for path in served():
        passes = any(path == p if kind == "Exact" else f"{path}/".startswith(f"{p}/") for p, kind in open_)
        assert passes == (path not in INSIDE), path
    for path in rule["http"]["paths"]:
        service = path["backend"]["service"]
        offered = named("Service", service["name"])["spec"]["ports"]
        assert service["port"]["name"] in {port["name"] for port in offered}


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_the_configuration_is_where_the_program_looks_for_it(name: str) -> None:
    """The ConfigMap is mounted at the path in the arguments; the arguments exist; what is written has room."""
    deployment = named("Deployment", name)
    pod, own = deployment["spec"]["template"]["spec"], container(deployment)
    generated = {
        each["name"]: each["files"] for each in one(CONFIG.parent / "kustomization.yaml")["configMapGenerator"]
    }
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in own["volumeMounts"]}
    directory, _, file = MOUNTED.rpartition("/")
    assert file in generated[mounts[directory]["configMap"]["name"]]
    dockerfile = (KUBERNETES.parent / "Dockerfile").read_text()
    (default,) = re.findall(rf"^CMD (\[\"{'serve' if name == 'gateway' else name}.*)$", dockerfile, flags=re.MULTILINE)
    command = own.get("args") or json.loads(default)
    text = " ".join(command).replace("=", " ")
    assert f"--config {MOUNTED}" in text
    subcommand = text.split()[0]
    assert {word for word in text.split() if word.startswith("--")} <= options_of(subcommand)
    assert own["securityContext"]["readOnlyRootFilesystem"]
    assert "/tmp" in mounts
    assert str(CONFIGURED.ledger.waiting) in mounts
    if name == "gateway":
        assert CONFIGURED.doors.keys is not None
        assert "secret" in mounts[str(CONFIGURED.doors.keys.parent)]


def test_there_is_time_to_end() -> None:
    """Longer than gateways and workers take at most; so nothing is killed that could have been finished."""
    gateway = named("Deployment", "gateway")
    leaving = float(container(gateway)["lifecycle"]["preStop"]["exec"]["command"][1])
    sockets = 5  # uvicorn's, in `twopass.serving`
    grace = gateway["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace >= leaving + 2 * (CONFIGURED.sessions.stop_seconds + sockets)
    worker = named("Deployment", "worker")
    (drain,) = re.findall(r"--drain-seconds=(\d+)", " ".join(container(worker)["args"]))
    assert float(drain) >= WorkerSettings().drain_seconds
    assert worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= float(drain) + 20


@pytest.mark.parametrize("workload", workloads(), ids=title)
def test_nobody_has_more_rights_than_needed(workload: Document) -> None:
    """As the namespace demands it: no root, no privileges, nothing of the image can be changed, limits for memory."""
    pod, own = workload["spec"]["template"]["spec"], container(workload)
    assert pod["securityContext"]["runAsNonRoot"]
    assert {"type": "RuntimeDefault"} == pod["securityContext"]["seccompProfile"]
    assert not pod["automountServiceAccountToken"]
    assert {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } == own["securityContext"]
    assert {"cpu", "memory"} <= own["resources"]["requests"].keys()
    assert "memory" in own["resources"]["limits"]
    enforced = named("Namespace", "twopass")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == "restricted"


def test_stores_are_where_the_configuration_says() -> None:
    """Broker and Redis have the services and ports of their addresses, and let in who needs them."""
    broker = CONFIGURED.profiles[CONFIGURED.default].second_pass.dispatch
    assert CONFIGURED.spool.url is not None
    for url, clients in ((broker, {"gateway", "worker"}), (CONFIGURED.spool.url, {"gateway"})):
        scheme, host, port = re.findall(r"^(\w+)://([\w-]+):(\d+)", url)[0]
        service = named("Service", host)
        assert {"name": scheme, "port": int(port), "targetPort": scheme} in service["spec"]["ports"]
        (rule,) = named("NetworkPolicy", host)["spec"]["ingress"]
        (allowed,) = rule["from"]
        found = {each["metadata"]["name"] for each in chosen(allowed["podSelector"]["matchLabels"])}
        assert clients == found


def test_scaling_finds_what_it_scales() -> None:
    """Its targets exist; with fewer than are left by a disruption there would be none."""
    for kind, least in (("ScaledObject", "minReplicaCount"), ("HorizontalPodAutoscaler", "minReplicas")):
        (scaler,) = (each for each in resources() if each["kind"] == kind)
        assert named("Deployment", scaler["spec"]["scaleTargetRef"]["name"])
        assert (
            scaler["spec"][least] > named("PodDisruptionBudget", scaler["metadata"]["name"])["spec"]["maxUnavailable"]
        )


def test_workers_are_added_before_it_is_too_late() -> None:
    """The age that adds workers is well below the deadline, which no age exceeds, and not one that is usual."""
    deadline = min(each.second_pass_run.deadline_ms for each in CONFIGURED.profiles.values()) / 1000
    (scaler,) = (each for each in resources() if each["kind"] == "ScaledObject")
    (age,) = (float(each["metadata"]["threshold"]) for each in scaler["spec"]["triggers"] if each["name"] == "age")
    assert deadline / 4 <= age <= deadline / 2


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_puts_it_together(overlay: str) -> None:
    """Every workload of the overlay has its namespace, an image with a version, and the configuration's very name."""
    built: list[Any] = list(yaml.safe_load_all(well([program("kubectl"), "kustomize", KUBERNETES / overlay])))
    (config,) = (each for each in built if each["kind"] == "ConfigMap")
    assert CONFIGURED == parse(config["data"]["twopass.yaml"])
    deployments = [each for each in built if each["kind"] in ("Deployment", "StatefulSet")]
    assert {"gateway", "worker"} <= {each["metadata"]["name"] for each in deployments}
    for each in built:
        assert "twopass" == each["metadata"]["name" if each["kind"] == "Namespace" else "namespace"]
    for each in deployments:
        own = container(each)
        assert ":" in own["image"].rpartition("/")[2]
        volumes = each["spec"]["template"]["spec"].get("volumes", ())
        used = [volume["configMap"]["name"] for volume in volumes if "configMap" in volume]
        assert used in ([], [config["metadata"]["name"]])
        assert ("replicas" in each["spec"]) == (overlay != "production")
    gpus = {
        each["metadata"]["name"]: container(each)["resources"]["limits"].get("nvidia.com/gpu") for each in deployments
    }
    assert gpus["worker"] == ("1" if overlay == "production" else None)
