"""`twopass worker`: hears the utterances of gateways that are connected to the same broker."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from twopass import config as configuration
from twopass.config import IN_PROCESS, Config
from twopass.cost.prices.cards import load_cards
from twopass.cost.usage.treasury import open_treasury, running
from twopass.errors import ConfigError
from twopass.main_loop import run

if TYPE_CHECKING:
    from twopass.cluster.broker import BrokerSettings
    from twopass.cluster.worker import WorkerSettings

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
    drain_seconds: Annotated[
        float, typer.Option(min=0, help="How long it may take to end; others get what is not answered by then.")
    ] = 60.0,
    metrics_host: Annotated[str, typer.Option(help="Address for Prometheus.")] = "127.0.0.1",
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port of /metrics, /healthz and /readyz; 0 takes a free one.")
    ] = None,
) -> None:
    """Hear utterances for gateways: the second passes of all profiles. SIGTERM gives back what is not begun."""
    # Here: it takes a while to import, and other commands do without.
    from twopass.cluster.broker import BrokerSettings
    from twopass.cluster.worker import WorkerSettings

    settings = configuration.load(config or configuration.default_path())
    listen = None if metrics_port is None else (metrics_host, metrics_port)
    address = BrokerSettings(broker or _configured(settings), ack_seconds=ack_seconds)
    run(_work(settings, address, WorkerSettings(room, drain_seconds=drain_seconds), listen))


def _configured(config: Config) -> str:
    """The broker of the configuration's second passes. Raises ConfigError if there is none, or several."""
    urls = {profile.second_pass.dispatch for profile in config.profiles.values()} - {IN_PROCESS}
    if len(urls) != 1:
        fix = "Say --broker, or `dispatch: nats://…` in the profiles' second_pass."
        raise ConfigError(f"The configuration names {len(urls) or 'no'} brokers.", code="no_broker", fix=fix)
    return urls.pop()


async def _work(
    config: Config, broker: BrokerSettings, settings: WorkerSettings, listen: tuple[str, int] | None
) -> None:
    from twopass.cluster.broker import broker_for
    from twopass.cluster.hearers import Hearers
    from twopass.cluster.reaching import reached
    from twopass.cluster.worker import Worker
    from twopass.cluster.worker_metrics import WorkerMetrics
    from twopass.cluster.worker_port import watchable

    metrics = WorkerMetrics()
    cards = load_cards(config.ledger.prices, config.ledger.exchange, config.prices)
    hearers = Hearers(config, metrics)
    await broker_for(broker)  # to know at once whether it can be used
    with watchable(metrics, listen):
        # This machine costs money whether it works or not. What an utterance cost goes back to the session that it
        # belongs to, and its gateway writes it down.
        async with running(open_treasury(config.ledger.worker_settings, cards)):
            try:
                await hearers.open()
                working = Worker(await reached(broker), hearers.by_profile, settings, metrics)
                for number in (signal.SIGINT, signal.SIGTERM):
                    asyncio.get_running_loop().add_signal_handler(number, working.drain)
                log.info("worker begins", broker=broker.shown, name=settings.name, profiles=list(hearers.by_profile))
                await working.run()
            finally:
                await hearers.close()
    log.info("worker has ended", name=settings.name)
