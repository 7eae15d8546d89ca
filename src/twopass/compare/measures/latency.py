"""
How fast a reader gets words, and final ones. Pure.

All in milliseconds, on a clock that reads t when the speaker is at t: figures mean something only for what was played
in real time. Latencies from the end of speech or of a word can be negative, if the words are there before it.

*Stretches of speech* come from a voice detector that is the same for all systems. Those less than MERGE_MS apart are
one: that is a pause within a sentence. A word lies in a stretch if its middle does, TOLERANCE_MS more or less, since
recognizers' word times are that inexact; no word lies in two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from twopass.alignment import folded
from twopass.compare.measures.accuracy import Edit, Step
from twopass.compare.measures.emission import first_appearances
from twopass.compare.measures.lagging import standing_since
from twopass.compare.measures.timeline import Seen, Timeline, percentile
from twopass.compare.results import Percentiles
from twopass.types import Revision, Status, Word, Words

MERGE_MS = 500
TOLERANCE_MS = MERGE_MS // 2


def first_partials(timeline: Timeline, speech: Sequence[tuple[int, int]]) -> tuple[float, ...]:
    """
    From where each stretch of speech begins to where a reader first sees a word of it, in ms; none for a stretch of
    which he never sees one.

    First partial latency from the start of speech, as FunASR's realtime benchmark (`first_update_ms`) and others have
    it. What is shown before the stretch begins cannot be of it, wherever the recognizer places it.

    Args:
        speech: Stretches (start, end) ms.
    """
    found = (_first_shown_in(timeline, stretch) for stretch in _merged(speech))
    return tuple(latency for latency in found if latency is not None)


def first_word(timeline: Timeline) -> float | None:
    """
    From the first sample to the first word that is shown, in ms, None if there is none: the other anchor of FunASR's
    realtime benchmark, which needs no voice detector but contains the silence at the beginning.
    """
    return next((seen.at for seen in timeline.seen if _said(seen.revision.words)), None)


def finals(timeline: Timeline, speech: Sequence[tuple[int, int]]) -> tuple[float, ...]:
    """
    From where each stretch of speech ends to where all that was said until then is final, in ms.

    Finalization latency from the end of speech (time to final segment, "TTFS": pipecat's stt-benchmark, final received
    - speech end). Here it does not depend on how a system cuts utterances: it is the first moment from which all words
    of the transcript that lie before the end of the stretch (TOLERANCE_MS after it at most) are shown with status
    final and do not change any more. None for a stretch without words, and where such a word never becomes final.

    Args:
        speech: Stretches (start, end) ms.
    """
    histories = timeline.utterances()
    found = (_final_since(histories, stretch) for stretch in _merged(speech))
    return tuple(latency for latency in found if latency is not None)


def emission_delays(timeline: Timeline, truth: Words, normalize: Callable[[Words], Words]) -> tuple[float, ...]:
    """
    For each word of the truth that the transcript has right: from its end to where a reader first sees it, in ms.

    Word emission delay ("between the user speaking and the text appearing": Yu et al., FastEmit, ICASSP 2021), per word
    from its true end, as in Picovoice's benchmark and in CAIMAN-ASR's user-perceived latency. (PR50 and PR90 of
    published tables need not be percentiles over all words.) A word is seen when any revision, of whatever utterance,
    has it at its place, even if it goes away and comes again; how its place is found says `emission`. Words of the
    truth whose own times are estimated are left out.

    Args:
        truth: Normalized words with the times at which they were really said.
        normalize: Gives the words that are compared.
    """
    shown = first_appearances(timeline, truth, normalize)
    return tuple(at - truth[index].end for index, at in sorted(shown.items()))


def word_time_errors(steps: Iterable[Step]) -> tuple[float, ...]:
    """
    For each right word: how far its middle is from where it was said, in ms, always positive.

    Over all words its mean is the word time error: the accumulated average shift (Shi et al., Achieving Timestamp
    Prediction While Recognizing with Non-Autoregressive End-to-End ASR Model, 2023, arXiv 2301.12343), but of middles
    and not of starts and ends: recognizers differ on whose the silence between words is. Words whose times are
    estimated, on either side, are left out.

    Args:
        steps: The alignment of the truth with the transcript.
    """
    right = (step for step in steps if step.edit is Edit.EQUAL)
    pairs = (pair for step in right for pair in zip(step.reference, step.hypothesis, strict=True))
    return tuple(abs(said.middle - heard.middle) for said, heard in pairs if not (said.estimated or heard.estimated))


def laal(timeline: Timeline, truth_words: int, audio_ms: int) -> float | None:
    """
    How far the transcript runs behind an ideal one that writes at an even pace as the audio is heard, in ms. None if
    there is no transcript or no audio.

    Length-adaptive average lagging (Papi et al., Over-Generation Cannot Be Rewarded, 2022, arXiv 2206.05807), as
    SimulEval's LAALScorer computes it: the mean over words i = 1 .. tau of D_i - (i - 1) * X / max(Y, Y*), with X the
    length of the audio, Y the words of the transcript, Y* those of the truth, D_i when word i is written, and tau the
    first word with D_i >= X (else the last).

    There an output is never taken back. Here D_i is the first moment from which the first i words of the transcript
    stand as they do in the end: as simulstream reads outputs that are rewritten for StreamLAAL (Papi et al., StreamAtt,
    ACL 2024), where a word that was taken back counts from where it comes again.

    The recording is taken as a whole, as SimulEval does with sentences: in a long one, speech that is not even counts
    as lag or as lead. For those there is `stream_laal`.

    Args:
        truth_words: How many words the truth has; 0 without one.
    """
    return _lagging(standing_since(timeline), truth_words, audio_ms)


def stream_laal(timeline: Timeline, truth: Words, speech: Sequence[tuple[int, int]]) -> float | None:
    """
    `laal` of each stretch of speech, from where it begins, in ms; the mean over those that have words. None if none
    has.

    StreamLAAL (Papi et al., StreamAtt, ACL 2024), which was made for audio that nobody has cut: it cuts what was
    written at the sentences of the reference, by alignment (mWERSegmenter). Here stretches of speech are the sentences,
    and each has the words that lie in it by their times.

    Args:
        truth: Normalized words with times; none if they are not known: then those of the transcript are expected.
        speech: Stretches (start, end) ms.
    """
    since = list(zip(_said(timeline.last_words()), standing_since(timeline), strict=True))
    lags = []
    for stretch in _merged(speech):
        delays = [at - stretch[0] for word, at in since if _lies_in(word, stretch)]
        wanted = sum(_lies_in(word, stretch) for word in truth)
        lags.append(_lagging(delays, wanted, stretch[1] - stretch[0]))
    known = [lag for lag in lags if lag is not None]
    return sum(known) / len(known) if known else None


def _lagging(delays: Sequence[float], truth_words: int, source_ms: int) -> float | None:
    if not delays or source_ms <= 0:
        return None
    pace = source_ms / max(len(delays), truth_words)
    counted = next((i + 1 for i, delay in enumerate(delays) if delay >= source_ms), len(delays))
    return sum(delay - i * pace for i, delay in enumerate(delays[:counted])) / counted


def percentiles(values: Iterable[float]) -> Percentiles | None:
    """Of latencies (ms), by linear interpolation between order statistics (NumPy's default); None of nothing."""
    ordered = sorted(values)
    found = [percentile(ordered, percent) for percent in (50, 90, 95, 99)]
    known = [value for value in found if value is not None]
    return Percentiles(len(ordered), *known) if known else None


def _merged(speech: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(speech):
        if merged and start - merged[-1][1] < MERGE_MS:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _lies_in(word: Word, stretch: tuple[int, int]) -> bool:
    return stretch[0] - TOLERANCE_MS <= word.middle < stretch[1] + TOLERANCE_MS


def _said(words: Iterable[Word]) -> Words:
    """A sign alone is no word."""
    return tuple(word for word in words if folded(word.text))


def _first_shown_in(timeline: Timeline, stretch: tuple[int, int]) -> float | None:
    for seen in timeline.seen:
        if seen.at >= stretch[0] and any(_lies_in(word, stretch) for word in _said(seen.revision.words)):
            return seen.at - stretch[0]
    return None


def _final_since(histories: list[list[Seen]], stretch: tuple[int, int]) -> float | None:
    limit = stretch[1] + TOLERANCE_MS
    concerned = [history for history in histories if _before(history[-1].revision, limit)]
    words = [word for history in concerned for word in _before(history[-1].revision, limit)]
    moments = [_settled_since(history, limit) for history in concerned]
    known = [moment for moment in moments if moment is not None]
    if len(known) < len(moments) or not any(_lies_in(word, stretch) for word in words):
        return None
    return max(known) - stretch[1]


def _settled_since(history: list[Seen], limit: int) -> float | None:
    """From when on an utterance's words before a place were final and did not change."""
    wanted = [word.text for word in _before(history[-1].revision, limit)]
    since = None
    for seen in reversed(history):
        said = [word.text for word in _before(seen.revision, limit)]
        if seen.revision.status is not Status.FINAL or said != wanted:
            break
        since = seen.at
    return since


def _before(revision: Revision, limit: int) -> Words:
    return tuple(word for word in _said(revision.words) if word.middle < limit)
