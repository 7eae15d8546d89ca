"""Dashboard, alerts and scaling ask for what gateways and workers tell."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from tests.deploy.manifests import DEPLOY, one, program, resources, well

from twopass.cluster.worker_metrics import WorkerMetrics
from twopass.gateway.metrics import Metrics
from twopass.second_pass_watch import Audio, Watch
from twopass.types import Status

DASHBOARD: Mapping[str, Any] = json.loads((DEPLOY / "grafana" / "twopass.json").read_text())
ALERTS = DEPLOY / "alerts.yaml"
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
_ADDED = {"instance", "job"}
"""Labels that Prometheus adds."""
_VALUES = {
    "audio": {each.value for each in Audio},
    "place": {"here", "workers"},
    "status": {each.value for each in Status},
    "reason": {"timeout", "failed"},
}
_WORDS = {"by", "and", "or", "on", "sum", "max", "rate", "avg", "count"}


def registries() -> list[CollectorRegistry]:
    """Of a gateway and of a worker, as they are at work. In an event loop: ages are measured by its clock."""
    gateway, worker = Metrics(), WorkerMetrics()
    gateway.watch({"live": Watch(here=False)})
    worker.watch(lambda: 0, lambda: 0)
    return [gateway.registry, worker.registry]


def known() -> Mapping[str, set[str]]:
    """The labels of every series that is told, by its name."""
    found: dict[str, set[str]] = {}
    for registry in registries():
        for collector in set(registry._collector_to_names):
            labels = set(getattr(collector, "_labelnames", ()))
            for metric in collector.collect():
                for suffix in _SUFFIXES[metric.type]:
                    found[metric.name + suffix] = labels | _ADDED | ({"le"} if suffix == "_bucket" else set())
    return found


def panels() -> list[Any]:
    """Of the dashboard, without the titles of its rows."""
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Everything that is asked of Prometheus, and who asks."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]
    for group in one(ALERTS)["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for trigger in triggers():
        yield trigger["name"], trigger["metadata"]["query"]


def triggers() -> list[Any]:
    """By which the number of workers is found."""
    (scaler,) = (each for each in resources() if each["kind"] == "ScaledObject")
    found: list[Any] = scaler["spec"]["triggers"]
    return found


def plain(query: str) -> str:
    """As Prometheus gets it from Grafana."""
    query = re.sub(r"^label_values\((\w+), (\w+)\)$", r"group by (\2) (\1)", query)
    return query.replace("$__rate_interval", "1m").replace("$profile", ".*")


async def test_every_metric_and_label_is_told() -> None:
    """No query is about a series, a label or a value that gateways and workers do not know."""
    told = known()
    asked = set()
    for who, query in queries():
        names = re.findall(r"\btwopass_\w+", query)
        assert names, who
        assert set(names) <= told.keys(), who
        asked |= set(names)
        for name, matchers in re.findall(r"(twopass_\w+)\{([^}]*)\}", query):
            for label, values in re.findall(r'(\w+)=~?"([^"]*)"', matchers):
                assert label in told[name], who
                assert values.startswith("$") or set(values.split("|")) <= _VALUES.get(label, outcomes()), who
        for labels in re.findall(r"\bby \(([^)]*)\)", query):
            assert set(labels.split(", ")) <= set().union(*(told[name] for name in names)), who
        for label in re.findall(r"label_values\(\w+, (\w+)\)", query):
            assert label in told[names[0]]
    unused = {name for name in told if not name.endswith(("_bucket", "_sum", "_count"))} - asked
    assert set() == unused, "nobody looks at these"


def outcomes() -> set[str]:
    """Of utterances at workers."""
    families = WorkerMetrics().outcomes.collect()
    return {sample.labels["outcome"] for family in families for sample in family.samples}


async def test_legends_name_labels_that_are_there() -> None:
    """A legend does not stay empty: what it names survives the aggregation."""
    told = known()
    for panel in panels():
        for target in panel["targets"]:
            kept = re.findall(r"\bby \(([^)]*)\)", target["expr"])
            names = re.findall(r"\btwopass_\w+", target["expr"])
            summed = re.match(r"(sum|max|count|histogram_quantile)\b", target["expr"])
            shown = set(kept[0].split(", ")) if kept else set() if summed else told[names[0]]
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= shown, panel["title"]


def test_the_dashboard_holds_together() -> None:
    """Panels have ids of their own, do not overlap, and ask the source that can be chosen; so does its provisioning."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    boxes = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(box["x"] + box["w"] <= 24 for box in boxes)
    for a, b in itertools.combinations(boxes, 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert apart or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
    sources = [each["datasource"]["uid"] for panel in panels() for each in (panel, *panel["targets"])]
    assert {"${source}"} == set(sources)
    variables = {each["name"] for each in DASHBOARD["templating"]["list"]}
    assert set(re.findall(r"\$\{?([a-z]\w+)", json.dumps(panels()))) <= variables
    (provider,) = one(DEPLOY / "grafana" / "dashboards.yaml")["providers"]
    mounted = one(DEPLOY / "compose.yaml")["services"]["grafana"]["volumes"]
    assert f"./grafana/twopass.json:{provider['options']['path']}/twopass.json:ro" in mounted


def test_prometheus_reads_it(tmp_path: Path) -> None:
    """Its own tool takes the configuration, the alerts, and every query of dashboard and scaling."""
    promtool = program("promtool")
    well([promtool, "check", "config", DEPLOY / "prometheus.yml"])
    rules = [{"record": f"query:{number}", "expr": plain(query)} for number, (_, query) in enumerate(queries())]
    path = tmp_path / "queries.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    assert f"{len(rules)} rules found" in well([promtool, "check", "rules", path])


def test_alerts_are_raised_when_they_should() -> None:
    """For series that are as in trouble and for such that are not; see alerts_test.yaml."""
    tested = Path(__file__).with_name("alerts_test.yaml")
    cases = one(tested)["tests"]
    raised = {each["alertname"] for case in cases for each in case["alert_rule_test"] if each["exp_alerts"]}
    assert {rule["alert"] for group in one(ALERTS)["groups"] for rule in group["rules"]} == raised


def test_alerts_do_what_their_test_says(tmp_path: Path) -> None:
    """Prometheus' own tool runs it."""
    promtool = program("promtool")
    text = Path(__file__).with_name("alerts_test.yaml").read_text().replace("ALERTS", str(ALERTS))
    path = tmp_path / "alerts_test.yaml"
    path.write_text(text)
    well([promtool, "test", "rules", path])


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        pytest.param({}, {}, id="nobody is there"),
        pytest.param(
            {'twopass_second_pass_waiting_seconds{place="workers",audio="live"}': "5x8"},
            {"age": 5},
            id="live speech waits, and there is no worker",
        ),
        pytest.param(
            {
                'twopass_second_pass_waiting_seconds{place="workers",audio="live",instance="a"}': "0x8",
                'twopass_second_pass_waiting_seconds{place="workers",audio="live",instance="b"}': "6x8",
                'twopass_second_pass_waiting_seconds{place="here",audio="live",profile="demo"}': "9x8",
                'twopass_second_pass_waiting_seconds{place="workers",audio="recording"}': "300x8",
                'twopass_worker_busy_seconds_total{instance="w1"}': "0+15x8",
                'twopass_worker_busy_seconds_total{instance="w2"}': "0+7.5x8",
            },
            {"age": 6, "recordings": 300, "busy": 1.5},
            id="the gateway that waits longest counts; what is heard at a gateway does not",
        ),
    ],
)
def test_workers_are_asked_for(series: Mapping[str, str], expected: Mapping[str, float], tmp_path: Path) -> None:
    """What the queries of the scaling give, by Prometheus' own tool: also while there is no worker to tell anything."""
    tests = [
        {
            "expr": trigger["metadata"]["query"],
            "eval_time": "2m",
            "exp_samples": [{"labels": "{}", "value": expected[trigger["name"]]}]
            if trigger["name"] in expected
            else [],
        }
        for trigger in triggers()
    ]
    values = [{"series": name, "values": told} for name, told in series.items()]
    case = {"interval": "15s", "input_series": values, "promql_expr_test": tests}
    path = tmp_path / "queries_test.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [], "tests": [case]}))
    well([program("promtool"), "test", "rules", path])
