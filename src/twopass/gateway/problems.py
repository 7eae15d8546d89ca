"""
Errors as HTTP answers: one shape for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from twopass.errors import ForeignOrigin, RecognizerError, TooManySessions, TwopassError, Unauthorized

_KNOWN: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        404: ("not_found", "See /openapi.json."),
        405: ("method_not_allowed", "See /openapi.json."),
        408: ("upload_stopped", "Send the file again."),
        413: ("too_large", "Send a shorter file, or raise server.max_upload_mb."),
    }
)
"""Code and fix of what the framework refuses."""

_NOT_THERE = ("no_keys", "no_ledger", "no_charges", "no_report")
_BY_CODE: Mapping[str, int] = MappingProxyType(
    {"too_large": 413, "budget_spent": 402, **dict.fromkeys(_NOT_THERE, 404)}
)


class Problem(BaseModel):
    """What every refused request gets."""

    code: str
    message: str
    fix: str = ""
    retryable: bool = False


class NotReady(TwopassError):
    """The models are still being loaded."""

    code = "not_ready"
    retryable = True


def install(app: FastAPI) -> None:
    """Answer our errors, the framework's about malformed requests, and what nobody foresaw, as `Problem`."""
    app.add_exception_handler(TwopassError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unroutable)
    app.add_exception_handler(Exception, _unforeseen)


def _is_page(request: Request) -> bool:
    return request.url.path.startswith("/reports")


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TwopassError)
    if isinstance(error, TooManySessions):
        status = 429
    elif isinstance(error, RecognizerError | NotReady):
        status = 503
    elif isinstance(error, Unauthorized):
        status = 401
    elif isinstance(error, ForeignOrigin):
        status = 403
    else:
        status = _BY_CODE.get(error.code, 400)
    problem = Problem(code=error.code, message=error.message, fix=error.fix, retryable=error.retryable)
    # Browsers ask for a password themselves; only pages for people may make them do so.
    wanted = 'Basic realm="twopass: the API key is the password"' if _is_page(request) else "Bearer"
    headers = {"WWW-Authenticate": wanted} if status == 401 else None
    return JSONResponse(problem.model_dump(), status, headers=headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001 - Starlette's signature
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    problem = Problem(code="bad_request", message=f"{where}: {first['msg']}.", fix="See /openapi.json.")
    return JSONResponse(problem.model_dump(), 422)


async def _unroutable(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001 - Starlette's signature
    assert isinstance(error, HTTPException)
    code, fix = _KNOWN.get(error.status_code, ("bad_request", "See /openapi.json."))
    problem = Problem(code=code, message=f"{error.detail.rstrip('.')}.", fix=fix)
    return JSONResponse(problem.model_dump(), error.status_code, headers=error.headers)


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001 - Starlette's signature
    problem = Problem(code="internal", message="Something went wrong here; it was logged.", fix="Try again.")
    return JSONResponse(problem.model_dump(), 500)
