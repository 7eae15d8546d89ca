"""How well punctuation and capitals are written, apart from the words. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Marks:
    """
    Marks (punctuation, or capitals) that stand where the reference has them, that it does not have, and that are
    missing: counts, so that recordings can be added up.
    """

    right: int = 0
    wrong: int = 0
    missing: int = 0
