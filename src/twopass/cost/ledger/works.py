"""Requests, put together from what was used of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from twopass.types import Clock


class Group(NamedTuple):
    """What shares allowance and tiers within a month."""

    provider: str
    sku: str
    clock: Clock


class Part(NamedTuple):
    """
    What one request used for one reason, and who asked for it.

    Attributes:
        began: Of the first entry that is no correction; None if all are. With its time zone.
        first: Of the first entry of all.
        micros: Sum of all entries, corrections too.
        features: With commas.
    """

    request: str
    reason: str
    began: datetime | None
    first: datetime
    micros: int
    session: str
    tenant: str
    key_id: str
    pass_: str
    region: str
    channels: int
    features: str


@dataclass(frozen=True, slots=True)
class Work:
    """
    One request.

    Attributes:
        began: By that it is dated: by its first entry, whenever corrections were made. UTC.
        owner: The part that began first: whose request it is.
        micros: Of each reason. None is negative, together they are more than 0.
    """

    began: datetime
    owner: Part
    micros: Mapping[str, int]


def works_of(parts: Iterable[Part], month: str) -> list[Work]:
    """The month's (2026-11) requests in the order in which they began; those that began together by their ids."""
    requests: dict[str, list[Part]] = {}
    for part in parts:
        requests.setdefault(part.request, []).append(part)
    first = datetime.fromisoformat(f"{month}-01T00:00:00+00:00")
    works = (work for parts in requests.values() if (work := _work(parts)) is not None)
    months = (work for work in works if (work.began.year, work.began.month) == (first.year, first.month))
    return sorted(months, key=lambda work: (work.began, work.owner.request))


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """
    `total` in parts as large as the weights (none negative), rounded so that their sum is the total.

    Each is less than 1 away from its exact share (largest remainders are rounded up, of equal ones the first), and
    none is larger than its weight if the total is not larger than all weights. Without any weight the first has all.
    """
    whole = sum(weights)
    if whole == total:
        return list(weights)
    if not whole or len(weights) == 1:
        return [total, *[0] * (len(weights) - 1)]
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % whole))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


def _work(parts: Sequence[Part]) -> Work | None:
    """None if nothing is left of it after corrections."""
    total = sum(part.micros for part in parts)
    if total <= 0:
        return None
    owner = min(parts, key=lambda p: (p.began is None, p.began or p.first, p.reason, p.channels, p.features))
    micros: dict[str, int] = {}
    for part in sorted(parts, key=lambda part: part.reason):
        micros[part.reason] = micros.get(part.reason, 0) + part.micros
    positive = {reason: amount for reason, amount in micros.items() if amount > 0}
    # A reason that was corrected by more than there was takes from the others.
    left = dict(zip(positive, shares(total, [*positive.values()]), strict=True))
    return Work((owner.began or owner.first).astimezone(UTC), owner, left)
