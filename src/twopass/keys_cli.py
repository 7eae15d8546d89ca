"""`twopass keys`: who may use a server."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from twopass import config as configuration
from twopass.errors import ConfigError
from twopass.gateway import keys
from twopass.gateway.keys import Key, KeyFile

app = typer.Typer(
    help="""API keys: who may use a server.

    A server without keys serves everybody who can reach it. To give it some, name a file in its configuration,

        doors: {keys: /etc/twopass/keys.json}

    and create the first: `twopass keys create --config … --name "newsroom"`. Programs send it as
    `Authorization: Bearer <key>`. For browsers, change it into a token that lives some minutes:
    `curl -X POST -H "Authorization: Bearer <key>" https://…/v1/tokens`.

    A running server sees at once which keys were created and revoked. The file holds only hashes of keys: one that is
    lost cannot be shown again. Revoke it, and create another.""",
    no_args_is_help=True,
)

_out = Console()
_err = Console(stderr=True)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="The server's configuration, which names the file.")
]
FileOption = Annotated[Path | None, typer.Option("--file", "-f", help="The file itself, instead of --config.")]


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for, for your own memory.")],
    tenant: Annotated[str, typer.Option(help="On whose behalf it is used.")] = "default",
    max_sessions: Annotated[
        int | None, typer.Option(min=1, help="How many sessions it may have at once. Default: as the server allows.")
    ] = None,
    reports: Annotated[
        bool, typer.Option("--reports", help="It opens the cost reports, which show what all tenants cost.")
    ] = False,
    config: ConfigOption = None,
    file: FileOption = None,
) -> None:
    """Create a key and show it, once: what is kept is only its hash. It alone goes to standard output."""
    key, secret = _file(config, file).add(
        name=name, tenant=tenant, now=_now(), max_sessions=max_sessions, reports=reports
    )
    typer.echo(secret)
    _err.print(Text(f"Key {key.id} for {key.name}, tenant {key.tenant}. It is not shown again."), soft_wrap=True)


@app.command("list")
def list_(config: ConfigOption = None, file: FileOption = None) -> None:
    """Show all keys: what they are for, not what they are."""
    path = _file(config, file).path
    table = Table("id", "name", "tenant", "sessions", "reports", "created", "state")
    for key in keys.read(path).keys:
        table.add_row(*map(Text, _row(key)))
    _out.print(table)


@app.command()
def revoke(
    identity: Annotated[str, typer.Argument(metavar="ID", help="As `twopass keys list` shows it.")],
    config: ConfigOption = None,
    file: FileOption = None,
) -> None:
    """Let a key open nothing any more, nor the tokens made from it. Sessions that are running go on to their end."""
    _file(config, file).revoke(identity, _now())
    _err.print(f"Key {identity} is revoked.")


def _row(key: Key) -> tuple[str, ...]:
    most = str(key.max_sessions or "")
    state = f"revoked {key.revoked:%Y-%m-%d %H:%M}" if key.revoked else "valid"
    reports = "yes" if key.reports else ""
    return key.id, key.name, key.tenant, most, reports, f"{key.created:%Y-%m-%d %H:%M}", state


def _file(config: Path | None, file: Path | None) -> KeyFile:
    """The file of keys. Raises ConfigError if none is named."""
    path = file or (configuration.load(config).doors.keys if config else None)
    if path is None:
        fix = "Name it in the configuration (doors: {keys: …}) and give --config, or give --file."
        raise ConfigError("There is no file for the keys.", code="no_keys", fix=fix)
    return KeyFile(path)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
