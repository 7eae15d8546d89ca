"""Sessions on disk: what was flushed is there for the next process, and nothing else is believed."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twopass.errors import ProtocolError, TwopassError
from twopass.journal import EndAsked, Happened, Metered, Numbered, Record, Told, decode, encode
from twopass.merging import AllHeard, FinalizeAt, VoiceFrames
from twopass.outbox import AudioSkipped, GapMarked, Problem, ProviderTrouble, SessionEnded
from twopass.reconciler import FOREVER, FirstPass, SecondPass, SecondPassFailed, Settled
from twopass.spool import SessionSpool, Spool, SpoolSettings
from twopass.types import Clock, Cut, Evidence, Hypothesis, Pass, Reason, Usage, Utterance, Word

texts = st.text(max_size=12)
times = st.integers(0, 10_000)
words = st.builds(
    Word, texts, times, times, st.none() | st.floats(0, 1), st.booleans(), st.booleans(), st.none() | texts
)
hypotheses = st.builds(
    Hypothesis,
    times,
    times | st.just(FOREVER),
    st.lists(words, max_size=4).map(tuple),
    st.booleans(),
    st.integers(0, 4),
    st.none() | texts,
    st.builds(Evidence, st.none() | st.floats(-9, 0), st.none() | st.floats(0, 1)),
)
cuts = st.sampled_from(Cut)
utterances = st.builds(Utterance, texts, times, st.none() | times, times, cuts, cuts, st.integers(0, 1))
frames = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=5).map(tuple)
inputs = st.one_of(
    st.builds(VoiceFrames, frames),
    st.builds(FinalizeAt, times),
    st.just(AllHeard()),
    st.builds(FirstPass, hypotheses, st.tuples(times, times)),
    st.builds(Settled, times),
    st.builds(SecondPass, utterances, hypotheses),
    st.builds(SecondPassFailed, utterances, texts),
)
events = st.one_of(
    st.builds(GapMarked, times, times),
    st.builds(AudioSkipped, times, times, times, st.booleans(), st.integers(0, 1)),
    st.builds(ProviderTrouble, st.sampled_from(Pass), texts, st.sampled_from(["retrying", "failed"]), texts),
    st.builds(SessionEnded, times, times, times, times),
)
usages = st.builds(
    Usage,
    texts,
    texts,
    st.sampled_from(Clock),
    st.floats(0, 9),
    st.sampled_from(Pass),
    st.sampled_from(Reason),
    texts,
    st.lists(texts, max_size=2).map(tuple),
)
records: st.SearchStrategy[Record] = st.one_of(
    st.builds(Happened, st.integers(0, 1), inputs),
    st.builds(Told, events),
    st.builds(Metered, usages, st.datetimes(timezones=st.just(UTC))),
    st.sampled_from([Numbered(), EndAsked()]),
)


@given(st.lists(records, max_size=20))
def test_what_is_written_is_what_is_read(written: list[Record]) -> None:
    """Every record comes back as it was, whatever text it carries."""
    assert written == [record for record, _ in decode(b"".join(map(encode, written)))]


@given(st.lists(records, min_size=1, max_size=6), st.data())
def test_half_a_record_is_not_believed(written: list[Record], data: st.DataObject) -> None:
    """A journal that was cut anywhere gives the records that are whole, and says where they end."""
    lines = [encode(record) for record in written]
    cut = data.draw(st.integers(0, len(b"".join(lines))))
    read = list(decode(b"".join(lines)[:cut]))
    whole = [record for record, end in zip(written, _ends(lines), strict=True) if end <= cut]
    assert whole == [record for record, _ in read]
    assert [end for end in _ends(lines) if end <= cut] == [end for _, end in read]


def _ends(lines: list[bytes]) -> list[int]:
    return [sum(map(len, lines[: i + 1])) for i in range(len(lines))]


def test_problem_comes_back_with_its_fields() -> None:
    """An error that was told is told again with its code, its fix and whether trying again helps."""
    error = ProtocolError("No.", code="bad", fix="Say yes.")
    ((record, _),) = decode(encode(Told(Problem(error, fatal=True))))
    assert isinstance(record, Told)
    assert isinstance(record.event, Problem)
    told = record.event.error
    assert ("No.", "bad", "Say yes.", False, True) == (
        told.message,
        told.code,
        told.fix,
        told.retryable,
        record.event.fatal,
    )
    assert isinstance(told, TwopassError)


def left_behind(spool: Spool) -> list[SessionSpool]:
    """All sessions that nobody has; they are ours from now on."""

    async def all_of_them() -> list[SessionSpool]:
        return [each async for each in spool.left_behind()]

    return asyncio.run(all_of_them())


def spool(directory: Path, **settings: object) -> Spool:
    """A spool in a directory."""
    return Spool(directory, SpoolSettings(directory, **settings))  # type: ignore[arg-type]


def test_what_a_process_left_is_adopted_once(tmp_path: Path) -> None:
    """Sessions of a living process are nobody else's; when it has gone, exactly one other takes them over."""
    first = spool(tmp_path).create("s", {"a": 1})
    first.receive(b"audio")
    first.receive(b"")
    first.write(EndAsked())
    assert first.flush()
    assert [] == left_behind(spool(tmp_path))
    first.close()
    (second,) = left_behind(spool(tmp_path))
    assert ({"a": 1}, [EndAsked()], [b"audio", b""]) == (
        second.about,
        list(second.records()),
        list(second.frames()),
    )
    assert [] == left_behind(spool(tmp_path))
    second.complete()
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("file", ["received", "journal"])
def test_what_was_half_written_is_cut_off(tmp_path: Path, file: str) -> None:
    """After a write that was cut short the whole records are read, and new ones follow them."""
    first = spool(tmp_path).create("s", {})
    first.receive(b"audio")
    first.write(EndAsked())
    first.close()
    with (tmp_path / "s" / file).open("ab") as broken:
        broken.write(b"\0\0\0\x09half")
    (second,) = left_behind(spool(tmp_path))
    assert ([EndAsked()], [b"audio"]) == (list(second.records()), list(second.frames()))
    second.receive(b"more")
    second.write(Numbered())
    second.close()
    (third,) = left_behind(spool(tmp_path))
    assert ([EndAsked(), Numbered()], [b"audio", b"more"]) == (list(third.records()), list(third.frames()))
    third.close()


@pytest.mark.parametrize("limit", ["session_mb", "total_mb"])
def test_limits_are_kept(tmp_path: Path, limit: str) -> None:
    """What would exceed a limit is not written: the session is kept no longer, and says so."""
    limited = spool(tmp_path, **{limit: 1})
    session = limited.create("s", {})
    session.receive(bytes(1_000_000))
    assert session.flush()
    session.receive(bytes(1_000_000))
    assert not session.flush()
    assert session.failure
    assert [] == list(tmp_path.iterdir())
    assert 0 == limited.used
    session.receive(b"nothing happens")
    session.write(EndAsked())
    session.close()


def test_full_disk(tmp_path: Path) -> None:
    """When the system refuses a write the session's files go, and `flush` says no."""
    session = spool(tmp_path).create("s", {})
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, session._received.fileno())
    os.close(full)
    session.receive(b"audio")
    assert not session.flush()
    assert os.strerror(errno.ENOSPC) == session.failure
    assert [] == list(tmp_path.iterdir())


def test_retention(tmp_path: Path) -> None:
    """Kept sessions stay as long as they are to be kept; nobody takes them for sessions that go on."""
    keeping = spool(tmp_path, keep_hours=1.0)
    session = keeping.create("s", {"a": 1})
    session.receive(b"audio")
    session.complete()
    assert [] == left_behind(keeping)
    keeping.tidy()
    (kept,) = tmp_path.iterdir()
    assert {"a": 1} == json.loads((kept / "about.json").read_text())
    os.utime(kept, (0, 0))
    keeping.tidy()
    assert [] == list(tmp_path.iterdir())
