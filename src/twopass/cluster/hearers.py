"""A worker's recognizers: the second passes of a configuration's profiles."""

from __future__ import annotations

from twopass.cluster.hearing import Hearer
from twopass.cluster.worker_metrics import Observed, WorkerMetrics
from twopass.config import Config
from twopass.opening import Opening
from twopass.recognizers import UtteranceRecognizer
from twopass.second_pass import SecondPass, SecondPassSettings


class Hearers:
    """
    Attributes:
        by_profile: Profiles whose recognizer and settings are the same have the same.
    """

    def __init__(self, config: Config, metrics: WorkerMetrics) -> None:
        self.by_profile: dict[str, Hearer] = {}
        self._config = config
        self._metrics = metrics
        self._opening = Opening()
        self._observed: dict[int, Observed] = {}
        self._queues: dict[tuple[int, SecondPassSettings], SecondPass] = {}

    async def open(self) -> None:
        """Load all models. Raises ConfigError or RecognizerUnavailable."""
        for name, profile in self._config.profiles.items():
            recognizer, _ = await self._opening.utterance(profile.second_pass)
            self.by_profile[name] = self._hearer(recognizer, profile.second_pass_run)

    async def close(self) -> None:
        """End the models' processes."""
        await self._opening.close()

    def _hearer(self, recognizer: UtteranceRecognizer, settings: SecondPassSettings) -> Hearer:
        own = id(recognizer)
        observed = self._observed.setdefault(own, Observed(recognizer, self._metrics))
        queue = self._queues.setdefault((own, settings), SecondPass(observed, settings))
        return Hearer(queue, observed)
