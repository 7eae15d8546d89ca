"""
API keys: who may use a server.

All keys of a server are in one JSON file that only its owner may read. The keys themselves are not in it, only their
hashes: they are random, so a plain hash is enough. The file also has the secret with which short-lived tokens for
browsers are signed. Whoever changes the file replaces it as a whole; a running server sees that and reads it again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import structlog
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer
from pydantic import TypeAdapter, ValidationError

from twopass.errors import ConfigError, Unauthorized

log = structlog.get_logger()

PREFIX = "tp_"
"""What every key begins with, so that people and secret scanners recognize one."""

_KEY_BYTES = 32
_CREATE = "Create one with `twopass keys create`."


@dataclass(frozen=True, slots=True)
class Key:
    """
    What is kept of a key.

    Attributes:
        id: Names it in lists, tokens and logs. No secret.
        tenant: On whose behalf it is used.
        hash: SHA-256 of the key, hex.
        revoked: Since when it opens nothing any more.
        max_sessions: How many sessions it may have at once; None leaves that to the server.
        reports: Whether it opens the cost reports, which show what all tenants cost.
    """

    id: str
    name: str
    tenant: str
    hash: str = field(repr=False)
    created: datetime
    revoked: datetime | None = None
    max_sessions: int | None = None
    reports: bool = False


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys of a server, and the secret that signs its tokens. The empty secret signs none."""

    secret: str = field(default="", repr=False)
    keys: tuple[Key, ...] = ()

    def find(self, secret: str) -> Key | None:
        """The key that this is, unless it was revoked. Takes as long for a wrong key as for a right one."""
        wanted, found = _hashed(secret), None
        for key in self.keys:
            if hmac.compare_digest(key.hash, wanted) and key.revoked is None:
                found = key
        return found

    def token(self, key: Key) -> str:
        """A token that stands for a key for a while."""
        signed: str = _signer(self.secret).dumps([key.id, key.tenant])
        return signed

    def holder(self, token: str, seconds: int) -> Key:
        """The key of a token that is not older than that. Raises Unauthorized, also if the key was revoked."""
        if not self.secret:
            raise _unknown("token")
        try:
            identity, _ = _signer(self.secret).loads(token, max_age=seconds)
        except SignatureExpired:
            raise Unauthorized("The token has expired.", fix="Get a new one: POST /v1/tokens.") from None
        except (BadSignature, ValueError, TypeError):
            raise _unknown("token") from None
        for key in self.keys:
            if key.id == identity and key.revoked is None:
                return key
        raise _unknown("token")

    def owner(self, credential: str, seconds: int) -> Key:
        """The key that a key, or a token not older than that, stands for. Raises Unauthorized."""
        if not credential.startswith(PREFIX):
            return self.holder(credential, seconds)
        if (key := self.find(credential)) is None:
            raise _unknown("key")
        return key


def create(
    ring: KeyRing, *, name: str, tenant: str, now: datetime, max_sessions: int | None = None, reports: bool = False
) -> tuple[KeyRing, Key, str]:
    """The ring with one more key, what is kept of it, and the key itself, which nobody can ask for again."""
    secret = PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    key = Key(secrets.token_hex(4), name, tenant, _hashed(secret), now, max_sessions=max_sessions, reports=reports)
    return KeyRing(ring.secret or secrets.token_urlsafe(_KEY_BYTES), (*ring.keys, key)), key, secret


def revoke(ring: KeyRing, identity: str, now: datetime) -> KeyRing:
    """The ring in which a key opens nothing any more. Raises ConfigError if there is none of that id."""
    if identity not in (key.id for key in ring.keys):
        fix = "See `twopass keys list`."
        raise ConfigError(f"There is no key with the id {identity}.", code="unknown_key", fix=fix)
    revoked = (replace(k, revoked=k.revoked or now) if k.id == identity else k for k in ring.keys)
    return replace(ring, keys=tuple(revoked))


_json = TypeAdapter(KeyRing)


def read(path: Path) -> KeyRing:
    """The keys of a file; none if there is no file. Raises ConfigError if it is not one of ours."""
    try:
        return _json.validate_json(path.read_bytes())
    except FileNotFoundError:
        return KeyRing()
    except OSError as error:
        fix = "Only its owner may read it: run twopass as that user."
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", code="bad_keys", fix=fix) from None
    except ValidationError:
        # Not why: pydantic's sentences can repeat what stands there.
        raise ConfigError(f"{path} is not a file of keys.", code="bad_keys", fix=_CREATE) from None


def _write(path: Path, ring: KeyRing) -> None:
    """Replace the file. Readers see the old or the new one, never a part."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # only its owner may read it
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_json.dump_json(ring, indent=2))
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """One writer at a time, also among processes."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class KeyFile:
    """The file, for those who change it (`add`, `revoke`) and for the server (`ring`)."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser()
        self._stamp: tuple[int, ...] | None = None
        self._ring = KeyRing()

    def add(
        self, *, name: str, tenant: str, now: datetime, max_sessions: int | None = None, reports: bool = False
    ) -> tuple[Key, str]:
        """Create a key; returns also the key itself. Raises ConfigError."""
        with self._changing():
            ring, key, secret = create(
                read(self.path), name=name, tenant=tenant, now=now, max_sessions=max_sessions, reports=reports
            )
            _write(self.path, ring)
        return key, secret

    def revoke(self, identity: str, now: datetime) -> None:
        """Let a key open nothing any more. Raises ConfigError if there is none of that id."""
        with self._changing():
            _write(self.path, revoke(read(self.path), identity, now))

    @property
    def ring(self) -> KeyRing:
        """The keys as they are now. A file that cannot be read has none: then nobody gets in."""
        stamp = self._stamped()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._ring = read(self.path)
            except ConfigError as error:
                log.error("no key is accepted", reason=str(error))
                self._ring = KeyRing()
        return self._ring

    def _stamped(self) -> tuple[int, ...]:
        """What changes with the file."""
        try:
            status = self.path.stat()
        except OSError:
            return ()
        return status.st_mtime_ns, status.st_size, status.st_ino

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(self.path.parent):
                yield
        except OSError as error:
            fix = "Name another file in doors.keys."
            raise ConfigError(f"{self.path} cannot be written: {error.strerror}.", code="bad_keys", fix=fix) from None


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _signer(secret: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret, salt="twopass.token", signer_kwargs={"digest_method": hashlib.sha256})


def _unknown(what: str) -> Unauthorized:
    return Unauthorized(f"The {what} is wrong, or was revoked.", fix="Ask whoever runs the server for a key.")
