"""Which live sessions a second provider also hears, for comparison, and what that may cost. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path

from twopass.cost.usage.budgets import Period

_BITS = 64


@dataclass(frozen=True, slots=True)
class ShadowSettings:
    """
    Attributes:
        share: Of the sessions, 0..1.
        tenants: Other shares, by tenant.
        limit: What all shadows together may cost in a period (days and months are UTC's), in `currency`.
        currency: The ledger's.
        directory: Where the records are kept.
        max_bytes: How much they may take; beyond, no shadow begins.
    """

    share: float
    tenants: Mapping[str, float]
    limit: Decimal
    currency: str
    period: Period
    directory: Path
    max_bytes: int

    def takes(self, session: str, tenant: str) -> bool:
        """Whether this session gets a shadow: always the same answer, on every server."""
        drawn = int.from_bytes(blake2b(session.encode(), digest_size=_BITS // 8).digest())
        return drawn < self.tenants.get(tenant, self.share) * (1 << _BITS)
