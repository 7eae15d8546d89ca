"""The question before money is spent: only a yes is one, and Ctrl-C is heeded while it waits."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_ASKS = """
from decimal import Decimal
from rich.console import Console
from twopass.compare.running.estimate import Estimate
from twopass.compare.running.progress import Bars
from twopass.cost.prices.rates import Money
from twopass.errors import ConfigError
from twopass.main_loop import run

async def ask():
    with Bars(Console(stderr=True), confirmed=False) as bars:
        bars.confirm([Estimate("[/google]", 60.0, Money(Decimal(1), "USD"), paid=True)])

for _ in range(3):
    try:
        run(ask())
    except ConfigError as error:
        print(error.code, flush=True)
    else:
        print("spent", flush=True)
"""


def test_only_yes_is_yes() -> None:
    """Yes spends; the end of input and Ctrl-C do not, and nobody has to answer before Ctrl-C is heeded."""
    keyboard, terminal = pty.openpty()
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", _ASKS], cwd=_ROOT, stdin=terminal, stdout=pipe, stderr=pipe) as asking:
        os.close(terminal)
        for answer, ends in (("y\n", "spent"), ("\x04", "not_confirmed"), (None, "not_confirmed")):
            assert "[/google]" in _question(asking)
            if answer is None:
                asking.send_signal(signal.SIGINT)
            else:
                os.write(keyboard, answer.encode())
            assert asking.stdout is not None
            assert ends == asking.stdout.readline().decode().strip()
    os.close(keyboard)


def _question(asking: subprocess.Popen[bytes]) -> str:
    assert asking.stderr is not None
    said = b""
    while b"Spend it?" not in said and (more := os.read(asking.stderr.fileno(), 4_096)):
        said += more
    return said.decode()
