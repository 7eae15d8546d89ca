"""What vendors say that they bill, beside what is charged: alike, or the report names the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cost.counting import reasons, reported
from tests.providers.rehearsal import rehearse
from tests.scripted import numbered

from twopass import recognizers
from twopass.first_pass_contract import FirstPassSettings
from twopass.types import Clock, Usage
from twopass_providers.standins import StandInSettings
from twopass_providers.standins.ears import CodedEar
from twopass_providers.standins.faults import Fault

GOOGLE = "stream_limit no_audio unavailable internal deadline ended server_stopped hang not_reading quota".split()
SARVAM = "stream_limit inactive internal backend close_1008 close_1011 going_away ended abort server_stopped".split()
AZURE = "abort close_1000 close_1007 server_stopped".split()
WORDS, MS = numbered(30, start=300), 8_000


def stream(
    name: str, sent: float, said: float | None, provider: str = "google", sku: str = "v2-standard"
) -> list[Usage]:
    """One stream's usage."""
    heard = Usage(provider, sku, Clock.AUDIO_SENT, sent, stream=name)
    return [heard] if said is None else [heard, Usage(provider, sku, Clock.VENDOR_REPORTED, said, stream=name)]


@pytest.mark.parametrize(
    ("sent", "said", "reason"),
    [
        (12.3, 13.0, "alike"),
        (12.3, 12.3, "not rounded"),
        (12.3, None, "not reported"),
        (12.3, 9.0, "broken off"),
        (12.3, 15.0, "unexplained"),
    ],
)
def test_every_difference_has_its_reason(tmp_path: Path, sent: float, said: float | None, reason: str) -> None:
    """One stream beside one where both agree, and a vendor that reports nothing and is not in it."""
    usage = [*stream("a", sent, said), *stream("b", 5.0, 5.0), *stream("c", 9.0, None, "azure", "s1_speech_to_text")]
    counts = reasons(reported([usage], tmp_path))
    assert {"alike": 1 + (reason == "alike")} | ({} if reason == "alike" else {reason: 1}) == counts


SCENARIOS = {"google": GOOGLE, "sarvam": SARVAM, "azure": AZURE}


@pytest.mark.parametrize("vendor", SCENARIOS)
async def test_nothing_is_unexplained_whatever_breaks_a_stream(tmp_path: Path, vendor: str) -> None:
    """A stand-in breaks sessions in every way: what it billed is what is charged, or the report says why not."""
    standin = pytest.importorskip(f"twopass_providers.{vendor}.standin")
    sessions, whole = [], 0
    for kind in SCENARIOS[vendor]:
        async with standin.stand_in(StandInSettings(CodedEar(), faults=[Fault(kind, 3_800, first=1, last=1)])) as on:
            recognizer = recognizers.find(vendor).streaming({"endpoint": on.address})
            seen = await rehearse(recognizer, WORDS, MS, speed=10.0, settings=FirstPassSettings(attempts=20))
            sessions.append(seen.usage)
            whole += sum(received.ended == "ok" for received in on.received)
            sent = sum(received.audio_ms for received in on.received) / 1000
            if vendor != "azure":  # whose SDK sends audio again by itself: its rate card says so
                assert sent <= seen.seconds(vendor, Clock.AUDIO_SENT) + 0.001, kind
    counts = reasons(reported(sessions, tmp_path))
    assert "unexplained" not in counts
    if vendor == "azure":
        assert {} == counts  # it reports nothing
    else:
        assert 0 < whole <= counts.get("alike", 0) + counts.get("not rounded", 0)
