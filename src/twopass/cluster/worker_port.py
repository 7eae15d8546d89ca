"""
A worker's port for whoever watches it: /metrics for Prometheus, /healthz and /readyz for what starts and stops workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import make_wsgi_app

from twopass.cluster.worker_metrics import WorkerMetrics
from twopass.errors import ConfigError

log = structlog.get_logger()

_PATIENCE = 5.0
"""An event loop that does nothing for so many seconds is taken for dead."""
_Answer = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        del format, args


@contextlib.contextmanager
def watchable(metrics: WorkerMetrics, listen: tuple[str, int] | None) -> Iterator[None]:
    """
    Answer in a thread, for as long as the context lasts, what becomes of the running event loop's worker.

    Raises ConfigError if the port is taken.
    """
    if listen is None:
        yield
        return
    host, port = listen
    kind, shown = (_Server6, f"[{host}]") if ":" in host else (_Server, host)
    try:
        server = make_server(host, port, _answers(metrics, asyncio.get_running_loop()), kind, _Quiet)
    except OSError as error:
        fix = "Choose another one with --metrics-port, or 0 for any free one."
        raise ConfigError(f"Cannot listen on {shown}:{port}: {error.strerror}.", fix=fix) from None
    log.info("metrics", url=f"http://{shown}:{server.server_port}/metrics")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answers(metrics: WorkerMetrics, loop: asyncio.AbstractEventLoop) -> _Answer:
    shown = make_wsgi_app(metrics.registry)
    asked = {"/healthz": lambda: _turns(loop), "/readyz": lambda: metrics.takes_utterances}

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        question = asked.get(environ["PATH_INFO"])
        if question is None:
            found: Iterable[bytes] = shown(environ, start)
            return found
        well = question()
        start("200 OK" if well else "503 Service Unavailable", [("Content-Type", "text/plain")])
        return [b"yes\n" if well else b"no\n"]

    return answer


def _turns(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the event loop still does what it is asked for."""
    turned: Future[None] = Future()
    loop.call_soon_threadsafe(turned.set_result, None)
    try:
        turned.result(_PATIENCE)
    except TimeoutError:
        return False
    return True
