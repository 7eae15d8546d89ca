"""Models that live in a process of their own, for the tests of that: they load, echo, fail and die as they are told."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from twopass.errors import ConfigError, RecognizerRejected, RecognizerUnavailable
from twopass.modelhost import Connection, Serve


class Unportable(Exception):
    """Cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("a lock is in here")
        self.lock = os.fork  # a builtin goes, a local function does not
        self.local = lambda: None


def echo(**settings: Any) -> Serve:
    """Answers every message with the process, how many messages it has had, the settings and the message."""
    count = 0

    def serve(connection: Connection) -> None:
        nonlocal count
        while True:
            message = connection.receive()
            count += 1
            connection.send((os.getpid(), count, settings, message))

    return serve


def failing() -> Serve:
    """Does what it is told to do wrong."""

    def serve(connection: Connection) -> None:
        match connection.receive():
            case "reject":
                raise RecognizerRejected("No more than 8 s.", provider="vendor", code="too_long", fix="Send less.")
            case "wrong":
                raise ZeroDivisionError("division by zero")
            case "unportable":
                raise Unportable
            case "die":
                os._exit(3)

    return serve


def loading(how: str) -> Serve:
    """Fails to load."""
    match how:
        case "missing":
            raise RecognizerUnavailable("No weights.", provider="p", code="weights_missing", fix="Pull them.")
        case "wrong":
            raise ConfigError("There is no such thing.", fix="Choose another.")
        case "unportable":
            raise Unportable
        case "die":
            os._exit(3)
        case "hang":
            time.sleep(600)
    return echo()


def once_broken(mark: str) -> Serve:
    """Loads from the second attempt on."""
    path = Path(mark)
    if not path.exists():
        path.touch()
        raise OSError("the disk was not mounted")
    return echo()


def noisy() -> Serve:
    """A library that writes to standard output while it loads and while it works."""
    os.write(1, b"Welcome to the library!\n" * 10_000)
    print("also from Python", flush=True)
    return echo()
