"""A PostgreSQL server of one's own, for the time of the tests."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

_GIVE_UP_SECONDS = 240.0
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_NOBODY_ELSE = "postgres"  # PostgreSQL refuses to run as root; this user comes with its packages
# No test pulls the plug, so nothing waits for the disk.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "50",
    "shared_buffers": "128MB",
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "2GB",
}


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """A running server; gives the address of its database (postgresql+psycopg://...). Skips if none is installed."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed here (no initdb found): the ledger is tested on SQLite only")
    # Not pytest's temporary folder: no other user may enter that.
    home = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    try:
        user = _owner(home)
        _init(programs, home, user)
        with _running(programs, home, user) as url:
            yield url
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def empty_database(server: str) -> Iterator[str]:
    """A new database on the server; gives its address, and drops it afterwards."""
    name = f"ledger_{time.monotonic_ns()}"
    plain = server.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield server.removesuffix("postgres") + name
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _programs() -> Path | None:
    """Where initdb and postgres are, of the newest version."""
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    candidates = [*reversed(packaged), *([Path(found).resolve().parent] if found else [])]
    return next((path for path in candidates if (path / "initdb").exists() and (path / "postgres").exists()), None)


def _owner(home: Path) -> str | None:
    """The user that runs it, if it is not this one; the folder is given to it."""
    if os.geteuid() != 0:
        return None
    try:
        user = pwd.getpwnam(_NOBODY_ELSE)
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres to run it as")
    os.chown(home, user.pw_uid, user.pw_gid)
    return _NOBODY_ELSE


def _init(programs: Path, home: Path, user: str | None) -> None:
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
    command = [str(programs / "initdb"), "-D", str(home / "data"), *options]
    done = subprocess.run(command, user=user, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def _running(programs: Path, home: Path, user: str | None) -> Iterator[str]:
    port, log = _free_port(), home / "log"
    settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    command = [str(programs / "postgres"), "-D", str(home / "data"), "-p", str(port), "-k", str(home), *settings]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            user=user,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=_end_with_parent,
        )
    try:
        url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        _wait(url, process, log)
        yield url
    finally:
        process.send_signal(signal.SIGINT)  # "fast": does not wait until all clients are gone
        process.wait(_GIVE_UP_SECONDS)


def _end_with_parent() -> None:
    """Tests that are killed leave no server behind (on Linux, which can do that)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + _GIVE_UP_SECONDS
    while time.monotonic() < give_up:
        assert process.poll() is None, log.read_text()
        try:
            psycopg.connect(url.replace("+psycopg", "")).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"PostgreSQL does not answer: {log.read_text()}")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port
