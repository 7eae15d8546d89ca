"""Ports that nobody has."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

from twopass.cluster.local.programs import HOST

# Below those that systems give to outgoing connections. Who is down must find its port free when it comes back, and
# those who try meanwhile to reach it would else sooner or later be given that very port, and meet themselves.
_RANGE = range(20_000, 32_000)


def free_ports() -> Iterator[int]:
    """Ports of this machine where nobody listens, each once."""
    for port in random.sample(_RANGE, len(_RANGE)):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((HOST, port))
            except OSError:
                continue
        yield port
