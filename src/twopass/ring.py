"""Audio that may have to be sent again: everything since what a server has safely. Pure."""

from __future__ import annotations


class AudioRing:
    """
    The newest audio of a stream. Places are counted in units of `width` bytes from the beginning of the stream.

    Nothing that is not acknowledged is ever dropped: whoever appends looks at `room` first.

    Args:
        width: Bytes of one unit: a sample of all channels, or 1 where bytes are counted.
        keep: How many units to keep at least that are acknowledged but would not survive a crash of the server.
        limit: From how many units on that are not acknowledged there is no room any more.
    """

    def __init__(self, *, width: int, keep: int, limit: int) -> None:
        self._width = width
        self._keep = keep
        self._limit = limit
        self._data = bytearray()  # deleting at its front costs nothing
        self._start = self._acknowledged = 0

    @property
    def start(self) -> int:
        """The first place that is still there."""
        return self._start

    @property
    def end(self) -> int:
        """The place after the last whole unit."""
        return self._start + len(self._data) // self._width

    @property
    def room(self) -> bool:
        """Whether more may be appended."""
        return self.end - self._acknowledged < self._limit

    def append(self, data: bytes | memoryview) -> None:
        """Put audio at the end. It need not be whole units: the rest of one may come with the next piece."""
        self._data += data
        self._trim()

    def read(self, at: int, most: int) -> bytes:
        """Up to `most` units from a place on; nothing if they are not there (any more)."""
        if at < self._start:
            return b""
        begin = (at - self._start) * self._width
        return bytes(memoryview(self._data)[begin : begin + min(most, max(0, self.end - at)) * self._width])

    def acknowledge(self, at: int, *, durable: bool) -> None:
        """The server has everything before this place; `durable`: and will still have it after a crash."""
        at = min(at, self.end)
        self._acknowledged = max(self._acknowledged, at)
        if durable:
            self._drop_before(at)
        self._trim()

    def rewind(self, at: int) -> int:
        """
        The server wants to go on at this place, whatever it acknowledged before.

        Returns from where on it can have the audio: later than wanted if that is not kept any more.
        """
        found = min(max(at, self._start), self.end)
        self._acknowledged = found
        return found

    def _trim(self) -> None:
        self._drop_before(min(self._acknowledged, self.end - self._keep))

    def _drop_before(self, at: int) -> None:
        if at > self._start:
            del self._data[: (at - self._start) * self._width]
            self._start = at
