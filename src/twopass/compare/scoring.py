"""From cells to scores: pooled over recordings, with what chance can make of them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import combinations

from twopass.compare.measures.accuracy import Errors
from twopass.compare.measures.agreement import pooled_agreement
from twopass.compare.measures.bootstrap import paired_difference, rate_interval
from twopass.compare.measures.latency import percentiles
from twopass.compare.measures.normalizing import normalized
from twopass.compare.measures.timeline import Timeline
from twopass.compare.measures.writing import Marks, f1
from twopass.compare.results import Cell, Interval, Pair, Percentiles, Played, Score
from twopass.cost.prices.rates import Money
from twopass.types import Words

_HOUR_MS = 3_600_000
_CENT_OF_A_CENT = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Chance:
    """How confidence is worked out."""

    samples: int = 2_000
    seed: int = 0


def score(system: str, cells: Sequence[Cell], played: Mapping[str, Played], chance: Chance) -> Score:
    """
    One system's cells, pooled. Copies of one recording (perturbed) are no new evidence: they are drawn together.
    """
    judged = [cell for cell in cells if cell.words is not None and not played[cell.recording].consensus]
    agreed = [cell for cell in cells if cell.words is not None and played[cell.recording].consensus]
    audio_ms = sum(cell.audio_ms for cell in cells)
    read = [cell for cell in cells if cell.realtime]
    words = sum(cell.final_words for cell in read)
    whole = [cell for cell in cells if not cell.failed]  # what fails is cheap and quick
    return replace(
        _rewriting(judged, cells),
        system=system,
        recordings=len(cells),
        failed=sum(bool(cell.failed) for cell in cells),
        audio_ms=audio_ms,
        errors=_added(cell.words for cell in judged),
        wer=_interval(judged, played, lambda cell: cell.words, chance),
        cer=_interval(judged, played, lambda cell: cell.characters, chance),
        agreement_wer=_interval(agreed, played, lambda cell: cell.words, chance),
        punctuation=_f1(cell.punctuation for cell in cells),
        capitals=_f1(cell.capitals for cell in cells),
        word_time_ms=_mean([ms for cell in cells for ms in cell.word_time_ms]),
        first_partial=_percentiles(ms for cell in cells for ms in cell.first_partial_ms),
        first_word=_percentiles(cell.first_word_ms for cell in cells if cell.first_word_ms is not None),
        emission=_percentiles(ms for cell in cells for ms in cell.emission_ms),
        final=_percentiles(ms for cell in cells for ms in cell.final_ms),
        unstable=_share(sum(cell.unstable or 0 for cell in read), words),
        erasure=_share(sum(cell.erased or 0 for cell in read), words),
        laal_ms=_mean([cell.laal_ms for cell in cells if cell.laal_ms is not None]),
        cuts=sum(cell.cuts for cell in cells),
        seam_losses=sum(cell.seams.lost + cell.seams.doubled for cell in cells if cell.seams is not None),
        degraded=sum(cell.degraded for cell in cells),
        cost_per_hour=_cost(whole),
        unpriced=tuple(sorted({name for cell in cells for name in cell.unpriced})),
        cpu_seconds_per_hour=_busy(whole, lambda cell: cell.cpu_seconds * _HOUR_MS),
        gpu_seconds_per_hour=_busy(whole, lambda cell: cell.gpu_seconds * _HOUR_MS),
        real_time_factor=_busy(whole, lambda cell: (cell.cpu_seconds + cell.gpu_seconds) * 1000),
        troubles=sum(len(cell.troubles) for cell in cells),
    )


def ranked(scores: Iterable[Score]) -> tuple[Score, ...]:
    """By word error rate; those without one after them, by their agreement with the consensus."""

    def order(score: Score) -> tuple[int, float]:
        if score.wer is not None:
            return 0, score.wer.value
        return (1, score.agreement_wer.value) if score.agreement_wer is not None else (2, 0.0)

    return tuple(sorted(scores, key=order))


def pairs(systems: Sequence[str], cells: Iterable[Cell], played: Mapping[str, Played], chance: Chance) -> list[Pair]:
    """Every two systems; p is adjusted for how many pairs there are (Holm, Scandinavian Journal of Statistics 1979)."""
    by_system: dict[str, dict[str, Cell]] = defaultdict(dict)
    all_cells = list(cells)
    for cell in all_cells:
        by_system[cell.system][cell.recording] = cell
    heard = {(cell.system, cell.recording): _heard(cell, played) for cell in all_cells}
    found = [
        _pair(left, right, by_system[left], by_system[right], heard, played, chance)
        for left, right in combinations(systems, 2)
    ]
    return _adjusted(found)


def _heard(cell: Cell, played: Mapping[str, Played]) -> Words:
    """The final words, normalized."""
    if cell.words is not None:
        return tuple(word for step in cell.steps for word in step.hypothesis)
    return normalized(Timeline(list(cell.seen)).last_words(), played[cell.recording].language)


def _pair(
    left: str,
    right: str,
    ours: Mapping[str, Cell],
    theirs: Mapping[str, Cell],
    heard: Mapping[tuple[str, str], Words],
    played: Mapping[str, Played],
    chance: Chance,
) -> Pair:
    both = sorted(ours.keys() & theirs.keys())
    judged = [name for name in both if not played[name].consensus and ours[name].words and theirs[name].words]
    tested = paired_difference(
        _by_source([ours[name] for name in judged], played, lambda cell: cell.words),
        _by_source([theirs[name] for name in judged], played, lambda cell: cell.words),
        samples=chance.samples,
        seed=chance.seed,
    )
    difference, p = tested or (None, None)
    return Pair(
        left, right, difference, p, pooled_agreement([(heard[left, name], heard[right, name]) for name in both])
    )


def _adjusted(found: Sequence[Pair]) -> list[Pair]:
    tested = sorted((pair for pair in found if pair.p is not None), key=lambda pair: pair.p or 0.0)
    adjusted: dict[tuple[str, str], float] = {}
    least = 0.0
    for i, pair in enumerate(tested):
        assert pair.p is not None
        least = max(least, min(1.0, pair.p * (len(tested) - i)))
        adjusted[pair.left, pair.right] = least
    return [replace(pair, p=adjusted.get((pair.left, pair.right))) for pair in found]


def _rewriting(judged: Sequence[Cell], cells: Sequence[Cell]) -> Score:
    """The second pass's figures; nothing where there is none."""
    all_ = [cell.rewrites for cell in cells if cell.rewrites is not None]
    known = [cell.rewrites for cell in judged if cell.rewrites is not None]
    reference = sum(each.reference for each in known)
    if not all_:
        return Score("", 0)
    return Score(
        "",
        0,
        rewrite=_percentiles(ms for each in all_ for ms in each.latency_ms),
        rewrite_rate=_share(sum(each.changed for each in all_), sum(each.words for each in all_)),
        rewrite_gain=_share(sum(each.errors_before - each.errors_after for each in known), reference),
        harmful=_share(sum(each.harmful for each in known), reference),
        helpful=_share(sum(each.helpful for each in known), reference),
    )


def _by_source(
    cells: Iterable[Cell], played: Mapping[str, Played], errors: Callable[[Cell], Errors | None]
) -> list[Errors]:
    pooled: dict[str, Errors] = defaultdict(Errors)
    for cell in cells:
        pooled[played[cell.recording].source] += errors(cell) or Errors()
    return [pooled[source] for source in sorted(pooled)]


def _interval(
    cells: Sequence[Cell], played: Mapping[str, Played], errors: Callable[[Cell], Errors | None], chance: Chance
) -> Interval | None:
    return rate_interval(_by_source(cells, played, errors), samples=chance.samples, seed=chance.seed) if cells else None


def _added(errors: Iterable[Errors | None]) -> Errors | None:
    known = [each for each in errors if each is not None]
    return sum(known, Errors()) if known else None


def _f1(marks: Iterable[Marks | None]) -> float | None:
    known = [each for each in marks if each is not None]
    return f1(sum(known, Marks())) if known else None


def _percentiles(values: Iterable[float]) -> Percentiles | None:
    return percentiles(list(values))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _cost(cells: Sequence[Cell]) -> Money | None:
    costs, audio_ms = [cell.cost for cell in cells], sum(cell.audio_ms for cell in cells)
    known = [cost for cost in costs if cost is not None]
    if not audio_ms or not known or len(known) < len(costs):
        return None
    total = sum((cost.amount for cost in known), Decimal(0))
    return Money((total * _HOUR_MS / audio_ms).quantize(_CENT_OF_A_CENT), known[0].currency)


def _busy(cells: Sequence[Cell], time: Callable[[Cell], float]) -> float | None:
    """Per audio; None of those that were never busy: vendors, and CPUs where GPUs work."""
    return _share(sum(map(time, cells)), sum(cell.audio_ms for cell in cells)) or None
