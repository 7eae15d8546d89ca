"""
What is compared, as it is named on the command line. Pure.

    google                                  a provider's first pass alone, with its own defaults
    whisper:model=demo:step_ms=800          … with settings, as they stand in a profile
    standin:google                          a local stand-in that speaks the vendor's protocol
    twopass:configs/azure-whisper.yaml      a configuration's default profile, both passes
    twopass:configs/local.yaml#demo         … another of its profiles
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from twopass.errors import ConfigError

_EXAMPLES = "Write google, whisper:model=demo, standin:google or twopass:configs/local.yaml#demo."
_NEXT_SETTING = re.compile(r":(?=\w+=)")


class Kind(StrEnum):
    """What a name stands for."""

    PROVIDER = "provider"
    STAND_IN = "standin"
    PROFILE = "twopass"


@dataclass(frozen=True, slots=True)
class Spec:
    """
    Attributes:
        name: As it stands on the report: short, and unique in a comparison.
        target: The provider, or the configuration's file.
        profile: Of the configuration; None is its default.
        settings: The provider's or the stand-in's.
    """

    name: str
    kind: Kind
    target: str
    profile: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def parse(texts: Iterable[str]) -> tuple[Spec, ...]:
    """Names, each of which may be several with commas between them. Raises ConfigError."""
    specs = _told_apart([_spec(name.strip()) for text in texts for name in text.split(",") if name.strip()])
    if not specs:
        raise ConfigError("There is nothing to compare.", code="no_systems", fix=f"--providers: {_EXAMPLES}")
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{name} is named twice.", code="named_twice", fix="Name each system once.")
    return specs


def _told_apart(specs: Sequence[Spec]) -> tuple[Spec, ...]:
    """Profiles of files called alike have their folders in their names."""
    targets = {spec.name: {other.target for other in specs if other.name == spec.name} for spec in specs}
    return tuple(
        replace(spec, name=_profile_name(str(Path(spec.target).with_suffix("")), spec.profile))
        if len(targets[spec.name]) > 1
        else spec
        for spec in specs
    )


def _profile_name(file: str, profile: str | None) -> str:
    return f"{Kind.PROFILE}:{file}" + (f"#{profile}" if profile else "")


def _spec(text: str) -> Spec:
    kind, _, rest = text.partition(":")
    if kind == Kind.PROFILE:
        file, _, profile = rest.partition("#")
        return Spec(_filled(_profile_name(Path(file).stem, profile), file), Kind.PROFILE, file, profile or None)
    if kind == Kind.STAND_IN:
        target, *settings = _NEXT_SETTING.split(rest)
        return Spec(_filled(text, target), Kind.STAND_IN, target, settings=_settings(text, settings))
    target, *settings = _NEXT_SETTING.split(text)
    return Spec(_filled(text, target), Kind.PROVIDER, target, settings=_settings(text, settings))


def _filled(name: str, target: str) -> str:
    if not target:
        raise ConfigError(f"{name} names nothing.", code="no_systems", fix=_EXAMPLES)
    return name


def _settings(text: str, pairs: Iterable[str]) -> Mapping[str, Any]:
    try:
        settings = {key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in pairs)}
    except yaml.YAMLError:
        raise ConfigError(f"{text}: a setting cannot be read.", code="bad_setting", fix=_EXAMPLES) from None
    return MappingProxyType(settings)
