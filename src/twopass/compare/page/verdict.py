"""
What the figures say, in sentences: who makes the fewest errors, whether that is more than chance, what is cheapest of
those that are as good, and who is fastest. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from twopass.compare.page.figures import Figures
from twopass.compare.results import Comparison, Interval, Pair, Score

SIGNIFICANT = 0.05


class Standing(StrEnum):
    """How a system stands to the best one."""

    BEST = "best"
    EQUAL = "no difference shown"
    WORSE = "worse"
    UNKNOWN = "too little to tell"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    Attributes:
        label: What was asked: "Fewest errors".
        name: The system that answers it; empty if none does.
        says: One or two sentences.
    """

    label: str
    name: str
    says: str


def referenced(comparison: Comparison) -> bool:
    """Whether anything is known of who is right; if not, there is only agreement."""
    return any(score.wer for score in comparison.scores)


def accuracy(comparison: Comparison, score: Score) -> Interval | None:
    """What the ranking goes by: word errors, or without any reference the distance to the consensus."""
    return score.wer if referenced(comparison) else score.agreement_wer


def _rate(comparison: Comparison, score: Score) -> float | None:
    known = accuracy(comparison, score)
    return known.value if known else None


def judged(comparison: Comparison) -> tuple[Score, ...]:
    """Scores that are worth a verdict, in their order: real systems, unless there are only stand-ins."""
    known = tuple(score for score in comparison.scores if accuracy(comparison, score))
    stand_ins = {system.name for system in comparison.systems if system.stand_in}
    return tuple(score for score in known if score.system not in stand_ins) or known


def standings(comparison: Comparison) -> dict[str, Standing]:
    """How each system that is judged stands to the best."""
    scores = judged(comparison)
    found = {score.system: standing(pair_of(comparison, scores[0].system, score.system)) for score in scores[1:]}
    return {score.system: Standing.BEST for score in scores[:1]} | found


def pair_of(comparison: Comparison, left: str, right: str) -> Pair | None:
    """The comparison of two systems, whichever is named first."""
    return next((pair for pair in comparison.pairs if {pair.left, pair.right} == {left, right}), None)


def standing(pair: Pair | None) -> Standing:
    """Of the one of a pair that has more errors."""
    if pair is None or pair.p is None:
        return Standing.UNKNOWN
    if pair.p < SIGNIFICANT:
        return Standing.WORSE
    # Of so few recordings that there is no interval none can be significant: that says nothing of the systems.
    return Standing.EQUAL if pair.difference is not None and pair.difference.low is not None else Standing.UNKNOWN


def verdict(comparison: Comparison, figures: Figures) -> tuple[Finding, ...]:
    """Three findings, or fewer where there is nothing to say."""
    scores = judged(comparison)
    if not scores:
        return ()
    found = (_fewest(comparison, scores, figures), _cheapest(comparison, scores, figures), _fastest(scores, figures))
    return tuple(finding for finding in found if finding)


def _fewest(comparison: Comparison, scores: Sequence[Score], figures: Figures) -> Finding:
    best, *others = scores
    known = referenced(comparison)
    wrong = "of its words are wrong" if known else "of its words differ from what most systems heard"
    ends = figures.ends(accuracy(comparison, best))
    says = f"{figures.percent(_rate(comparison, best))} {wrong}{f' (95 % interval {ends})' if ends else ''}."
    if others:
        says += f" {_next(comparison, best, others[0], figures)}"
    return Finding("Fewest errors" if known else "Nearest to the consensus", best.system, says)


def _next(comparison: Comparison, best: Score, second: Score, figures: Figures) -> str:
    pair = pair_of(comparison, best.system, second.system)
    p = f" (p {_equal(figures.probability(pair.p))})" if pair and pair.p is not None else ""
    says = {
        Standing.WORSE: f"significantly more{p}",
        Standing.EQUAL: f"a difference that may be chance{p}",
        Standing.UNKNOWN: "too few recordings to say whether that is chance",
    }[standing(pair)]
    rate = _rate(comparison, second)
    if rate == _rate(comparison, best):
        return f"{second.system} has as many."
    return f"Next is {second.system} with {figures.percent(rate)}: {says}."


def _equal(p: str) -> str:
    return p if p.startswith("<") else f"= {p}"


def _cheapest(comparison: Comparison, scores: Sequence[Score], figures: Figures) -> Finding:
    stand = standings(comparison)
    good = [score for score in scores if stand[score.system] in (Standing.BEST, Standing.EQUAL)]
    label = "Cheapest of the best" if len(good) > 1 else "What the best costs"
    priced = _by_cost(good)
    missing = [score.system for score in good if score.cost_per_hour is None]
    gap = f" What {_listed(missing)} would cost is not known." if missing else ""
    if not priced:
        return Finding(label, "", gap.strip())
    says = f"{figures.money(priced[0].cost_per_hour)} for an hour of audio{_instead(priced, figures)}.{gap}"
    return Finding(label, priced[0].system, says + _cheaper(comparison, scores, priced[0], figures))


def _instead(priced: Sequence[Score], figures: Figures) -> str:
    if len(priced) < 2:
        return ""
    return (
        f"; {priced[1].system}, which is not measurably better or worse, costs {figures.money(priced[1].cost_per_hour)}"
    )


def _cheaper(comparison: Comparison, scores: Sequence[Score], chosen: Score, figures: Figures) -> str:
    """What costs less, and at what price in errors."""
    lowest = _by_cost(scores)[0]
    if lowest is chosen or lowest.cost_per_hour == chosen.cost_per_hour:
        return ""
    errors = figures.percent(_rate(comparison, lowest))
    words = "words wrong" if referenced(comparison) else "words that differ from the consensus"
    return f" {lowest.system} costs less ({figures.money(lowest.cost_per_hour)}), with {errors} of {words}."


def _by_cost(scores: Iterable[Score]) -> list[Score]:
    priced = [(score.cost_per_hour.amount, score) for score in scores if score.cost_per_hour is not None]
    return [score for _, score in sorted(priced, key=lambda item: item[0])]


def _fastest(scores: Sequence[Score], figures: Figures) -> Finding | None:
    timed = [(score.final.p50, score) for score in scores if score.final]
    if not timed:
        return None
    (_, first), *others = sorted(timed, key=lambda item: item[0])
    assert first.final is not None
    says = (
        f"When somebody stops speaking, the text is final after {figures.seconds(first.final.p50)} (median); "
        f"19 times in 20 within {figures.seconds(first.final.p95)}."
    )
    if others:
        says += f" Next is {others[0][1].system} with {figures.seconds(others[0][0])}."
    return Finding("Fastest final text", first.system, says)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
