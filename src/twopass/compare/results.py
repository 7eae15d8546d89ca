"""
A comparison's results: what the report shows, and what its JSON is made of. Values only.

A `Cell` is what one system made of one recording, in counts and lists that can be pooled; a `Score` is cells pooled.
None always means: not measured, or cannot be; never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from twopass.compare.measures.accuracy import Errors, SeamErrors, Step
from twopass.compare.measures.rewrites import Rewrites
from twopass.compare.measures.timeline import Seen
from twopass.compare.measures.writing import Marks
from twopass.cost.prices.rates import Money


@dataclass(frozen=True, slots=True)
class System:
    """
    What is compared.

    Attributes:
        name: As it was named on the command line, short enough for a table.
        title: For people: "Google, long model", "pocketsphinx en-us, then Whisper tiny".
        two_pass: Whether it is a profile of ours, with a second pass.
        local: It runs on this machine: its cost is compute.
        stand_in: It is not the vendor but a local stand-in that speaks its protocol: figures say nothing of the vendor.
        shadow: It heard live sessions beside the one that was shown.
        notes: What a reader should know, one sentence each: played in real time because its answers depend on the
            pace, a fallback speaks, …
    """

    name: str
    title: str
    two_pass: bool = False
    local: bool = True
    stand_in: bool = False
    shadow: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Played:
    """
    A recording as it was played.

    Attributes:
        name: Unique; with the perturbation: "jfk", "jfk~noise-10".
        source: The name without the perturbation.
        path: The file.
        condition: Telephone, noise, accent, …; of a perturbed recording its perturbation. Empty: not said.
        truth: What was said, as written; of a consensus, its words. None if neither is known.
        consensus: The truth is no reference but what most systems heard (ROVER).
        speech: Where somebody speaks (start, end) ms, by the voice detector.
    """

    name: str
    source: str
    path: str
    ms: int
    condition: str = ""
    language: str | None = None
    truth: str | None = None
    consensus: bool = False
    speech: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """
    What one system made of one recording.

    Attributes:
        text: The final transcript as the system wrote it.
        words, characters: Errors against the truth, after normalization.
        steps: The alignment with the truth behind `words`: normalized words, with times.
        punctuation, capitals: Against a reference that has them.
        word_time_ms: Of each right word with a true time: how far off its middle is (not estimated ones).
        first_partial_ms: One per stretch of speech, from where it begins.
        first_word_ms: From the first sample to the first word shown.
        emission_ms: One per right word: from its end to where it was first shown.
        final_ms: One per stretch of speech: from its end to where all its words were final.
        unstable: Words shown that the next revision changed. This, `erased`, `rewrites` and all latencies are None or
            empty unless it was played in real time: what is shown meanwhile depends on the pace.
        erased: Words taken back (normalized erasure's numerator).
        final_words: Words of the transcript.
        laal_ms: Length-adaptive average lagging.
        rewrites: What the second pass did.
        cost: None if any part has no price.
        unpriced: What has none: "provider sku".
        cpu_seconds, gpu_seconds: Busy time of own machines.
        seen: What a reader saw and when, for the timeline of partials.
    """

    system: str
    recording: str
    text: str = ""
    failed: str = ""
    troubles: tuple[str, ...] = ()
    words: Errors | None = None
    characters: Errors | None = None
    steps: tuple[Step, ...] = ()
    punctuation: Marks | None = None
    capitals: Marks | None = None
    word_time_ms: tuple[float, ...] = ()
    first_partial_ms: tuple[float, ...] = ()
    first_word_ms: float | None = None
    emission_ms: tuple[float, ...] = ()
    final_ms: tuple[float, ...] = ()
    unstable: int | None = None
    erased: int | None = None
    final_words: int = 0
    laal_ms: float | None = None
    rewrites: Rewrites | None = None
    seams: SeamErrors | None = None
    cuts: int = 0
    degraded: int = 0
    audio_ms: int = 0
    wall_ms: float = 0.0
    realtime: bool = True
    cost: Money | None = None
    unpriced: tuple[str, ...] = ()
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0
    seen: tuple[Seen, ...] = ()


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and, where there are enough recordings, its 95 % confidence interval (bootstrap by recording)."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of latencies, ms; `count` is how many there are."""

    count: int
    p50: float
    p90: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Score:
    """
    Cells of one system, pooled: over all recordings, or those of one condition.

    Attributes:
        recordings, failed: How many, and how many of them have no (whole) transcript. What is missing counts as
            deleted words.
        wer, cer: Pooled: all errors over all reference units.
        agreement_wer: As `wer`, over the recordings whose truth is only a consensus.
        punctuation, capitals: F1.
        word_time_ms: Mean absolute error.
        unstable: Unstable words per final word (UPWR).
        erasure: Erased words per final word (normalized erasure).
        laal_ms: Mean over recordings.
        rewrite_rate: Words changed by the second pass per final word.
        rewrite_gain: WER of the first pass - WER of the final.
        harmful: Right words made wrong per reference word.
        helpful: Wrong words made right per reference word.
        seam_losses: Words lost or doubled at forced cuts.
        cost_per_hour: Of audio that was wholly heard, at list prices or the user's own. None if any part has no price.
        cpu_seconds_per_hour, gpu_seconds_per_hour: Busy time of own machines, of audio that was wholly heard.
        real_time_factor: Busy seconds of own machines per second of such audio. None for vendors.
    """

    system: str
    recordings: int
    failed: int = 0
    audio_ms: int = 0
    errors: Errors | None = None
    wer: Interval | None = None
    cer: Interval | None = None
    agreement_wer: Interval | None = None
    punctuation: float | None = None
    capitals: float | None = None
    word_time_ms: float | None = None
    first_partial: Percentiles | None = None
    first_word: Percentiles | None = None
    emission: Percentiles | None = None
    final: Percentiles | None = None
    rewrite: Percentiles | None = None
    unstable: float | None = None
    erasure: float | None = None
    laal_ms: float | None = None
    rewrite_rate: float | None = None
    rewrite_gain: float | None = None
    harmful: float | None = None
    helpful: float | None = None
    cuts: int = 0
    seam_losses: int = 0
    degraded: int = 0
    cost_per_hour: Money | None = None
    unpriced: tuple[str, ...] = ()
    cpu_seconds_per_hour: float | None = None
    gpu_seconds_per_hour: float | None = None
    real_time_factor: float | None = None
    troubles: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """
    Two systems over the same recordings.

    Attributes:
        difference: WER of `left` - WER of `right`; paired bootstrap by recording.
        p: Probability of such a difference if both were equally good (paired permutation test by recording).
        agreement: Share of words that both have at the same place, 0..1.
    """

    left: str
    right: str
    difference: Interval | None = None
    p: float | None = None
    agreement: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    Everything a report shows.

    Attributes:
        made: When, UTC, ISO 8601.
        command: What makes it again.
        settings: What the figures depend on besides: normalizer with version, seed, bootstrap samples, pace, prices
            (date), machine; for people.
        currency: Of costs.
        scores: In the order of the ranking: by WER, without one by agreement.
        conditions: Scores by condition; empty unless there are several conditions.
    """

    made: str
    command: str
    version: str
    settings: Mapping[str, str]
    currency: str
    systems: tuple[System, ...]
    recordings: tuple[Played, ...]
    scores: tuple[Score, ...]
    conditions: Mapping[str, tuple[Score, ...]] = field(default_factory=dict)
    pairs: tuple[Pair, ...] = ()
    cells: tuple[Cell, ...] = ()
