"""What can be set for Google, and what follows from it. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from twopass.recognizers import Capabilities, Feature

NAME = "google"
_STREAM_SECONDS = {"v2": 300.0, "v1": 305.0}
_MODELS = {"v2": "long", "v1": "latest_long"}


class GoogleSettings(BaseModel):
    """
    Settings of the first pass. No key stands here: see `credentials`.

    Attributes:
        project: The Google Cloud project that pays (v2); by default GOOGLE_CLOUD_PROJECT, or that of the credentials.
        region: Where the audio is heard: global, us, eu, us-central1, ...
        recognizer: A recognizer resource of the project (v2); "_" is the one that everybody has.
        model: By default "long" (v2) or "latest_long" (v1): any subject, with true word times, in every region.
        language: What is taken to be spoken where the client names no language and the model cannot find out.
        endpoint: host:port of a stand-in: without encryption and without credentials.
        credentials_file: The file of a service account, instead of the one that the environment names.
        connect_seconds: So long it may take to reach Google.
        finish_seconds: So long Google may be quiet after the end of the audio.
        data_logging: The project lets Google keep its audio, for a lower price (v1).
        endpointing_sensitivity: How soon a pause ends an utterance (v2).
        max_stream_seconds: If it is not Google's usual limit for one stream, such as at a stand-in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    api: Literal["v2", "v1"] = "v2"
    project: str = Field("", pattern=r"^[a-z0-9:.-]*$")
    region: str = Field("global", pattern=r"^[a-z0-9-]+$")
    recognizer: str = Field("_", pattern=r"^[a-z0-9_-]+$")
    model: str = Field("", pattern=r"^[a-z0-9_-]*$")
    language: str = Field("en-US", min_length=2)
    endpoint: str = Field("", pattern=r"^([^:/\s]+:\d+)?$")
    credentials_file: str = ""
    connect_seconds: float = Field(3.0, gt=0, le=60)
    finish_seconds: float = Field(5.0, gt=0, le=60)
    data_logging: bool = False
    endpointing_sensitivity: Literal["standard", "short", "supershort"] = "standard"
    max_stream_seconds: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _together(self) -> GoogleSettings:
        if self.model == "chirp":
            raise ValueError("Google's model `chirp` does not stream: chirp_2 and chirp_3 do")
        if self.api == "v1" and self.is_chirp:
            raise ValueError(f"the model {self.model} needs `api: v2`")
        if self.api == "v1" and self.endpointing_sensitivity != "standard":
            raise ValueError("`endpointing_sensitivity` needs `api: v2`")
        if self.api == "v2" and self.data_logging:
            raise ValueError("`data_logging` makes a price only with `api: v1`")
        return self

    @property
    def chosen_model(self) -> str:
        """The model's name as Google knows it."""
        return self.model or _MODELS[self.api]

    @property
    def is_chirp(self) -> bool:
        """Whether the model is one of the generative ones."""
        return self.model.startswith("chirp")

    @property
    def asks_for_word_times(self) -> bool:
        """Google refuses a request for them where a model has none."""
        return self.model != "chirp_3"

    @property
    def host(self) -> str:
        """Google's server for the region."""
        return "speech.googleapis.com" if self.region == "global" else f"{self.region}-speech.googleapis.com"

    @property
    def sku(self) -> str:
        """The name in rates.yaml under which Google bills this."""
        if self.api == "v2":
            return "v2-standard"
        if self.model.startswith("medical"):
            return "v1-medical"
        return "v1-standard-logged" if self.data_logging else "v1-standard"

    @property
    def capabilities(self) -> Capabilities:
        """What the core has to know."""
        return Capabilities(
            provider=NAME,
            model=f"Google {self.api} {self.chosen_model}",
            understands="More than 100 languages, any subject; which of them depends on model and region.",
            endpoints=True,
            word_times=not self.is_chirp,
            max_stream_seconds=self.max_stream_seconds or _STREAM_SECONDS[self.api],
            chunk_ms=100,
            local=False,
            region=self.region,
            features=frozenset(Feature) - ({Feature.DIARIZATION} if self.is_chirp else set()),
            sku=self.sku,
            answers_within_seconds=8.0 if self.is_chirp else 5.0,
            # Google wants "a rate that approximates real time": what a break of some seconds leaves is caught up with.
            burst_seconds=10.0,
            pace=2.0,
        )
