"""What a reader saw, made by hand: the measures' tests know every delay, because they put it in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from twopass.compare.measures.timeline import Seen, Timeline
from twopass.types import Pass, Revision, Status, Word, Words


def say(text: str, start: int = 1_000, each: int = 300) -> Words:
    """Words of `each` ms, one after the other."""
    return tuple(Word(word, start + each * i, start + each * (i + 1)) for i, word in enumerate(text.split()))


def estimated(words: Words) -> Words:
    """The same words from a recognizer that gives no times: spread evenly over their span."""
    if not words:
        return ()
    start, span = words[0].start, words[-1].end - words[0].start
    ends = [start + span * i // len(words) for i in range(len(words) + 1)]
    return tuple(replace(w, start=a, end=b, estimated=True) for w, a, b in zip(words, ends, ends[1:], strict=False))


def shown(
    at: float,
    words: Words,
    utterance: str = "u",
    status: Status = Status.INTERIM,
    source: Pass = Pass.FIRST,
    *,
    start: int | None = None,
    channel: int = 0,
) -> Seen:
    """A revision that reaches the reader."""
    first = start if start is not None else words[0].start if words else 0
    end = max((word.end for word in words), default=first)
    return Seen(at, Revision(utterance, 1, status, first, end, words, source, channel=channel))


def final(
    at: float, words: Words, utterance: str = "u", source: Pass = Pass.FIRST, *, start: int | None = None
) -> Seen:
    """The last one of an utterance."""
    return shown(at, words, utterance, Status.FINAL, source, start=start)


def timeline(*seen: Seen) -> Timeline:
    """Everything, in the order in which it was seen."""
    return Timeline(sorted(seen, key=lambda each: each.at))


@dataclass(frozen=True)
class Dictation:
    """
    A recognizer that writes each word once, right, and a known time after its end, and never takes one back.

    Attributes:
        said: With the times at which they were said.
        written: When (ms) each was shown.
        seen: Partials word by word in utterances of some words each, the last one of an utterance final.
    """

    said: Words
    written: tuple[float, ...]
    seen: tuple[Seen, ...]

    @property
    def timeline(self) -> Timeline:
        """For the measures."""
        return Timeline(list(self.seen))


@st.composite
def dictations(draw: st.DrawFn, vocabulary: str = "the the no yes you and", *, unique: bool = False) -> Dictation:
    """One to thirty words, most of them alike, with delays of 0 to 2 s."""
    count, chance = draw(st.integers(1, 30)), random.Random(draw(st.integers(0, 1 << 32)))
    said: list[Word] = []
    at = chance.randrange(3_000)
    for i in range(count):
        length = chance.randrange(100, 500)
        said.append(Word(f"word{i}" if unique else chance.choice(vocabulary.split()), at, at + length))
        at += length + chance.choice([0, 0, 50, 900])
    written: list[float] = []
    for word in said:
        written.append(max([word.end + chance.uniform(0, 2_000), *written[-1:]]))
    return Dictation(tuple(said), tuple(written), tuple(_in_utterances(said, written, chance)))


def _in_utterances(said: Sequence[Word], written: Sequence[float], chance: random.Random) -> list[Seen]:
    seen: list[Seen] = []
    begin = 0
    while begin < len(said):
        end = min(len(said), begin + chance.randrange(1, 8))
        for i in range(begin, end):
            status = Status.FINAL if i == end - 1 else Status.INTERIM
            seen.append(shown(written[i], tuple(said[begin : i + 1]), f"u{begin}", status))
        begin = end
    return seen
