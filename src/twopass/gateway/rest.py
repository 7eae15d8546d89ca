"""
`POST /v1/transcriptions`: a file in, its transcript out, through the same session that serves live audio.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import Response

from twopass.audio import decode_file
from twopass.cost.usage.entries import Account
from twopass.engine import Engine
from twopass.engine import Request as SessionRequest
from twopass.errors import ProtocolError, TwopassError
from twopass.gateway.doors import GuardedRoute
from twopass.gateway.held import first_error
from twopass.gateway.intake import fitted
from twopass.gateway.limits import SessionLimit
from twopass.gateway.metrics import Metrics
from twopass.gateway.problems import Problem
from twopass.outbox import SessionEnded
from twopass.recognizers import Profanity, StreamOptions
from twopass.session import Session
from twopass.transcript import Format, write
from twopass.types import Revision

_COPY_BYTES = 1 << 20
_MEDIA = {
    Format.TXT: "text/plain",
    Format.SRT: "application/x-subrip",
    Format.VTT: "text/vtt",
    Format.JSON: "application/json",
}
_LANGUAGE = r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$"

router = APIRouter(route_class=GuardedRoute)


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


@router.post(
    "/v1/transcriptions",
    response_class=Response,
    responses={
        200: {
            "description": "The transcript in the format asked for.",
            "content": {media: {} for media in _MEDIA.values()},
        },
        **{code: {"model": Problem} for code in (400, 401, 402, 403, 408, 413, 422, 429, 503)},
    },
)
async def transcribe(
    request: Request,
    engine: Annotated[Engine, Depends(_engine)],
    file: Annotated[UploadFile, File(description="Audio or video in any format that FFmpeg knows.")],
    format: Annotated[Format, Form(description="txt, srt, vtt or json.")] = Format.JSON,  # noqa: A002 - the API's name
    profile: Annotated[str | None, Form(max_length=100, description="A profile of the configuration.")] = None,
    language: Annotated[str | None, Form(max_length=35, pattern=_LANGUAGE, description="BCP-47 tag.")] = None,
    separate_channels: Annotated[bool, Form(description="Transcribe left and right each for itself.")] = False,
    phrases: Annotated[list[str], Form(max_length=500, description="Words and names to expect.")] = [],  # noqa: B006
    punctuation: Annotated[bool | None, Form(description="Whether to write it.")] = None,
    profanity: Annotated[Profanity | None, Form(description="What is written for a swear word.")] = None,
    diarization: Annotated[bool, Form(description="Label the words with their speakers.")] = False,
) -> Response:
    """Transcribe a file. Both passes run; the answer holds the finals."""
    limit: SessionLimit = request.app.state.limit
    metrics: Metrics = request.app.state.metrics
    account: Account = request.scope["account"]
    engine.check_budgets(account)
    with limit.place():
        path = await _stored(file, request.app.state.max_upload_bytes)
        try:
            channels = 2 if separate_channels else 1
            options = StreamOptions(
                language=language,
                phrases=tuple(phrases),
                punctuation=punctuation,
                profanity=profanity,
                diarization=diarization,
            )
            session = await engine.session(SessionRequest(profile, options, channels, realtime=False, account=account))
            revisions = await _transcript(session, path, channels, metrics, request)
        finally:
            path.unlink(missing_ok=True)
    return Response(write(revisions, format), media_type=_MEDIA[format])


async def _transcript(
    session: Session, path: Path, channels: int, metrics: Metrics, request: Request
) -> list[Revision]:
    """Run a session over a file; returns its latest revisions. Raises AudioError if nothing can be decoded."""
    finals: list[Revision] = []
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run())
            await _feed(session, path, channels, request)
            session.end()
    except* TwopassError as group:
        raise first_error(group) from None
    for _, event in session.outbox.since(0):
        metrics.count(event)
        if isinstance(event, Revision):
            finals.append(event)
        elif isinstance(event, SessionEnded):
            metrics.audio_seconds.inc(event.audio_ms / 1000)
    return finals


async def _feed(session: Session, path: Path, channels: int, request: Request) -> None:
    """Put a file on the tape. Raises AudioError, and ProtocolError when nobody waits for the answer any more."""
    blocks = decode_file(path, separate_channels=channels > 1)
    while (block := await asyncio.to_thread(_next, blocks)) is not None:
        if any(block):
            session.write(fitted(block, channels))
        await session.room()
        if await request.is_disconnected():
            raise ProtocolError("The client has hung up.", code="client_left")


def _next(blocks: Iterator[tuple[bytes, ...]]) -> tuple[bytes, ...] | None:
    return next(blocks, None)


async def _stored(file: UploadFile, most: int) -> Path:
    """The upload as a file of our own. Raises ProtocolError if it is larger than allowed."""
    handle = NamedTemporaryFile(prefix="twopass-", delete=False)  # noqa: SIM115 - lives longer than this function
    path, size = Path(handle.name), 0
    try:
        with handle:
            while data := await file.read(_COPY_BYTES):
                size += len(data)
                if size > most:
                    raise ProtocolError(
                        f"The file is larger than {most >> 20} MB.",
                        code="too_large",
                        fix="Send a shorter one, or raise server.max_upload_mb.",
                    )
                await asyncio.to_thread(handle.write, data)
    except BaseException:
        os.unlink(path)  # noqa: PTH108 - the file is ours and local
        raise
    return path
