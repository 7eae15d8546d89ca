"""What can be set for Azure, and what follows from it. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from twopass.recognizers import Capabilities, Feature

NAME = "azure"
DIARIZED_HOURS = 4
"""A stream in which speakers are told apart may last so long; any other as long as it likes."""


class AzureSettings(BaseModel):
    """
    Settings of the first pass. No key stands here: see `credentials`.

    Attributes:
        region: Where the audio is heard: westeurope, eastus, ...; by default AZURE_SPEECH_REGION.
        endpoint: https://… of your own resource instead of a region; ws://host:port of a stand-in, without a key.
        endpoint_id: Of a custom model that is deployed for you.
        key_variable: The environment variable that holds the key, if it is not AZURE_SPEECH_KEY.
        language: What is taken to be spoken where the client names no language.
        connect_seconds: So long it may take to reach Azure.
        finish_seconds: So long Azure may be quiet after the end of the audio.
        segmentation_silence_ms: So much silence ends a phrase, 100 to 5000.
        initial_silence_ms: After so much silence Azure says that nothing was said.
        stable_threshold: Show a word only when it was in so many hypotheses; fewer words change, and they come later.
        dictation: Speakers say their punctuation ("comma").
        sdk_retries: How often the SDK itself opens a connection again that broke, and sends again what was not final.
        burst_seconds: So much audio is sent at once; beyond, twice as fast as real time.
        max_waiting_seconds: So much audio may wait for its final, then the SDK gives up; None: its own limit (66 s).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    region: str = Field("", pattern=r"^[a-z0-9]*$")
    endpoint: str = Field("", pattern=r"^((https|wss|ws)://[^\s?#]+)?$")
    endpoint_id: str = Field("", pattern=r"^[A-Za-z0-9-]*$")
    key_variable: str = Field("", pattern=r"^[A-Za-z_]?[A-Za-z0-9_]*$")
    language: str = Field("en-US", min_length=2)
    connect_seconds: float = Field(3.0, gt=0, le=60)
    finish_seconds: float = Field(5.0, gt=0, le=60)
    segmentation_silence_ms: int | None = Field(None, ge=100, le=5_000)
    initial_silence_ms: int | None = Field(None, ge=100, le=300_000)
    stable_threshold: int | None = Field(None, ge=1, le=20)
    dictation: bool = False
    sdk_retries: int = Field(1, ge=0, le=10)
    burst_seconds: float = Field(5.0, gt=0, le=3_600)
    max_waiting_seconds: float | None = Field(None, gt=0, le=600)

    @property
    def without_key(self) -> bool:
        """Whether the endpoint is a stand-in: without encryption and without a key."""
        return self.endpoint.startswith("ws://")

    @property
    def sku(self) -> str:
        """The name in rates.yaml under which Azure bills this."""
        return "s1_custom_speech_to_text" if self.endpoint_id else "s1_speech_to_text"

    def capabilities(self, region: str) -> Capabilities:
        """What the core has to know."""
        return Capabilities(
            provider=NAME,
            model="Azure custom model" if self.endpoint_id else "Azure",
            understands="More than 140 languages and dialects, any subject; which of them depends on the region.",
            endpoints=True,
            word_times=True,
            max_stream_seconds=DIARIZED_HOURS * 3600.0,
            chunk_ms=100,
            local=False,
            region=region,
            features=frozenset(Feature),
            sku=self.sku,
            answers_within_seconds=5.0,
            burst_seconds=self.burst_seconds,
            pace=2.0,
        )
