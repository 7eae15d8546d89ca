"""
Why a vendor counts other seconds than we do. Pure.

A vendor that does not bill audio which was sent again never does: what explains most days of a month is taken first,
and only the days that are left are looked at one by one. What fits to the second is no accident; what only comes near
is not called an explanation, unless it is what explains the other days.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

from twopass.cost.invoices.our_side import Ours, What

_ZERO = Decimal(0)
_MOST = 3
_ROUNDINGS = frozenset({What.ROUNDING, What.BLOCKS_1, What.BLOCKS_15, What.BLOCKS_60, What.REPORTED})
_PARTS = frozenset({What.REPLAY, What.RACE_LOSER, What.SPECULATION, What.SHADOW})

Combination = tuple[What, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """
    One day: how many seconds more they count than we, what each cause would make of it, and how far the vendor's own
    rounding can have moved it.
    """

    seconds: Decimal
    effects: dict[What, Decimal]
    slack: Decimal

    @classmethod
    def between(cls, their_seconds: Decimal, ours: Ours, slack: Decimal) -> Gap:
        """Theirs less ours."""
        effects = {what: part.seconds for what, part in ours.effects().items()}
        return cls(their_seconds - ours.seconds, effects, slack)

    def left(self, causes: Collection[What]) -> Decimal:
        """What these do not explain."""
        return self.seconds - sum((self.effects.get(cause, _ZERO) for cause in causes), _ZERO)

    def closed(self, causes: Collection[What]) -> bool:
        """Whether they explain all of it."""
        return abs(self.left(causes)) <= self.slack


def causes_of(gaps: Sequence[Gap]) -> list[Combination]:
    """For each day of one SKU: what explains its gap, as far as it is explained."""
    usual = _usual(gaps)
    return [_of_day(gap, usual) for gap in gaps]


def _usual(gaps: Sequence[Gap]) -> Combination:
    """What explains most days; of equals the simplest."""
    open_gaps = [gap for gap in gaps if not gap.closed(())]

    def days(causes: Combination) -> int:
        return sum(gap.closed(causes) for gap in open_gaps)

    best = min(_combinations(open_gaps), key=lambda causes: (-days(causes), len(causes)))
    return best if days(best) > 1 or (len(best) == 1 and days(best)) else ()


def _of_day(gap: Gap, usual: Combination) -> Combination:
    if gap.closed(()):
        return ()
    mine = tuple(cause for cause in usual if cause in gap.effects)
    if gap.closed(mine):
        return mine
    single = next(((cause,) for cause in What if cause in gap.effects and gap.closed((cause,))), None)
    if single is not None:
        return single
    return mine if abs(gap.left(mine)) < abs(gap.seconds) / 2 else ()


def _combinations(gaps: Sequence[Gap]) -> Iterator[Combination]:
    kinds = [what for what in What if any(what in gap.effects for gap in gaps)]
    for size in range(_MOST + 1):
        yield from (chosen for chosen in combinations(kinds, size) if _possible(frozenset(chosen)))


def _possible(chosen: frozenset[What]) -> bool:
    """One way to round at most; and what the vendor itself reports needs no other reasons."""
    return len(chosen & _ROUNDINGS) <= 1 and not (What.REPORTED in chosen and chosen & _PARTS)
