"""What goes wrong at Google, as our errors. Pure: exceptions are known by their names, so no SDK is needed."""

from __future__ import annotations

import re
from typing import Any

from twopass.errors import (
    RecognizerBusy,
    RecognizerCrashed,
    RecognizerError,
    RecognizerRejected,
    RecognizerTimeout,
    RecognizerUnauthorized,
    RecognizerUnavailable,
    StreamLimitReached,
)
from twopass_providers.google.settings import NAME

_API = "google.api_core.exceptions."
_AUTH = "google.auth.exceptions."


def _table(package: str, rows: dict[type[RecognizerError], str]) -> dict[str, type[RecognizerError]]:
    return {package + name: error for error, names in rows.items() for name in names.split()}


KINDS: dict[str, type[RecognizerError]] = {
    **_table(
        _API,
        {
            RecognizerBusy: "ResourceExhausted TooManyRequests",
            RecognizerUnauthorized: "Unauthenticated Unauthorized PermissionDenied Forbidden",
            RecognizerTimeout: "DeadlineExceeded GatewayTimeout RetryError TransferStalledError",
            RecognizerRejected: """
                InvalidArgument BadRequest FailedPrecondition OutOfRange NotFound AlreadyExists Conflict
                MethodNotAllowed MethodNotImplemented LengthRequired PreconditionFailed RequestRangeNotSatisfiable
                ClientError DuplicateCredentialArgs AsyncRestUnsupportedParameterError
            """,
            RecognizerCrashed: """
                ServiceUnavailable InternalServerError Unknown DataLoss BadGateway ServerError Aborted Cancelled
                Redirection MovedPermanently NotModified TemporaryRedirect ResumeIncomplete
                ResumableTransferError MissingStatusHeaderError UnseekableStreamError UploadCancelledError
                GoogleAPICallError GoogleAPIError
            """,
        },
    ),
    **_table(
        _AUTH,
        {
            RecognizerCrashed: "TransportError TimeoutError ResponseError",
            RecognizerUnauthorized: """
                RefreshError ReauthFailError ReauthSamlChallengeFailError OAuthError UserAccessTokenError
            """,
            RecognizerUnavailable: """
                GoogleAuthError DefaultCredentialsError MalformedError InvalidOperation InvalidResource InvalidType
                InvalidValue OSError MutualTLSChannelError ClientCertError
            """,
        },
    ),
    **_table(
        "grpc.aio._call.",
        {RecognizerCrashed: "AioRpcError"},
    ),
    **_table(
        "grpc._cython.cygrpc.",
        {RecognizerCrashed: "UsageError InternalError AbortError BaseError"},
    ),
    **_table("grpc.", {RecognizerCrashed: "RpcError FutureTimeoutError FutureCancelledError"}),
}
"""Every exception class of the SDK, by its full name."""

_STATUS = dict(
    enumerate(
        """
        Cancelled Unknown InvalidArgument DeadlineExceeded NotFound AlreadyExists PermissionDenied ResourceExhausted
        FailedPrecondition Aborted OutOfRange MethodNotImplemented InternalServerError ServiceUnavailable DataLoss
        Unauthenticated
        """.split(),
        start=1,
    )
)
"""The numbers of gRPC's status codes."""

_STREAM_LIMIT = re.compile(r"maximum allowed stream duration|max duration of .* reached for stream", re.IGNORECASE)
_NO_AUDIO = re.compile(r"audio timeout error|after receiving no more client requests", re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"failed to connect|connection refused|connect(ion)? attempt timed out|dns (resolution|query)|"
    r"name resolution|network is unreachable|no route to host|handshaker? |transporterror",
    re.IGNORECASE,
)
_NO_TOKEN = re.compile(r"getting metadata from plugin failed", re.IGNORECASE)
_FIXES: dict[type[RecognizerError], str] = {
    RecognizerBusy: "Ask Google for a higher quota of the Speech-to-Text API, or name another provider in `failover`.",
    RecognizerUnauthorized: (
        "Enable the Speech-to-Text API and billing in the project, give the account the role roles/speech.client, "
        "and check what GOOGLE_APPLICATION_CREDENTIALS names."
    ),
    RecognizerRejected: "Check model, language and region: not every model knows every language in every region.",
    RecognizerUnavailable: "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS.",
}


def error_of(error: BaseException) -> RecognizerError | None:
    """What the SDK raised as our error; None if it is none of its exceptions."""
    names = (f"{each.__module__}.{each.__qualname__}" for each in type(error).__mro__)
    kind = next((KINDS[name] for name in names if name in KINDS), None)
    return None if kind is None else _said(kind, _text(error), type(error).__name__, _wait(error))


def _said(kind: type[RecognizerError], text: str, name: str, wait: str) -> RecognizerError:
    message = f"Google: {name}: {text}"
    if kind in (RecognizerCrashed, RecognizerRejected):
        if _STREAM_LIMIT.search(text):
            return StreamLimitReached(message, provider=NAME)
        if _NO_AUDIO.search(text):
            return StreamLimitReached(message, provider=NAME, code="no_audio")
    if kind is RecognizerCrashed and _UNREACHABLE.search(text):
        return RecognizerCrashed(message, provider=NAME, code="unreachable", fix="Check the network and the endpoint.")
    if kind is RecognizerCrashed and _NO_TOKEN.search(text):
        kind = RecognizerUnauthorized
    return kind(message, provider=NAME, fix=wait or _FIXES.get(kind, ""))


def _text(error: BaseException) -> str:
    """Google's own words, without the number that the SDK puts before them."""
    for name in ("message", "details"):
        found = getattr(error, name, None)
        found = found() if callable(found) else found
        if isinstance(found, str) and found:
            return found
    return str(error)


def _wait(error: Any) -> str:
    """What Google says of when to try again."""
    details = getattr(error, "details", ())
    for detail in details if isinstance(details, list) else ():
        delay = getattr(detail, "retry_delay", None)
        if delay is not None:
            return f"Google asks to wait {delay.seconds + delay.nanos / 1e9:g} s."
    return ""


def status_error(code: int, text: str) -> RecognizerError:
    """The same for an error that came as a `google.rpc.Status` in the place of results."""
    name = _STATUS.get(code, "Unknown")
    return _said(KINDS[_API + name], text, name, "")
