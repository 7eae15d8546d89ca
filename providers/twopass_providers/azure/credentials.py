"""Where Azure's key and region are found: in the environment, never in a setting. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from twopass.errors import RecognizerUnavailable
from twopass_providers.azure.settings import NAME, AzureSettings

KEY = "AZURE_SPEECH_KEY"
REGION = "AZURE_SPEECH_REGION"
_KEYS = (KEY, "SPEECH_KEY")
_REGIONS = (REGION, "SPEECH_REGION")


def key(settings: AzureSettings, environment: Mapping[str, str]) -> str:
    """The key of the Speech resource; empty for a stand-in. Raises RecognizerUnavailable if there is none."""
    if settings.without_key:
        return ""
    names = (settings.key_variable,) if settings.key_variable else _KEYS
    found = _first(names, environment)
    if found:
        return found
    raise RecognizerUnavailable(
        "There is no key of an Azure Speech resource.",
        provider=NAME,
        code="no_credentials",
        fix=f"Set {names[0]} to one of the two keys that the resource shows in the Azure portal.",
    )


def region(settings: AzureSettings, environment: Mapping[str, str]) -> str:
    """Where the resource is; may be empty if there is an endpoint. Raises RecognizerUnavailable if there is neither."""
    found = settings.region or ("" if settings.endpoint else _first(_REGIONS, environment))
    if found or settings.endpoint:
        return found
    raise RecognizerUnavailable(
        "The region of the Azure Speech resource is not known.",
        provider=NAME,
        code="no_credentials",
        fix=f"Set {REGION}, or `region` in the first pass's settings, such as westeurope.",
    )


def _first(names: tuple[str, ...], environment: Mapping[str, str]) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")
