"""
Opening recognizers: each one once, however many profiles use it with the same settings, and a fallback for those that
cannot be used.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import structlog

from twopass import recognizers
from twopass.config import PassConfig
from twopass.errors import RecognizerUnavailable
from twopass.recognizers import StreamingRecognizer, UtteranceRecognizer

log = structlog.get_logger()


class Opening:
    """The recognizers of one process. Not for several tasks at once: they would open the same one twice."""

    def __init__(self) -> None:
        self._opened: dict[str, Any] = {}

    async def streaming(self, part: PassConfig) -> tuple[StreamingRecognizer, str | None]:
        """
        A first pass's recognizer, and a notice if it is only a stand-in. Raises ConfigError, RecognizerUnavailable.
        """
        return await self._with_fallback(part, "streaming")

    async def utterance(self, part: PassConfig) -> tuple[UtteranceRecognizer, str | None]:
        """
        A second pass's recognizer, and a notice if it is only a stand-in. Raises ConfigError, RecognizerUnavailable.
        """
        return await self._with_fallback(part, "utterance")

    async def itself(self, part: PassConfig, kind: str) -> Any:
        """The recognizer itself, "streaming" or "utterance". Raises ConfigError, RecognizerUnavailable."""
        key = json.dumps([kind, part.provider, dict(part.settings)], sort_keys=True, default=str)
        if key not in self._opened:
            provider = recognizers.find(part.provider)
            # In a thread: it may import heavy packages, and ask a driver for its devices.
            recognizer: Any = await asyncio.to_thread(getattr(provider, kind), part.settings)
            try:
                await recognizer.open()
            except BaseException:  # also when the program ends meanwhile: its process must not stay behind
                await recognizer.close()
                raise
            self._opened[key] = recognizer
        return self._opened[key]

    async def close(self) -> None:
        """End their processes."""
        for recognizer in self._opened.values():
            await recognizer.close()

    async def _with_fallback(self, part: PassConfig, kind: str) -> tuple[Any, str | None]:
        try:
            return await self.itself(part, kind), None
        except RecognizerUnavailable as error:
            if part.fallback is None:
                raise
            recognizer, _ = await self._with_fallback(part.fallback, kind)
            log.warning("fallback in use", provider=part.provider, fallback=part.fallback.provider, reason=str(error))
            return recognizer, f"{error.message} {part.fallback.provider} stands in for it. {error.fix}".strip()
