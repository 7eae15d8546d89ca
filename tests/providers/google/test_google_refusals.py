"""Every exception class of Google's SDK has its place, and its texts mean what they mean."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest
from tests.providers.google.rehearsing import needs_sdk

from twopass.errors import (
    RecognizerBusy,
    RecognizerCrashed,
    RecognizerError,
    RecognizerRejected,
    RecognizerTimeout,
    RecognizerUnauthorized,
    StreamLimitReached,
)
from twopass_providers.google import refusals

pytestmark = needs_sdk


def classes(module: ModuleType) -> set[type[BaseException]]:
    """The exception classes that a module shows to its users and that are its package's own."""
    package = module.__name__.split(".")[0]
    shown = (value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, BaseException))
    return {each for each in shown if each.__module__.split(".")[0] == package}


def all_classes() -> set[type[BaseException]]:
    """Those of the SDK: of the API, of the credentials and of gRPC."""
    import google.api_core.exceptions
    import google.auth.exceptions
    import grpc
    import grpc.aio

    modules = (google.api_core.exceptions, google.auth.exceptions, grpc, grpc.aio)
    return set().union(*(classes(module) for module in modules))


def test_every_exception_class_of_the_sdk_is_mapped() -> None:
    """A version of the SDK that adds one, or takes one away, fails here."""
    assert {f"{each.__module__}.{each.__qualname__}" for each in all_classes()} == set(refusals.KINDS)


def test_every_exception_becomes_an_error_that_names_it() -> None:
    """Made as far as it can be made without its server, each is an error of ours that carries Google's words."""
    made = []
    for each in all_classes():
        try:
            made.append(each("the words of Google"))
        except TypeError:  # it wants more: a request, a status
            continue
    assert len(made) > 40
    for exception in made:
        error = refusals.error_of(exception)
        assert isinstance(error, RecognizerError)
        assert type(exception).__name__ in error.message
        assert "google" == error.provider
        assert error.fix or error.retryable


def test_other_exceptions_are_none_of_googles() -> None:
    """A bug of ours is not called an error of the vendor."""
    assert refusals.error_of(LookupError("ours")) is None


@pytest.mark.parametrize(
    ("name", "text", "error", "code"),
    [
        ("OutOfRange", "Exceeded maximum allowed stream duration of 305 seconds.", StreamLimitReached, "stream_limit"),
        ("Aborted", "Max duration of 5 minutes reached for stream.", StreamLimitReached, "stream_limit"),
        ("OutOfRange", "Audio Timeout Error: Long duration elapsed without audio.", StreamLimitReached, "no_audio"),
        ("Aborted", "Stream timed out after receiving no more client requests.", StreamLimitReached, "no_audio"),
        ("OutOfRange", "Something else.", RecognizerRejected, "recognizer_rejected"),
        ("Aborted", "Something else.", RecognizerCrashed, "recognizer_crashed"),
        ("ServiceUnavailable", "failed to connect to all addresses; last error: ...", RecognizerCrashed, "unreachable"),
        ("ServiceUnavailable", "DNS resolution failed for speech.googleapis.com", RecognizerCrashed, "unreachable"),
        ("ServiceUnavailable", "Socket closed", RecognizerCrashed, "recognizer_crashed"),
        (
            "ServiceUnavailable",
            "Getting metadata from plugin failed with error: ('invalid_grant: Invalid JWT Signature.', {})",
            RecognizerUnauthorized,
            "recognizer_unauthorized",
        ),
        (
            "ServiceUnavailable",
            "Getting metadata from plugin failed with error: TransportError: Name resolution failed",
            RecognizerCrashed,
            "unreachable",
        ),
        ("Unknown", "", RecognizerCrashed, "recognizer_crashed"),
        ("NotFound", "Unable to find Recognizer", RecognizerRejected, "recognizer_rejected"),
        ("TooManyRequests", "slow down", RecognizerBusy, "recognizer_busy"),
        ("DeadlineExceeded", "Deadline Exceeded", RecognizerTimeout, "recognizer_timeout"),
    ],
)
def test_texts_mean_what_they_mean(name: str, text: str, error: type[RecognizerError], code: str) -> None:
    """The same status can be a limit, an outage or a wrong key: the text decides."""
    from google.api_core import exceptions

    found = refusals.error_of(getattr(exceptions, name)(text))
    assert found is not None
    assert (error, code) == (type(found), found.code)
    assert text in found.message


def test_a_status_in_the_place_of_results_is_the_same() -> None:
    """v1 can send an error inside a response."""
    import grpc

    for status in grpc.StatusCode:
        number = status.value[0]
        if number:
            assert isinstance(refusals.status_error(number, "words"), RecognizerError)
    assert isinstance(refusals.status_error(8, "Quota exceeded"), RecognizerBusy)
    assert isinstance(refusals.status_error(11, "Exceeded maximum allowed stream duration"), StreamLimitReached)
    assert isinstance(refusals.status_error(16, "no key"), RecognizerUnauthorized)
