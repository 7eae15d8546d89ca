"""What goes wrong at Sarvam, as our errors. Pure: exceptions are known by their names, so no SDK is needed."""

from __future__ import annotations

import re
import ssl

from twopass.errors import (
    RecognizerBusy,
    RecognizerCrashed,
    RecognizerError,
    RecognizerRejected,
    RecognizerTimeout,
    RecognizerUnauthorized,
    StreamLimitReached,
)
from twopass_providers.sarvam.messages import Failure
from twopass_providers.sarvam.settings import NAME

Kind = type[RecognizerError]


def _table(rows: dict[Kind, str], prefix: str = "", module: bool = False) -> dict[str, Kind]:
    names = [(name, error) for error, listed in rows.items() for name in listed.split()]
    return {prefix + (f"{_snake(name)}." if module else "") + name: error for name, error in names}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


KINDS: dict[str, Kind] = {
    **_table(
        {
            RecognizerUnauthorized: "UnauthorizedError ForbiddenError",
            RecognizerBusy: "TooManyRequestsError PaymentRequiredError",
            RecognizerRejected: """
                BadRequestError NotFoundError ConflictError ContentTooLargeError UnprocessableEntityError
            """,
            RecognizerCrashed: "InternalServerError BadGatewayError ServiceUnavailableError GatewayTimeoutError",
        },
        "sarvamai.errors.",
        module=True,
    ),
    "sarvamai.core.api_error.ApiError": RecognizerCrashed,
    "sarvamai.core.http_sse._exceptions.SSEError": RecognizerCrashed,
    **_table(
        {
            RecognizerCrashed: """
                WebSocketException ConnectionClosed ConnectionClosedError ConnectionClosedOK ProtocolError
                ConcurrencyError PayloadTooBig TooManyFragments InvalidHandshake InvalidMessage InvalidMethod
                InvalidStatus InvalidUpgrade InvalidState RequestLineTooLong StatusLineTooLong HeaderLineTooLong
                TooManyHeaders ProxyError InvalidProxyMessage InvalidProxyStatus
            """,
            RecognizerRejected: """
                InvalidHeader InvalidHeaderFormat InvalidHeaderValue InvalidOrigin InvalidURI InvalidProtocol
                InvalidProxy NegotiationError DuplicateParameter InvalidParameterName InvalidParameterValue
                SecurityError
            """,
        },
        "websockets.exceptions.",
    ),
    **_table(
        {RecognizerCrashed: "AbortHandshake InvalidStatusCode RedirectHandshake"},
        "websockets.legacy.exceptions.",
    ),
    # The SDK opens sockets without httpx; it is here because the SDK's client carries it.
    **_table(
        {
            RecognizerTimeout: "TimeoutException ConnectTimeout PoolTimeout ReadTimeout WriteTimeout",
            RecognizerRejected: "InvalidURL UnsupportedProtocol CookieConflict TooManyRedirects",
            RecognizerCrashed: """
                HTTPError HTTPStatusError RequestError TransportError NetworkError ConnectError ReadError WriteError
                CloseError ProtocolError LocalProtocolError RemoteProtocolError ProxyError DecodingError StreamError
                StreamClosed StreamConsumed RequestNotRead ResponseNotRead
            """,
        },
        "httpx.",
    ),
}
"""Every exception class of the SDK and of what it is built on, by its full name."""

_KEY = re.compile(r"\bkey\b|authenticat|unauthori[sz]|forbidden|\bbeta\b|access denied|permission", re.IGNORECASE)
_QUOTA = re.compile(r"quota|credit|balance|payment|billing", re.IGNORECASE)
_RATE = re.compile(r"rate.limit|too many|concurren|throttl", re.IGNORECASE)
_TOO_LONG = re.compile(r"max\w* (session |stream )?(duration|length)|(duration|length) (limit|exceed)", re.IGNORECASE)
_IDLE = re.compile(r"inactiv|idle|no audio", re.IGNORECASE)
_OUTAGE = re.compile(r"backend|unavailable|internal|overload", re.IGNORECASE)
_TEXTS: tuple[tuple[re.Pattern[str], Kind, str], ...] = (
    (_TOO_LONG, StreamLimitReached, "stream_limit"),
    (_IDLE, StreamLimitReached, "no_audio"),
    (_RATE, RecognizerBusy, "rate_limit"),
    (_QUOTA, RecognizerBusy, "quota"),
    (_KEY, RecognizerUnauthorized, ""),
    (_OUTAGE, RecognizerCrashed, ""),
)
_STATUS: dict[int, tuple[Kind, str]] = {
    401: (RecognizerUnauthorized, ""),
    402: (RecognizerBusy, "quota"),
    403: (RecognizerUnauthorized, ""),
    408: (StreamLimitReached, "no_audio"),
    429: (RecognizerBusy, "rate_limit"),
}
_TOLD_APART: dict[int, tuple[Kind, ...]] = {
    401: (RecognizerBusy,),
    403: (RecognizerBusy,),
    408: (StreamLimitReached,),
    429: (RecognizerBusy,),
}
"""Where words are to be believed more than a status: a key whose quota is exhausted is a good key."""
_CLOSES: dict[int, tuple[Kind, str]] = {
    1000: (RecognizerCrashed, "recognizer_ended_early"),
    1005: (RecognizerCrashed, "recognizer_ended_early"),
    1003: (RecognizerBusy, ""),
    1007: (RecognizerRejected, ""),
    1008: (StreamLimitReached, "no_audio"),
    1009: (RecognizerRejected, ""),
    4000: (RecognizerRejected, ""),
}
_FIXES = {
    "unreachable": "Check the network and the endpoint.",
    "rate_limit": "Ask Sarvam for a higher limit of concurrent streams, or name another provider in `failover`.",
    "quota": "Buy credits at dashboard.sarvam.ai, or name another provider in `failover`.",
}
_FIX_OF: dict[Kind, str] = {
    RecognizerBusy: "Check the key, its credits and its limit of streams, or name another provider in `failover`.",
    RecognizerUnauthorized: "Check the key: https://dashboard.sarvam.ai shows it, and which models it may use.",
    RecognizerRejected: "Check model, language and settings: not every model takes every one.",
}


def of_failure(failure: Failure) -> RecognizerError:
    """What Sarvam's own error message says."""
    kind, code = _judged(failure.status, f"{failure.code} {failure.message}", (RecognizerCrashed, ""))
    status = f" ({failure.status})" if failure.status else ""
    return _error(kind, code, f"Sarvam: {failure.code}{status}: {failure.message}")


def of_close(code: int | None, reason: str) -> RecognizerError:
    """What it means that Sarvam closed the socket without an error before; None: the connection broke."""
    if code in (None, 1006):
        return _error(RecognizerCrashed, "", "The connection to Sarvam broke.")
    kind, name = _judged(None, reason, _CLOSES.get(code or 0, (RecognizerCrashed, "")))
    return _error(kind, name, f"Sarvam closed the connection before the end: {code} {reason}".rstrip())


def of_status(status: int) -> RecognizerError:
    """What it means that Sarvam refused the connection with a status of HTTP."""
    usual = (RecognizerRejected, "") if 400 <= status < 500 else (RecognizerCrashed, "")
    kind, code = _STATUS.get(status, usual)
    if status == 408:
        kind, code = RecognizerTimeout, ""
    return _error(kind, code, f"Sarvam refused the connection: HTTP {status}.")


def of_exception(error: BaseException) -> RecognizerError | None:
    """
    What the SDK raised as our error; None if it is none of its exceptions.

    Its own text is left out where it holds the headers that were sent: the key is among them.
    """
    status = getattr(error, "status_code", None)
    names = [f"{each.__module__}.{each.__qualname__}" for each in type(error).__mro__]
    if isinstance(status, int) and any(name in KINDS for name in names):
        return of_status(status)
    if isinstance(error, TimeoutError):
        return _error(RecognizerTimeout, "", "Sarvam could not be reached in time.")
    if isinstance(error, OSError):
        kind = "its certificate is not trusted" if isinstance(error, ssl.SSLError) else error.strerror or str(error)
        return _error(RecognizerCrashed, "unreachable", f"Sarvam cannot be reached: {kind}.")
    found = next((KINDS[name] for name in names if name in KINDS), None)
    if found is None:
        return None
    return _error(found, "", f"Sarvam: {type(error).__name__}{_harmless_text(error)}.")


def _harmless_text(error: BaseException) -> str:
    module = type(error).__module__
    text = "" if module.startswith("sarvamai") else str(error).rstrip(".")
    return f": {text}" if text else ""


def _judged(status: int | None, text: str, usual: tuple[Kind, str]) -> tuple[Kind, str]:
    """A status says most, but for what Sarvam says with the same status in different words."""
    said = next(((kind, code) for pattern, kind, code in _TEXTS if pattern.search(text)), None)
    if status is None:
        return said or usual
    by_status = _STATUS.get(status) or ((RecognizerCrashed, "") if status >= 500 else (RecognizerRejected, ""))
    told_apart = said is not None and said[0] in _TOLD_APART.get(status, (StreamLimitReached,))
    return said if said is not None and told_apart else by_status


def _error(kind: Kind, code: str, message: str) -> RecognizerError:
    return kind(message, provider=NAME, code=code or None, fix=_FIXES.get(code) or _FIX_OF.get(kind, ""))
