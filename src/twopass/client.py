"""
The Python client: stream audio to a twopass server and iterate what it says.

    async with Client("ws://127.0.0.1:8765") as client:
        async with client.session(profile="demo") as session:
            session.feed(chunks)                       # an async iterator of PCM; runs beside the reading
            async for message in session:
                if message.type == "segment":
                    print(message.status, message.text)

`Transcript` keeps the highest revision of every utterance. A connection that breaks is mended behind the scenes: what
the server has not got yet is sent again, and what was missed arrives, each once and in order.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal, Self

from twopass.client_line import Address, Connection, ConnectionLost, ServerRefused
from twopass.client_outgoing import with_indexes
from twopass.client_session import ClientSession
from twopass.client_transcript import Transcript, revision_of
from twopass.errors import ConfigError
from twopass.gateway.messages import ClientAudio, Start
from twopass.recognizers import Profanity

__all__ = ["Client", "ClientSession", "Connection", "ConnectionLost", "ServerRefused", "Transcript", "revision_of"]

KEY_VARIABLE = "TWOPASS_KEY"
_LOOPBACK = re.compile(r"wss?://(localhost|127\.0\.0\.1|\[::1\])[:/]")
_KEY = re.compile(r"[!-~]+")


class Client:
    """
    A server's address. Costs nothing until a session begins.

    Args:
        url: Where the server listens: ws://host:port, wss://host, or the same with http.
        key: The API key, for servers that want one; default: what the environment names as TWOPASS_KEY.
        silence_seconds: A connection on which nothing comes for so long, not even the answer to a ping, is given up and
            made anew.

    Raises ConfigError for a key that cannot be one.
    """

    def __init__(self, url: str, key: str | None = None, *, silence_seconds: float = 8.0) -> None:
        socket = re.sub(r"^http", "ws", url.rstrip("/")) + "/v1/stream"
        # What listens on this machine is reached directly, whatever proxy the environment names.
        proxy: Literal[True] | None = None if _LOOPBACK.match(socket) else True
        self._address = Address(socket, proxy, _checked(key or os.environ.get(KEY_VARIABLE)), silence_seconds)

    def __repr__(self) -> str:
        return f"Client({self._address.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    @asynccontextmanager
    async def session(
        self,
        *,
        audio: ClientAudio | None = None,
        profile: str | None = None,
        language: str | None = None,
        languages: tuple[str, ...] = (),
        separate_channels: bool = False,
        phrases: tuple[str, ...] = (),
        punctuation: bool | None = None,
        profanity: Profanity | None = None,
        diarization: bool = False,
        realtime: bool = True,
        on_connection: Callable[[Connection], None] | None = None,
    ) -> AsyncIterator[ClientSession]:
        """
        Begin a session; leaving the context hangs up. `on_connection` is told when the connection is lost and when it
        is there again.

        PCM is sent with `indexed` framing unless `audio` names another.

        Raises ServerRefused if the server does not want it, ConnectionLost if it cannot be reached.
        """
        start = Start(
            audio=with_indexes(audio or ClientAudio()),
            profile=profile,
            language=language,
            languages=languages,
            separate_channels=separate_channels,
            phrases=phrases,
            punctuation=punctuation,
            profanity=profanity,
            diarization=diarization,
            realtime=realtime,
        )
        session = ClientSession(self._address.open, start, on_connection)
        try:
            await session.begin()
            yield session
        finally:
            await session.close()


def _checked(key: str | None) -> str | None:
    stripped = (key or "").strip()
    if stripped and not _KEY.fullmatch(stripped):
        raise ConfigError("The API key has characters that no key has.", code="bad_key", fix="Copy it again.")
    return stripped or None
