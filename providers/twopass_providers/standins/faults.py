"""
What goes wrong at a stand-in, by connection. Pure.

    2:unavailable@3.5     the second connection breaks so after 3.5 s of audio
    *:hang                every connection, at its beginning
    1-3:refuse            the first three
    4+:silent@10          the fourth and all after it
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from twopass.errors import ConfigError

_WRITTEN = re.compile(r"(?:(\*)|(\d+)(?:(\+)|-(\d+))?):([a-z0-9_]+)(?:@(\d+(?:\.\d+)?))?")


@dataclass(frozen=True, slots=True)
class Fault:
    """
    Connections `first` to `last` (None: all after it) break in this way.

    Attributes:
        at_ms: After so much audio of the connection; 0 means at its beginning, before any audio.
    """

    kind: str
    at_ms: int = 0
    first: int = 1
    last: int | None = None

    def strikes(self, connection: int) -> bool:
        """Whether it strikes this connection, counted from 1."""
        return self.first <= connection and (self.last is None or connection <= self.last)


def parsed(text: str, kinds: Iterable[str]) -> Fault:
    """One fault as people write it. Raises ConfigError."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ConfigError(f"{text!r} is no fault.", fix="Write CONNECTION:KIND@SECONDS, such as 2:hang@3.5 or *:hang.")
    every, first, on, last, kind, at = found.groups()
    if kind not in (known := tuple(kinds)):
        raise ConfigError(f"There is no fault {kind!r}.", fix=f"There are: {', '.join(known)}.")
    begin = 1 if every else int(first)
    end = None if every or on else int(last or first)
    return Fault(kind, round(float(at or 0) * 1000), begin, end)


def of_connection(faults: Sequence[Fault], connection: int) -> list[Fault]:
    """What strikes this connection (counted from 1), in the order in which it does."""
    return sorted((fault for fault in faults if fault.strikes(connection)), key=lambda fault: fault.at_ms)
