"""The measurements of a cluster can be made: small ones, whose figures are not looked at."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest
from tests.bench.cluster import overhead, scaling
from tests.cluster.servers import nats_server, redis_server

LONG = os.environ.get("TWOPASS_CLUSTER") == "long"


async def test_the_overhead_is_measured() -> None:
    """Ten sessions at a gateway: what was asked in the time is answered, and every part's processors are counted."""
    crowd = overhead.Crowd(10, gateways=1, seconds=3.0, warm_seconds=0.0, longest=1.2, pause=0.1)
    with redis_server() as server:
        row = await overhead.measure("redis", server, crowd)
    assert 0 < row["utterances"] <= row["asked"]
    assert all(low <= high for low, high in pairwise(row[key] for key in ("p50_ms", "p90_ms", "p99_ms", "max_ms")))
    assert {"gateways", "workers", "broker"} == set(row["cores"])


@pytest.mark.skipif(not LONG, reason="only in the long form: TWOPASS_CLUSTER=long")
async def test_workers_are_measured() -> None:
    """One and two workers with the bundled Whisper hear the same, and took processor time for it."""
    with nats_server() as server:
        report = await scaling.measure(server, rounds=1, count=16)
    assert [1, 2] == [run["workers"] for run in report["runs"]]
    assert all(run["utterances"] == 16 and run["cpu_seconds"] > 0 for run in report["runs"])
