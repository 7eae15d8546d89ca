"""The tape: any mixture of replays, holes and odd orders leaves the same audio."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from twopass.errors import TapeError
from twopass.tape import Cursor, Hole, Tape


def pcm(start: int, count: int) -> bytes:
    """Samples whose value is their index, so that a misplaced one is seen."""
    return b"".join(((start + i) % 30_000).to_bytes(2, "little") for i in range(count))


class TapeMachine(RuleBasedStateMachine):
    """A tape against a plain list of samples."""

    def __init__(self) -> None:
        super().__init__()
        self.tape = Tape()
        self.model: list[int] = []
        self.holes: list[Hole] = []
        self.released = 0

    @rule(back=st.integers(0, 50), count=st.integers(0, 60))
    def write_with_replay(self, back: int, count: int) -> None:
        """A client replays some samples and goes on."""
        at = max(0, len(self.model) - back)
        self.tape.write(pcm(at, count), at)
        self.model += [(at + i) % 30_000 for i in range(count) if at + i >= len(self.model)]

    @rule(missing=st.integers(1, 40), count=st.integers(1, 20))
    def write_after_a_hole(self, missing: int, count: int) -> None:
        """A client lost samples."""
        at = len(self.model) + missing
        self.tape.write(pcm(at, count), at)
        self.holes.append(Hole(at - missing, at))
        self.model += [0] * missing + [(at + i) % 30_000 for i in range(count)]

    @rule(count=st.integers(0, 30))
    def release(self, count: int) -> None:
        """Nobody needs the oldest any more."""
        self.tape.release(self.tape.start + count)
        self.released = min(self.released + count, len(self.model))

    @invariant()
    def holds_what_was_written(self) -> None:
        """Everything not released reads back, holes as silence."""
        assert len(self.model) == self.tape.end
        assert self.released == self.tape.start
        held = self.tape.read(self.tape.start, self.tape.end)
        expected = b"".join(value.to_bytes(2, "little") for value in self.model[self.released :])
        assert expected == held

    @invariant()
    def marks_holes(self) -> None:
        """Every hole is on record."""
        assert [hole for hole in self.holes if hole.end > self.tape.start] == self.tape.holes


TestTapeMachine = TapeMachine.TestCase


@given(st.data(), st.integers(1, 200))
def test_replaying_any_part_any_number_of_times_changes_nothing(data: st.DataObject, length: int) -> None:
    """However a client cuts and repeats what it sends, the tape holds the audio once."""
    tape = Tape()
    while tape.end < length:
        at = data.draw(st.integers(0, tape.end))
        tape.write(pcm(at, data.draw(st.integers(1, 50))), at)
    assert pcm(0, length) == tape.read(0, length)


@pytest.mark.parametrize(
    ("at", "audio", "code"),
    [(0, b"x", "odd_bytes"), (-1, b"xx", "bad_index"), (16_000 * 61, b"xx", "hole_too_long")],
)
def test_a_refused_write_leaves_the_tape_as_it_was(at: int, audio: bytes, code: str) -> None:
    """Half samples, negative indexes and absurd holes are refused with a code, and nothing is written."""
    tape = Tape()
    tape.write(pcm(0, 10))
    with pytest.raises(TapeError) as caught:
        tape.write(audio, at)
    assert (code, 10, []) == (caught.value.code, tape.end, tape.holes)


def test_a_finished_tape_takes_nothing() -> None:
    """After finish, writing is an error."""
    tape = Tape()
    tape.finish()
    with pytest.raises(TapeError):
        tape.write(b"xx")


def test_reading_released_or_unwritten_audio_is_an_error() -> None:
    """What is not there is never silence."""
    tape = Tape()
    tape.write(pcm(0, 10))
    tape.release(5)
    with pytest.raises(TapeError):
        tape.read(4, 6)
    with pytest.raises(TapeError):
        tape.read(5, 11)


async def test_cursors_read_what_is_written_while_they_wait() -> None:
    """Two cursors each get all audio, in pieces no larger than asked, and b"" at the end."""
    tape = Tape()

    async def collect(most: int) -> bytes:
        cursor, heard = Cursor(tape), b""
        while piece := await cursor.next(most):
            assert len(piece) <= 2 * most
            heard += piece
        return heard

    readers = [asyncio.create_task(collect(7)), asyncio.create_task(collect(100))]
    for i in range(10):
        tape.write(pcm(i * 25, 25))
        await asyncio.sleep(0)
    tape.finish()
    assert [pcm(0, 250)] * 2 == await asyncio.gather(*readers)


async def test_a_cursor_stops_where_it_is_told_and_jumps_forward_only() -> None:
    """`until` ends the reading; a jump says what was skipped and never goes back."""
    tape = Tape()
    tape.write(pcm(0, 100))
    cursor = Cursor(tape)
    assert pcm(0, 30) == await cursor.next(50, until=30)
    assert b"" == await cursor.next(50, until=30)
    assert Hole(30, 60) == cursor.jump(60)
    assert cursor.jump(10) is None
    assert 40 == cursor.lag
