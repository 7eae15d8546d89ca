"""A provider alone, from its audio to its figures: a recognizer whose every delay is known is measured as it is."""

from __future__ import annotations

import pytest
from tests.compare.delayed import VOICE, Delayed, alone, piece
from tests.scripted import numbered, spoken
from tests.virtual_time import virtually

from twopass.compare.cells import Charge, Heard, cells
from twopass.compare.recordings.reference import Reference
from twopass.compare.records import Hearing
from twopass.compare.results import Cell, Played
from twopass.compare.running.speech import stretches
from twopass.types import Status, Words

_WORD_MS, _GAP_MS = 192, 64  # whole frames of the voice detector
_PHRASES = (
    numbered(5, start=960, length=_WORD_MS, gap=_GAP_MS),
    numbered(4, start=5_120, length=_WORD_MS, gap=_GAP_MS),
)
_SAID: Words = tuple(word for phrase in _PHRASES for word in phrase)
_PCM = spoken(_SAID, 9_000)


def _near(ms: float) -> object:
    return pytest.approx(ms, abs=5)


def measured(recognizer: Delayed, *, realtime: bool = True) -> tuple[Hearing, Cell]:
    """What the recognizer makes of the two phrases, in virtual time."""

    async def hear() -> tuple[Hearing, tuple[tuple[int, int], ...]]:
        return await alone(recognizer).hear(piece(_PCM, realtime=realtime)), await stretches(VOICE, _PCM)

    hearing, speech = virtually(hear())
    reference = Reference(" ".join(word.text for word in _SAID), _SAID, timed=True)
    played = Played("coded", "coded", "", 9_000, speech=speech)
    _, (cell,) = cells(Heard(played, reference, [hearing]), lambda usage: Charge(None))
    return hearing, cell


@pytest.mark.parametrize(("word_ms", "final_ms"), [(80, 600), (333, 901), (1_250, 2_000)])
def test_latencies_are_the_recognizers(word_ms: int, final_ms: int) -> None:
    """Every latency is the delay that the recognizer was given, within 5 ms."""
    _, cell = measured(Delayed(word_ms, final_ms))
    assert [_near(word_ms)] * len(_SAID) == list(cell.emission_ms)
    assert [_near(_WORD_MS + word_ms)] * len(_PHRASES) == list(cell.first_partial_ms)
    assert _near(_PHRASES[0][0].end + word_ms) == cell.first_word_ms
    assert [_near(final_ms)] * len(_PHRASES) == list(cell.final_ms)


def test_a_recognizer_without_faults_has_none() -> None:
    """All words right at their times, nothing taken back, nothing troubled; usage is what was sent."""
    hearing, cell = measured(Delayed())
    assert cell.words is not None
    assert (0, len(_SAID)) == (cell.words.total, cell.words.reference)
    assert (0, 0, (), "") == (cell.unstable, cell.erased, cell.troubles, cell.failed)
    assert (0.0,) * len(_SAID) == cell.word_time_ms
    assert pytest.approx(9.0) == sum(usage.seconds for usage in hearing.usage)
    assert [Status.FINAL] * 2 == [revision.status for revision in hearing.timeline.finals()]


def test_what_it_hears_wrong_is_counted() -> None:
    """One word of nine heard wrong, in both phrases where it occurs."""
    _, cell = measured(Delayed(wrong=[("2", "too")]))
    assert cell.words is not None
    assert (2, 0, 0) == (cell.words.substitutions, cell.words.deletions, cell.words.insertions)


def test_as_fast_as_it_hears_says_nothing_of_latencies() -> None:
    """The words are the same, the latencies are not measured."""
    hearing, cell = measured(Delayed(), realtime=False)
    assert cell.words is not None
    assert 0 == cell.words.total
    assert ((), (), None, ()) == (cell.emission_ms, cell.first_partial_ms, cell.first_word_ms, cell.final_ms)
    assert hearing.wall_ms < 9_000
