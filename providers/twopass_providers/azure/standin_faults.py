"""What can go wrong at Azure's stand-in. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from twopass_providers.standins.faults import Fault

# Assumption: the texts; the SDK quotes them.
UPGRADES: dict[str, tuple[int, str]] = {
    "upgrade_400": (400, "The language is not supported."),
    "upgrade_401": (401, "Access denied due to invalid subscription key or wrong API endpoint."),
    "upgrade_403": (403, "The resource is not allowed to do this."),
    "upgrade_404": (404, "Resource not found."),
    "upgrade_429": (429, "Rate limit is exceeded. Try again later."),
    "upgrade_500": (500, "Internal server error."),
    "upgrade_502": (502, "Bad gateway."),
    "upgrade_503": (503, "The service is temporarily unavailable."),
}
"""The connection is refused with this status."""

QUOTA_CODE, QUOTA_TEXT = 1007, "Quota exceeded. Cid:0"
CLOSES: dict[str, tuple[int, str]] = {
    "close_1000": (1000, ""),
    "close_1001": (1001, "Going away"),
    "close_1002": (1002, "Protocol error"),
    "close_1007": (1007, "Invalid payload"),
    "close_1008": (1008, "Policy violation"),
    "close_1011": (1011, "Internal error"),
    "close_1012": (1012, "Service restart"),
    "close_1013": (1013, "Try again later"),
    "close_4000": (4000, "Fatal"),
    "close_4429": (4429, "Too many requests"),
    "quota": (QUOTA_CODE, QUOTA_TEXT),
}
"""The connection is closed with this code."""

STATUSES: dict[str, str] = {
    "phrase_error": "Error",
    "phrase_too_many_requests": "TooManyRequests",
    "phrase_bad_request": "BadRequest",
    "phrase_forbidden": "Forbidden",
    "phrase_service_unavailable": "ServiceUnavailable",
}
"""A phrase comes with this status in the place of words."""

_OTHERS = (
    ("upgrade_307", "The connection is sent elsewhere: to this stand-in again."),
    ("no_upgrade", "It takes the TCP connection and never answers the HTTP request."),
    ("abort", "The TCP connection is reset."),
    ("silent", "It takes the audio and says nothing any more."),
    ("not_reading", "It takes no audio any more and says nothing."),
    ("no_finals", "It says hypotheses and no phrase any more."),
    ("silent_at_end", "It does not answer to the end of the audio."),
    ("no_turn_end", "It says its last phrase and never ends the turn."),
    ("turn_end", "It ends the turn in the middle; that is allowed, and the SDK begins another one."),
)

FAULTS = (
    *((name, f"The connection is refused: HTTP {code}.") for name, (code, _) in UPGRADES.items()),
    *((name, f"The connection is closed: code {code}, {text!r}.") for name, (code, text) in CLOSES.items()),
    *((name, f"A phrase comes with the status {status} instead of words.") for name, status in STATUSES.items()),
    *_OTHERS,
)
"""Name, and one line for people. That nothing listens at all needs no stand-in: point the SDK at a free port."""

KINDS = tuple(name for name, _ in FAULTS)
_AT_THE_DOOR = {*UPGRADES, "upgrade_307", "no_upgrade"}


def at_the_door(faults: Sequence[Fault]) -> str | None:
    """What happens instead of a connection, at whatever time it was written down."""
    return next((fault.kind for fault in faults if fault.kind in _AT_THE_DOOR), None)


def inside(faults: Sequence[Fault]) -> list[Fault]:
    """What happens in a connection."""
    return [fault for fault in faults if fault.kind not in _AT_THE_DOOR]
