"""A gateway whose broker and workers are not there."""

from __future__ import annotations

from rich.console import Console
from tests.cluster.servers import free_port

from twopass.config import parse
from twopass.console import downloads
from twopass.engine import Engine
from twopass.gateway.app import create_app

CONFIG = """\
default: live
profiles:
  live:
    language: en-US
    first_pass: {{provider: pocketsphinx}}
    second_pass: {{provider: whisper, model: nobody/has-this, dispatch: "nats://127.0.0.1:{port}"}}
"""


async def test_a_gateway_fetches_no_weights_for_its_workers() -> None:
    """What the second pass needs is needed where it works; the profile is open without."""
    engine = Engine(parse(CONFIG.format(port=free_port())))
    try:
        with downloads(Console(quiet=True)) as report:
            assert [] == await engine.fetch_missing(report)
        assert engine.ready
    finally:
        await engine.close()


async def test_metrics_know_every_profile_from_the_beginning() -> None:
    """What starts workers must see that nobody waits, not that nothing is known."""
    shown = create_app(parse(CONFIG.format(port=free_port()))).state.metrics.exposition().decode().splitlines()
    place = 'place="workers",profile="live"'
    for audio in ("live", "recording"):
        assert f'twopass_second_pass_waiting_seconds{{audio="{audio}",{place}}} 0.0' in shown
    assert f"twopass_second_pass_load{{{place}}} 0.0" in shown
