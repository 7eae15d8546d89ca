"""A real nginx with a file that we ship; only addresses and paths in it are those of the test."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.cluster.servers import end_with_parent
from tests.conftest import PATIENCE

HOST = "127.0.0.1"


@contextlib.contextmanager
def shipped_nginx(
    program: str, shipped: Path, directory: Path, port: int, changes: Mapping[str, str]
) -> Iterator[None]:
    """nginx, listening; its logs are in the directory. What is to be changed must be in the file."""
    text = shipped.read_text()
    for theirs, ours in (*changes.items(), ("/var/log/nginx/", f"{directory}/")):
        assert theirs in text
        text = text.replace(theirs, ours)
    (directory / "twopass.conf").write_text(text)
    kinds = "client_body proxy fastcgi uwsgi scgi".split()
    temporary = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    main, errors = directory / "nginx.conf", directory / "start.log"
    user = "user root;" if os.geteuid() == 0 else ""
    main.write_text(
        f"{user} daemon off; worker_processes 1; pid {directory}/pid; error_log {errors};\n"
        f"events {{}} http {{ {temporary} include {directory}/twopass.conf; }}\n"
    )
    command = [program, "-p", str(directory), "-c", str(main), "-e", str(errors)]
    subprocess.run([*command, "-t"], check=True, timeout=PATIENCE)
    process = subprocess.Popen(command, preexec_fn=end_with_parent)
    try:
        wait_for(process, port, errors)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def wait_for(process: subprocess.Popen[bytes], port: int, errors: Path) -> None:
    """Until it listens."""
    for _ in range(600):
        assert process.poll() is None, errors.read_text()
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), 60):
            return
        time.sleep(0.1)
    pytest.fail("nginx does not listen")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
