"""
A load balancer: a TCP proxy in front of several servers that gives them connections in turn.

Each client of a run has one of its own, so who comes back lands on another server, if another one lives: no session is
found where it was, and none of them is sticky.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.faults.proxy import BUFFER, Proxy


@dataclass
class Balancer(Proxy):
    """
    Attributes:
        target: The port whose turn it is.
        targets: The servers' ports on this machine.
        given: Which server each connection was given to, in order.
    """

    targets: Sequence[int] = ()
    given: list[int] = field(default_factory=list)

    @property
    def now(self) -> int | None:
        """Where its client is connected; None if it is not."""
        return self.given[-1] if self.given and self.connected else None

    @property
    def moves(self) -> int:
        """How often the client came to another server than the time before."""
        return sum(before != after for before, after in pairwise(self.given))

    async def _to_server(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To whose turn it is; to the next one while that refuses. Raises OSError if all do."""
        refused = OSError("no servers")
        for _ in self.targets:
            port = self.target
            self.target = self.targets[(self.targets.index(port) + 1) % len(self.targets)]
            try:
                connected = await asyncio.open_connection("127.0.0.1", port, limit=BUFFER)
            except OSError as error:
                refused = error
            else:
                self.given.append(port)
                return connected
        raise refused
