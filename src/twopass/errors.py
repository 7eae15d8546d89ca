"""
Everything that twopass raises.

    TwopassError
    ├── ConfigError              the configuration cannot be used as it is
    ├── AudioError               the client's audio cannot be understood
    ├── ProtocolError            the client's message cannot be understood or comes at the wrong time
    ├── TapeError                a part of the tape was asked for that is not there (any more)
    ├── SessionClosed            audio or commands for a session that has ended
    ├── SessionTooLong           it has reached the longest that is allowed
    ├── UnknownSession           there is none of that name and token to resume
    ├── TakenOver                another socket goes on with the session
    ├── ServerStopping           the server ends; the session may go on elsewhere
    ├── TooManySessions          the server has as many sessions as it is allowed
    ├── Unauthorized             the key or token is missing, wrong, revoked or expired
    ├── ForeignOrigin            a page of another site is not let in
    ├── BudgetSpent              no money is left for it
    ├── LedgerUnavailable        the ledger's database cannot be reached or written; what was used waits
    ├── BrokerUnavailable        the broker cannot be reached or takes nothing; what was to be sent is still with us
    ├── StateUnavailable         where sessions are kept cannot be asked now
    ├── WireError                a message of the broker is none of ours, of an unknown version, or broken
    └── RecognizerError          a recognizer failed; `retryable` says whether trying again can help
        ├── RecognizerUnavailable    it cannot be started or reached (missing weights, no network, no key)
        ├── RecognizerCrashed        its process died or its connection broke
        ├── RecognizerTimeout        it did not answer in time
        ├── RecognizerBusy           it has no room: quota or rate exceeded, overloaded
        ├── RecognizerUnauthorized   the key is missing, wrong, or may not do this
        ├── RecognizerRejected       it refuses this request (bad option, language), and would refuse it again
        └── StreamLimitReached       the stream has become as long as the vendor allows: open the next one

Errors carry fields; `str()` makes the sentence, and always ends with what to do where something can be done.
"""

from __future__ import annotations


class TwopassError(Exception):
    """
    The root. Not raised itself.

    Attributes:
        code: A stable identifier for programs.
        fix: What the reader can do about it; empty if nothing.
    """

    code = "internal"
    retryable = False

    def __init__(self, message: str, *, code: str | None = None, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".strip()

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders: keep the fields, whatever the constructor of the subclass takes.
        return _revive, (type(self), self.args, self.__dict__)


class ConfigError(TwopassError):
    """The configuration cannot be used as it is."""

    code = "bad_config"


class AudioError(TwopassError):
    """The client's audio cannot be understood. What was decoded before stays valid."""

    code = "bad_audio"


class ProtocolError(TwopassError):
    """The client's message cannot be understood or comes at the wrong time."""

    code = "bad_message"


class TapeError(TwopassError):
    """A part of the tape was asked for that is not there, or not there any more."""

    code = "tape"


class SessionClosed(TwopassError):
    """Audio or commands came for a session that has ended."""

    code = "session_closed"


class SessionTooLong(TwopassError):
    """The session has reached the longest that the server allows."""

    code = "session_too_long"


class UnknownSession(TwopassError):
    """There is no session of that name and token to resume."""

    code = "unknown_session"


class TakenOver(TwopassError):
    """Another socket goes on with the session."""

    code = "taken_over"


class ServerStopping(TwopassError):
    """The server ends; the session may go on elsewhere or later."""

    code = "server_stopping"
    retryable = True


class TooManySessions(TwopassError):
    """The server has as many sessions as it is allowed."""

    code = "too_many_sessions"
    retryable = True


class Unauthorized(TwopassError):
    """The key or token is missing, wrong, revoked or expired."""

    code = "unauthorized"


class ForeignOrigin(TwopassError):
    """A page of a site that is not allowed wants in."""

    code = "foreign_origin"


class BudgetSpent(TwopassError):
    """No money is left for it."""

    code = "budget_spent"


class LedgerUnavailable(TwopassError):
    """The ledger's database cannot be reached or written. What was used waits for it."""

    code = "ledger_unavailable"
    retryable = True


class BrokerUnavailable(TwopassError):
    """The broker cannot be reached, or did not take a message. What was to be sent is still with the sender."""

    code = "broker_unavailable"
    retryable = True


class StateUnavailable(TwopassError):
    """Where sessions are kept cannot be asked now."""

    code = "state_unavailable"
    retryable = True


class WireError(TwopassError):
    """A message of the broker is none of ours, of a version that is not known here, or broken."""

    code = "bad_wire_message"


class RecognizerError(TwopassError):
    """A recognizer failed."""

    code = "recognizer_failed"

    def __init__(self, message: str, *, provider: str, code: str | None = None, fix: str = "") -> None:
        super().__init__(message, code=code, fix=fix)
        self.provider = provider


class RecognizerUnavailable(RecognizerError):
    """It cannot be started or reached: missing weights, no network, no key."""

    code = "recognizer_unavailable"


class RecognizerCrashed(RecognizerError):
    """Its process died or its connection broke in the middle of work."""

    code = "recognizer_crashed"
    retryable = True


class RecognizerTimeout(RecognizerError):
    """It did not answer in time."""

    code = "recognizer_timeout"
    retryable = True


class RecognizerBusy(RecognizerError):
    """It has no room: quota or rate exceeded, overloaded. Trying at once again makes it worse."""

    code = "recognizer_busy"


class RecognizerUnauthorized(RecognizerError):
    """The key is missing, wrong, or may not do this."""

    code = "recognizer_unauthorized"


class RecognizerRejected(RecognizerError):
    """It refuses this request, and would refuse it again."""

    code = "recognizer_rejected"


class StreamLimitReached(RecognizerError):
    """The stream has become as long as the vendor allows. Nothing is wrong: the next one can be opened."""

    code = "stream_limit"
    retryable = True


def _revive(kind: type[TwopassError], args: tuple[object, ...], fields: dict[str, object]) -> TwopassError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error
