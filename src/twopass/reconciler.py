"""
The merge of both passes: facts in, revisions out. No clock, no I/O.

Theory of operation. The voice detector lays utterances on the session clock. Words of the first pass go to the
utterance that holds their midpoint and are shown at once. The second pass gives one answer per utterance, or fails.
An utterance becomes final

    with the second pass's words   as soon as it is closed, the answer is in and the guard accepts it;
    with the first pass's words    when the second pass failed or was rejected, and the first pass has said all it
                                   will say about the place (`Settled`), and the voice detector too (`Heard`);
    never before its left neighbour if a cut was forced between them: what the left side shows decides where the
    right side begins (see `alignment.first_unshown`).

These conditions are facts that only grow, so the order of arrival does not matter. What the first pass heard finally
where the voice detector heard nobody becomes an utterance of its own.

Callers promise: `Opened` and `Closed` come in the order of time; `Settled(t)` comes after all that the first pass says
about times before t; `Heard(t)` after every utterance that starts before t; one answer per utterance. Both
watermarks end at `FOREVER`, after which every utterance that has an answer is final.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from twopass.alignment import changed_words, first_unshown, labelled
from twopass.first_words import FirstWords, Sequence, fitted
from twopass.guard import GuardSettings, Judgement, Verdict, judge
from twopass.types import Hypothesis, Pass, Revision, Status, Utterance, Words

SNAP_MS = 150
"""First-pass words this close to an utterance belong to it: vendors' word times are that inexact."""
SEAM_MS = 2_500
"""How far from a forced cut both sides' words are compared."""
FOREVER = 1 << 60


@dataclass(frozen=True, slots=True)
class Opened:
    """An utterance began."""

    utterance: Utterance


@dataclass(frozen=True, slots=True)
class Closed:
    """It ended."""

    utterance: Utterance


@dataclass(frozen=True, slots=True)
class FirstPass:
    """The first pass says, on the session clock. `sequence`: see first_words."""

    hypothesis: Hypothesis
    sequence: Sequence


@dataclass(frozen=True, slots=True)
class Settled:
    """The first pass will say nothing more about times before `until`."""

    until: int


@dataclass(frozen=True, slots=True)
class Heard:
    """No utterance that is not known yet starts before `until`."""

    until: int


@dataclass(frozen=True, slots=True)
class SecondPass:
    """The second pass's answer: on the session clock, and with the words of its context on both sides."""

    utterance: Utterance
    hypothesis: Hypothesis


@dataclass(frozen=True, slots=True)
class SecondPassFailed:
    """There will be no answer."""

    utterance: Utterance
    reason: str


Fact: TypeAlias = Opened | Closed | FirstPass | Settled | Heard | SecondPass | SecondPassFailed


@dataclass(slots=True)
class _Live:
    """An utterance in the making. `beyond`: words after its right cut that its winner heard but does not show."""

    utterance: Utterance
    low: int
    answer: SecondPass | SecondPassFailed | None = None
    judgement: Judgement | None = None
    shown: Revision | None = None
    beyond: Words = field(default=())

    @property
    def number(self) -> int:
        """Of the revision that is shown; 1 before there is one."""
        return self.shown.revision if self.shown is not None else 1

    @property
    def final(self) -> bool:
        return self.shown is not None and self.shown.status is Status.FINAL

    @property
    def high(self) -> int:
        if self.utterance.end is None:
            return FOREVER
        return self.utterance.end + (0 if self.utterance.cut_right else SNAP_MS)


class Reconciler:
    """
    One channel's merge. Feed facts to `apply`, show what comes out.

    Args:
        diarized: The first pass tells speakers apart: finals wait for what it says, and carry its labels.
    """

    def __init__(self, channel: int = 0, guard: GuardSettings | None = None, *, diarized: bool = False) -> None:
        self._diarized = diarized
        self._channel = channel
        self._guard = guard or GuardSettings()
        self._first = FirstWords()
        self._live: list[_Live] = []
        self._early: dict[str, SecondPass | SecondPassFailed] = {}
        self._settled = self._heard = self._swept = 0
        self._last_high = 0  # end of the region of the newest utterance
        self._archived = 0  # everything before is final and forgotten

    @property
    def unfinished_since(self) -> int | None:
        """Start of the first utterance that is not final, None if there is none. Nobody needs audio before it."""
        return next((live.utterance.start for live in self._live if not live.final), None)

    @property
    def held(self) -> int:
        """How many utterances and hypotheses it remembers: what one update may cost."""
        return len(self._live) + len(self._early) + self._first.held

    def apply(self, fact: Fact) -> list[Revision]:
        """Take one fact; returns the revisions it causes, in the order of time."""
        match fact:
            case Opened(utterance):
                self._open(utterance)
                changed = (utterance.start - SNAP_MS, FOREVER)
            case Closed(utterance):
                changed = self._close(utterance)
            case FirstPass(hypothesis, sequence):
                span = self._first.add(hypothesis, sequence)
                if span is None:
                    return []
                changed = (int(span[0]) - SNAP_MS, int(span[1]) + SNAP_MS)
            case Settled(until):
                self._settled, changed = max(self._settled, until), (self._archived, until)
            case Heard(until):
                self._heard, changed = max(self._heard, until), (self._archived, until)
            case SecondPass(utterance) | SecondPassFailed(utterance):
                self._answer(fact, utterance)
                changed = (utterance.start, FOREVER if utterance.end is None else utterance.end)
        revisions = list(self._refresh(*changed)) + list(self._sweep())
        self._archive()
        return sorted(revisions, key=lambda revision: revision.start)

    # -- utterances -------------------------------------------------------------------------------------------------

    def _open(self, utterance: Utterance) -> None:
        if utterance.start < self._archived or any(live.utterance.id == utterance.id for live in self._live):
            return
        low = utterance.start if utterance.cut_left else max(utterance.start - SNAP_MS, self._last_high)
        live = _Live(utterance, low)
        if utterance.id in self._early:
            self._judge(live, self._early.pop(utterance.id))
        self._live.append(live)

    def _close(self, utterance: Utterance) -> tuple[int, int]:
        live = self._find(utterance)
        if live is not None and live.utterance.end is None:
            live.utterance = utterance
            self._last_high = live.high
            if isinstance(live.answer, SecondPass):
                self._judge(live, live.answer)
        # Words beyond the new border may now belong to the next utterance.
        return utterance.start, FOREVER

    def _answer(self, fact: SecondPass | SecondPassFailed, utterance: Utterance) -> None:
        live = self._find(utterance)
        if live is not None:
            if live.answer is None:
                self._judge(live, fact)
        elif utterance.start >= self._archived:
            self._early.setdefault(utterance.id, fact)

    def _judge(self, live: _Live, fact: SecondPass | SecondPassFailed) -> None:
        live.answer = fact
        if isinstance(fact, SecondPassFailed):
            live.judgement = Judgement(Verdict.REJECT, fact.reason)
        else:
            live.judgement = judge(fact.hypothesis, live.utterance, self._guard)

    def _find(self, utterance: Utterance) -> _Live | None:
        return next((live for live in reversed(self._live) if live.utterance.id == utterance.id), None)

    # -- revisions --------------------------------------------------------------------------------------------------

    def _refresh(self, low: int, high: int) -> Iterator[Revision]:
        """Renew what is shown of every utterance that the span touches, and of those that waited for it."""
        left: _Live | None = None
        woken = False
        for live in self._live:
            touched = live.low < high and low < live.high
            if not live.final and (touched or woken):
                revision = self._renew(live, left)
                if revision is not None:
                    live.shown = revision
                    yield revision
                woken = live.final
            else:
                woken = False
            left = live

    def _renew(self, live: _Live, left: _Live | None) -> Revision | None:
        revision = self._final(live, left) or self._provisional(live)
        old = live.shown
        if old is None:
            return revision if revision.words or revision.status is Status.FINAL else None
        return None if revision == old else replace(revision, revision=old.revision + 1)

    def _provisional(self, live: _Live) -> Revision:
        utterance = live.utterance
        said = self._first.said(live.low, live.high)
        end = utterance.end if utterance.end is not None else max((w.end for w in said.words), default=utterance.start)
        end = max(end, utterance.start)
        status = Status.INTERIM if utterance.end is None else Status.PROVISIONAL
        words = fitted(said.words, utterance.start, end)
        return Revision(
            utterance.id,
            live.number,
            status,
            utterance.start,
            end,
            words,
            Pass.FIRST,
            stable=said.stable,
            channel=self._channel,
        )

    def _final(self, live: _Live, left: _Live | None) -> Revision | None:
        utterance, judgement = live.utterance, live.judgement
        if utterance.end is None or judgement is None:
            return None
        if utterance.cut_left and left is not None and not left.final:
            return None
        accepted = self._accepted(live, judgement)
        if accepted is None:
            return None
        if accepted and isinstance(live.answer, SecondPass):
            hypothesis = live.answer.hypothesis
            heard = hypothesis.words
            if self._diarized:
                heard = labelled(heard, self._first.said(live.low, live.high).words)
            source, degraded, language = Pass.SECOND, None, hypothesis.language
        else:
            low = utterance.start - SEAM_MS if utterance.cut_left else live.low
            high = live.high + SEAM_MS if utterance.cut_right else live.high
            heard, source, language = self._first.said(low, high).words, Pass.FIRST, None
            degraded = judgement.reason
        words = self._within_cuts(live, left, heard)
        before = live.shown.words if live.shown else ()
        return Revision(
            utterance.id,
            live.number,
            Status.FINAL,
            utterance.start,
            utterance.end,
            fitted(words, utterance.start, utterance.end),
            source,
            stable=len(words),
            degraded=degraded,
            rewritten=changed_words(before, words) if source is Pass.SECOND else (),
            channel=self._channel,
            language=language,
        )

    def _accepted(self, live: _Live, judgement: Judgement) -> bool | None:
        """Whether the second pass's words are shown; None while that cannot be said yet."""
        if judgement.verdict is Verdict.ACCEPT and not self._diarized:
            return True
        if min(self._settled, self._heard) < live.high:
            return None
        heard = bool(self._first.said(live.low, live.high).words)
        accepted = {Verdict.ACCEPT: True, Verdict.ACCEPT_IF_HEARD: heard, Verdict.ACCEPT_IF_UNHEARD: not heard}
        return accepted.get(judgement.verdict, False)

    def _within_cuts(self, live: _Live, left: _Live | None, heard: Words) -> Words:
        """The part of what the winner heard that this utterance shows."""
        utterance = live.utterance
        begin, end = 0, len(heard)
        if utterance.cut_left:
            shown = left.shown.words if left and left.shown else ()
            near = tuple(word for word in shown if word.end > utterance.start - SEAM_MS)
            begin = first_unshown(near, left.beyond if left else (), heard, utterance.start)
        if utterance.cut_right and utterance.end is not None:
            end = next((i for i, word in enumerate(heard) if i >= begin and word.middle >= utterance.end), end)
            live.beyond = tuple(word for word in heard[end:] if word.start < utterance.end + SEAM_MS)
        return heard[begin:end]

    # -- what only the first pass heard -----------------------------------------------------------------------------

    def _sweep(self) -> Iterator[Revision]:
        """Give the first pass's final words between utterances an utterance of their own, once both have decided."""
        frontier = min(self._settled, self._heard)
        if frontier <= self._swept:
            return
        words = self._first.final_words(self._swept, frontier)
        regions = [(live.low, live.high) for live in self._live]
        self._swept = frontier
        run: list[int] = []
        homeless = [i for i, w in enumerate(words) if not any(low <= w.middle < high for low, high in regions)]
        for i in homeless:
            if run and i != run[-1] + 1:
                yield self._orphan(tuple(words[k] for k in run))
                run = []
            run.append(i)
        if run:
            yield self._orphan(tuple(words[k] for k in run))

    def _orphan(self, words: Words) -> Revision:
        before = [live.high for live in self._live if live.low <= words[0].middle]
        after = [live.utterance.start for live in self._live if live.low > words[-1].middle]
        start = max(words[0].start, *before, 0)
        end = max(start, min(words[-1].end, *after, FOREVER))
        return Revision(
            f"{self._channel}-{start}-first",
            1,
            Status.FINAL,
            start,
            end,
            fitted(words, start, end),
            Pass.FIRST,
            stable=len(words),
            degraded="only the first pass heard this",
            channel=self._channel,
        )

    def _archive(self) -> None:
        """Forget finished utterances from the left. The last one stays: its right neighbour may need it."""
        frontier = min(self._settled, self._heard, self._swept)
        while len(self._live) > 1 and self._live[0].final and self._live[0].high <= frontier:
            if self._live[1].utterance.cut_left and not self._live[1].final:
                break
            self._archived = self._live.pop(0).high
        needed = min((live.low - SEAM_MS for live in self._live if not live.final), default=frontier)
        self._first.forget(min(frontier, needed))
