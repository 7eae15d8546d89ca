"""Every exception class of Sarvam's SDK has its place, and its texts mean what they mean."""

from __future__ import annotations

import contextlib
import inspect
import pkgutil
import socket
import ssl
from importlib import import_module
from types import ModuleType

import pytest
from tests.providers.sarvam.rehearsing import needs_sdk

from twopass.errors import (
    RecognizerBusy,
    RecognizerCrashed,
    RecognizerError,
    RecognizerRejected,
    RecognizerTimeout,
    RecognizerUnauthorized,
    StreamLimitReached,
)
from twopass_providers.sarvam import refusals
from twopass_providers.sarvam.connection import load
from twopass_providers.sarvam.messages import Failure

SECRET = "sk_secret"


def classes(module: ModuleType) -> set[type[BaseException]]:
    """The exception classes that are in a module and of its package."""
    package = module.__name__.split(".")[0]
    here = (value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, BaseException))
    return {each for each in here if each.__module__.split(".")[0] == package}


def all_classes() -> set[type[BaseException]]:
    """Those of the SDK, and of the two libraries with which it reaches Sarvam."""
    load()
    names = ["websockets.exceptions", "websockets.legacy.exceptions", "httpx", "sarvamai.core.api_error"]
    for package in ("sarvamai.errors", "sarvamai.core"):
        names += [found.name for found in pkgutil.walk_packages(import_module(package).__path__, f"{package}.")]
    return set().union(*(classes(import_module(name)) for name in names))


@needs_sdk
def test_every_exception_class_of_the_sdk_is_mapped() -> None:
    """A version that adds one, or takes one away, fails here."""
    assert {f"{each.__module__}.{each.__qualname__}" for each in all_classes()} == set(refusals.KINDS)


@needs_sdk
def test_every_exception_becomes_an_error_of_ours() -> None:
    """Made as far as it can be made, each is told with its name or its status, and never with the key."""
    made: list[BaseException] = []
    for each in all_classes():
        for arguments in ((), (None, None), ("words",)):
            with contextlib.suppress(Exception):  # it wants something else: a request, a response, a status
                exception = each(*arguments)
                str(exception)
                made.append(exception)
                break
    assert len(made) > 50
    for exception in made:
        error = refusals.of_exception(exception)
        assert isinstance(error, RecognizerError), exception
        assert "sarvam" == error.provider


@needs_sdk
@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (400, RecognizerRejected, "recognizer_rejected"),
        (401, RecognizerUnauthorized, "recognizer_unauthorized"),
        (402, RecognizerBusy, "quota"),
        (403, RecognizerUnauthorized, "recognizer_unauthorized"),
        (404, RecognizerRejected, "recognizer_rejected"),
        (408, RecognizerTimeout, "recognizer_timeout"),
        (422, RecognizerRejected, "recognizer_rejected"),
        (429, RecognizerBusy, "rate_limit"),
        (500, RecognizerCrashed, "recognizer_crashed"),
        (503, RecognizerCrashed, "recognizer_crashed"),
    ],
)
def test_the_sdks_error_is_told_by_its_status_and_without_the_key(
    status: int, error: type[RecognizerError], code: str
) -> None:
    """The SDK writes the headers that it sent into its error, the key among them."""
    load()
    from sarvamai.core.api_error import ApiError

    raised = ApiError(status_code=status, headers={"api-subscription-key": SECRET}, body="no")
    assert SECRET in str(raised)
    found = refusals.of_exception(raised)
    assert found is not None
    assert (error, code) == (type(found), found.code)
    assert SECRET not in str(found)
    nameless = refusals.of_exception(ApiError(headers={"api-subscription-key": SECRET}))
    assert nameless is not None
    assert SECRET not in str(nameless)


@pytest.mark.parametrize(
    ("raised", "error", "code"),
    [
        (ConnectionRefusedError(111, "Connection refused"), RecognizerCrashed, "unreachable"),
        (socket.gaierror(-2, "Name or service not known"), RecognizerCrashed, "unreachable"),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), RecognizerCrashed, "unreachable"),
        (TimeoutError(), RecognizerTimeout, "recognizer_timeout"),
    ],
)
def test_the_network_is_told_from_sarvam(raised: Exception, error: type[RecognizerError], code: str) -> None:
    """What fails before Sarvam says anything."""
    found = refusals.of_exception(raised)
    assert (error, code) == (type(found), found.code if found else "")


def test_a_bug_is_no_error_of_sarvam() -> None:
    """What the SDK does not raise is passed on."""
    assert refusals.of_exception(LookupError("ours")) is None


@pytest.mark.parametrize(
    ("status", "text", "error", "code"),
    [
        (429, "rate_limit_exceeded_error", RecognizerBusy, "rate_limit"),
        (429, "insufficient_quota_error", RecognizerBusy, "quota"),
        (429, "slow down", RecognizerBusy, "rate_limit"),
        (403, "Invalid subscription key", RecognizerUnauthorized, "recognizer_unauthorized"),
        (403, "Your quota is exhausted", RecognizerBusy, "quota"),
        (401, "", RecognizerUnauthorized, "recognizer_unauthorized"),
        (400, "Invalid model: the backend has no such key", RecognizerRejected, "recognizer_rejected"),
        (413, "Audio chunk too large", RecognizerRejected, "recognizer_rejected"),
        (408, "Inactivity timeout", StreamLimitReached, "no_audio"),
        (408, "Maximum session duration exceeded", StreamLimitReached, "stream_limit"),
        (408, "", StreamLimitReached, "no_audio"),
        (500, "Internal error", RecognizerCrashed, "recognizer_crashed"),
        (503, "Rate of errors too high, key service down", RecognizerCrashed, "recognizer_crashed"),
        (None, "gRPC backend unavailable", RecognizerCrashed, "recognizer_crashed"),
        (None, "Too many concurrent connections", RecognizerBusy, "rate_limit"),
        (None, "Invalid subscription key", RecognizerUnauthorized, "recognizer_unauthorized"),
        (None, "something else", RecognizerCrashed, "recognizer_crashed"),
    ],
)
def test_sarvams_errors_mean_what_they_mean(
    status: int | None, text: str, error: type[RecognizerError], code: str
) -> None:
    """The status says most; where one status has several meanings, or there is none, the words do."""
    found = refusals.of_failure(Failure("error", text, fatal=True, status=status))
    assert (error, code) == (type(found), found.code)
    assert text in found.message


@pytest.mark.parametrize(
    ("close", "reason", "error", "code"),
    [
        (1003, "Rate limit exceeded", RecognizerBusy, "rate_limit"),
        (1003, "Quota exhausted", RecognizerBusy, "quota"),
        (1003, "Invalid subscription key", RecognizerUnauthorized, "recognizer_unauthorized"),
        (1003, "", RecognizerBusy, "recognizer_busy"),
        (1008, "", StreamLimitReached, "no_audio"),
        (1011, "", RecognizerCrashed, "recognizer_crashed"),
        (1012, "", RecognizerCrashed, "recognizer_crashed"),
        (1009, "", RecognizerRejected, "recognizer_rejected"),
        (4000, "Beta access denied", RecognizerUnauthorized, "recognizer_unauthorized"),
        (4000, "Unsupported language_code", RecognizerRejected, "recognizer_rejected"),
        (4000, "gRPC backend unavailable", RecognizerCrashed, "recognizer_crashed"),
        (1000, "", RecognizerCrashed, "recognizer_ended_early"),
        (1000, "Maximum session duration reached", StreamLimitReached, "stream_limit"),
        (1006, "", RecognizerCrashed, "recognizer_crashed"),
        (None, "", RecognizerCrashed, "recognizer_crashed"),
    ],
)
def test_closes_without_an_error_mean_what_they_mean(
    close: int | None, reason: str, error: type[RecognizerError], code: str
) -> None:
    """The reason tells apart what has the same code."""
    found = refusals.of_close(close, reason)
    assert (error, code) == (type(found), found.code)
