"""What can go wrong at Google's stand-in. Pure."""

from __future__ import annotations

from twopass_providers.google.standin_wire import Refused, Wire, too_large

FAULTS = (
    ("stream_limit", "The stream is said to be as long as Google allows (v1 OUT_OF_RANGE, v2 ABORTED)."),
    ("no_audio", "Google is said to have had no audio for too long (v1 OUT_OF_RANGE, v2 ABORTED)."),
    ("quota", "RESOURCE_EXHAUSTED, without details."),
    ("quota_detailed", "RESOURCE_EXHAUSTED, with the time to wait and the reason as Google's APIs give them."),
    ("unavailable", "UNAVAILABLE."),
    ("internal", "INTERNAL."),
    ("invalid_argument", "INVALID_ARGUMENT, as for a chunk that is too large."),
    ("unauthenticated", "UNAUTHENTICATED."),
    ("permission_denied", "PERMISSION_DENIED."),
    ("deadline", "DEADLINE_EXCEEDED, told by the server."),
    ("hang", "It takes the audio and says nothing any more; the stream stays open."),
    ("not_reading", "It takes no audio any more and says nothing; the stream stays open."),
    ("silent_at_end", "It does not answer to the end of the audio; the stream stays open."),
    ("ended", "It ends the stream early, as if everything were in order."),
    ("server_stopped", "The server goes away, with all its streams, and comes back after a moment."),
)
"""Name, and one line for people. That nothing listens at all needs no stand-in: point the SDK at a free port."""

KINDS = tuple(name for name, _ in FAULTS)

# Assumption: these are the texts that Google's APIs usually give with these codes.
_TEXTS = {
    "quota": ("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    "quota_detailed": ("RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Streaming requests'."),
    "unavailable": ("UNAVAILABLE", "The service is currently unavailable."),
    "internal": ("INTERNAL", "Internal error encountered."),
    "unauthenticated": (
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential.",
    ),
    "permission_denied": (
        "PERMISSION_DENIED",
        "Cloud Speech-to-Text API has not been used in project rehearsal before or it is disabled.",
    ),
    "deadline": ("DEADLINE_EXCEEDED", "Deadline exceeded."),
}
_EXAMPLE_BYTES = 294_400


def refusal(kind: str, wire: Wire, stream_seconds: float, most_bytes: int) -> Refused | None:
    """The status that a fault ends the stream with; None for those that do something else."""
    if kind == "stream_limit":
        return wire.limit(stream_seconds)
    if kind == "no_audio":
        return wire.starved()
    if kind == "invalid_argument":
        return too_large(_EXAMPLE_BYTES, most_bytes)
    if kind in _TEXTS:
        code, text = _TEXTS[kind]
        return Refused(code, text, kind, detailed=kind == "quota_detailed")
    return None
