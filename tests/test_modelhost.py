"""Models in processes of their own: they share or fork, fail and die, and are never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.conftest import PATIENCE

from twopass.errors import RecognizerCrashed, RecognizerRejected, RecognizerUnavailable
from twopass.modelhost import Channel, HostedModel, ModelHost

ROOT = Path(__file__).parents[1]
Hosting = Callable[..., AbstractAsyncContextManager[ModelHost]]
both = pytest.mark.parametrize("fork", [False, True], ids=["threads", "forks"])


@pytest.fixture
def hosting(monkeypatch: pytest.MonkeyPatch) -> Hosting:
    """Make a host that ends with the context, and leaves nothing."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)

    @asynccontextmanager
    async def host(factory: str = "echo", *, fork: bool = False, **more: Any) -> AsyncIterator[ModelHost]:
        load_seconds = more.pop("load_seconds", PATIENCE)
        model = HostedModel("test", f"tests.hosted:{factory}", more, fork=fork, niceness=1, load_seconds=load_seconds)
        made = ModelHost(model)
        before = psutil.Process().children()  # among them a server of other tests, which has children of its own
        try:
            yield made
        finally:
            forks = psutil.Process(made.pid).children() if made.pid else []
            await made.close()
        await until_gone([*forks, *(child for child in psutil.Process().children() if child not in before)])

    return host


async def until_gone(processes: list[psutil.Process]) -> None:
    """Wait until none of them lives."""
    assert [] == (await asyncio.to_thread(psutil.wait_procs, processes, timeout=PATIENCE))[1]


async def asked(channel: Channel, message: object) -> Any:
    """Send something and wait for the answer."""
    await channel.send(message)
    return await channel.receive()


async def test_threads_share_the_model(hosting: Hosting) -> None:
    """Connections to a threaded host reach one process, loaded once with the settings."""
    async with hosting(size=3) as host:
        one, other = await host.connect(), await host.connect()
        assert (host.pid, 1, {"size": 3}, "a") == await asked(one, "a")
        assert (host.pid, 2, {"size": 3}, "b") == await asked(other, "b")
        one.close()
        assert (host.pid, 3, {"size": 3}, "c") == await asked(other, "c")
        other.close()


async def test_forks_have_a_copy_each(hosting: Hosting) -> None:
    """Connections to a forking host reach a process each, with the model as it was loaded."""
    async with hosting(fork=True) as host:
        one, other = await host.connect(), await host.connect()
        answers = [await asked(channel, None) for channel in (one, one, other)]
        assert [1, 2, 1] == [count for _, count, _, _ in answers]
        streams = [psutil.Process(pid) for pid in {answers[0][0], answers[2][0]}]
        assert 2 == len(streams)
        assert host.pid not in [stream.pid for stream in streams]
        for channel in (one, other):
            channel.close()
        await until_gone(streams)


@both
async def test_large_messages(hosting: Hosting, fork: bool) -> None:
    """Messages of many megabytes arrive whole, in both directions, one after the other."""
    data = os.urandom(8 << 20)
    async with hosting(fork=fork) as host:
        channel = await host.connect()
        for _ in range(2):
            assert data == (await asked(channel, data))[3]
        channel.close()


@both
async def test_error_keeps_class_and_fields(hosting: Hosting, fork: bool) -> None:
    """What the model refuses arrives as the error that it raised, with all its fields."""
    async with hosting("failing", fork=fork) as host:
        channel = await host.connect()
        with pytest.raises(RecognizerRejected) as caught:
            await asked(channel, "reject")
        error = caught.value
        assert ("No more than 8 s.", "vendor", "too_long", "Send less.", False) == (
            error.message,
            error.provider,
            error.code,
            error.fix,
            error.retryable,
        )
        channel.close()


@pytest.mark.parametrize(("order", "said"), [("wrong", "division by zero"), ("unportable", "a lock is in here")])
async def test_any_other_error_is_a_failed_model(hosting: Hosting, order: str, said: str) -> None:
    """An exception that is not ours arrives as a crash with its text, also if it cannot travel itself."""
    async with hosting("failing") as host:
        channel = await host.connect()
        with pytest.raises(RecognizerCrashed, match=said) as caught:
            await asked(channel, order)
        assert ("model_failed", "test") == (caught.value.code, caught.value.provider)
        with pytest.raises(RecognizerCrashed):
            await asked(channel, "after that the connection is closed")
        channel.close()


async def killed(host: ModelHost) -> None:
    """Kill the host's process from outside, without a moment for the event loop to know of it."""
    process = psutil.Process(host.pid)
    process.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            pass


@pytest.mark.parametrize("end", [killed, ModelHost.restart], ids=["killed", "restarted"])
@both
async def test_next_connection_starts_it_again(
    hosting: Hosting, fork: bool, end: Callable[[ModelHost], Awaitable[None]]
) -> None:
    """When the process dies, who waits for it is told, and the next connection has a new one at once."""
    async with hosting(fork=fork) as host:
        before = (await host.connect(), host.pid)
        await asked(before[0], 1)
        if fork:  # the stream's own process dies with the host's
            os.kill((await asked(before[0], 2))[0], signal.SIGKILL)
        await end(host)
        with pytest.raises(RecognizerCrashed) as caught:
            await asked(before[0], 3)
        assert caught.value.retryable
        before[0].close()
        after = await host.connect()
        assert 1 == (await asked(after, 4))[1]
        assert before[1] != host.pid
        after.close()


async def test_fork_that_dies_takes_nobody_along(hosting: Hosting) -> None:
    """The death of one stream's process ends that stream only."""
    async with hosting("failing", fork=True) as host:
        doomed, other = await host.connect(), await host.connect()
        with pytest.raises(RecognizerCrashed, match="process ended"):
            await asked(doomed, "die")
        with pytest.raises(RecognizerRejected):
            await asked(other, "reject")
        for channel in (doomed, other):
            channel.close()


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("missing", "weights_missing", "No weights. Pull them."),
        ("wrong", "recognizer_unavailable", "The model could not be loaded: There is no such thing. Choose another."),
        ("unportable", "recognizer_unavailable", "The model could not be loaded: Unportable: a lock is in here"),
        ("die", "recognizer_unavailable", "The model's process ended while loading."),
        ("hang", "recognizer_unavailable", "The model did not load in time."),
    ],
)
async def test_model_that_cannot_be_loaded(hosting: Hosting, how: str, code: str, said: str) -> None:
    """Whatever goes wrong while loading is told as unavailable, with the reason, and no process stays."""
    seconds = 2.0 if how == "hang" else PATIENCE
    async with hosting("loading", how=how, load_seconds=seconds) as host:
        with pytest.raises(RecognizerUnavailable) as caught:
            await host.start()
        assert code == caught.value.code
        assert str(caught.value).startswith(said)
        assert host.pid is None


async def test_loading_can_be_tried_again(hosting: Hosting, tmp_path: Path) -> None:
    """A model that could not be loaded is loaded by the next attempt."""
    async with hosting("once_broken", mark=str(tmp_path / "mark")) as host:
        with pytest.raises(RecognizerUnavailable, match="the disk was not mounted"):
            await host.connect()
        channel = await host.connect()
        assert "now" == (await asked(channel, "now"))[3]
        channel.close()


async def test_all_who_start_it_at_once_get_one(hosting: Hosting) -> None:
    """Many connections at the same moment load the model once."""
    async with hosting() as host:
        channels = await asyncio.gather(*(host.connect() for _ in range(5)))
        assert {host.pid} == {(await asked(channel, None))[0] for channel in channels}
        for channel in channels:
            channel.close()


async def test_prints_of_a_library_do_no_harm(hosting: Hosting) -> None:
    """What a model writes to standard output does not get between us and its process."""
    async with hosting("noisy") as host:
        channel = await host.connect()
        assert "x" == (await asked(channel, "x"))[3]
        channel.close()


async def test_gateway_goes_first(hosting: Hosting) -> None:
    """The model's process is nicer than ours, and not ended by Ctrl-C, which is the gateway's to handle."""
    async with hosting() as host:
        await host.start()
        process = psutil.Process(host.pid)
        assert min(psutil.Process().nice() + 1, 19) == process.nice()
        process.send_signal(signal.SIGINT)
        channel = await host.connect()
        assert process.pid == (await asked(channel, None))[0]
        channel.close()


@both
async def test_closed_host_is_gone(hosting: Hosting, fork: bool) -> None:
    """After `close` there is no process, but for the forks of streams that still last, and no connection any more."""
    async with hosting(fork=fork) as host:
        channel = await host.connect()
        processes = [psutil.Process(pid) for pid in {host.pid, (await asked(channel, None))[0]}]
        await host.close()
        assert host.pid is None
        with pytest.raises(RecognizerUnavailable, match="stopping"):
            await host.connect()
        channel.close()
        await until_gone(processes)


@both
async def test_work_in_order_keeps_its_connection(hosting: Hosting, fork: bool) -> None:
    """After work that ends in order the next work finds the same connection, so a forked model is ready at once."""
    async with hosting(fork=fork) as host:
        async with host.channel() as first:
            pid = (await asked(first, None))[0]
        async with host.channel() as second:
            assert (pid, 2) == (await asked(second, None))[:2]
            async with host.channel() as third:
                assert third is not second


async def break_off(host: ModelHost) -> None:
    """Ask and do not wait for the answer."""
    async with host.channel() as channel:
        await channel.send("an answer to this must reach nobody")
        raise ZeroDivisionError


async def test_work_broken_off_leaves_no_answer_for_the_next(hosting: Hosting) -> None:
    """Whoever breaks off, or finds the model dead, leaves a connection that is not used again."""
    async with hosting(fork=True) as host:
        with pytest.raises(ZeroDivisionError):
            await break_off(host)
        async with host.channel() as channel:
            pid, _, _, message = await asked(channel, "mine")
            assert "mine" == message
        process = psutil.Process(pid)
        process.kill()
        await until_gone([process])
        async with host.channel() as channel:
            assert "next" == (await asked(channel, "next"))[3]


PARENT = """
import asyncio, sys
from twopass.modelhost import HostedModel, ModelHost

async def main():
    host = ModelHost(HostedModel("test", "tests.hosted:echo", {}, fork=sys.argv[1] == "True"))
    channel = await host.connect()
    await channel.send(None)
    print(host.pid, (await channel.receive())[0], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@both
async def test_parents_death_ends_it(fork: bool, tmp_path: Path) -> None:
    """When the gateway is killed, its models end by themselves."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", PARENT, str(fork)]
    parent = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=env)
    assert parent.stdout is not None
    children = [psutil.Process(pid) for pid in set(map(int, (await parent.stdout.readline()).split()))]
    parent.kill()
    await parent.communicate()
    assert (2 if fork else 1) == len(children)
    await until_gone(children)
