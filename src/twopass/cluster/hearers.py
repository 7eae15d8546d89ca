"""A worker's recognizers: the second passes of a configuration's profiles."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import structlog

from twopass import recognizers
from twopass.cluster.worker import Hearer
from twopass.cluster.worker_metrics import Observed, WorkerMetrics
from twopass.config import Config, PassConfig
from twopass.errors import RecognizerUnavailable
from twopass.second_pass import SecondPass

log = structlog.get_logger()


class Hearers:
    """
    Attributes:
        by_profile: Profiles whose recognizer and settings are the same have the same.
    """

    def __init__(self, config: Config, metrics: WorkerMetrics) -> None:
        self._config = config
        self._metrics = metrics
        self._opened: dict[str, Observed] = {}
        self.by_profile: dict[str, Hearer] = {}

    async def open(self) -> None:
        """Load all models. Raises ConfigError or RecognizerUnavailable."""
        queues: dict[tuple[int, object], SecondPass] = {}
        for name, profile in self._config.profiles.items():
            recognizer = await self._with_fallback(profile.second_pass)
            key = (id(recognizer), profile.second_pass_run)
            if key not in queues:
                queues[key] = SecondPass(recognizer, profile.second_pass_run)
            self.by_profile[name] = Hearer(queues[key], recognizer)

    async def close(self) -> None:
        """End the models' processes."""
        for recognizer in self._opened.values():
            await recognizer.close()

    async def _with_fallback(self, part: PassConfig) -> Observed:
        try:
            return await self._recognizer(part)
        except RecognizerUnavailable as error:
            if part.fallback is None:
                raise
            log.warning("fallback in use", provider=part.provider, fallback=part.fallback.provider, reason=str(error))
            return await self._with_fallback(part.fallback)

    async def _recognizer(self, part: PassConfig) -> Observed:
        key = json.dumps([part.provider, dict(part.settings)], sort_keys=True, default=str)
        if key not in self._opened:
            provider = recognizers.find(part.provider)
            # In a thread: it may import heavy packages, and ask a driver for its devices.
            recognizer: Any = await asyncio.to_thread(provider.utterance, part.settings)
            await recognizer.open()
            self._opened[key] = Observed(recognizer, self._metrics)
        return self._opened[key]
