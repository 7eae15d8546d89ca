"""
What a first pass says on its own, as revisions that somebody could have read: for systems without a second pass.

Nothing cuts its words into utterances, so its own finals do: a *segment* is what lies between two finals. Which words
count where streams overlap is decided as for sessions (see `first_words`). Pure but for the clock that it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

from twopass.compare.measures.timeline import Seen
from twopass.errors import RecognizerError
from twopass.first_words import FirstWords
from twopass.reconciler import FOREVER, FirstPass, Settled
from twopass.types import Hypothesis, Pass, Revision, Status, Usage, Word, Words

INTERRUPTED = "interrupted"
"""Why a segment is degraded that no final ended: its stream broke off, and no other one heard the place."""
_REMEMBERED_MS = 10_000  # no stream speaks again of what lies so far before a final
_MOST_TROUBLES = 100


class Recorder:
    """
    A `first_pass_contract.Listener` that keeps everything.

    A final with words ends a segment; what is shown after it is the next one. A segment whose words were all taken
    back ends empty.

    Args:
        now: What the reader's clock says (ms) when something reaches him.
        channel: Of the session.
        keep: Takes every revision instead of `seen`.

    Attributes:
        seen: Every revision of the segments "s0", "s1", … (of other channels than the first: "1-s0"), in that order.
        troubles: What went wrong, one sentence each; after a hundred, no more.
    """

    def __init__(self, now: Callable[[], float], channel: int = 0, keep: Callable[[Seen], None] | None = None) -> None:
        self.seen: list[Seen] = []
        self._keep = self.seen.append if keep is None else keep
        self.troubles: list[str] = []
        self._now = now
        self._channel = channel
        self._first = FirstWords()
        self._usage: dict[Usage, float] = {}
        self._segments = 0  # that are over
        self._shown: Revision | None = None  # of the segment that is open
        self._start = 0  # where the last segment starts
        self._given_up = 0  # everything before is over, whatever its stream believed

    @property
    def usage(self) -> list[Usage]:
        """What was used; what differs in its seconds alone is one entry."""
        return [replace(usage, seconds=seconds) for usage, seconds in self._usage.items()]

    @property
    def transcript(self) -> Words:
        """The words as they were last shown."""
        last = {seen.revision.utterance: seen.revision.words for seen in self.seen}
        return tuple(word for words in last.values() for word in words)

    # -- the listener's part ----------------------------------------------------------------------------------------

    def fact(self, fact: FirstPass | Settled) -> None:
        """The first pass says something, or will say no more."""
        match fact:
            case FirstPass(hypothesis, sequence):
                before = set(self._first.final_words(0, FOREVER))
                if self._first.add(hypothesis, sequence) is None:
                    return
                if hypothesis.final:
                    self._final(hypothesis, before)
            case Settled(until):
                self._settle(until)
        self._show_open()

    def used(self, usage: Usage) -> None:
        """Something was used."""
        alike = replace(usage, seconds=0.0)
        self._usage[alike] = self._usage.get(alike, 0.0) + usage.seconds

    def trouble(self, error: RecognizerError, *, retrying: bool) -> None:
        """A stream failed."""
        self.note(f"{error.provider or 'The recognizer'} failed{' and is tried again' * retrying}: {error.message}")

    def switched(self, provider: str, to: str, reason: str) -> None:
        """Another recognizer goes on."""
        self.note(f"{to} goes on for {provider}: {reason}")

    def recovered(self, provider: str) -> None:
        """The recognizer is well again."""
        self.note(f"{provider} is well again.")

    def skipped(self, start: int, end: int, depth: int, *, over: bool) -> None:  # noqa: ARG002 - the contract's
        """Audio was skipped, because too much waited."""
        if not over:
            self.note(f"{(end - start) / 1000:.1f} s of audio were skipped at {start / 1000:.1f} s.")

    def note(self, trouble: str) -> None:
        """One more trouble."""
        if len(self.troubles) < _MOST_TROUBLES:
            self.troubles.append(trouble)

    # -- segments ---------------------------------------------------------------------------------------------------

    def _final(self, hypothesis: Hypothesis, before: set[Word]) -> None:
        """The stream's last word for a span: it ends the segment, unless nobody saw anything of it."""
        words = tuple(word for word in self._first.final_words(self._given_up, FOREVER) if word not in before)
        if words or self._shown is not None:
            self._close(words, language=hypothesis.language)
        self._first.forget(hypothesis.end - _REMEMBERED_MS)

    def _settle(self, until: int) -> None:
        """What was believed of the time before, and never said finally, is over."""
        words = tuple(word for word in self._open()[0] if word.middle < until)
        if words:
            self._close(words, degraded=INTERRUPTED)
            self._given_up = min(until, max(word.end for word in words))
        elif until >= FOREVER and self._shown is not None:
            self._close((), degraded=INTERRUPTED)

    def _open(self) -> tuple[Words, int]:
        """What is believed and not final, and how much of its beginning is not expected to change."""
        said = self._first.said(self._given_up, FOREVER)
        final = set(self._first.final_words(self._given_up, FOREVER))
        stable = sum(word not in final for word in islice(said.words, said.stable))
        return tuple(word for word in said.words if word not in final), stable

    def _show_open(self) -> None:
        words, stable = self._open()
        shown = self._shown.words if self._shown is not None else ()
        if words != shown:
            self._shown = self._revision(words, Status.INTERIM, stable)
            self._see(self._shown)

    def _close(self, words: Words, *, language: str | None = None, degraded: str | None = None) -> None:
        final = replace(self._revision(words, Status.FINAL, len(words)), language=language, degraded=degraded)
        self._see(final)
        self._start = final.start
        self._segments += 1
        self._shown = None

    def _revision(self, words: Words, status: Status, stable: int) -> Revision:
        """The next one of the segment. Without words it stays where it was."""
        old = self._shown
        start, end = _span(words) if words else (old.start, old.end) if old is not None else (0, 0)
        start = max(self._start, start)
        name = f"s{self._segments}" if self._channel == 0 else f"{self._channel}-s{self._segments}"
        number = old.revision + 1 if old is not None else 1
        end = max(start, end)
        return Revision(name, number, status, start, end, words, Pass.FIRST, stable=stable, channel=self._channel)

    def _see(self, revision: Revision) -> None:
        self._keep(Seen(self._now(), revision))


def _span(words: Words) -> tuple[int, int]:
    return words[0].start, max(word.end for word in words)
