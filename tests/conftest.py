"""What the tests share: a real server with real models, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import structlog
from hypothesis import HealthCheck, settings

# Machines differ and are shared: no test fails because it is slow.
settings.register_profile(
    "patient",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    max_examples=int(os.environ.get("TWOPASS_EXAMPLES", "100")),
)
settings.load_profile("patient")
PATIENCE = 240.0
"""Seconds until a wait is given up. Less than pytest's own limit for a test, more than any loaded machine needs."""

# What tests use is on nobody's ledger but those that they open themselves.
os.environ["TWOPASS_LEDGER"] = ""

# The passes have time: which words come out does not depend on the machine.
CONFIG = """\
server: {max_sessions: 8, max_upload_mb: 4}
sessions: {resume_seconds: 4, quiet_seconds: 120}
default: demo
download: false
profiles:
  demo:
    title: Demo
    language: en-US
    first_pass: {provider: pocketsphinx}
    second_pass: {provider: whisper, model: demo}
    first_pass_run: {silence_seconds: 60}
    second_pass_run: {deadline_ms: 120000}
  live:
    title: Any speech
    language: en-US
    first_pass: {provider: pocketsphinx}
    second_pass: {provider: whisper, model: auto, fallback: {provider: pocketsphinx}}
    first_pass_run: {silence_seconds: 60}
    second_pass_run: {deadline_ms: 120000}
prices: {cpu_core: 0.04 USD}
"""


@pytest.fixture(autouse=True)
def usual_log() -> Iterator[None]:
    """A command that is run in this process sets up its log, and leaves that to nobody else."""
    yield
    structlog.reset_defaults()


@dataclass(frozen=True)
class Server:
    """
    A running `twopass serve`.

    Attributes:
        log: What it writes to stdout and stderr.
        temporary: Where it puts temporary files.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    temporary: Path

    def metric(self, name: str) -> float:
        """A value of /metrics without labels."""
        with urllib.request.urlopen(f"{self.url}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))

    def children(self) -> list[psutil.Process]:
        """The processes of its models."""
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture(scope="session")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of the shared server: small limits, no network."""
    path = tmp_path_factory.mktemp("config") / "test.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="session")
def small_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo profile alone: it is ready soonest."""
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(re.sub(r"  live:.*?(?=prices)", "", CONFIG, flags=re.DOTALL))
    return path


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For twopass in a process of its own: no colours, and only the bundled weights, whatever the machine has."""
    nothing = str(tmp_path_factory.mktemp("weights"))
    return os.environ | {"HF_HUB_CACHE": nothing, "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", "COLUMNS": "200"}


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, config_file: Path, environment: dict[str, str]
) -> Iterator[Server]:
    """`twopass serve`, ready."""
    with running_server(tmp_path_factory.mktemp("t"), config_file, environment) as running:
        yield running


@pytest.fixture(scope="session")
def server_url(server: Server) -> str:
    """Where it listens: http://host:port."""
    return server.url


@contextlib.contextmanager
def running_server(
    directory: Path, config_file: Path, environment: dict[str, str], *, port: int = 0
) -> Iterator[Server]:
    """Start a server that may write to the directory, wait until it is ready, and stop it afterwards."""
    log, temporary = directory / "log", directory / "t"
    temporary.mkdir()
    command = [sys.executable, "-m", "twopass.cli", "serve", "--port", str(port), "--config", str(config_file)]
    with log.open("wb") as output:
        env = environment | {"TMPDIR": str(temporary)}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)
    try:
        yield Server(_ready_url(process, log), process, log, temporary)
    finally:
        stop(process)


def _ready_url(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until the server says that sessions can begin; returns its address."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        assert process.poll() is None, log.read_text()
        said = re.search(r"http://[\d.]+:\d+", log.read_text())
        if said:
            try:
                urllib.request.urlopen(f"{said[0]}/readyz").close()
                return said[0]
            except urllib.error.HTTPError as error:
                error.close()  # its models are being loaded
            except OSError:
                pass  # it does not listen yet
        time.sleep(0.1)
    raise AssertionError(f"not ready: {log.read_text()}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server as Ctrl-C does, and by force if it does not listen."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(PATIENCE / 2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
