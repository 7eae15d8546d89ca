"""What can go wrong at Sarvam's stand-in, in Sarvam's codes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FAULTS = (
    ("rate_limit", "Too many requests or streams: error 429, then close 1003."),
    ("quota", "No credits left: error 429, then close 1003."),
    ("bad_key", "The key opens nothing: error 403, then close 1003."),
    ("inactive", "Sarvam is said to have had nothing for too long: error 408, then close 1008."),
    ("internal", "Error 500, then close 1011."),
    ("backend", "What is behind the socket is down: error 503, then close 4000."),
    ("bad_model", "The model is not known: error 400, then close 4000."),
    ("beta", "The key may not use the model: error 403, then close 4000."),
    ("stream_limit", "The stream is said to be as long as Sarvam allows: session.end, then close 1000."),
    ("close_1003", "Close 1003 without a word."),
    ("close_1008", "Close 1008 without a word."),
    ("close_1011", "Close 1011 without a word."),
    ("close_4000", "Close 4000 without a word."),
    ("going_away", "Close 1001, as a server that is replaced does."),
    ("ended", "Close 1000 too early, as if everything were in order."),
    ("abort", "The connection breaks, without any close."),
    ("upgrade_401", "The connection is refused with HTTP 401; always at its beginning."),
    ("upgrade_403", "The connection is refused with HTTP 403; always at its beginning."),
    ("upgrade_404", "The connection is refused with HTTP 404; always at its beginning."),
    ("upgrade_429", "The connection is refused with HTTP 429; always at its beginning."),
    ("upgrade_500", "The connection is refused with HTTP 500; always at its beginning."),
    ("upgrade_503", "The connection is refused with HTTP 503; always at its beginning."),
    ("hang", "It takes the audio and says nothing any more; the connection stays open."),
    ("not_reading", "It takes no audio any more and says nothing; the connection stays open."),
    ("silent_at_end", "It does not answer to the end of the audio; the connection stays open."),
    ("no_bill", "Everything is well but for the bill: no session.end at the end."),
    ("complaint", "An error that is not fatal; the stream goes on."),
    ("unknown_event", "An event that the SDK does not know; the stream goes on."),
    ("server_stopped", "The server goes away, with all its streams, and comes back after a moment."),
)
"""Name, and one line for people. That nothing listens at all needs no stand-in: point the SDK at a free port."""

KINDS = tuple(name for name, _ in FAULTS)
_UPGRADE = "upgrade_"


@dataclass(eq=False)
class Refused(Exception):
    """
    The stream ends here.

    Attributes:
        kind: The fault's or limit's name.
        close: The code of WebSocket.
        code, status, message: Of the error before it; no error if `code` is empty.
        billed: Whether session.end comes before the close.
    """

    kind: str
    close: int
    code: str = ""
    status: int | None = None
    message: str = ""
    billed: bool = True


# Assumption: close codes and statuses are documented, but which belong together is only partly. These codes and texts
# are those of Sarvam's REST API for the same troubles.
_ERRORS = {
    "rate_limit": Refused("", 1003, "rate_limit_exceeded_error", 429, "Rate limit exceeded. Please try again later."),
    "quota": Refused("", 1003, "insufficient_quota_error", 429, "No credits available. Please recharge your account."),
    "bad_key": Refused("", 1003, "invalid_api_key_error", 403, "Invalid subscription key."),
    "inactive": Refused("", 1008, "inactivity_timeout", 408, "Closed because of inactivity."),
    "internal": Refused("", 1011, "internal_server_error", 500, "Internal server error."),
    "backend": Refused("", 4000, "backend_unavailable", 503, "The speech backend is unavailable."),
    "bad_model": Refused("", 4000, "invalid_request_error", 400, "Invalid model."),
    "beta": Refused("", 4000, "beta_access_denied", 403, "Beta access is required for this model."),
}


def refusal(kind: str, text: str = "") -> Refused | None:
    """How a fault or a limit ends a stream, with another text if one is given; None for what does something else."""
    if kind in _ERRORS:
        known = _ERRORS[kind]
        return Refused(kind, known.close, known.code, known.status, text or known.message)
    if kind.startswith("close_"):
        return Refused(kind, int(kind.removeprefix("close_")), billed=False)
    if kind == "stream_limit":
        # Assumption: documented is only that session.end comes at the longest duration.
        return Refused(kind, 1000, message=text or "Maximum session duration reached.")
    if kind in ("ended", "going_away"):
        return Refused(kind, 1000 if kind == "ended" else 1001, billed=False)
    return None


def upgrade_status(kind: str) -> int | None:
    """The status of HTTP with which a fault refuses the connection; None for those that come later."""
    return int(kind.removeprefix(_UPGRADE)) if kind.startswith(_UPGRADE) else None
