"""Kill -9 while the meter runs: no entry that it took is lost, and none is in the ledger twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from tests.cost.entry_samples import made
from tests.waiting import until

from twopass.cost.ledger.book import Ledger
from twopass.cost.usage.meter import Meter

KILLS = int(os.environ.get("TWOPASS_KILLS", "8"))
"""200 in the long form."""


def meter_until_killed(url: str, directory: Path, session: str, seconds: float) -> int:
    """Runs a metering process for so long after its first word; returns how many entries its meter had taken."""
    command = [sys.executable, "-m", "tests.cost.metering", url, str(directory), session]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        said = [first, *process.stdout.read().splitlines()]
    assert -signal.SIGKILL == process.returncode
    return int([line for line in said if line.strip().isdigit()][-1])  # the others are the log's


async def test_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    """Processes are killed at seeded moments, in mid-write too; each next one brings what the one before has left."""
    url, chance = f"sqlite:///{tmp_path / 'ledger.sqlite'}", random.Random(7)
    taken = {
        f"s{kill}": meter_until_killed(url, tmp_path / "waiting", f"s{kill}", chance.uniform(0, 1.2))
        for kill in range(KILLS)
    }
    wanted = {made(session, number).id for session, count in taken.items() for number in range(count)}
    ledger = Ledger.open(url)
    meter = Meter(lambda: ledger, tmp_path / "waiting")
    shipping = asyncio.create_task(meter.run())

    def there() -> list[str]:
        return [row.id for row in ledger.rows("SELECT id FROM usage")]

    await until(lambda: wanted <= set(there()))
    shipping.cancel()
    await asyncio.gather(shipping, return_exceptions=True)
    assert len(set(there())) == len(there())
    # What was taken but not said before the kill may be there: five entries of each session at most.
    assert len(there()) <= len(wanted) + 5 * KILLS
    await meter.stop()
