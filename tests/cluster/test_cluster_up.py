"""`twopass cluster up` as people use it: real servers, real models, kills, and nothing that outlives it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest
import trustme
import yaml
from tests.cluster.test_brokers import LONG
from tests.conftest import PATIENCE
from tests.gateway.stream_driver import REFERENCE, SAMPLE, folded
from tests.waiting import until
from typer.testing import CliRunner

from twopass import cluster_cli, playing
from twopass.client import Client, Transcript
from twopass.cluster.local.asking import listens
from twopass.cluster.local.balancer import nginx
from twopass.cluster.local.derived import DEMO, derived
from twopass.cluster.local.health import health
from twopass.cluster.local.keeping import Died, Event, Kept, Stuck
from twopass.cluster.local.notes import FILE, PREFIX, Notes, Running, find, write
from twopass.cluster.local.ports import free_ports
from twopass.cluster.local.programs import HOST, Program, Role, installed
from twopass.cluster.local.servers import KAFKA_VARIABLE
from twopass.config import TlsConfig, parse
from twopass.errors import ConfigError
from twopass.gateway.messages import Segment

# The passes have time, and a worker that is killed is replaced: which words come out does not depend on the machine.
CONFIG = """\
default: demo
profiles:
  demo:
    language: en-US
    first_pass: {provider: pocketsphinx}
    second_pass: {provider: whisper, model: demo}
    first_pass_run: {silence_seconds: 60}
    second_pass_run: {deadline_ms: 120000}
"""
NEEDED = {
    "nats": ("nats-server", "redis-server"),
    "redis": ("redis-server",),
    "rabbit": ("rabbitmq-server", "redis-server"),
    "kafka": ("java", "redis-server"),
}


COMMAND = [sys.executable, "-m", "twopass.cli", "cluster"]
KEEPER = """
import asyncio, sys
from pathlib import Path
from twopass.cluster.local.keeping import Kept
from twopass.cluster.local.programs import Program, Role

async def ready():
    return True

async def main():
    sleep = (sys.executable, "-c", "import time; time.sleep(3600)")
    kept = Kept(Program("one", Role.WORKER, sleep, ready), Path(sys.argv[1]), Path(sys.argv[1], "log"), print)
    await kept.open()
    print(kept.pid, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


def skip_without(*programs: str) -> None:
    """Skip the test if one of them is not installed here."""
    for each in programs:
        try:
            installed(each, each)
        except ConfigError as error:
            pytest.skip(error.message)


@dataclass(frozen=True)
class Up:
    """
    A running `twopass cluster up`.

    Attributes:
        said: What it writes.
        temporary: Where it and its programs put temporary files.
    """

    process: subprocess.Popen[bytes]
    said: Path
    temporary: Path
    environment: dict[str, str]

    @property
    def notes(self) -> Notes | None:
        """What runs where; None as long as it is not ready."""
        for path in self.temporary.glob(f"{PREFIX}*/{FILE}"):
            return Notes.model_validate_json(path.read_bytes())
        return None

    def program(self, name: str) -> Running:
        """One of its programs, as it is now."""
        assert self.notes is not None
        return next(program for program in self.notes.programs if program.name == name)

    @property
    def told(self) -> str:
        """What it has written so far."""
        return self.said.read_text()

    def status(self) -> str:
        """What `twopass cluster status` says."""
        env = self.environment | {"TMPDIR": str(self.temporary)}
        return subprocess.run([*COMMAND, "status"], check=True, capture_output=True, text=True, env=env).stdout

    async def with_a_session(self) -> str:
        """Which gateway has the only session."""
        assert self.notes is not None
        doing = {each.name: (await health(each)).doing for each in self.notes.programs}
        (name,) = (name for name, what in doing.items() if what == "sessions: 1")
        return name

    def kill(self, name: str) -> int:
        """`kill -9`; returns the process."""
        pid = self.program(name).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        return pid

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it; whoever ends meanwhile has failed."""
        await until(lambda: condition() or self.process.poll() is not None, seconds=PATIENCE)
        assert self.process.poll() is None, self.told


@contextlib.contextmanager
def cluster_up(directory: Path, environment: dict[str, str], *options: str) -> Iterator[Up]:
    """`twopass cluster up` on a free port; it is killed at the end if it still lives."""
    config, said = directory / "cluster.yaml", directory / "said"
    config.write_text(CONFIG)
    # Short: there are Unix sockets in it.
    with tempfile.TemporaryDirectory() as temporary, said.open("wb") as output:
        command = [*COMMAND, "up", "--port", "0", "--config", str(config), *options]
        env = environment | {"TMPDIR": temporary}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)
        try:
            yield Up(process, said, Path(temporary), environment)
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("broker", [*NEEDED] if LONG else ["nats"])
async def test_sessions_go_on_when_programs_are_killed(
    broker: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    """
    A session through nginx has its right words, though its gateway and the only worker are killed in the middle of it;
    both are started again; SIGTERM ends all, and no process and no file is left.
    """
    skip_without(*NEEDED[broker], "nginx")
    with cluster_up(tmp_path, environment, "--brokers", broker, "--workers", "1") as up:
        await up.until(lambda: up.notes is not None)
        killed = await killed_in_a_session(up)
        assert 5 <= up.status().count(" answers")
        await up.until(lambda: all(f"{name} is back" in up.told for name in killed))
        for name, pid in killed.items():
            assert f"{name} (pid {pid}) was killed (SIGKILL)" in up.told
            assert up.program(name).pid not in (pid, None)
            assert (await health(up.program(name))).answers
        processes = psutil.Process(up.process.pid).children(recursive=True)
        up.process.send_signal(signal.SIGTERM)
        assert 0 == await asyncio.to_thread(up.process.wait, PATIENCE), up.told
        assert "has not ended" not in up.told
        assert [] == psutil.wait_procs(processes, PATIENCE)[1]
        assert [] == list(up.temporary.iterdir())


async def killed_in_a_session(up: Up) -> dict[str, int]:
    """Play the sample; when its first words are final kill who hears it. Returns who that was."""
    assert up.notes is not None
    transcript, killed = Transcript(), dict[str, int]()
    async with asyncio.timeout(PATIENCE), Client(up.notes.urls[0]).session(realtime=False) as session:
        session.feed(playing.from_file(SAMPLE))
        async for message in session:
            if isinstance(message, Segment):
                transcript.take(message)
                if message.status == "final" and not killed:
                    killed = {name: up.kill(name) for name in (await up.with_a_session(), "worker-1")}
    assert folded(REFERENCE) == folded(" ".join(revision.text for revision in transcript.revisions))
    return killed


def test_a_broker_that_is_not_here_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to get it, and nothing is left."""
    skip_without("java")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = CliRunner().invoke(cluster_cli.app, ["up", "--brokers", "kafka"], env={KAFKA_VARIABLE: str(tmp_path)})
    assert isinstance(done.exception, ConfigError)
    assert ("not_installed", True) == (done.exception.code, KAFKA_VARIABLE in done.exception.fix)
    assert [] == list(tmp_path.iterdir())


def test_a_home_is_for_one_cluster(tmp_path: Path) -> None:
    """Another one is told so, before it touches anything."""
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = CliRunner().invoke(cluster_cli.app, ["up", "--home", str(tmp_path)])
    assert isinstance(done.exception, ConfigError)
    assert ("home_in_use", []) == (done.exception.code, list((tmp_path / "logs").iterdir()))


def test_what_is_left_of_a_cluster_is_not_taken_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notes of one that was killed are still there, those of one that lives are found."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    for pid in (gone.pid, os.getpid()):
        with pytest.raises(ConfigError, match="twopass cluster up"):
            find()
        directory = tmp_path / f"{PREFIX}{pid}"
        directory.mkdir()
        write(directory, Notes(pid=pid, since=datetime.now(UTC), urls=("http://h:1",), home=directory, programs=()))
    assert os.getpid() == find().pid


async def test_a_program_that_dies_is_started_again_with_growing_pauses(tmp_path: Path) -> None:
    """One that dies again and again is told each time, with how it died."""
    told: list[Event] = []

    async def ready() -> bool:
        (tmp_path / "ready").touch()
        return True

    once = f"import os, time; os.path.exists({str(tmp_path / 'ready')!r}) and os._exit(3); time.sleep(3600)"
    kept = Kept(program(once, ready), tmp_path, tmp_path / "log", told.append)
    await kept.open()
    assert kept.pid is not None
    os.kill(kept.pid, signal.SIGKILL)
    await until(lambda: sum(isinstance(each, Died) for each in told) == 2, seconds=PATIENCE)
    await kept.close(1)
    died = [each for each in told if isinstance(each, Died)]
    assert ["was killed (SIGKILL)", "has ended (exit status 3)"] == [each.how for each in died]
    assert [0.5, 1.0] == [each.again_seconds for each in died]
    assert kept.pid is None


async def test_a_program_that_does_not_start_says_why(tmp_path: Path) -> None:
    """What it wrote last is in the error."""

    async def never() -> bool:
        return False

    kept = Kept(program("print('no such thing'); exit(3)", never), tmp_path, tmp_path / "log", lambda _: None)
    with pytest.raises(ConfigError, match="no such thing") as caught:
        await kept.open()
    assert "not_started" == caught.value.code


async def test_a_program_that_does_not_listen_to_sigterm_is_killed(tmp_path: Path) -> None:
    """Also what it has started itself, if that is still there."""
    script = 'trap "" TERM; sleep 3600 & echo $!; wait'

    async def ready() -> bool:
        return bool((tmp_path / "log").read_text().strip())

    told: list[Event] = []
    kept = Kept(Program("one", Role.WORKER, ("sh", "-c", script), ready), tmp_path, tmp_path / "log", told.append)
    await kept.open()
    both = [psutil.Process(pid) for pid in (kept.pid, int((tmp_path / "log").read_text())) if pid]
    await kept.close(0.1)
    assert [] == psutil.wait_procs(both, PATIENCE)[1]
    assert [Stuck("one", both[0].pid, 0.1)] == told


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can end a process with its parent")
def test_nothing_outlives_whoever_keeps_it() -> None:
    """`kill -9` of the keeper is the end of what it keeps."""
    with tempfile.TemporaryDirectory() as directory:
        keeper = subprocess.Popen([sys.executable, "-c", KEEPER, directory], stdout=subprocess.PIPE, text=True)
        assert keeper.stdout is not None
        kept = psutil.Process(int(keeper.stdout.readline()))
        assert kept.is_running()
        keeper.kill()
        assert [] == psutil.wait_procs([kept], PATIENCE)[1]
        keeper.wait()
        keeper.stdout.close()


def test_the_configuration_is_the_same_but_for_the_addresses() -> None:
    """All second passes go to the broker and all sessions to Redis; nothing else of the configuration is lost."""
    text = """\
server: {port: 1, max_sessions: 3, tls: {certificate: a.pem, key: b.pem}}
doors: {keys: /k.json, trusted_proxies: [10.0.0.0/8]}
spool: {directory: /d, session_mb: 7}
default: b
profiles:
  a: {first_pass: &p {provider: pocketsphinx}, second_pass: *p}
  b:
    first_pass: *p
    second_pass: {provider: whisper, dispatch: "kafka://h:1", fallback: *p}
    second_pass_run: {deadline_ms: 7}
"""
    ours = parse(derived(text, broker="nats://h:2", state="redis://h:3/0", balanced=True, demo=True))
    assert {"nats://h:2"} == {profile.second_pass.dispatch for profile in ours.profiles.values()}
    assert {"a", "b", DEMO} == set(ours.profiles)
    before, after = parse(text).profiles["b"], ours.profiles["b"]
    assert before.second_pass.fallback == after.second_pass.fallback
    assert before.second_pass_run == after.second_pass_run
    assert ("b", HOST, 3, None) == (ours.default, ours.server.host, ours.server.max_sessions, ours.server.tls)
    assert ("redis://h:3/0", None, 7) == (ours.spool.url, ours.spool.directory, ours.spool.session_mb)
    assert (Path("/k.json"), ["10.0.0.0/8", f"{HOST}/32"]) == (ours.doors.keys, [*map(str, ours.doors.trusted_proxies)])
    alone = derived(text, broker="nats://h:2", state="redis://h:3/0", balanced=False, demo=False)
    assert (["10.0.0.0/8"], {"a", "b"}) == (
        yaml.safe_load(alone)["doors"]["trusted_proxies"],
        set(parse(alone).profiles),
    )


async def test_nginx_does_the_tls(tmp_path: Path) -> None:
    """The certificate of the configuration is the load balancer's; where no gateway answers, it says so."""
    skip_without("nginx")
    authority, trusting = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trusting)
    pem = tmp_path / "pem"
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(pem)
    port, gateway, *_ = (port for port, _ in zip(free_ports(), range(2), strict=False))
    url, tls = f"https://{HOST}:{port}", TlsConfig(certificate=pem, key=pem)
    made = nginx(tmp_path, (HOST, port), url, [f"http://{HOST}:{gateway}"], tls)
    kept = Kept(made, tmp_path, tmp_path / "log", lambda _: None)
    await kept.open()
    try:
        async with httpx.AsyncClient(verify=trusting, timeout=PATIENCE) as client:
            assert 502 == (await client.get(url)).status_code
    finally:
        await kept.close(PATIENCE)
    assert not await listens(port)()


def test_free_ports_are_free_and_not_given_twice() -> None:
    """One that somebody has is left out."""
    ports = free_ports()
    first = next(ports)
    with socket.create_server((HOST, first)):
        assert first not in set(free_ports())
    rest = list(ports)
    assert first not in rest
    assert len(rest) == len(set(rest))


def program(script: str, ready: Callable[[], Awaitable[bool]]) -> Program:
    """A program in Python."""
    return Program("one", Role.WORKER, (sys.executable, "-c", script), ready)
