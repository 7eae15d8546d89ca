"""Where the key to Google lies: in a file that the environment or a setting names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from twopass.errors import RecognizerUnavailable
from twopass_providers.google.settings import NAME, GoogleSettings

VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
PROJECT_VARIABLE = "GOOGLE_CLOUD_PROJECT"
FIX = f"Set {VARIABLE} to the file of a service account, or run `gcloud auth application-default login`."
MACHINE = Path("/sys/class/dmi/id/product_name")
_REHEARSAL = "rehearsal"


def located(settings: GoogleSettings, environment: Mapping[str, str], machine: Path = MACHINE) -> Path | None:
    """
    The file that holds the credentials; None on Google's own machines, which need none.

    Raises RecognizerUnavailable with what to set.
    """
    for source, name in (("credentials_file", settings.credentials_file), (VARIABLE, environment.get(VARIABLE, ""))):
        if name:
            return _existing(Path(name).expanduser(), source)
    file = _of_gcloud(environment)
    if file.is_file():
        return file
    if _on_google(machine, environment):
        return None
    raise RecognizerUnavailable("There are no credentials for Google.", provider=NAME, code="no_key", fix=FIX)


def project(settings: GoogleSettings, environment: Mapping[str, str], file: Path | None) -> str:
    """The project that pays. Raises RecognizerUnavailable if there is none and v2 needs one."""
    named = settings.project or environment.get(PROJECT_VARIABLE, "") or _of_file(file)
    if settings.endpoint:
        return named or _REHEARSAL
    if not named and settings.api == "v2":
        raise RecognizerUnavailable(
            "Google's v2 must know the project that pays.",
            provider=NAME,
            code="no_project",
            fix=f"Set {PROJECT_VARIABLE}, or `project:` in the profile.",
        )
    return named


def _existing(file: Path, source: str) -> Path:
    if not file.is_file():
        raise RecognizerUnavailable(f"{source} names {file}, which is no file.", provider=NAME, code="no_key", fix=FIX)
    return file


def _of_gcloud(environment: Mapping[str, str]) -> Path:
    home = environment.get("CLOUDSDK_CONFIG") or str(Path(environment.get("HOME", "~")).expanduser() / ".config/gcloud")
    return Path(home) / "application_default_credentials.json"


def _of_file(file: Path | None) -> str:
    """The project of a service account, which stands in its file."""
    try:
        data = json.loads(file.read_text(encoding="utf-8")) if file is not None else {}
    except (OSError, ValueError):
        return ""  # whoever loads the credentials says what is wrong with the file
    named = data.get("project_id") or data.get("quota_project_id") if isinstance(data, dict) else None
    return named if isinstance(named, str) else ""


def _on_google(machine: Path, environment: Mapping[str, str]) -> bool:
    try:
        return "K_SERVICE" in environment or machine.read_text(encoding="ascii").startswith("Google")
    except (OSError, ValueError):
        return False
