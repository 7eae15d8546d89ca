"""nginx in front of the gateways: none of them is anybody's own, and one that is gone is skipped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from twopass.cluster.local.asking import listens
from twopass.cluster.local.programs import Program, Role, installed
from twopass.config import TlsConfig

# One process: the workers of a master that is killed would live on. No query strings in any log, for there may be keys
# in them, so only what is critical is said.
_CONF = """\
daemon off;
master_process off;
pid {home}/nginx.pid;
error_log stderr crit;

events {{ worker_connections 4096; }}

http {{
    access_log off;
{places}

    upstream gateways {{
        least_conn;
{gateways}
    }}

    map $http_upgrade $twopass_connection {{
        default upgrade;
        ''      '';
    }}

    server {{
        listen {listen}{tls}
        client_max_body_size 0;    # gateways say themselves what is too large
        proxy_http_version 1.1;
        proxy_set_header Host              $http_host;
        proxy_set_header Upgrade           $http_upgrade;
        proxy_set_header Connection        $twopass_connection;
        proxy_set_header X-Forwarded-For   $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Forwarded         "";
        proxy_buffering         off;
        proxy_request_buffering off;
        proxy_connect_timeout 2s;
        proxy_read_timeout    1h;
        proxy_next_upstream error timeout;
        location / {{ proxy_pass http://gateways; }}
    }}
}}
"""
_PLACES = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def nginx(home: Path, listen: tuple[str, int], url: str, gateways: Sequence[str], tls: TlsConfig | None) -> Program:
    """
    nginx that listens there, in front of the gateways at their addresses; `url` is how people reach it.

    Writes its configuration. Raises ConfigError if it is not installed.
    """
    program, path = installed("nginx", "nginx-light"), home / "nginx.conf"
    path.write_text(conf(home, listen, gateways, tls), encoding="utf-8")
    parts = urlsplit(url)
    command = (program, "-p", str(home), "-c", str(path))
    return Program("nginx", Role.BALANCER, command, listens(parts.port or 0, parts.hostname or ""), url)


def conf(home: Path, listen: tuple[str, int], gateways: Sequence[str], tls: TlsConfig | None) -> str:
    """nginx's whole configuration."""
    host, port = listen
    # After a failure a gateway is tried again after a second, whoever else lives.
    servers = (f"        server {urlsplit(gateway).netloc} max_fails=1 fail_timeout=1s;" for gateway in gateways)
    return _CONF.format(
        home=home,
        places="\n".join(f"    {place}_temp_path {home}/nginx-{place};" for place in _PLACES),
        gateways="\n".join(servers),
        listen=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        tls=_tls(tls) if tls else ";",
    )


def _tls(tls: TlsConfig) -> str:
    files = {"certificate": tls.certificate, "certificate_key": tls.key}
    return " ssl;" + "".join(f"\n        ssl_{name} {path.absolute()};" for name, path in files.items())
