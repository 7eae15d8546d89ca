"""The application: what belongs to one server, start and stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twopass.config import Config
from twopass.cost.prices.cards import load_cards
from twopass.cost.usage.session_meter import NOWHERE
from twopass.cost.usage.treasury import NOBODY, Treasury, open_treasury
from twopass.engine import Engine
from twopass.gateway import info, problems, reports, rest, tokens
from twopass.gateway.doors import Doors
from twopass.gateway.limits import SessionLimit
from twopass.gateway.metrics import Metrics
from twopass.gateway.sessions import Sessions
from twopass.gateway.stream import Connection
from twopass.keeping import Keeper
from twopass.spool import Spool, SpoolSettings

_HEADERS = {
    # Nothing from another host, no inline script or style; the microphone for ourselves only.
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; media-src 'self' blob:; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Cache-Control": "no-cache",  # modules of two versions must not meet in one page
    "Permissions-Policy": "microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_FORM_BYTES = 1 << 20
"""What a form may have besides the file."""


def create_app(config: Config) -> FastAPI:
    """The gateway for a configuration. Models load in the background: see /readyz."""
    app = FastAPI(title="twopass", version=version("twopass"), lifespan=_lifespan, docs_url=None, redoc_url=None)
    cards = load_cards(config.ledger.prices, config.ledger.exchange, config.prices)
    app.state.config, app.state.cards = config, cards
    app.state.treasury = treasury = open_treasury(config.ledger.settings, cards)
    app.state.metrics = metrics = Metrics()
    app.state.engine = Engine(config, cards, treasury or NOWHERE, treasury or NOBODY, metrics.count_shadow)
    metrics.watch(app.state.engine.second_passes)
    app.state.limit = SessionLimit(config.server.max_sessions)
    app.state.keeper = keeper = _keeper(config.spool)
    app.state.sessions = Sessions(app.state.engine, app.state.metrics, app.state.limit, config.sessions, keeper)
    app.state.doors = Doors(config.doors)
    app.state.max_upload_bytes = config.server.max_upload_mb << 20
    problems.install(app)
    app.add_middleware(_BodyLimit, most=app.state.max_upload_bytes + _FORM_BYTES)
    app.middleware("http")(_secure)
    app.include_router(info.router)
    app.include_router(rest.router)
    app.include_router(tokens.router)
    app.include_router(reports.router)
    app.add_api_websocket_route("/v1/stream", _stream)
    app.mount("/static", StaticFiles(directory=info.STATIC), name="static")
    return app


def _keeper(settings: SpoolSettings) -> Keeper | None:
    """Where sessions are kept. Raises ConfigError."""
    if settings.url is not None:
        from twopass.cluster.shared_spool import shared_spool  # here: most servers share nothing

        return shared_spool(settings)
    return Spool(settings.directory.expanduser(), settings) if settings.directory is not None else None


async def _stream(socket: WebSocket) -> None:
    state = socket.app.state
    await Connection(socket, state.engine, state.metrics, state.sessions, state.doors).serve()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    engine: Engine = app.state.engine
    await engine.open()
    keeper: Keeper | None = app.state.keeper
    if keeper is not None:
        await keeper.open()
    sessions: Sessions = app.state.sessions
    treasury: Treasury | None = app.state.treasury
    lasting = [engine.warm(), app.state.metrics.watch_loop(), sessions.recover(), sessions.watch()]
    lasting += [treasury.run()] if treasury else []
    background = [asyncio.create_task(work) for work in lasting]
    try:
        yield
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await sessions.stop()
        if keeper is not None:
            await keeper.shut()
        await engine.close()
        if treasury:
            await treasury.stop()


async def _secure(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


class _BodyLimit:
    """Refuses a body that is too large while it comes: the form parser would put all of it on the disk first."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        came = 0

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > self._most:
                raise HTTPException(413, f"More than {self._most >> 20} MB is not read")
            return message

        await self._app(scope, counted if scope["type"] == "http" else receive, send)
