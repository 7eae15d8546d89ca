"""`POST /v1/tokens`: a key in, a short-lived token out that can be given to a browser."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel

from twopass.gateway.doors import Doors
from twopass.gateway.problems import Problem

router = APIRouter()


class Token(BaseModel):
    """
    Stands for a key until it expires. Sockets that were opened with it stay open.

    Attributes:
        expires_in: Seconds.
    """

    token: str
    expires_in: int


@router.post("/v1/tokens", responses={code: {"model": Problem} for code in (401, 403, 404, 429)})
async def token(request: Request) -> Token:
    """
    A token for a browser, for the key in `Authorization: Bearer <key>`.

    Browsers offer it as a subprotocol: `new WebSocket(url, ["twopass", "bearer." + token])`.
    """
    doors: Doors = request.app.state.doors
    with doors.admit(request):
        made = doors.token(request)
    return Token(token=made, expires_in=doors.settings.token_seconds)
