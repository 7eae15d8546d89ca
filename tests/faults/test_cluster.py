"""The fault suite's parts for clusters; the runs themselves are `python -m tests.faults.cluster`."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tests.cluster.servers import SERVERS
from tests.faults import cluster, cluster_troubles, report, suite
from tests.faults.comparison import Verdict
from tests.faults.configs import CLUSTERED
from tests.faults.programs import Died
from tests.faults.runner import Outcome
from tests.faults.scenarios import CLUSTER_SCENARIOS
from tests.faults.serving import Server, free_port
from tests.faults.suite import Wanted

from twopass import config


def test_a_hundred_runs_are_a_hundred() -> None:
    """With all brokers the command's runs are more than a hundred, and no scenario is left out."""
    plan = suite.plan(Wanted(math.ceil(160 / len(SERVERS))), CLUSTER_SCENARIOS)
    assert len(SERVERS) * sum(map(len, plan.values())) >= 100
    assert set(plan) == set(CLUSTER_SCENARIOS)


def test_every_scenario_can_be_played() -> None:
    """What a scenario does to a cluster is known, its profile is there, and what is run in short is a scenario."""
    profiles = config.parse(CLUSTERED.format(broker="nats://localhost:1", state="redis://localhost:1")).profiles
    for scenario in CLUSTER_SCENARIOS.values():
        assert scenario.doing is None or scenario.doing[0] in cluster_troubles.DOINGS
        assert scenario.profile in profiles
    assert set(cluster.SHORT) <= set(CLUSTER_SCENARIOS)


def test_a_run_on_a_cluster_can_be_had_again(capsys: pytest.CaptureFixture[str]) -> None:
    """A failure names its broker and its session, and only the log lines of sessions that failed are shown."""
    bad = Outcome("cut", 7, Verdict(lost=("1",)), 1, 9, 1.0, broker="nats", session="bad")
    good = Outcome("cut", 8, Verdict(), 1, 9, 1.0, broker="nats", session="good")
    said = list(report.failures([bad, good], "again"))
    assert "nats cut, seed 7 (bad)" in said[0]
    assert "again --broker nats --scenario cut --seed 7" in said[1]
    suite.show_log(suite.console(), "x", [bad, good], ['a {"session": "bad"}', 'b {"session": "good"}', "c"])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["a", "c"]
    suite.show_log(suite.console(), "x", [good], ["c"])
    assert capsys.readouterr().out == ""


async def test_a_program_that_dies_is_not_waited_for(tmp_path: Path) -> None:
    """A server whose start fails says why, instead of being waited for."""
    with pytest.raises(Died, match="cannot be read"):
        await Server(tmp_path / "none.yaml", free_port()).start()
