"""
One session: wires tape, voice detector, segmenter, both passes and reconciler together. Nothing else knows all of them.

Audio goes in by `write`, events come out of `outbox`. A session has one lane per channel (see `lane`). What happens is
written to a journal before anybody is told, and `replay` makes the session anew from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from twopass.cost.prices.running import CostSummary
from twopass.cost.usage.budgets import Budget, BudgetState, Level, Policy
from twopass.cost.usage.session_meter import SessionMeter
from twopass.cost.usage.treasury import spent_error
from twopass.errors import SessionClosed, TwopassError
from twopass.journal import EndAsked, Happened, Journal, Metered, NoJournal, Numbered, Record, Told
from twopass.lane import Lane, SessionParts
from twopass.merging import Input
from twopass.outbox import (
    Acknowledged,
    BudgetTold,
    CostChanged,
    Event,
    Expiring,
    GapMarked,
    Outbox,
    Problem,
    SessionEnded,
    SpeechChanged,
)
from twopass.shadow.beside import ALONE
from twopass.types import SAMPLE_RATE, Clock, Revision, Status, Usage, milliseconds, samples

_COST_EVERY_SECONDS = 1.0
_NOTHING_NEW = 1e-4  # seconds; sums of floats
_ACK_EVERY = samples(250)


@dataclass(slots=True)
class _Tally:
    """What the summary at the end says, and how much speech (ms) has its final words."""

    finalized: int = 0
    utterances: int = 0
    words: int = 0
    degraded: int = 0


class Session:
    """
    One client's audio and its transcript.

    Attributes:
        outbox: Where the events come out. Number 1 is the caller's, to introduce the session with.
        received: Bytes of audio that the caller has taken for this session, as it counts them; told with each
            acknowledgement.
        complete: Every utterance is final, and the summary is told.
    """

    def __init__(self, identity: str, parts: SessionParts, journal: Journal | None = None) -> None:
        self.id = identity
        self.outbox = Outbox()
        self.outbox.reserve()
        self.received = 0
        self.complete = False
        self.realtime = parts.realtime
        self._beside = parts.beside
        self._parts = parts
        self._journal = self._history = journal or NoJournal()
        self._durable = journal is not None
        self._meter = SessionMeter(identity, parts.account, parts.pricer, parts.sink)
        self._tally = _Tally()
        self._budgets: dict[Budget, Level] = {}
        self._lanes = [Lane(channel, self, parts) for channel in range(parts.channels)]
        self._ended = False
        self._doubted = False
        self._acknowledged = 0

    @property
    def ended(self) -> bool:
        """Whether `end` was called: no more audio is taken."""
        return self._ended

    @property
    def also_heard_by(self) -> str | None:
        """The provider that hears it too, for comparison; None for nobody."""
        return self._beside.provider

    @property
    def next_sample(self) -> int:
        """The index of the next sample wanted."""
        return self._lanes[0].tape.end

    def write(self, channels: Sequence[bytes], at: int | None = None) -> None:
        """
        Put audio on the tape, one piece of 16 kHz s16 PCM per channel, at sample index `at` (default: the end).

        Raises TapeError, or SessionClosed after `end`.
        """
        if self._ended:
            raise SessionClosed("The session has ended.", fix="Start a new one.")
        before = self.next_sample
        for lane, pcm in zip(self._lanes, channels, strict=True):
            lane.tape.write(pcm, at)
        if at is not None and at > before:
            self.tell(GapMarked(milliseconds(before), milliseconds(at)))
        self._beside.arrived(self.next_sample)
        if self.next_sample - self._acknowledged >= _ACK_EVERY:
            self._acknowledge()

    async def room(self) -> None:
        """Wait until the session can take more audio: recordings are sent faster than they are heard."""
        for lane in self._lanes:
            await lane.room()

    def finalize(self) -> None:
        """End the running utterances now."""
        if not self._ended:
            for lane in self._lanes:
                lane.finalize()

    def end(self) -> None:
        """No more audio. `run` returns when every utterance is final."""
        if not self._ended:
            self._history.write(EndAsked())
        self._ended = True
        for lane in self._lanes:
            lane.tape.finish()

    async def run(self) -> None:
        """Recognize until `end` and the last final. Cancel it to abandon the session, or after `suspend`."""
        ticker = asyncio.create_task(self._tell_cost())
        try:
            async with asyncio.TaskGroup() as group:
                for lane in self._lanes:
                    group.create_task(lane.run())
        except BaseException:
            self._beside.over(complete=False)
            raise
        finally:
            ticker.cancel()
            self._meter_time()
            self.flush()
        self._beside.over(complete=True)
        self._acknowledge()
        self._watch_budgets()
        self._charged(self._meter.summary())
        audio_ms = milliseconds(self.next_sample)
        self.tell(SessionEnded(audio_ms, self._tally.utterances, self._tally.words, self._tally.degraded))
        self.complete = True

    def suspend(self) -> None:
        """
        Write no history any more: what happens while the session is torn down is none. What is used meanwhile is.
        """
        self.flush()
        self._history = NoJournal()

    # -- going on after the end of the process ----------------------------------------------------------------------

    def replay(self, records: Iterable[Record]) -> None:
        """Take what an earlier process wrote down. Before `recover` and before anything else."""
        for record in records:
            match record:
                case Happened(channel, item):
                    self._lanes[channel].replay(item)
                case Told(event):
                    self.outbox.put(event)
                    self.complete = self.complete or isinstance(event, SessionEnded)
                case Numbered(upto):
                    self._skip(upto)
                case Metered(usage, at):
                    self._meter.count(usage, at)
                case EndAsked():
                    self._ended = True

    def skip_to(self, number: int) -> None:
        """Give no event a number up to this one any more: a client has seen them, whoever told it."""
        if self.outbox.last < number:
            self._history.write(Numbered(number))
            self._skip(number)

    def _skip(self, upto: int) -> None:
        if upto:
            self.outbox.skip_to(upto)
        else:
            self.outbox.reserve()

    def recover(self) -> None:
        """
        After the replay: get ready for the audio, which is to be put on the tape again with `reload`. Who heard it too
        has lost the thread.
        """
        self._beside = ALONE
        for lane in self._lanes:
            lane.recover()

    def begin_at(self, sample: int) -> None:
        """The audio before this sample is not kept any more: nobody needs it."""
        for lane in self._lanes:
            lane.tape.begin_at(sample)

    def reload(self, channels: Sequence[bytes], at: int | None = None) -> None:
        """Put audio on the tape that an earlier process had taken. Raises TapeError."""
        for lane, pcm in zip(self._lanes, channels, strict=True):
            lane.tape.write(pcm, at)
            lane.reload()
        self._acknowledged = self.next_sample

    def reloaded(self) -> None:
        """All audio is on the tape again: `run` may be called."""
        if self._ended:
            for lane in self._lanes:
                lane.tape.finish()

    def keep_in(self, journal: Journal) -> None:
        """Write down what happens from now on."""
        self._journal = self._history = journal
        self._durable = True

    # -- what the lanes tell ----------------------------------------------------------------------------------------

    def happens(self, channel: int, item: Input) -> None:
        """A lane's merge is about to take an input."""
        self._history.write(Happened(channel, item))

    def show(self, revision: Revision) -> None:
        """A revision for the client."""
        if revision.status is Status.FINAL:
            self._tally.finalized += revision.end - revision.start
            self._tally.utterances += 1
            self._tally.words += len(revision.words)
            self._tally.degraded += revision.degraded is not None
        self.outbox.put(revision)

    def changed(self, speech: SpeechChanged) -> None:
        """Somebody began or ceased to speak."""
        self.outbox.put(speech)

    def tell(self, event: Event) -> None:
        """Any other event for the client."""
        passing = isinstance(event, Acknowledged | CostChanged | Expiring | BudgetTold)
        self._history.write(Numbered() if passing else Told(event))
        self.outbox.put(event)

    def used(self, usage: Usage) -> None:
        """Something was used."""
        at = datetime.now(UTC)
        self._journal.write(Metered(usage, at))
        self._meter.count(usage, at)

    def flush(self) -> None:
        """
        Make everything that was told survive the end of the process, as far as there is a journal. Call it before
        events leave the process. Tells the client once when that cannot be promised any more.
        """
        durable, was_durable = self._journal.flush(self._meter.handing_over()), self._durable
        self._durable = durable
        self._doubted = self._doubted or not durable
        if was_durable and not durable:
            error = TwopassError(
                "This session is not kept safely now: it would not survive a crash of the server.",
                code="not_durable",
                fix="Go on; whoever runs the server should look after the disk or the Redis where sessions are kept.",
            )
            self.tell(Problem(error, fatal=False))

    def doubt(self) -> None:
        """The last acknowledgement turned out not to be safe: there will be another one when it is."""
        self._doubted = True

    def _acknowledge(self) -> None:
        self._acknowledged = self.next_sample
        self._journal.release(min(lane.needed_from for lane in self._lanes))
        self.flush()
        self.tell(Acknowledged(self.next_sample, self.received, self._durable))

    def _charged(self, cost: CostSummary) -> None:
        self.tell(CostChanged(milliseconds(self.next_sample), cost))

    def _meter_time(self) -> None:
        """What all the work is for: the audio that came, and the speech that has its final words."""
        received = self.next_sample * len(self._lanes) / SAMPLE_RATE
        for clock, seconds in ((Clock.RECEIVED, received), (Clock.FINALIZED, self._tally.finalized / 1000)):
            new = seconds - self._meter.seconds(clock)
            if new > _NOTHING_NEW:
                self.used(Usage("twopass", "audio", clock, new))

    async def _tell_cost(self) -> None:
        told = self._meter.summary()
        while True:
            await asyncio.sleep(_COST_EVERY_SECONDS)
            self._meter_time()
            self.flush()
            if self._doubted and self._durable:
                self._doubted = False
                self._acknowledge()
            self._watch_budgets()
            summary = self._meter.summary()
            if summary != told:
                told = summary
                self._charged(summary)

    def _watch_budgets(self) -> None:
        for state in self._parts.budgets.states(self._meter.account):
            if state.level is not self._budgets.get(state.budget, Level.WELL):
                self._budgets[state.budget] = state.level
                if state.level is not Level.WELL:
                    self.tell(BudgetTold(state))
                if state.level is Level.SPENT:
                    self._obey(state)

    def _obey(self, state: BudgetState) -> None:
        """A budget is spent."""
        if state.budget.policy is Policy.CHEAPER:
            for lane in self._lanes:
                lane.economize()
        elif state.budget.policy is Policy.REFUSE and not self._ended:
            self.tell(Problem(spent_error(state), fatal=False))
            self.end()
