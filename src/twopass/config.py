"""
The configuration: one YAML file, read once, frozen.

Functions get values, not the configuration. Everything has a default but the profiles. Secrets do not belong here:
providers read them from the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from twopass.cost.rates import Money
from twopass.errors import ConfigError
from twopass.first_pass import FirstPassSettings
from twopass.guard import GuardSettings
from twopass.second_pass import SecondPassSettings
from twopass.segmenter import SegmenterSettings


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PassConfig(_Part):
    """
    Which recognizer does a pass. Everything but `provider` and `fallback` are the provider's own settings.

    Attributes:
        fallback: What to use while the provider cannot be used (weights not there, for one).
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    provider: str
    fallback: PassConfig | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """The provider's own settings."""
        return MappingProxyType(self.model_extra or {})


class Profile(_Part):
    """One way to recognize: a first and a second pass, and how to cut."""

    title: str = ""
    language: str | None = None
    first_pass: PassConfig
    second_pass: PassConfig
    segmenter: SegmenterSettings = SegmenterSettings()
    first_pass_run: FirstPassSettings = FirstPassSettings()
    second_pass_run: SecondPassSettings = SecondPassSettings()
    guard: GuardSettings = GuardSettings()


class ServerConfig(_Part):
    """
    Where to listen and how much to accept.

    Attributes:
        max_upload_mb: The largest file for /v1/transcriptions.
        max_sessions: More are refused with a clear error.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8765
    max_upload_mb: Annotated[int, Field(ge=1)] = 1024
    max_sessions: Annotated[int, Field(ge=1)] = 64


def _money(value: Any) -> Any:
    """ "0.04 USD" as money."""
    if not isinstance(value, str):
        return value
    amount, _, currency = value.partition(" ")
    if len(currency) != 3 or not currency.isupper():
        raise ValueError("write an amount and a currency, such as 0.04 USD")
    return Money(Decimal(amount), currency)


Price = Annotated[Money, BeforeValidator(_money)]


class Config(_Part):
    """
    The whole file.

    Attributes:
        default: The profile of sessions that name none.
        prices: What an hour of an own machine costs, by machine: cpu_core, gpu.
        download: Whether the server may download model weights that a profile names and this machine lacks.
    """

    server: ServerConfig = ServerConfig()
    default: str
    profiles: Mapping[str, Profile]
    prices: Mapping[str, Price] = MappingProxyType({})
    download: bool = True

    @model_validator(mode="after")
    def _default_exists(self) -> Config:
        if self.default not in self.profiles:
            raise ValueError(f"default: there is no profile {self.default!r}; there are {', '.join(self.profiles)}")
        return self


def parse(text: str, *, name: str = "configuration") -> Config:
    """Read a configuration. Raises ConfigError that names the place and what is wrong with it."""
    try:
        return Config.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not YAML: {error}.") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "top level"
        raise ConfigError(f"{name}: {where}: {first['msg']}.", fix="configs/local.yaml shows every setting.") from None


def load(path: Path) -> Config:
    """Read a configuration file. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", fix="Name a file with --config.") from None
    return parse(text, name=str(path))
