"""What goes wrong at Azure, as our errors. Pure: the SDK's codes are known by their names, so no SDK is needed."""

from __future__ import annotations

import re

from twopass.errors import (
    RecognizerBusy,
    RecognizerCrashed,
    RecognizerError,
    RecognizerRejected,
    RecognizerTimeout,
    RecognizerUnauthorized,
    RecognizerUnavailable,
)
from twopass_providers.azure.settings import NAME

CODES: dict[str, type[RecognizerError]] = {
    "NoError": RecognizerCrashed,
    "AuthenticationFailure": RecognizerUnauthorized,
    "BadRequest": RecognizerRejected,
    "TooManyRequests": RecognizerBusy,
    "Forbidden": RecognizerBusy,  # it means that a free resource ran out of quota
    "ConnectionFailure": RecognizerCrashed,
    "ServiceTimeout": RecognizerTimeout,
    "ServiceError": RecognizerCrashed,
    "ServiceUnavailable": RecognizerCrashed,
    "RuntimeError": RecognizerCrashed,
    "ServiceRedirectTemporary": RecognizerCrashed,
    "ServiceRedirectPermanent": RecognizerCrashed,
    "EmbeddedModelError": RecognizerUnavailable,
}
"""The SDK's CancellationErrorCode, all of it."""

ENDS: dict[str, bool] = {"Error": False, "EndOfStream": True, "CancelledByUser": False}
"""The SDK's CancellationReason, all of it: whether that is an end in order."""

RAISED: dict[str, type[RecognizerError]] = {
    "RuntimeError": RecognizerUnavailable,
    "ValueError": RecognizerRejected,
    "TypeError": RecognizerRejected,
    "NotImplementedError": RecognizerRejected,
    "OSError": RecognizerUnavailable,
    "ImportError": RecognizerUnavailable,
}
"""What the SDK's Python raises itself, or its loading does."""

_FIXES: dict[type[RecognizerError], str] = {
    RecognizerBusy: "Ask Azure for more concurrent requests for the resource, or name another provider in `failover`.",
    RecognizerUnauthorized: "Check that AZURE_SPEECH_KEY belongs to a Speech resource in this region.",
    RecognizerRejected: "Check language, endpoint and custom model: not every region knows every language.",
    RecognizerUnavailable: "Azure's SDK needs libssl 3 and libuuid: apt-get install libssl3 libuuid1.",
}
_FREE = "The free hours of the resource are used up: wait for the next month, or take a paid one."
_TOO_LONG = "Azure heard and settled nothing for too long."
_QUOTA = re.compile(r"quota exceeded", re.IGNORECASE)
_MISSING = re.compile(r"\b404\b.*not found", re.IGNORECASE | re.DOTALL)
_NO_PLATFORM = re.compile(r"failed to initialize platform", re.IGNORECASE)
_UNREACHABLE = re.compile(r"\bcode=-?\d+|connection (was )?refused|dns|no route|unreachable", re.IGNORECASE)
_SPOKEN = re.compile(r"\s*Response text:.*?(?=\s*SessionId:|$)", re.DOTALL)
_STACK = re.compile(r"\[CALL STACK BEGIN\].*?\[CALL STACK END\]", re.DOTALL)
_SPACE = re.compile(r"\s+")


def cancelled(code: str, details: str) -> RecognizerError:
    """Why the SDK gave up. What was said stands in no message: Azure quotes it in some."""
    text = _SPACE.sub(" ", _SPOKEN.sub("", details)).strip()
    message = f"Azure: {code}: {text}" if text else f"Azure: {code}."
    kind = CODES.get(code, RecognizerCrashed)
    if kind is RecognizerRejected and _QUOTA.search(text):
        kind = RecognizerBusy
    if kind is RecognizerCrashed and code == "ServiceError" and _MISSING.search(text):
        kind = RecognizerRejected
    if _NO_PLATFORM.search(text):
        kind = RecognizerUnavailable
    if kind is RecognizerCrashed and _UNREACHABLE.search(text):
        return RecognizerCrashed(message, provider=NAME, code="unreachable", fix="Check the network and the endpoint.")
    if kind is RecognizerTimeout:
        return RecognizerTimeout(f"{_TOO_LONG} {message}", provider=NAME)
    return kind(message, provider=NAME, fix=_FREE if code == "Forbidden" else _FIXES.get(kind, ""))


def raised(error: Exception) -> RecognizerError | None:
    """What the SDK raised when it was to be started; None if that is none of its exceptions."""
    names = (each.__name__ for each in type(error).__mro__)
    kind = next((RAISED[name] for name in names if name in RAISED), None)
    if kind is None:
        return None
    text = _SPACE.sub(" ", _STACK.sub("", str(error))).strip()
    return kind(f"Azure's SDK cannot be started: {text}", provider=NAME, fix=_FIXES[kind])
