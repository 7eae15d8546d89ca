"""A stand-in's process: it is there or it is said why not."""

from __future__ import annotations

import pytest

from twopass.compare.running import standins
from twopass.compare.running.standins import stand_in
from twopass.errors import RecognizerUnavailable


async def test_one_that_cannot_start_says_why() -> None:
    """What the command itself says of its mistake is in the error."""
    with pytest.raises(RecognizerUnavailable, match="nobody"):
        async with stand_in("nobody", {}):
            pass


async def test_one_that_never_gets_ready_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for without end, and its process does not stay behind."""
    monkeypatch.setattr(standins, "_READY_SECONDS", 0.0)
    with pytest.raises(RecognizerUnavailable, match="did not start") as missing:
        async with stand_in("google", {}):
            pass
    assert "twopass standin google" in missing.value.fix
