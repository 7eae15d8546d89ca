"""
Models live in processes of their own: the event loop must not feel them.

A `ModelHost` is one child process that loads a model once and then serves connections over a private Unix socket,
either in threads (the model is shared, such as Whisper or Silero) or in forks (every stream gets a copy-on-write copy
of the loaded model, such as a pocketsphinx decoder that holds the GIL). Messages are pickles behind a length, between
processes of one program. If the host dies, whoever was connected gets `RecognizerCrashed`, and the next connection
starts it again. If the parent dies, the host sees its standard input close and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import pickle
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from twopass.errors import RecognizerCrashed, RecognizerError, RecognizerUnavailable

_LENGTH = struct.Struct("<I")
_READY = b"ready\n"
_IDLE_CHANNELS = 8


@dataclass(frozen=True, slots=True)
class HostedModel:
    """
    How to run a model in its own process.

    Attributes:
        provider: For error messages and `ps`.
        factory: "module:function" that loads the model and returns a function serving one `Connection` until it ends.
        settings: Arguments of the factory.
        fork: One fork per connection instead of one thread.
        niceness: Added to the process's niceness, so that the gateway goes first when cores are short.
        load_seconds: How long loading may take.
    """

    provider: str
    factory: str
    settings: Mapping[str, Any]
    fork: bool = False
    niceness: int = 5
    load_seconds: float = 120.0


class Connection:
    """The model's side of a connection: blocking, in the child process."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._file = sock.makefile("rb")

    def receive(self) -> Any:
        """The next message. Raises EOFError when the other side is gone."""
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        return pickle.loads(self._exactly(length))

    def send(self, message: Any) -> None:
        """Send a message."""
        data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        self._sock.sendall(_LENGTH.pack(len(data)) + data)

    def _exactly(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise EOFError
        return data


Serve = Callable[[Connection], None]


class Factory(Protocol):
    """Loads a model; the function it returns serves one connection."""

    def __call__(self, **settings: Any) -> Serve: ...


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception in the child, told to the parent."""

    error: Exception


class Channel:
    """The gateway's side of a connection."""

    def __init__(self, provider: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._provider = provider
        self._reader = reader
        self._writer = writer

    async def send(self, message: Any) -> None:
        """Send a message; waits while the child is behind. Raises RecognizerCrashed."""
        data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        try:
            self._writer.write(_LENGTH.pack(len(data)) + data)
            await self._writer.drain()
        except OSError as error:
            raise self._crashed() from error

    async def receive(self) -> Any:
        """The next message. Raises RecognizerCrashed, or the error that the child reports."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            message = pickle.loads(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise self._crashed() from error
        if isinstance(message, Failure):
            raise self._told(message.error)
        return message

    @property
    def alive(self) -> bool:
        """False once the child has hung up."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    def close(self) -> None:
        """Hang up at once, whatever is still unsent: the child's thread or fork ends."""
        self._writer.transport.abort()

    def _told(self, error: Exception) -> RecognizerError:
        if isinstance(error, RecognizerError):
            return error
        return RecognizerCrashed(f"The model failed: {error!r}.", provider=self._provider, code="model_failed")

    def _crashed(self) -> RecognizerCrashed:
        return RecognizerCrashed("The model's process ended.", provider=self._provider)


class ModelHost:
    """The gateway's handle on the child process."""

    def __init__(self, model: HostedModel) -> None:
        self._model = model
        self._process: asyncio.subprocess.Process | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._lock = asyncio.Lock()
        self._closed = False
        self._idle: list[Channel] = []

    @property
    def pid(self) -> int | None:
        """Of the running child."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start the child if it does not run, and wait until the model is loaded. Raises RecognizerUnavailable."""
        async with self._lock:
            if self._closed:
                raise RecognizerUnavailable("The server is stopping.", provider=self._model.provider)
            if self.pid is None:
                await self._spawn()

    async def connect(self) -> Channel:
        """A new connection; a child that died is started again. Raises RecognizerUnavailable, RecognizerCrashed."""
        for attempt in (1, 2):
            await self.start()
            child = self._process
            try:
                reader, writer = await asyncio.open_unix_connection(self._socket_path)
            except OSError as error:
                if attempt == 2:
                    raise RecognizerCrashed("The model's process ended.", provider=self._model.provider) from error
                await _end(child)  # its death is not always known yet
            else:
                break
        return Channel(self._model.provider, reader, writer)

    @contextlib.asynccontextmanager
    async def channel(self) -> AsyncIterator[Channel]:
        """A connection for one piece of work. It is used again, unless the work is broken off."""
        channel = self._rested() or await self.connect()
        try:
            yield channel
        except BaseException:
            channel.close()
            raise
        if len(self._idle) < _IDLE_CHANNELS:
            self._idle.append(channel)
        else:
            channel.close()

    def _rested(self) -> Channel | None:
        while self._idle:
            channel = self._idle.pop()
            if channel.alive:
                return channel
            channel.close()
        return None

    async def restart(self) -> None:
        """Kill a child that hangs; the next connection starts a new one."""
        await _end(self._process)

    async def close(self) -> None:
        """End the child."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
        async with self._lock:
            if self._process and self._process.returncode is None:
                self._process.terminate()
                await self._process.wait()
            if self._process and self._process.stdin:
                self._process.stdin.close()
            if self._directory:
                self._directory.cleanup()

    @property
    def _socket_path(self) -> str:
        assert self._directory is not None
        return str(Path(self._directory.name) / "model.sock")

    async def _spawn(self) -> None:
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="twopass-")  # mode 0700: nobody else connects
        Path(self._socket_path).unlink(missing_ok=True)  # noqa: ASYNC240 - one call on a local file
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "twopass.modelhost",
            self._model.provider,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = pickle.dumps((self._model, self._socket_path))
        answer = b""
        try:
            self._process.stdin.write(_LENGTH.pack(len(order)) + order)
            async with asyncio.timeout(self._model.load_seconds):
                await self._process.stdin.drain()
                answer = await self._process.stdout.read()
        except (OSError, TimeoutError) as error:
            raise RecognizerUnavailable("The model did not load in time.", provider=self._model.provider) from error
        finally:
            if answer != _READY:  # also when whoever waits for it was cancelled
                await self.restart()
        if answer != _READY:
            raise self._refusal(answer)

    def _refusal(self, answer: bytes) -> RecognizerUnavailable:
        with contextlib.suppress(Exception):
            error = cast("Failure", pickle.loads(answer)).error
            if isinstance(error, RecognizerUnavailable):
                return error
            return RecognizerUnavailable(f"The model could not be loaded: {error}.", provider=self._model.provider)
        return RecognizerUnavailable("The model's process ended while loading.", provider=self._model.provider)


async def _end(child: asyncio.subprocess.Process | None) -> None:
    if child is not None and child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


# -- the child --------------------------------------------------------------------------------------------------------


def main() -> None:
    """Load the model that the parent orders on standard input, say so on standard output, and serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle: it will end us in order
    (length,) = _LENGTH.unpack(sys.stdin.buffer.read(_LENGTH.size))
    model, path = cast("tuple[HostedModel, str]", pickle.loads(sys.stdin.buffer.read(length)))
    os.nice(model.niceness)
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not disturb the answer
    try:
        module, _, name = model.factory.partition(":")
        serve = cast("Factory", getattr(importlib.import_module(module), name))(**model.settings)
    except Exception as error:  # told to the parent, whatever it is
        answer.write(_portable(error))
        answer.close()
        return
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    answer.write(_READY)
    answer.close()
    if model.fork:
        _serve_in_forks(listener, serve)
    else:
        _serve_in_threads(listener, serve)


def _serve_in_threads(listener: socket.socket, serve: Serve) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_serve_one, args=(sock, serve), daemon=True).start()


def _serve_in_forks(listener: socket.socket, serve: Serve) -> None:
    # No thread here: forking a process with threads may leave locks held for ever in the child.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the forks
    while True:
        readable, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in readable:
            os._exit(0)
        sock, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _serve_one(sock, serve)
            os._exit(0)
        sock.close()


def _serve_one(sock: socket.socket, serve: Serve) -> None:
    connection = Connection(sock)
    try:
        serve(connection)
    except (EOFError, OSError):
        pass  # the gateway hung up: the usual end
    except Exception as error:
        with contextlib.suppress(OSError):
            connection.send(pickle.loads(_portable(error)))
    finally:
        # The file made from the socket holds it open too: shut down, so that the other side sees the end at once.
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()


def _portable(error: Exception) -> bytes:
    """An error as a pickle; one that cannot be pickled travels as its text."""
    try:
        data = pickle.dumps(Failure(error))
        pickle.loads(data)
    except Exception:
        return pickle.dumps(Failure(RuntimeError(f"{type(error).__name__}: {error}")))
    return data


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    # Pickles name classes by module: run under the module's true name, not as __main__.
    from twopass.modelhost import main as _main

    _main()
