"""
A worker with the bundled Whisper: python -m tests.bench.cluster.hearing_worker '{"url": …}'.

It says "ready" when its model is loaded and takes nothing before it is told to.
"""

from __future__ import annotations

import asyncio
import sys

from pydantic import TypeAdapter
from tests.bench.cluster.processes import say, told

from twopass.cluster.broker import BrokerSettings
from twopass.cluster.hearers import Hearers
from twopass.cluster.reaching import reached
from twopass.cluster.worker import Worker, WorkerSettings
from twopass.cluster.worker_metrics import WorkerMetrics
from twopass.config import parse

PROFILE = "demo"
_CONFIG = """
default: demo
profiles:
  demo:
    first_pass: {provider: pocketsphinx}
    second_pass: {provider: whisper, model: demo, device: cpu, threads: 1}
"""
_ROOM = 8
"""Small: at the end nobody has many while another one has none."""


async def main(broker: BrokerSettings) -> None:
    """Until it is told to end."""
    metrics = WorkerMetrics()
    hearers = Hearers(parse(_CONFIG), metrics)
    await hearers.open()
    try:
        worker = Worker(await reached(broker), hearers.by_profile, WorkerSettings(_ROOM), metrics)
        say("ready")
        await told()
        running = asyncio.create_task(worker.run())
        await told()
        worker.drain()
        await running
    finally:
        await hearers.close()
    say("drained")


if __name__ == "__main__":
    asyncio.run(main(TypeAdapter(BrokerSettings).validate_json(sys.argv[1])))
