"""
The page, and everything that only tells: health, metrics, profiles, the message schema.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from twopass.engine import Engine
from twopass.errors import ConfigError, RecognizerError
from twopass.gateway import encoding, messages
from twopass.gateway.doors import guard_metrics
from twopass.gateway.problems import NotReady, Problem

_ROOT = Path(str(files("twopass")))
STATIC = _ROOT / "gateway" / "static"
_ASSETS = _ROOT / "assets"
_SAMPLES = {"wav": "audio/wav", "json": "application/json"}

router = APIRouter()


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The page for people."""
    return FileResponse(STATIC / "index.html")


@router.get("/static/sample.{kind}", include_in_schema=False)
async def sample(kind: str) -> Response:
    """The bundled sample and its words."""
    if kind not in _SAMPLES:
        return JSONResponse(Problem(code="not_found", message="There is no such sample.").model_dump(), 404)
    return FileResponse(_ASSETS / f"sample.{kind}", media_type=_SAMPLES[kind])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the process lives."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"model": Problem}})
async def readyz(request: Request) -> dict[str, str]:
    """Whether a session of the default profile could begin at once."""
    if not request.app.state.engine.ready:
        raise NotReady("The models are being loaded.", fix="Ask again in a few seconds.")
    return {"status": "ready"}


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, 401: {"model": Problem}},
    dependencies=[Depends(guard_metrics)],
)
async def prometheus(request: Request) -> Response:
    """Metrics for Prometheus."""
    return Response(request.app.state.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/v1/profiles")
async def profiles(request: Request) -> dict[str, object]:
    """What sessions can ask for, and which models speak. A profile that cannot be opened says why."""
    engine: Engine = request.app.state.engine
    described = [await _profile(engine, name) for name in engine.profiles]
    return {"default": engine.default_profile, "profiles": described}


@router.get("/v1/stream/schema.json")
async def schema() -> dict[str, object]:
    """JSON Schema of the messages of the native socket, both ways."""
    return messages.schema()


async def _profile(engine: Engine, name: str) -> dict[str, object]:
    entry: dict[str, object] = {"name": name, "title": engine.profiles[name]}
    try:
        first, second = await engine.speakers(name)
    except (ConfigError, RecognizerError) as error:
        return {**entry, "error": str(error)}
    return {
        **entry,
        "first_pass": encoding.described(first).model_dump(),
        "second_pass": encoding.described(second).model_dump(),
    }
