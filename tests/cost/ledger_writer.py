"""
A process that writes to a ledger until it is killed: `python -m tests.cost.ledger_writer URL SESSION FIRST SEED`.

It writes the session's entries from that number on, in batches of many sizes. After each batch it prints the number
after its last entry: all before that is in the ledger, it has been told.
"""

from __future__ import annotations

import os
import random
import sys
from itertools import count

from tests.cost.entry_samples import made

from twopass.cost.ledger.book import Ledger

LARGEST = 60
"""Entries in a batch, at most."""


def main(url: str, session: str, first: int, seed: int) -> None:
    """For ever."""
    ledger, chance = Ledger.open(url), random.Random(seed)
    for _ in count():
        end = first + chance.randint(1, LARGEST)
        ledger.write(made(session, number) for number in range(first, end))
        os.write(1, f"{end}\n".encode())  # at once: a buffer would die with the process
        first = end


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
