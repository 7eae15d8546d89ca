"""
Which figures the tables of systems have: each with its label, what it means, whose definition that is, and where it
stands in the JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from twopass.compare.page.figures import Figures
from twopass.compare.results import Comparison, Percentiles, Score
from twopass.cost.reports.formats import NONE, UNKNOWN

Figure: TypeAlias = Callable[[Score, Figures], str]
_ENOUGH: Mapping[str, int] = {"p90": 10, "p95": 20, "p99": 100}
"""With fewer values a percentile is hardly more than the largest of them."""
_FEW = "*"


@dataclass(frozen=True, slots=True)
class Column:
    """
    Attributes:
        field: Of `scores` in the JSON.
        source: Where the definition comes from.
        more: A second, smaller line.
        optional: It is left out if nobody has it.
    """

    label: str
    field: str
    figure: Figure
    says: str = ""
    source: str = ""
    more: Figure | None = None
    optional: bool = True


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure in a table; `more` stands smaller below it."""

    label: str
    text: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A system and its figures."""

    system: str
    cells: Sequence[Shown]


@dataclass(frozen=True, slots=True)
class Table:
    """
    Attributes:
        few: Whether a percentile of few values is marked in it.
    """

    id: str
    title: str
    says: str
    columns: Sequence[Column]
    rows: Sequence[Row]

    @property
    def few(self) -> bool:
        return any(cell.text.endswith(_FEW) for row in self.rows for cell in row.cells)


@dataclass(frozen=True, slots=True)
class Plan:
    """A table without its rows."""

    id: str
    title: str
    says: str
    columns: Sequence[Column]
    wanted: Callable[[Score], bool] = lambda _: True


def table(plan: Plan, comparison: Comparison, figures: Figures) -> Table | None:
    """The table with those rows that belong in it and those columns that anybody has. None without any."""
    scores = [score for score in comparison.scores if plan.wanted(score)]
    columns = [c for c in plan.columns if not c.optional or any(_has(c.figure(s, figures)) for s in scores)]
    if not scores or not columns:
        return None
    rows = [Row(score.system, [_shown(column, score, figures) for column in columns]) for score in scores]
    return Table(plan.id, plan.title, plan.says, columns, rows)


def _has(text: str) -> bool:
    return text not in (NONE, "")


def _shown(column: Column, score: Score, figures: Figures) -> Shown:
    return Shown(column.label, column.figure(score, figures), column.more(score, figures) if column.more else "")


# -- figures --------------------------------------------------------------------------------------------------------


def _percentile(field: str, percent: str) -> Figure:
    def figure(score: Score, figures: Figures) -> str:
        values: Percentiles | None = getattr(score, field)
        if values is None:
            return NONE
        mark = _FEW if values.count < _ENOUGH.get(percent, 0) else ""
        return figures.seconds(getattr(values, percent)) + mark

    return figure


def _latency(label: str, field: str, percents: Sequence[str], says: str, source: str = "") -> list[Column]:
    """A column for each percentile; the first one explains them."""
    columns = []
    for place, percent in enumerate(percents):
        explained = (says, source) if place == 0 else ("", "")
        columns.append(Column(f"{label} {percent}", f"{field}.{percent}", _percentile(field, percent), *explained))
    return columns


def _share(field: str) -> Figure:
    return lambda score, figures: figures.percent(getattr(score, field))


def _rate(field: str) -> tuple[Figure, Figure]:
    """The figure and its interval."""

    def value(score: Score, figures: Figures) -> str:
        interval = getattr(score, field)
        return figures.percent(interval.value if interval else None)

    return value, lambda score, figures: figures.ends(getattr(score, field))


def _errors(field: str) -> Figure:
    return lambda score, figures: figures.count(getattr(score.errors, field)) if score.errors else NONE


def _two_pass(score: Score) -> bool:
    return score.rewrite_rate is not None


def _per_hour(field: str) -> Figure:
    def figure(score: Score, figures: Figures) -> str:
        value = getattr(score, field)
        return NONE if value is None else f"{figures.count(round(value))} s"

    return figure


def _count(field: str) -> Figure:
    return lambda score, figures: figures.count(getattr(score, field))


def _unpriced(score: Score, _: Figures) -> str:
    return f"{UNKNOWN}: {', '.join(score.unpriced)}" if score.unpriced else ""


_WER, _WER_ENDS = _rate("wer")
_CER, _CER_ENDS = _rate("cer")
_AGREED, _AGREED_ENDS = _rate("agreement_wer")

ACCURACY = Plan(
    "accuracy",
    "Words, characters, punctuation",
    "Errors of all recordings together, so that a long recording counts for more than a short one. "
    "Words are compared without capitals and punctuation, which have scores of their own.",
    (
        Column(
            "Words wrong (WER)",
            "wer",
            _WER,
            "Substituted, missing and extra words over words of the reference; pooled over recordings. The interval is "
            "where the figure lies in 95 % of samples of as many recordings, drawn with replacement.",
            "Levenshtein alignment by jiwer; bootstrap: Bisani & Ney, ICASSP 2004",
            _WER_ENDS,
        ),
        Column("Substituted", "errors.substitutions", _errors("substitutions"), "Other words than were said."),
        Column("Missing", "errors.deletions", _errors("deletions"), "Words that were said and are not there."),
        Column("Extra", "errors.insertions", _errors("insertions"), "Words that nobody said."),
        Column("Said", "errors.reference", _errors("reference"), "Words of the references."),
        Column("Characters wrong (CER)", "cer", _CER, "The same by characters.", "jiwer", _CER_ENDS),
        Column(
            "≈ Consensus",
            "agreement_wer",
            _AGREED,
            "Only for recordings without a reference: how far from what most systems heard. Agreement, not accuracy.",
            "ROVER: Fiscus, ASRU 1997",
            _AGREED_ENDS,
        ),
        Column("Punctuation F1", "punctuation", _share("punctuation"), "Of . , ? ! : ; after words that are right."),
        Column("Capitals F1", "capitals", _share("capitals"), "Of capital letters in words that are right."),
        Column(
            "Word times off by",
            "word_time_ms",
            lambda score, figures: figures.milliseconds(score.word_time_ms),
            "Mean distance of the middle of a right word from where it was spoken. Not of times that are estimated.",
        ),
    ),
)
LATENCY = Plan(
    "latency",
    "Latency",
    "As a reader sees it, from the speech itself, in real time. Half of all cases are faster than p50, 19 in 20 faster "
    "than p95.",
    (
        *_latency(
            "First words",
            "first_partial",
            ("p50", "p90"),
            "From where a stretch of speech begins to the first words of it on the screen.",
            "FunASR's first_update; Riva's intermediate latency",
        ),
        *_latency(
            "Each word",
            "emission",
            ("p50", "p90"),
            "Word emission delay: from the true end of a word to where it first appears in its place.",
            "PR50, PR90: Yu et al., FastEmit, ICASSP 2021",
        ),
        *_latency(
            "Final",
            "final",
            ("p50", "p95", "p99"),
            "From the end of a stretch of speech to where all its words are shown as final.",
            "TTFS: pipecat's stt-benchmark",
        ),
        *_latency("From start", "first_word", ("p50",), "From the first sample of a recording to the first word."),
        Column(
            "LAAL",
            "laal_ms",
            lambda score, figures: figures.seconds(score.laal_ms),
            "Length-adaptive average lagging: how far the text lags behind the speaker on average.",
            "Papi et al. 2022, arXiv 2206.05807; SimulEval",
        ),
    ),
)
STABILITY = Plan(
    "stability",
    "How steady the text is",
    "Words that appear and change again make captions hard to read.",
    (
        Column(
            "Unstable words",
            "unstable",
            _share("unstable"),
            "Words shown in a partial and changed by the next one, over final words (UPWR).",
            "Shangguan et al., Interspeech 2020",
        ),
        Column(
            "Erasure",
            "erasure",
            _share("erasure"),
            "Words taken back over final words: everything behind the first changed word counts.",
            "Normalized erasure: Arivazhagan et al., IWSLT 2020",
        ),
    ),
)
TWO_PASSES = Plan(
    "two-passes",
    "What the second pass does",
    "The first pass writes at once, the second corrects each utterance when it ends.",
    (
        Column("Rewritten", "rewrite_rate", _share("rewrite_rate"), "Words changed over final words."),
        Column(
            "Gain, points",
            "rewrite_gain",
            lambda score, figures: figures.points(score.rewrite_gain),
            "Words wrong before the second pass, less those wrong after it, in percentage points.",
        ),
        Column("Made right", "helpful", _share("helpful"), "Wrong words made right, over words said."),
        Column("Made wrong", "harmful", _share("harmful"), "Right words made wrong, over words said."),
        *_latency("Rewrite", "rewrite", ("p50", "p95"), "From the first pass's last words to the second's."),
        Column("Forced cuts", "cuts", _count("cuts"), "Where an utterance became too long and was cut."),
        Column("Seam losses", "seam_losses", _count("seam_losses"), "Words lost or doubled within 1 s of such a cut."),
        Column("Degraded", "degraded", _count("degraded"), "Utterances that stayed as the first pass had them."),
    ),
    _two_pass,
)
COST = Plan(
    "cost",
    "Cost and speed",
    "What an hour of audio costs at list prices or your own, and what it takes of own machines. What has no known "
    "price is “unknown”, never 0.",
    (
        Column(
            "Per audio hour",
            "cost_per_hour",
            lambda score, figures: figures.money(score.cost_per_hour),
            "Everything that was used for an hour of audio: vendors and own machines while they were busy. Recordings "
            "that failed do not count: what breaks off early costs little.",
            optional=False,
        ),
        Column("Without a price", "unpriced", _unpriced, "What was used and has no known price."),
        Column("CPU per audio hour", "cpu_seconds_per_hour", _per_hour("cpu_seconds_per_hour"), "Busy core seconds."),
        Column("GPU per audio hour", "gpu_seconds_per_hour", _per_hour("gpu_seconds_per_hour"), "Busy GPU seconds."),
        Column(
            "Real-time factor",
            "real_time_factor",
            lambda score, figures: figures.number(score.real_time_factor),
            "Busy seconds of own machines for a second of audio. Above 1 one core or GPU cannot keep up.",
        ),
    ),
)
PLANS = (ACCURACY, LATENCY, STABILITY, TWO_PASSES, COST)
