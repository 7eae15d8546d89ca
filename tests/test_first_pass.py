"""The first pass on the tape: origins, retries, and nothing lost when a recognizer breaks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest
from tests.scripted import Fault, ScriptedStreaming, crash, numbered, spoken
from tests.waiting import until

from twopass.backlog import Report
from twopass.errors import RecognizerError, RecognizerRejected
from twopass.first_pass import FirstPassRunner
from twopass.first_pass_contract import FirstPassSettings
from twopass.first_words import FirstWords
from twopass.lineup import alone
from twopass.recognizers import StreamOptions
from twopass.reconciler import FOREVER, FirstPass, Settled
from twopass.tape import Tape
from twopass.types import Cut, Usage, Utterance

SETTINGS = FirstPassSettings(attempts=3, backoff_seconds=0.001)
IMPATIENT = replace(SETTINGS, silence_seconds=0.4)
WORDS = numbered(20)
LENGTH = 5_000


@dataclass
class Notes:
    """A listener that remembers."""

    facts: list[FirstPass | Settled] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    troubles: list[tuple[str, bool]] = field(default_factory=list)
    skips: list[Report] = field(default_factory=list)
    switches: list[tuple[str, str]] = field(default_factory=list)

    def fact(self, fact: FirstPass | Settled) -> None:
        self.facts.append(fact)

    def used(self, usage: Usage) -> None:
        self.usages.append(usage)

    def trouble(self, error: RecognizerError, *, retrying: bool) -> None:
        self.troubles.append((error.code, retrying))

    def switched(self, provider: str, to: str, reason: str) -> None:
        self.switches.append((provider, to))

    def recovered(self, provider: str) -> None:
        self.switches.append((provider, "recovered"))

    def skipped(self, start: int, end: int, depth: int, *, over: bool) -> None:
        self.skips.append(Report(start, end, depth, over))

    def words(self) -> list[tuple[str, int, int]]:
        """What the first pass says in the end."""
        store = FirstWords()
        for fact in self.facts:
            if isinstance(fact, FirstPass):
                store.add(fact.hypothesis, fact.sequence)
        return [(word.text, word.start, word.end) for word in store.said(0, FOREVER).words]


EVERYTHING = [(word.text, word.start, word.end) for word in WORDS]


async def run_whole(recognizer: ScriptedStreaming) -> Notes:
    """A recognizer that hears the whole tape."""
    tape, notes = Tape(), Notes()
    runner = FirstPassRunner(alone(recognizer), tape, StreamOptions(), notes, SETTINGS)
    task = asyncio.create_task(runner.run())
    pcm = spoken(WORDS, LENGTH)
    for at in range(0, len(pcm), 3_200):
        tape.write(pcm[at : at + 3_200])
        await asyncio.sleep(0.001)
    tape.finish()
    runner.finish()
    await task
    return notes


async def run_utterances(
    recognizer: ScriptedStreaming, utterances: list[Utterance], settings: FirstPassSettings = SETTINGS
) -> Notes:
    """A recognizer that hears utterance by utterance."""
    tape, notes = Tape(), Notes()
    runner = FirstPassRunner(alone(recognizer), tape, StreamOptions(), notes, settings)
    task = asyncio.create_task(runner.run())
    pcm = spoken(WORDS, LENGTH)
    for at in range(0, len(pcm), 3_200):
        now = at // 32
        for utterance in utterances:
            if now <= utterance.start < now + 100:
                runner.opened(Utterance(utterance.id, utterance.start, cut_left=utterance.cut_left))
            if utterance.end is not None and now <= utterance.end < now + 100:
                runner.closed(utterance)
        tape.write(pcm[at : at + 3_200])
        await asyncio.sleep(0.001)
    tape.finish()
    runner.finish()
    await task
    return notes


TWO = [Utterance("a", 0, 2_480), Utterance("b", 2_490, 4_990)]
CUT = [Utterance("a", 0, 2_480, cut_right=Cut.PAUSE), Utterance("b", 2_480, 4_990, cut_left=Cut.PAUSE)]


async def test_one_stream_over_the_whole_tape_keeps_the_session_clock() -> None:
    """A recognizer with endpoints of its own gets one stream; its words lie where they were spoken."""
    recognizer = ScriptedStreaming(endpoints=True)
    notes = await run_whole(recognizer)
    assert (EVERYTHING, 1) == (notes.words(), recognizer.streams)


@pytest.mark.parametrize("utterances", [TWO, CUT])
async def test_a_stream_per_utterance_is_rebased(utterances: list[Utterance]) -> None:
    """A recognizer without endpoints gets a stream per utterance; times do not restart, also at a forced cut."""
    recognizer = ScriptedStreaming()
    notes = await run_utterances(recognizer, utterances)
    assert (EVERYTHING, 2) == (notes.words(), recognizer.streams)


async def test_words_beyond_a_forced_cut_stay_on_the_screen() -> None:
    """What the old stream heard after the cut is shown, as not yet certain, until the new stream has heard it."""
    tape, notes = Tape(), Notes()
    recognizer = ScriptedStreaming()
    runner = FirstPassRunner(alone(recognizer), tape, StreamOptions(), notes, SETTINGS)
    task = asyncio.create_task(runner.run())
    tape.write(spoken(WORDS, LENGTH)[: 4_000 * 32])
    runner.opened(Utterance("a", 0))
    await until(lambda: recognizer.heard_ms == [4_000])
    runner.closed(CUT[0])
    await until(lambda: any(isinstance(fact, Settled) for fact in notes.facts))
    shown = [(word.text, word.start) for word in WORDS if word.end <= 4_000]
    assert shown == [(text, start) for text, start, _ in notes.words()]
    runner.opened(Utterance("b", 2_480, cut_left=Cut.PAUSE))
    tape.write(spoken(WORDS, LENGTH)[4_000 * 32 :])
    runner.closed(CUT[1])
    tape.finish()
    runner.finish()
    await task
    assert EVERYTHING == notes.words()


def once(stream: int, ms: int) -> Fault:
    """Break once: in this stream, when it has heard so much."""

    def fault(number: int, now: int) -> RecognizerError | None:
        return crash() if number == stream and now >= ms else None

    return fault


def at_the_end(stream: int, ms: int) -> RecognizerError | None:
    """Break the first stream after its last audio."""
    return crash() if stream == 0 and ms == -1 else None


@pytest.mark.parametrize("ms", [100, 1_000, 1_700, 3_333, 4_900])
async def test_a_stream_that_breaks_is_opened_again_behind_the_last_final_word(ms: int) -> None:
    """The vendor dies in mid-word: the new stream begins after the last final word; no word is lost or doubled."""
    recognizer = ScriptedStreaming(endpoints=True, fault=once(0, ms))
    notes = await run_whole(recognizer)
    assert EVERYTHING == notes.words()
    assert [("recognizer_crashed", True)] == notes.troubles


@pytest.mark.parametrize("ms", [100, 1_000, 2_400, -1])
async def test_an_utterance_whose_stream_breaks_is_heard_again(ms: int) -> None:
    """The same for a stream per utterance, also when it breaks after its last audio."""
    recognizer = ScriptedStreaming(fault=once(0, ms) if ms > 0 else at_the_end)
    notes = await run_utterances(recognizer, CUT)
    assert EVERYTHING == notes.words()


async def test_only_streams_that_bring_nothing_count_as_attempts() -> None:
    """In a long session a vendor breaks more often than one would try in a row: each time after new final words."""
    recognizer = ScriptedStreaming(endpoints=True, fault=lambda n, now: crash() if n < 4 and now >= 1_100 else None)
    notes = await run_whole(recognizer)
    assert (EVERYTHING, 5) == (notes.words(), recognizer.streams)
    assert [True] * 4 == [retrying for _, retrying in notes.troubles]


async def test_a_recognizer_that_falls_silent_after_the_audio_is_given_up() -> None:
    """It hangs after the end of audio: that is a timeout, and it is tried again."""
    recognizer = ScriptedStreaming(fault=lambda n, now: 60.0 if n == 0 and now == -1 else None)
    notes = await run_utterances(recognizer, TWO, IMPATIENT)
    assert (EVERYTHING, [("recognizer_timeout", True)]) == (notes.words(), notes.troubles)


async def test_a_recognizer_that_stops_listening_is_given_up_when_its_utterance_is_over() -> None:
    """It hangs in the middle and reads no more audio: after the utterance's end that is a timeout too."""
    recognizer = ScriptedStreaming(fault=lambda n, now: 60.0 if n == 0 and now >= 1_000 else None)
    notes = await run_utterances(recognizer, TWO, IMPATIENT)
    assert (EVERYTHING, [("recognizer_timeout", True)]) == (notes.words(), notes.troubles)


async def test_a_providers_bug_is_a_crash_of_the_provider() -> None:
    """An exception that is none of ours does not end the session; it is tried again like a crash."""

    def fault(stream: int, ms: int) -> None:
        if stream == 0:
            raise ValueError("a bug")

    notes = await run_utterances(ScriptedStreaming(fault=fault), TWO)
    assert (EVERYTHING, [("bug", True)]) == (notes.words(), notes.troubles)


async def test_a_recognizer_that_always_breaks_leaves_the_place_to_the_second_pass() -> None:
    """After the last attempt the place is settled, so that the reconciler need not wait for it."""
    recognizer = ScriptedStreaming(fault=lambda n, now: crash())
    notes = await run_utterances(recognizer, TWO)
    assert ([], 6) == (notes.words(), recognizer.streams)
    assert [True, True, False] * 2 == [retrying for _, retrying in notes.troubles]
    assert Settled(FOREVER) == notes.facts[-1]


async def test_a_refusal_is_not_tried_again() -> None:
    """Trying again cannot help: one stream, one failure."""
    refusal = RecognizerRejected("No such language.", provider="scripted")
    recognizer = ScriptedStreaming(endpoints=True, fault=lambda n, now: refusal)
    notes = await run_whole(recognizer)
    assert ([("recognizer_rejected", False)], 1) == (notes.troubles, recognizer.streams)


async def test_what_a_stream_used_is_told() -> None:
    """Usage comes out of every stream."""
    notes = await run_utterances(ScriptedStreaming(), TWO)
    assert [2.48, 2.5] == [usage.seconds for usage in notes.usages]
