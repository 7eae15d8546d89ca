"""What came out of a run against what came out where nothing failed. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from twopass.gateway.messages import AnyServerMessage, Ended, ErrorMessage, Resumed, Segment

_MOST_NAMED = 8


@dataclass(frozen=True)
class Verdict:
    """
    What is wrong with a run; all empty if nothing is.

    Attributes:
        lost: Words of the unfaulted run that are missing.
        doubled: Words that are there more often than in the unfaulted run, or that nobody said.
        not_final: Utterances whose last revision is no final.
        changed_after_final: Utterances that had a revision after their final.
        repeated_events: Event numbers that did not grow.
        problems: Anything else, in words.
        degraded: Finals without the second pass's text: no fault in itself.
    """

    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    not_final: tuple[str, ...] = ()
    changed_after_final: tuple[str, ...] = ()
    repeated_events: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()
    degraded: int = field(default=0, compare=False)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return self == Verdict()

    def __str__(self) -> str:
        return "; ".join(self._wrongs()) or "good"

    def _wrongs(self) -> Iterator[str]:
        yield from self.problems
        for name in ("lost", "doubled", "not_final", "changed_after_final", "repeated_events"):
            if values := getattr(self, name):
                more = ", …" if len(values) > _MOST_NAMED else ""
                yield f"{name.replace('_', ' ')}: {len(values)} ({', '.join(map(str, values[:_MOST_NAMED]))}{more})"


def compared(expected: Sequence[str], messages: Sequence[AnyServerMessage], trouble: Iterable[str] = ()) -> Verdict:
    """Judge what a client got, in the order in which it came."""
    revisions = _revisions(messages)
    latest, words = _latest(revisions), transcript(messages)
    return Verdict(
        lost=tuple((Counter(expected) - Counter(words)).elements()),
        doubled=tuple((Counter(words) - Counter(expected)).elements()),
        not_final=tuple(segment.id for segment in latest if segment.status != "final"),
        changed_after_final=tuple(name for name, said in revisions.items() if _goes_on_after_final(said)),
        repeated_events=tuple(_repeated(messages)),
        problems=(*trouble, *_problems(expected, words, latest, messages)),
        degraded=sum(segment.degraded is not None for segment in latest),
    )


def transcript(messages: Iterable[AnyServerMessage]) -> list[str]:
    """The words of the latest revisions, in the order of time."""
    return [word.text for segment in _latest(_revisions(messages)) for word in segment.words]


def _latest(revisions: Mapping[str, Sequence[Segment]]) -> list[Segment]:
    return sorted((said[-1] for said in revisions.values()), key=lambda segment: segment.start)


def _revisions(messages: Iterable[AnyServerMessage]) -> dict[str, list[Segment]]:
    by_id: dict[str, list[Segment]] = defaultdict(list)
    for message in messages:
        if isinstance(message, Segment):
            by_id[message.id].append(message)
    return by_id


def _goes_on_after_final(said: Sequence[Segment]) -> bool:
    return any(segment.status == "final" for segment in said[:-1])


def _repeated(messages: Iterable[AnyServerMessage]) -> list[int]:
    numbers = [message.event for message in messages if not _repeats_rightly(message)]
    return [after for before, after in pairwise(numbers) if after <= before]


def _repeats_rightly(message: AnyServerMessage) -> bool:
    """What belongs to a socket, not to the session, carries the number of the session's last event."""
    return isinstance(message, Resumed) or (isinstance(message, ErrorMessage) and message.fatal)


def _problems(
    expected: Sequence[str], words: Sequence[str], latest: Sequence[Segment], messages: Sequence[AnyServerMessage]
) -> list[str]:
    problems = []
    if sorted(words) == sorted(expected) and list(words) != list(expected):
        problems.append("the words are in another order")
    if any(before.end > after.start for before, after in pairwise(latest)):
        problems.append("utterances overlap")
    ended = [message for message in messages if isinstance(message, Ended)]
    if len(ended) != 1 or messages[-1] is not ended[0]:
        problems.append(f"{len(ended)} end messages" if len(ended) != 1 else "something came after the end")
    elif (ended[0].utterances, ended[0].words) != (len(latest), len(words)):
        problems.append(f"the end counts {ended[0].utterances} utterances and {ended[0].words} words")
    return problems
