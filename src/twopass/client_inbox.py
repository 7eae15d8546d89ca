"""What has come from the server and was not read yet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence

from twopass.gateway.messages import Ack, AnyServerMessage, Cost, Segment

_MANY = 512


class Inbox:
    """
    Messages in their order.

    Who reads too slowly misses what has become obsolete meanwhile, as with a slow network: memory stays bounded by the
    length of the transcript.
    """

    def __init__(self) -> None:
        self._messages: deque[AnyServerMessage] = deque()
        self._arrived = asyncio.Event()
        self._many = _MANY
        self._closed = False
        self._error: Exception | None = None

    def put(self, message: AnyServerMessage) -> None:
        """One more message; after the close it is too late for any."""
        if self._closed:
            return
        self._messages.append(message)
        if len(self._messages) > self._many:
            self._messages = deque(latest(self._messages))
            self._many = max(_MANY, 2 * len(self._messages))
        self._arrived.set()

    def close(self, error: Exception | None = None) -> None:
        """Nothing more will come; the error is raised once everything is read. Only the first close counts."""
        if not self._closed:
            self._closed, self._error = True, error
        self._arrived.set()

    async def get(self) -> AnyServerMessage | None:
        """The next message; None after the last one. Raises the error that closed it."""
        while not self._messages:
            if self._error is not None:
                raise self._error
            if self._closed:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        return self._messages.popleft()


def latest(messages: Iterable[AnyServerMessage]) -> Sequence[AnyServerMessage]:
    """Without revisions, acknowledgements and costs that later ones replace. What is left keeps its order."""
    found: dict[object, AnyServerMessage] = {}
    for message in messages:
        key = _key(message)
        found.pop(key, None)  # the new one goes to the end
        found[key] = message
    return list(found.values())


def _key(message: AnyServerMessage) -> object:
    match message:
        case Segment(id=utterance):
            return utterance
        case Ack() | Cost():
            return type(message)
        case _:
            return message.event
