"""`twopass worker`: hears the utterances of gateways that are connected to the same broker."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import structlog
import typer
from prometheus_client import CollectorRegistry, start_http_server

from twopass import config as configuration
from twopass.config import IN_PROCESS, Config
from twopass.cost.prices.cards import load_cards
from twopass.cost.usage.treasury import open_treasury, running
from twopass.errors import ConfigError
from twopass.main_loop import run

log = structlog.get_logger()


def worker(
    broker: Annotated[
        str | None,
        typer.Option(
            envvar="TWOPASS_BROKER",
            help="Where gateways put utterances: nats://, redis://, amqp://, kafka://. Default: the configuration's.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="YAML configuration; default: configs/local.yaml.", show_default=False),
    ] = None,
    room: Annotated[
        int, typer.Option(min=1, help="Utterances to take at once: some batches, but not what others could hear.")
    ] = 16,
    ack_seconds: Annotated[
        float, typer.Option(min=1, help="If this worker is not heard of for so long, others get what it has.")
    ] = 30.0,
    metrics_host: Annotated[str, typer.Option(help="Address for Prometheus.")] = "127.0.0.1",
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port for Prometheus; 0 takes a free one. Default: none.")
    ] = None,
) -> None:
    """Hear utterances for gateways: the second passes of all profiles. SIGTERM gives back what is not begun."""
    settings = configuration.load(config or configuration.default_path())
    listen = None if metrics_port is None else (metrics_host, metrics_port)
    run(_work(settings, broker or _configured(settings), ack_seconds, room, listen))


def _configured(config: Config) -> str:
    """The broker of the configuration's second passes. Raises ConfigError if there is none, or several."""
    urls = {profile.second_pass.dispatch for profile in config.profiles.values()} - {IN_PROCESS}
    if len(urls) != 1:
        fix = "Say --broker, or `dispatch: nats://…` in the profiles' second_pass."
        raise ConfigError(f"The configuration names {len(urls) or 'no'} brokers.", code="no_broker", fix=fix)
    return urls.pop()


async def _work(config: Config, url: str, ack_seconds: float, room: int, listen: tuple[str, int] | None) -> None:
    from twopass.cluster.broker import BrokerSettings, broker_for
    from twopass.cluster.hearers import Hearers
    from twopass.cluster.worker import Worker, WorkerSettings
    from twopass.cluster.worker_metrics import WorkerMetrics

    broker, settings, metrics = BrokerSettings(url, ack_seconds=ack_seconds), WorkerSettings(room), WorkerMetrics()
    cards = load_cards(config.ledger.prices, config.ledger.exchange, config.prices)
    hearers = Hearers(config, metrics)
    connection = await broker_for(broker)
    with _served(metrics.registry, listen):
        # This machine costs money whether it works or not (`ledger.provisioned`). What an utterance cost goes back to
        # the session that it belongs to, and its gateway writes it down.
        async with running(open_treasury(config.ledger.settings, cards)):
            try:
                await hearers.open()
                working = Worker(connection, hearers.by_profile, settings, metrics)
                for number in (signal.SIGINT, signal.SIGTERM):
                    asyncio.get_running_loop().add_signal_handler(number, working.drain)
                log.info("worker begins", broker=broker.shown, name=settings.name, profiles=list(hearers.by_profile))
                await working.run()
            finally:
                await hearers.close()
    log.info("worker has ended", name=settings.name)


@contextlib.contextmanager
def _served(registry: CollectorRegistry, listen: tuple[str, int] | None) -> Iterator[None]:
    """With the metrics for whoever asks. Raises ConfigError if the port is taken."""
    if listen is None:
        yield
        return
    host, port = listen
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        fix = "Choose another one with --metrics-port, or 0 for any free one."
        raise ConfigError(f"Cannot listen on {host}:{port}: {error.strerror}.", fix=fix) from None
    log.info("metrics", url=f"http://{host}:{server.server_port}/metrics")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
