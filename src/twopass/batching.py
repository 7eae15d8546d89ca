"""
Which of the waiting utterances are decoded next, together. Pure.

The most urgent one leads, so that nobody waits because of what company there is for others. The company is what saves
the most waiting: as many as profit, of similar length, for a batch takes as long as its longest needs. How much that
is depends on the recognizer (`DecodeTime`) and on how many wait: an idle queue favours the leader, a deep one the
throughput. Company never costs anybody a deadline that would be kept one by one, as far as is known.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from twopass.decode_time import DecodeTime
from twopass.recognizers import StreamOptions

_HORIZON = 64
"""So many of the most urgent are looked at: a choice must not cost more in a deeper queue."""
_LENGTHS = 12
"""So many lengths are tried at most."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    An utterance that waits. Times on one clock, in seconds.

    Attributes:
        seconds: Length of its audio.
        kind: Only utterances of one kind share a batch; see `kind_of`.
        deadline: When the answer is wanted; infinity if it may come at any time.
        speculative: Not wanted for sure.
        since: When it came.
        alone: It was in a batch that failed: it goes alone, for the others' sake.
    """

    seconds: float
    kind: Hashable = None
    deadline: float = math.inf
    speculative: bool = False
    since: float = 0.0
    alone: bool = False

    @property
    def urgency(self) -> tuple[bool, float, float]:
        """Sort key: small goes first."""
        return self.speculative, self.deadline, self.since

    @property
    def due(self) -> float:
        """When the answer must be there; a guess's need not."""
        return math.inf if self.speculative else self.deadline


@dataclass(frozen=True, slots=True)
class Situation:
    """
    What a choice depends on beside the queue.

    Attributes:
        now: On the clock of the queue.
        time: How long batches take.
        most: The largest batch.
        patience: Who waited longer (seconds) may take the turn of the longest waiting.
    """

    now: float
    time: DecodeTime
    most: int
    patience: float = math.inf


def kind_of(options: StreamOptions) -> Hashable:
    """What utterances of one batch have in common: their languages, without region, and their phrases."""
    tags = (options.language, *options.languages)
    return tuple(tag.replace("_", "-").split("-")[0].lower() for tag in tags if tag), options.phrases


def choose(waiting: Sequence[Waiting], situation: Situation, *, longest_waiting: bool = False) -> list[int]:
    """
    The next batch, as indexes, the leader first; empty only if nobody waits.

    Args:
        longest_waiting: Who waited the longest leads, if longer than `patience`. To be said now and then: then
            nobody starves behind a stream of more urgent ones.
    """
    if not waiting:
        return []
    order = _ordered(waiting, situation, longest_waiting=longest_waiting)
    if waiting[order[0]].alone or situation.most == 1:
        return order[:1]
    return _Choice(waiting, situation, order).best()


def hold(waiting: Sequence[Waiting], situation: Situation, *, longest: float, gap: float) -> float:
    """
    How many seconds a batch should wait for company; 0 = decode now.

    That pays only while somebody is likely to come, the batch is not full, company is of use, and no deadline
    suffers; and never longer than the company would take by itself.

    Args:
        longest: Seconds that the first may be kept waiting.
        gap: Usual seconds between two arrivals.
    """
    first = min((each.since for each in waiting), default=-math.inf)
    if gap > longest or first + longest <= situation.now:
        return 0.0
    batch = [waiting[i] for i in choose(waiting, situation)]
    twins = (batch[0], batch[0])
    if batch[0].alone or len(batch) >= situation.most or len(choose(twins, situation)) == 1:
        return 0.0
    takes = situation.time.seconds(len(batch) + 1, max(each.seconds for each in batch))
    until = first + min(longest, takes or longest)
    return max(0.0, min(until, min(each.due for each in waiting) - takes) - situation.now)


def hopeless(waiting: Sequence[Waiting], situation: Situation) -> list[int]:
    """
    Who cannot be answered in time, as indexes.

    If that would be all, the one with the most time left is tried: what was slow may be quick again, and only a batch
    can tell.
    """
    wanted = [i for i, each in enumerate(waiting) if not each.speculative]
    late = [i for i in wanted if _latest(waiting[i], situation.time) < situation.now]
    late.sort(key=lambda i: waiting[i].deadline)
    if late and len(late) == len(wanted) and waiting[late[-1]].deadline > situation.now:
        late.pop()
    return late


def _latest(each: Waiting, time: DecodeTime) -> float:
    """The latest time to begin with it alone."""
    return each.due - time.seconds(1, each.seconds)


def _most_of(situation: Situation) -> int:
    """How many are decoded at once at most: fewer now and then, to learn what the size costs."""
    return math.ceil(situation.most / 2) if situation.time.one_size else situation.most


def _ordered(waiting: Sequence[Waiting], situation: Situation, *, longest_waiting: bool) -> list[int]:
    """The leader, and then by urgency."""
    order = sorted(range(len(waiting)), key=lambda i: waiting[i].urgency)
    oldest = min(order, key=lambda i: waiting[i].since)
    if longest_waiting and situation.now - waiting[oldest].since > situation.patience:
        order.remove(oldest)
        order.insert(0, oldest)
    return order


def _company(waiting: Sequence[Waiting], order: Sequence[int]) -> list[int]:
    """Who may share the leader's batch: guesses last, the longest first, the most urgent first."""
    leader, *others = order
    fitting = [i for i in others if not waiting[i].alone and waiting[i].kind == waiting[leader].kind]
    return sorted(fitting, key=lambda i: (waiting[i].speculative, -waiting[i].seconds))


class _Choice:
    """One choice: tries several lengths that the batch could have."""

    def __init__(self, waiting: Sequence[Waiting], situation: Situation, order: Sequence[int]) -> None:
        self._waiting = waiting
        self._now = situation.now
        self._time = situation.time
        self._takes = situation.time.relative
        self._most = _most_of(situation)
        self._leader = order[0]
        self._order = order[:_HORIZON]
        self._company = _company(waiting, self._order)
        self._kept = self._in_time([self._leader], self._time.seconds(1, waiting[self._leader].seconds))
        """Who is in time one by one."""

    def best(self) -> list[int]:
        """The batch that is used best of those with which all are in time who would be so one by one."""
        for batch in sorted(self._batches(), key=lambda found: -found[0]):
            for size in range(len(batch[1]), 1, -1):
                if self._spares(batch[1][:size]):
                    return batch[1][:size]
        return [self._leader]

    def _batches(self) -> Iterator[tuple[float, list[int]]]:
        """
        What the batch could be, for several lengths; how well it is used comes first. A guess makes a batch longer only
        if a guess leads.
        """
        yield self._filled([self._leader])
        leader = self._waiting[self._leader]
        longer: dict[float, int] = {}
        for i in self._company:
            each = self._waiting[i]
            if each.seconds > leader.seconds and (leader.speculative or not each.speculative):
                longer.setdefault(each.seconds, i)
        lengths = sorted(longer, reverse=True)
        alone = self._takes(1, leader.seconds)
        for length in lengths[:: math.ceil(len(lengths) / _LENGTHS) or 1]:
            if self._pays(longer[length], 1, self._takes(2, length) - alone):
                yield self._filled([self._leader, longer[length]])

    def _filled(self, batch: list[int]) -> tuple[float, list[int]]:
        """
        With all that pay and do not make it longer. How well it is used is told against batches of one length: long
        utterances save much in any company, so that is no reason to take them now.
        """
        longest = self._waiting[batch[-1]].seconds
        more = self._takes(1, longest) - self._takes(0, longest)
        for i in self._company:
            if len(batch) >= self._most:
                break
            if self._waiting[i].seconds <= longest and i not in batch and self._pays(i, len(batch), more):
                batch = [*batch, i]
        best = min(self._most, 1 + len(self._company))
        return sum(self._share(i, best) for i in batch) / self._takes(len(batch), longest), batch

    def _pays(self, i: int, size: int, seconds: float) -> bool:
        """
        Whether one more, for which all wait so much longer, saves more waiting: its own and that of all behind. The
        fewer wait behind, the less that is.
        """
        return (1 - size / len(self._waiting)) * self._share(i, 1) > seconds

    def _share(self, i: int, size: int) -> float:
        """What one takes of a batch of its own length."""
        return self._takes(size, self._waiting[i].seconds) / size

    def _spares(self, batch: Sequence[int]) -> bool:
        """Whether all in the batch are in time, and with them all who would be so one by one."""
        takes = self._time.seconds(len(batch), max(self._waiting[i].seconds for i in batch))
        return self._kept.union(batch[1:]) <= self._in_time(batch, takes)

    def _in_time(self, batch: Sequence[int], takes: float) -> set[int]:
        """Who is in time if these go first and take so many seconds, and then the others one by one."""
        now = self._now + takes
        kept = {i for i in batch if now <= self._waiting[i].due}
        for i in self._order:
            end = now + self._time.seconds(1, self._waiting[i].seconds)
            if i not in batch and end <= self._waiting[i].due < math.inf:
                kept.add(i)
                now = end
        return kept
