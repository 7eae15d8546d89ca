"""What the tests of the cluster share: a gateway, workers as processes, and utterances whose words are known."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.servers import Server, end_with_parent
from tests.scripted import ScriptedUtterances, numbered, spoken
from tests.waiting import until

from twopass.cluster.dispatch import Dispatch, RemoteSecondPass
from twopass.cluster.hearing import Hearer
from twopass.cluster.worker import Worker, WorkerSettings
from twopass.cluster.worker_metrics import Observed, WorkerMetrics
from twopass.recognizers import Capabilities, StreamOptions, UtteranceAudio
from twopass.second_pass import Job, SecondPass, SecondPassSettings
from twopass.types import Usage, Word

PATIENCE = 240.0
CAPABILITIES = Capabilities("scripted", "scripted", "Only numbers.", max_batch=4)


@dataclass
class WorkerProcess:
    """A worker, and what it has said."""

    process: asyncio.subprocess.Process
    said: list[str] = field(default_factory=list)

    async def listen(self) -> None:
        """Until it ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.said.append(line.decode().strip())

    async def ended(self) -> int:
        """How it ended."""
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def worker(server: Server, name: str, **wishes: Any) -> AsyncIterator[WorkerProcess]:
    """A worker in a process of its own, ready; it is killed at the end."""
    arguments = json.dumps({"broker": dataclasses.asdict(server.broker()), "name": name, **wishes})
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.cluster.worker_process",
        arguments,
        stdout=subprocess.PIPE,
        preexec_fn=end_with_parent,
    )
    running = WorkerProcess(process)
    listening = asyncio.create_task(running.listen())
    try:
        await until(lambda: "ready" in running.said or process.returncode is not None, seconds=PATIENCE)
        assert process.returncode is None
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await listening


@contextlib.asynccontextmanager
async def working(
    server: Server, recognizer: ScriptedUtterances, **settings: Any
) -> AsyncIterator[tuple[Worker, WorkerMetrics]]:
    """A worker in this process; it drains at the end."""
    metrics = WorkerMetrics()
    observed = Observed(recognizer, metrics)
    queue = SecondPass(observed, SecondPassSettings(batch_wait_ms=1))
    hearers = {"numbers": Hearer(queue, observed)}
    worker = Worker(await server.connected(), hearers, WorkerSettings(**settings), metrics)
    running = asyncio.create_task(worker.run())
    try:
        yield worker, metrics
    finally:
        worker.drain()
        async with asyncio.timeout(PATIENCE):
            await running


@dataclass
class Asked:
    """A job, and what its answer must be."""

    job: Job
    words: Sequence[Word]
    usage: list[Usage]


class Gateway:
    """Sessions that send utterances."""

    def __init__(self, dispatch: Dispatch) -> None:
        self.second = RemoteSecondPass(dispatch, "numbers", CAPABILITIES, SecondPassSettings())
        self.dispatch = dispatch
        self._number = 0

    def ask(self, session: str, **options: Any) -> Asked:
        """An utterance like no other: three numbers."""
        words = [dataclasses.replace(word, text=str(self._number + 1 + i)) for i, word in enumerate(numbered(3))]
        self._number += 3
        audio = UtteranceAudio(spoken(words, 750), StreamOptions(session=session))
        usage: list[Usage] = []
        return Asked(self.second.submit(audio, used=usage.append, **options), words, usage)


@contextlib.asynccontextmanager
async def gateway(server: Server) -> AsyncIterator[Gateway]:
    """A gateway that is connected."""
    dispatch = Dispatch(server.connected)
    await dispatch.open()
    try:
        yield Gateway(dispatch)
    finally:
        await dispatch.close()


async def all_answered(asked: Sequence[Asked]) -> None:
    """Wait until each has its own words as its answer."""
    async with asyncio.timeout(PATIENCE):
        answers = await asyncio.gather(*(each.job.answer for each in asked))
    assert [[word.text for word in each.words] for each in asked] == [
        [word.text for word in answer.words] for answer in answers
    ]
