"""What can be set for Sarvam, and what follows from it. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from twopass.recognizers import Capabilities, Feature

NAME = "sarvam"
SKU = "stt_realtime"
KEY_VARIABLE = "SARVAM_API_KEY"
MODELS = ("saaras:v3-realtime", "saaras:v4")
SAMPLE_RATES = ("8000", "16000")
STREAM_TYPES = ("fast", "balanced", "simulated")
MODES = ("transcribe", "translate", "verbatim", "translit", "codemix")
AUTO = "auto"
"""Sarvam's language code for "find it out"."""
LANGUAGES = tuple(
    f"{language}-IN"
    for language in "en hi bn kn ml mr or pa ta te gu as ur ne kok ks sd sa sat mni brx mai doi".split()
)
MAX_STREAM_SECONDS = 8 * 3600.0
_KEYTERMS_MODEL = "saaras:v4"


class SarvamSettings(BaseModel):
    """
    Settings of the first pass. No key stands here: it comes from an environment variable.

    Attributes:
        mode: What is made of the final words; interims are always a plain transcription.
        stream_type: "fast": interims soon; "balanced": better ones; "simulated": none at all.
        prompt: What the talk is about, in words, for the final words.
        threshold: How sure Sarvam's voice detector must be, 0..1; default: Sarvam's.
        silence_duration_ms: So much silence ends an utterance; default: Sarvam's.
        min_speech_duration_ms: Less than this is no utterance; default: Sarvam's.
        prefix_padding_ms: So much audio before the voice belongs to it; default: Sarvam's.
        key_variable: The environment variable that holds the key.
        endpoint: ws://host:port of a stand-in: without encryption and without a key.
        connect_seconds: So long it may take to reach Sarvam.
        finish_seconds: So long Sarvam may be quiet after the end of the audio, or take no audio.
        ping_seconds: So often Sarvam is told, while there is no audio, that somebody is still there.
        max_stream_seconds: If it is not Sarvam's usual limit for one stream, such as at a stand-in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    model: Literal["saaras:v3-realtime", "saaras:v4"] = "saaras:v3-realtime"
    mode: Literal["transcribe", "translate", "verbatim", "translit", "codemix"] = "transcribe"
    stream_type: Literal["fast", "balanced", "simulated"] = "balanced"
    prompt: str = ""
    threshold: float | None = Field(None, ge=0, le=1)
    silence_duration_ms: int | None = Field(None, ge=0, le=10_000)
    min_speech_duration_ms: int | None = Field(None, ge=0, le=10_000)
    prefix_padding_ms: int | None = Field(None, ge=0, le=10_000)
    key_variable: str = Field(KEY_VARIABLE, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    endpoint: str = Field("", pattern=r"^(ws://[^:/\s]+:\d+)?$")
    connect_seconds: float = Field(3.0, gt=0, le=60)
    finish_seconds: float = Field(5.0, gt=0, le=60)
    ping_seconds: float = Field(15.0, gt=0, le=50)
    max_stream_seconds: float = Field(MAX_STREAM_SECONDS, gt=0)

    @property
    def takes_keyterms(self) -> bool:
        """Whether the model takes words to expect as a list; the other one takes them in its prompt."""
        return self.model == _KEYTERMS_MODEL

    @property
    def capabilities(self) -> Capabilities:
        """What the core has to know."""
        return Capabilities(
            provider=NAME,
            model=f"Sarvam {self.model}",
            understands="English as spoken in India and 22 Indian languages, also mixed, any subject.",
            languages=LANGUAGES,
            endpoints=True,
            word_times=False,
            max_stream_seconds=self.max_stream_seconds,
            chunk_ms=100,
            local=False,
            features=frozenset({Feature.DETECTION, Feature.PHRASES}),
            sku=SKU,
            # "simulated" says nothing before the end of an utterance.
            answers_within_seconds=30.0 if self.stream_type == "simulated" else 5.0,
            # Sarvam names no limit: a rate that every vendor takes.
            burst_seconds=10.0,
            pace=2.0,
        )
