"""
A worker with a scripted recognizer, in a process of its own: python -m tests.cluster.worker_process '{"url": ...}'.

It says on its standard output what it does: "ready", "batch" as it begins one. SIGTERM drains it.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import Any

from tests.scripted import ScriptedUtterances

from twopass.cluster.broker import BrokerSettings
from twopass.cluster.hearing import Hearer
from twopass.cluster.reaching import reached
from twopass.cluster.worker import Worker, WorkerSettings
from twopass.cluster.worker_metrics import Observed, WorkerMetrics
from twopass.second_pass import SecondPass, SecondPassSettings


def _say(what: str) -> None:
    print(what, flush=True)


async def main(wishes: dict[str, Any]) -> None:
    """
    Wishes: `broker` (BrokerSettings), `name`, `room`, `batch_seconds`, and `stall_at`, the number of the batch that
    never ends.
    """

    def fault(call: int, ms: int) -> float:
        _say("batch")
        return 3600.0 if call == wishes.get("stall_at") else wishes.get("batch_seconds", 0.02)

    metrics = WorkerMetrics()
    recognizer = Observed(ScriptedUtterances(max_batch=4, fault=fault), metrics)
    queue = SecondPass(recognizer, SecondPassSettings(hang_ms=3_600_000))
    broker = await reached(BrokerSettings(**wishes["broker"]))
    settings = WorkerSettings(room=wishes.get("room", 8), name=wishes["name"])
    worker = Worker(broker, {"numbers": Hearer(queue, recognizer)}, settings, metrics)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.drain)
    running = asyncio.create_task(worker.run())
    _say("ready")
    await running
    _say("drained")


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
