"""A usage entry as the ledger keeps it: what was used, by whom and when. Immutable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from twopass.types import Clock, Pass, Reason, Usage

MICROS = 1_000_000
"""Microseconds in a second."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who pays: the tenant, and the API key's id (empty on a server without keys)."""

    tenant: str = "default"
    key_id: str = ""


HOUSE = Account()
"""Whose everything is on a server without keys."""


@dataclass(frozen=True, slots=True)
class Entry:
    """
    Attributes:
        id: `session/number`. Two entries with the same id are the same entry.
        at: When it was metered, UTC.
        request: What a vendor bills as one: `session/stream`, or the entry's own id if time alone is billed.
        micros: How much of the clock, in microseconds. Negative only in corrections.
        features: Sorted; what may be billed besides.
        corrects: The id of the entry that this one puts right.
    """

    id: str
    at: datetime
    session: str
    request: str
    account: Account
    provider: str
    sku: str
    clock: Clock
    micros: int
    pass_: Pass = Pass.FIRST
    reason: Reason = Reason.WORK
    channels: int = 1
    features: tuple[str, ...] = ()
    region: str = ""
    corrects: str | None = None
    note: str = ""


def entry(session: str, number: int, at: datetime, account: Account, usage: Usage) -> Entry:
    """The session's usage of that number as an entry."""
    identity = f"{session}/{number}"
    return Entry(
        id=identity,
        at=at,
        session=session,
        request=f"{session}/{usage.stream}" if usage.stream else identity,
        account=account,
        provider=usage.provider,
        sku=usage.sku,
        clock=usage.clock,
        micros=round(usage.seconds * MICROS),
        pass_=usage.pass_,
        reason=usage.reason,
        features=tuple(sorted(usage.features)),
    )
