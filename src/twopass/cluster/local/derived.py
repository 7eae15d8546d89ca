"""The configuration of a cluster on one machine, from one for many machines. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from twopass.cluster.local.programs import HOST

DEMO = "demo"
_DEMO_PROFILE = {
    "title": "Demo (about 300 words of meeting talk, synthetic voices)",
    "language": "en-US",
    "first_pass": {"provider": "pocketsphinx"},
    "second_pass": {"provider": "whisper", "model": "demo"},
}


def derived(text: str, *, broker: str, state: str, balanced: bool, demo: bool) -> str:
    """
    The same configuration with the addresses of this cluster.

    Args:
        text: YAML that `twopass.config.parse` takes.
        broker: Where all second passes are dispatched.
        state: The Redis that keeps all sessions.
        balanced: Whether a load balancer, whose word is to be taken, stands in front.
        demo: Whether to add the profile of the bundled sample, if there is none of its name.
    """
    document: dict[str, Any] = yaml.safe_load(text)
    if demo:
        document["profiles"] = {DEMO: _DEMO_PROFILE} | document["profiles"]
    document["profiles"] = {name: _dispatched(profile, broker) for name, profile in document["profiles"].items()}
    document["server"] = _without(document.get("server"), "tls", "port") | {"host": HOST}
    document["spool"] = _without(document.get("spool"), "directory") | {"url": state}
    if balanced:
        doors = document.get("doors") or {}
        document["doors"] = doors | {"trusted_proxies": [*doors.get("trusted_proxies", ()), HOST]}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _dispatched(profile: Mapping[str, Any], broker: str) -> Mapping[str, Any]:
    return {**profile, "second_pass": {**profile["second_pass"], "dispatch": broker}}


def _without(part: Mapping[str, Any] | None, *names: str) -> dict[str, Any]:
    return {name: value for name, value in (part or {}).items() if name not in names}
