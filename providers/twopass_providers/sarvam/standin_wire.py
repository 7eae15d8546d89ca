"""What comes to Sarvam's stand-in, and what it says, as JSON. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import Any

from twopass.types import Hypothesis
from twopass_providers.sarvam.messages import LONGEST_KEYTERM, MOST_KEYTERMS
from twopass_providers.sarvam.settings import AUTO, LANGUAGES, MODELS, MODES, SAMPLE_RATES, STREAM_TYPES
from twopass_providers.sarvam.standin_faults import Refused, refusal

PATH = "/speech-to-text-realtime/ws"
_KNOWN = {
    "model": MODELS,
    "mode": MODES,
    "stream_type": STREAM_TYPES,
    "sample_rate": SAMPLE_RATES,
    "language_code": (AUTO, *LANGUAGES),
    "return_timestamps": ("true", "false"),
    # Assumption of less than there is: Sarvam also has "manual", and other encodings. No ear here hears them.
    "endpointing": ("vad",),
    "encoding": ("linear16",),
}
_DEFAULTS = {
    "model": MODELS[0],
    "mode": "transcribe",
    "stream_type": "balanced",
    "sample_rate": "16000",
    "return_timestamps": "false",
    "endpointing": "vad",
    "encoding": "linear16",
}
_NUMBERS = {
    "threshold": 1.0,
    "prefix_padding_ms": 1e6,
    "silence_duration_ms": 1e6,
    "min_speech_duration_ms": 1e6,
}
_OTHERS = ("prompt", "keyterms")
# Assumption: what the detector says when the language was to be found out.
_DETECTED = {"language": "en-IN", "language_confidence": 0.9}


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What a client wants.

    Attributes:
        options: The query of its address.
    """

    options: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.options.get(name, _DEFAULTS.get(name, ""))

    @property
    def rate(self) -> int:
        """Samples per second."""
        return int(self["sample_rate"])

    @property
    def partials(self) -> bool:
        """Whether it gets words before they are settled."""
        return self["stream_type"] != "simulated"

    def check(self) -> None:
        """Raises Refused for what Sarvam does not take. The texts are assumptions."""
        if "language_code" not in self.options:
            raise _wrong("Missing required query parameter: language_code")
        for name, value in self.options.items():
            if name in _KNOWN and value not in _KNOWN[name]:
                raise _wrong(f"Invalid {name}: {value}")
            if name in _NUMBERS and not _is_number(value, _NUMBERS[name]):
                raise _wrong(f"Invalid {name}: {value}")
            if name not in {**_KNOWN, **_NUMBERS} and name not in _OTHERS:
                raise _wrong(f"Unsupported query parameter: {name}")
        self._check_keyterms()

    def _check_keyterms(self) -> None:
        text = self.options.get("keyterms")
        if text is None:
            return
        if self["model"] != MODELS[1]:
            raise _wrong(f"keyterms is only supported with model {MODELS[1]}")
        try:
            terms = json.loads(text)
        except ValueError:
            terms = None
        if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
            raise _wrong("keyterms must be a JSON array of strings")
        if len(terms) > MOST_KEYTERMS or any(len(term) > LONGEST_KEYTERM for term in terms):
            raise _wrong(f"keyterms: at most {MOST_KEYTERMS} terms of at most {LONGEST_KEYTERM} characters")

    # -- what is said -----------------------------------------------------------------------------------------------

    def session_begin(self, request: str) -> dict[str, Any]:
        config = {name: self[name] for name in ("model", "language_code", "encoding", "stream_type", "mode", "prompt")}
        config |= {"turn_detection": self["endpointing"]}
        numbers = {name: float(value) for name, value in self.options.items() if name in _NUMBERS}
        others = {"sample_rate": self.rate, "return_timestamps": self["return_timestamps"] == "true"}
        return {"event": "session.begin", "request_id": request, "config": config | numbers | others}

    def partial(self, utterance: int, hypothesis: Hypothesis) -> dict[str, Any]:
        said = {"event": "transcript.partial", "utterance_idx": utterance, "text": hypothesis.text}
        return said | ({"language": _DETECTED["language"]} if self["language_code"] == AUTO else {})

    def final(self, utterance: int, hypothesis: Hypothesis) -> dict[str, Any]:
        """The segment is from the first word's beginning to the last one's end."""
        said: dict[str, Any] = {"event": "transcript.final", "utterance_idx": utterance, "text": hypothesis.text}
        if self["return_timestamps"] == "true":
            said |= {"start_s": hypothesis.words[0].start / 1000, "end_s": hypothesis.words[-1].end / 1000}
        return said | (_DETECTED if self["language_code"] == AUTO else {})


def voice(event: str, utterance: int) -> dict[str, Any]:
    """vad.speech_start or vad.speech_end."""
    return {"event": event, "utterance_idx": utterance, "confidence": 0.9}


def error(code: str, message: str, *, fatal: bool, status: int | None = None) -> dict[str, Any]:
    """Something went wrong."""
    said = {"event": "error", "code": code, "is_fatal": fatal, "message": message}
    return said | ({} if status is None else {"status_code": status})


def session_end(request: str, elapsed: float, utterances: int, audio_ms: int) -> dict[str, Any]:
    """The bill. Assumption: the audio is billed as it is, not rounded up."""
    return {
        "event": "session.end",
        "request_id": request,
        "total_duration_s": round(elapsed, 3),
        "total_utterances": utterances,
        "audio_duration_s": audio_ms / 1000,
    }


def config_updated(message: dict[str, Any]) -> dict[str, Any]:
    """Assumption: it is only said that it was done; an ear here hears as before."""
    names = sorted(set(message) - {"event"})
    if "simulated" == message.get("stream_type"):
        return error("invalid_config", "stream_type cannot be changed to simulated", fatal=False)
    return {"event": "config.updated", "applied": names}


def parsed(text: str | bytes) -> dict[str, Any]:
    """A message of the client; empty if it is none."""
    try:
        message = json.loads(text)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def pcm(message: dict[str, Any]) -> bytes | None:
    """The audio in a message; None if there is none."""
    try:
        return base64.b64decode(message.get("audio", ""), validate=True) or None
    except (binascii.Error, TypeError, ValueError):
        return None


def _wrong(text: str) -> Refused:
    refused = refusal("bad_model", text)
    assert refused is not None
    return Refused("rejected", refused.close, refused.code, refused.status, text, billed=False)


def _is_number(text: str, most: float) -> bool:
    try:
        return 0 <= float(text) <= most
    except ValueError:
        return False
