"""From what was heard to figures: one recording at a time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from twopass.compare.measures import latency, stability, writing
from twopass.compare.measures.accuracy import aligned, character_errors, errors_of, seam_errors
from twopass.compare.measures.normalizing import normalized
from twopass.compare.measures.rewrites import rewrites
from twopass.compare.measures.timeline import Seen, Timeline
from twopass.compare.measures.truth import Truth, truth_of
from twopass.compare.recordings.reference import Reference
from twopass.compare.records import Hearing
from twopass.compare.results import Cell, Played
from twopass.cost.prices.rates import Money
from twopass.types import Clock, Pass, Usage, Words


@dataclass(frozen=True, slots=True)
class Charge:
    """
    What usage costs.

    Attributes:
        cost: None if any part has no price.
        unpriced: What has none.
    """

    cost: Money | None
    unpriced: tuple[str, ...] = ()


Price = Callable[[Sequence[Usage]], Charge]


@dataclass(frozen=True, slots=True)
class Heard:
    """
    A recording, and what every system made of it.

    Attributes:
        played: Its truth is not filled in yet.
    """

    played: Played
    reference: Reference | None
    hearings: Sequence[Hearing]


def cells(heard: Heard, price: Price) -> tuple[Played, tuple[Cell, ...]]:
    """The recording with its truth, and a cell for each system."""
    normalize = partial(normalized, language=heard.played.language)
    finals = {hearing.system: normalize(hearing.timeline.last_words()) for hearing in heard.hearings}
    whole = {hearing.system: finals[hearing.system] for hearing in heard.hearings if not hearing.failed}
    truth = _truth(heard, whole, normalize)
    played = heard.played
    if truth is not None:
        played = replace(played, truth=truth.text, consensus=truth.consensus)
    made = (_cell(hearing, played, heard.reference, truth, finals[hearing.system], price) for hearing in heard.hearings)
    return played, tuple(made)


def _truth(heard: Heard, whole: Mapping[str, Words], normalize: Callable[[Words], Words]) -> Truth | None:
    if heard.reference is None:
        return truth_of(None, False, whole)
    words = normalize(heard.reference.spoken(heard.played.ms))
    truth = truth_of(words, heard.reference.timed, whole)
    return truth and replace(truth, text=heard.reference.text)


def _cell(
    hearing: Hearing, played: Played, reference: Reference | None, truth: Truth | None, final: Words, price: Price
) -> Cell:
    timeline, charge = hearing.timeline, price(hearing.usage)
    finals = timeline.finals()
    # Utterances of one pass alone end where its provider ends them: that they touch is no cut of ours.
    cuts = timeline.cuts() if any(each.revision.source is Pass.SECOND for each in hearing.seen) else []
    text = " ".join(revision.text for revision in finals if revision.words)
    cell = Cell(
        system=hearing.system,
        recording=hearing.recording,
        text=text,
        failed=hearing.failed,
        troubles=hearing.troubles,
        final_words=len(timeline.last_words()),
        cuts=len(cuts),
        degraded=sum(revision.degraded is not None for revision in finals),
        audio_ms=hearing.audio_ms,
        wall_ms=hearing.wall_ms,
        realtime=hearing.realtime,
        cost=charge.cost,
        unpriced=charge.unpriced,
        cpu_seconds=_seconds(hearing, Clock.CPU_BUSY),
        gpu_seconds=_seconds(hearing, Clock.GPU_BUSY),
        seen=hearing.seen if hearing.realtime else _last(hearing.seen),
    )
    normalize = partial(normalized, language=played.language)
    cell = _with_truth(cell, truth, final, cuts)
    if reference is not None:
        punctuation, capitals = writing.punctuation(reference.text, text), writing.capitals(reference.text, text)
        cell = replace(cell, punctuation=punctuation, capitals=capitals)
    return _with_readers_view(cell, timeline, played, truth, normalize) if hearing.realtime else cell


def _last(seen: Sequence[Seen]) -> tuple[Seen, ...]:
    """Of each utterance what was shown at last."""
    last = {each.revision.utterance: each for each in seen}
    return tuple(Seen(0.0, each.revision) for each in last.values())


def _with_truth(cell: Cell, truth: Truth | None, final: Words, cuts: Sequence[int]) -> Cell:
    if truth is None:
        return cell
    steps = aligned(truth.words, final)
    return replace(
        cell,
        words=errors_of(steps),
        characters=character_errors(truth.words, final),
        steps=steps,
        word_time_ms=latency.word_time_errors(steps) if truth.times == "given" else (),
        seams=seam_errors(truth.words, final, cuts) if cuts else None,
    )


def _with_readers_view(
    cell: Cell, timeline: Timeline, played: Played, truth: Truth | None, normalize: Callable[[Words], Words]
) -> Cell:
    cell = replace(
        cell,
        unstable=stability.unstable_words(timeline),
        erased=stability.erased_words(timeline),
        first_partial_ms=latency.first_partials(timeline, played.speech),
        first_word_ms=latency.first_word(timeline),
        final_ms=latency.finals(timeline, played.speech),
        rewrites=rewrites(timeline, truth.words if truth is not None else None, normalize),
    )
    if truth is None:
        return cell
    return replace(
        cell,
        emission_ms=latency.emission_delays(timeline, truth.words, normalize),
        laal_ms=latency.stream_laal(timeline, truth.words if truth.times != "none" else (), played.speech),
    )


def _seconds(hearing: Hearing, clock: Clock) -> float:
    return sum(usage.seconds for usage in hearing.usage if usage.clock is clock)
