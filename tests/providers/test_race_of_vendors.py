"""Two vendors hear the same at the same time, each through its own SDK at its stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from tests.providers.rehearsal import rehearse, transcript
from tests.scripted import numbered

from twopass import recognizers
from twopass.first_pass_contract import FirstPassSettings
from twopass.racing import Race
from twopass.recognizers import StreamingRecognizer
from twopass.types import Clock, Word
from twopass_providers.standins import StandInSettings
from twopass_providers.standins.ears import CodedEar
from twopass_providers.standins.faults import Fault

azure = pytest.importorskip("twopass_providers.azure.standin")
google = pytest.importorskip("twopass_providers.google.standin")
pytest.importorskip("azure.cognitiveservices.speech", exc_type=ImportError)

PLACES = (*numbered(8, start=300), *numbered(8, start=3_500), *numbered(8, start=7_000))
WORDS = tuple(Word(str(i + 1), place.start, place.end) for i, place in enumerate(PLACES))
MS = 10_500
PATIENT = FirstPassSettings(silence_seconds=60)


@dataclass(eq=False)
class OpenRace(Race):
    """A race that opens and closes its racers itself; in a server the engine does."""

    racers: Sequence[StreamingRecognizer]

    def __post_init__(self) -> None:
        super().__init__(self.racers)

    async def open(self) -> None:
        for racer in self.racers:
            await racer.open()

    async def close(self) -> None:
        for racer in self.racers:
            await racer.close()


@pytest.mark.parametrize("faults", [[], [Fault("unavailable", 4_000)]], ids=["both well", "one dies"])
async def test_a_race_is_one_transcript_and_both_are_metered(faults: Sequence[Fault]) -> None:
    """Whoever answers first, and if one dies in mid-word: every word once, at its time; each is paid for its audio."""
    async with (
        google.stand_in(StandInSettings(CodedEar(), faults=faults)) as one,
        azure.stand_in(StandInSettings(CodedEar())) as two,
    ):
        race = OpenRace(
            [
                recognizers.find("google").streaming({"endpoint": one.address}),
                recognizers.find("azure").streaming({"endpoint": two.address}),
            ]
        )
        seen = await rehearse(race, WORDS, MS, speed=2.0, settings=PATIENT)
        heard = {"google": one.received, "azure": two.received}
    assert transcript(WORDS) == seen.finals
    assert [] == seen.troubles
    for name, streams in heard.items():
        received = sum(stream.audio_ms for stream in streams) / 1000
        assert received <= seen.seconds(name, Clock.AUDIO_SENT) + 0.001
    assert MS / 1000 == pytest.approx(seen.seconds("azure", Clock.AUDIO_SENT), abs=0.2)
