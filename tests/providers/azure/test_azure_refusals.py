"""Every way in which Azure's SDK can fail has its place, and its texts mean what they mean."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module

import pytest
from tests.providers.azure.rehearsing import needs_sdk

from twopass.errors import (
    RecognizerBusy,
    RecognizerCrashed,
    RecognizerError,
    RecognizerRejected,
    RecognizerTimeout,
    RecognizerUnauthorized,
    RecognizerUnavailable,
)
from twopass_providers.azure import refusals

SDK = "azure.cognitiveservices.speech"
USED = ("speech", "audio", "languageconfig", "transcription", "properties", "interop")
"""The modules of the SDK that are used here."""
LOADING = {"OSError", "ImportError"}
"""What Python raises when it loads the SDK's library."""


@needs_sdk
def test_every_code_of_the_sdk_is_mapped() -> None:
    """A version of the SDK that adds one, or takes one away, fails here."""
    sdk = import_module(SDK)
    assert set(sdk.CancellationErrorCode.__members__) == set(refusals.CODES)
    assert set(sdk.CancellationReason.__members__) == set(refusals.ENDS)


@needs_sdk
def test_every_kind_of_result_is_known() -> None:
    """Only three come from speech to text; and all reasons for no match mean that there are no words."""
    sdk = import_module(SDK)
    of_speech = {"NoMatch", "Canceled", "RecognizingSpeech", "RecognizedSpeech"}
    of_others = set(
        """
        RecognizingIntent RecognizedIntent TranslatingSpeech TranslatedSpeech SynthesizingAudio
        SynthesizingAudioCompleted
        RecognizingKeyword RecognizedKeyword SynthesizingAudioStarted TranslatingParticipantSpeech
        TranslatedParticipantSpeech TranslatedInstantMessage TranslatedParticipantInstantMessage EnrollingVoiceProfile
        EnrolledVoiceProfile RecognizedSpeakers RecognizedSpeaker ResetVoiceProfile DeletedVoiceProfile
        VoicesListRetrieved
    """.split()
    )
    silences = set(
        """
        NotRecognized InitialSilenceTimeout InitialBabbleTimeout KeywordNotRecognized EndSilenceTimeout
    """.split()
    )
    assert of_speech | of_others == set(import_module(f"{SDK}.enums").ResultReason.__members__)
    assert silences == set(sdk.NoMatchReason.__members__)


@needs_sdk
def test_everything_that_the_sdk_raises_is_mapped() -> None:
    """The SDK has no exception classes of its own; these of Python's it raises, and a new one fails here."""
    raised: set[str] = set()
    for name in USED:
        module = import_module(f"{SDK}.{name}")
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Raise) and node.exc is not None:
                made = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                raised.add(ast.unparse(made))
        own = [v for v in vars(module).values() if inspect.isclass(v) and issubclass(v, BaseException)]
        assert not [each for each in own if each.__module__.startswith(SDK)]
    assert raised | LOADING == set(refusals.RAISED)


@pytest.mark.parametrize("code", refusals.CODES)
def test_every_code_becomes_an_error_that_names_it(code: str) -> None:
    """With Azure's words, and with something to do where trying again cannot help."""
    error = refusals.cancelled(code, "the words of Azure SessionId: 12")
    assert type(error) is refusals.CODES[code]
    assert code in error.message
    assert "the words of Azure" in error.message
    assert "azure" == error.provider
    assert error.fix or error.retryable


@pytest.mark.parametrize(
    ("code", "details", "error", "kind"),
    [
        (
            "BadRequest",
            "Connection was closed by the remote host. Error code: 1007. Error details: Quota exceeded. Cid:0",
            RecognizerBusy,
            "recognizer_busy",
        ),
        (
            "BadRequest",
            "Connection was closed by the remote host. Error code: 1007. Error details: Invalid payload",
            RecognizerRejected,
            "recognizer_rejected",
        ),
        (
            "ServiceError",
            "WebSocket upgrade failed: Internal service error (404). Error Details: Failed with HTTP 404 Not Found",
            RecognizerRejected,
            "recognizer_rejected",
        ),
        (
            "ServiceError",
            "WebSocket upgrade failed: Internal service error (500). Error Details: Failed with HTTP 500",
            RecognizerCrashed,
            "recognizer_crashed",
        ),
        (
            "ConnectionFailure",
            "Connection failed (no connection to the remote host). Internal error: 1. Error details: Failed with "
            "error: WS_OPEN_ERROR_UNDERLYING_IO_OPEN_FAILED\ncode=111",
            RecognizerCrashed,
            "unreachable",
        ),
        (
            "ConnectionFailure",
            "Internal error: 3. WS_ERROR_UNDERLYING_IO_ERROR",
            RecognizerCrashed,
            "recognizer_crashed",
        ),
        (
            "ConnectionFailure",
            "Failed to initialize platform (azure-c-shared). Error: 2407",
            RecognizerUnavailable,
            "recognizer_unavailable",
        ),
        ("ServiceTimeout", "Due to service inactivity, ...", RecognizerTimeout, "recognizer_timeout"),
        ("AuthenticationFailure", "Authentication error (401).", RecognizerUnauthorized, "recognizer_unauthorized"),
        ("SomethingNew", "words", RecognizerCrashed, "recognizer_crashed"),
    ],
)
def test_texts_mean_what_they_mean(code: str, details: str, error: type[RecognizerError], kind: str) -> None:
    """The same code can be a quota, an outage or a wrong address: the text decides."""
    found = refusals.cancelled(code, details)
    assert (error, kind) == (type(found), found.code)


def test_what_was_said_stands_in_no_error() -> None:
    """Azure quotes its response in some: errors go to logs, transcripts do not."""
    details = 'Could not continue. Response text: {"DisplayText": "a secret\n of mine"} SessionId: 12'
    error = refusals.cancelled("ServiceError", details)
    assert "secret" not in str(error)
    assert "Could not continue. SessionId: 12" in error.message


def test_what_the_sdk_raises_is_told_without_its_call_stack() -> None:
    """What it says before and behind is enough."""
    error = refusals.raised(RuntimeError("Exception with error code: [CALL STACK BEGIN] 0x1 [CALL STACK END] 0x5"))
    assert isinstance(error, RecognizerUnavailable)
    assert error.message.endswith("Exception with error code: 0x5")
    assert error.fix
    assert isinstance(refusals.raised(UnicodeDecodeError("utf-8", b"", 0, 1, "why")), RecognizerRejected)


def test_other_exceptions_are_none_of_azures() -> None:
    """A bug of ours is not called an error of the vendor."""
    assert refusals.raised(LookupError("ours")) is None
