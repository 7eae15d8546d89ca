"""
A process that meters until it is killed: `python -m tests.cost.metering URL DIRECTORY SESSION`.

Each number that it prints is one whose entry the meter has taken.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.cost.entry_samples import made

from twopass.cost.ledger.book import Ledger
from twopass.cost.usage.meter import Meter


async def main(url: str, directory: Path, session: str) -> None:
    """For ever."""
    meter = Meter(lambda: Ledger.open(url), directory)
    shipping = asyncio.create_task(meter.run())
    number = 0
    while not shipping.done():
        meter.take([made(session, number + i) for i in range(5)])
        number += 5
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        await asyncio.sleep(0.01)
    await shipping


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
