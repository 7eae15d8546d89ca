"""
The SDK's objects of one stream, in a thread of their own.

The SDK calls back in its own threads, and to stop or to release a recognizer can take it seconds (it waits for an
answer of the service). So both happen in a thread that nobody waits for: it holds up neither the event loop nor the
end of the process.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from twopass.errors import RecognizerCrashed
from twopass.types import SAMPLE_RATE
from twopass_providers.azure.messages import (
    Cancelled,
    Connected,
    Disconnected,
    Event,
    Failed,
    Plan,
    Ready,
    Said,
    Stopped,
)
from twopass_providers.azure.settings import NAME, AzureSettings

THREAD = "azure-session"
Tell = Callable[[Event], None]


class Session:
    """
    Args:
        sdk: The SDK's module.
        key: Empty for a stand-in.
        tell: Called with every event, in any thread; must not block.
    """

    def __init__(self, sdk: Any, settings: AzureSettings, region: str, key: str, plan: Plan, tell: Tell) -> None:
        self._sdk = sdk
        self._set = settings
        self._region = region
        self._key = key
        self._plan = plan
        self._tell = tell
        self._pushed: Any = None
        self._over = threading.Event()
        threading.Thread(target=self._live, name=THREAD, daemon=True).start()

    def write(self, pcm: bytes) -> None:
        """
        More audio, once it is ready. Does not block: the SDK keeps it until it is sent. Raises RecognizerCrashed if it
        takes none any more.
        """
        pushed = self._pushed
        if pushed is not None:
            try:
                pushed.write(pcm)
            except RuntimeError as error:
                raise RecognizerCrashed("Azure's SDK takes no audio any more.", provider=NAME) from error

    def finish(self) -> None:
        """There is no more audio."""
        pushed = self._pushed
        if pushed is not None:
            pushed.close()

    def end(self) -> None:
        """Nobody wants to hear more of it. Returns at once; what the SDK made goes by itself soon after."""
        self._over.set()

    def _live(self) -> None:
        try:
            parts = _Parts(self._sdk, self._speech_config(), self._plan, self._tell)
        except Exception as error:  # whatever it is, the event loop waits for an answer
            self._tell(Failed(error))
            return
        try:
            if not self._over.is_set():
                parts.start()
                self._pushed = parts.pushed
                self._tell(Ready())
            self._over.wait()
        except Exception as error:
            self._tell(Failed(error))
        finally:
            self._pushed = None
            parts.close()

    def _speech_config(self) -> Any:
        sdk, endpoint = self._sdk, self._set.endpoint
        key = {"subscription": self._key} if self._key else {}
        config = sdk.SpeechConfig(**key, **({"endpoint": endpoint} if endpoint else {"region": self._region}))
        for name, value in self._plan.properties.items():
            config.set_property(sdk.PropertyId[name], value)
        config.set_properties_by_name(dict(self._plan.internals))
        if self._plan.profanity:
            config.set_profanity(sdk.ProfanityOption[self._plan.profanity])
        return config


class _Parts:
    """The recognizer and what belongs to it. No callback holds it, so it goes when it is let go of."""

    def __init__(self, sdk: Any, config: Any, plan: Plan, tell: Tell) -> None:
        self.pushed = sdk.audio.PushAudioInputStream(sdk.audio.AudioStreamFormat(SAMPLE_RATE, 16, 1))
        language = (
            {"language": plan.languages[0]}
            if len(plan.languages) == 1
            else {"auto_detect_source_language_config": _detection(sdk, plan)}
        )
        make = sdk.transcription.ConversationTranscriber if plan.diarization else sdk.SpeechRecognizer
        self._recognizer: Any = make(config, audio_config=sdk.audio.AudioConfig(stream=self.pushed), **language)
        self._connection: Any = sdk.Connection.from_recognizer(self._recognizer)
        if plan.phrases:
            grammar = sdk.PhraseListGrammar.from_recognizer(self._recognizer)
            for phrase in plan.phrases:
                grammar.addPhrase(phrase)
        self._signals = self._connect(plan.diarization, tell)

    def start(self) -> None:
        recognizer = self._recognizer
        transcribes = hasattr(recognizer, "start_transcribing_async")
        (
            recognizer.start_transcribing_async() if transcribes else recognizer.start_continuous_recognition_async()
        ).get()

    def close(self) -> None:
        """Blocks until the SDK has stopped, for up to some seconds."""
        for signal in self._signals:
            signal.disconnect_all()
        # Only when it has stopped is no callback on its way any more, and its receiver may go.
        with contextlib.suppress(RuntimeError):
            self._stop()
        self._signals = []
        self._connection = self._recognizer = self.pushed = None

    def _stop(self) -> None:
        recognizer = self._recognizer
        transcribes = hasattr(recognizer, "stop_transcribing_async")
        (recognizer.stop_transcribing_async() if transcribes else recognizer.stop_continuous_recognition_async()).get()

    def _connect(self, transcribes: bool, tell: Tell) -> list[Any]:
        recognizer, connection = self._recognizer, self._connection
        believed = recognizer.transcribing if transcribes else recognizer.recognizing
        settled = recognizer.transcribed if transcribes else recognizer.recognized
        handlers: list[tuple[Any, Callable[[Any], Event]]] = [
            (believed, lambda event: Said(event.result.json, final=False)),
            (settled, lambda event: Said(event.result.json, final=True)),
            (recognizer.canceled, _cancelled),
            (recognizer.session_stopped, lambda _: Stopped()),
            (connection.connected, lambda _: Connected()),
            (connection.disconnected, lambda _: Disconnected()),
        ]
        for signal, read in handlers:
            signal.connect(_telling(read, tell))
        return [signal for signal, _ in handlers]


def _telling(read: Callable[[Any], Event], tell: Tell) -> Callable[[Any], None]:
    return lambda event: tell(read(event))


def _cancelled(event: Any) -> Cancelled:
    why = event.cancellation_details
    return Cancelled(why.reason.name, why.code.name, why.error_details or "")


def _detection(sdk: Any, plan: Plan) -> Any:
    return sdk.languageconfig.AutoDetectSourceLanguageConfig(languages=list(plan.languages))
