"""Whole sessions over real speech with the real models: both passes, cuts, channels, finalize."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests import speech

from twopass import config
from twopass.alignment import folded
from twopass.compare.measures.accuracy import word_errors
from twopass.engine import Engine, Request
from twopass.errors import SessionClosed
from twopass.outbox import CostChanged, Problem, SessionEnded
from twopass.session import Session
from twopass.types import BYTES_PER_SAMPLE, Pass, Revision, Status

LOCAL = Path(__file__).parent.parent / "configs" / "local.yaml"


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """An engine with the demo profile: pocketsphinx and the bundled Whisper."""
    engine = Engine(config.load(LOCAL))
    await engine.open()
    yield engine
    await engine.close()


async def transcribed(session: Session, *channels: bytes, finalize_at: int | None = None) -> list[Revision]:
    """Feed audio at full speed; returns every revision in order."""
    running = asyncio.create_task(session.run())
    step = 16_000 * BYTES_PER_SAMPLE
    for at in range(0, len(channels[0]), step):
        session.write(tuple(pcm[at : at + step] for pcm in channels))
        await session.room()
        if finalize_at is not None and at // step == finalize_at:
            session.finalize()
    session.end()
    await running
    return [event for _, event in session.outbox.since(0) if isinstance(event, Revision)]


def said(revisions: list[Revision]) -> list[str]:
    """The words, folded, in the order of time."""
    ordered = sorted(revisions, key=lambda revision: revision.start)
    return [folded(word.text) for revision in ordered for word in revision.words]


def wanted(recording: speech.Recording, channel: int | None = None) -> list[str]:
    """The reference, folded."""
    return [folded(text) for text, _, _, at in recording.words if channel is None or at == channel]


@pytest.mark.parametrize("name", ["short_slt", "short_en_us", "short_rms"])
async def test_a_sentence_is_rewritten_to_what_was_said(engine: Engine, name: str) -> None:
    """One sentence: one final utterance by the second pass, word for word."""
    recording = speech.load(name)
    revisions = await transcribed(await engine.session(Request("demo", realtime=False)), recording.pcm)
    assert wanted(recording) == said(revisions)
    assert {(Status.FINAL, Pass.SECOND)} == {(r.status, r.source) for r in revisions}


async def test_a_meeting_of_two_minutes_loses_nothing(engine: Engine) -> None:
    """Many utterances by several voices: every one final, at most 1 % of the words wrong, costs on record."""
    recording = speech.load("meeting_120s")
    session = await engine.session(Request("demo", realtime=False))
    revisions = await transcribed(session, recording.pcm)
    assert all(revision.status is Status.FINAL for revision in revisions)
    assert word_errors(wanted(recording), said(revisions)).total <= len(recording.words) // 100
    (cost,) = [event for _, event in session.outbox.since(0) if isinstance(event, CostChanged)]
    assert {Pass.FIRST, Pass.SECOND} == {line.pass_ for line in cost.summary.lines}


async def test_nobody_speaks(engine: Engine) -> None:
    """Noise and silence give an empty transcript."""
    for name in ("noise_10s", "silence_5s"):
        session = await engine.session(Request("demo", realtime=False))
        assert [] == said(await transcribed(session, speech.load(name).pcm))


async def test_two_channels_are_two_speakers(engine: Engine) -> None:
    """Separate channels are transcribed each for itself, and each revision says which."""
    recording = speech.load("two_channels")
    session = await engine.session(Request("demo", realtime=False, channels=2))
    left, right = (b"".join(recording.pcm[i : i + 2] for i in range(at, len(recording.pcm), 4)) for at in (0, 2))
    revisions = await transcribed(session, left, right)
    for channel in (0, 1):
        assert wanted(recording, channel) == said([r for r in revisions if r.channel == channel])


async def test_finalize_ends_the_utterance_at_once(engine: Engine) -> None:
    """The client says finalize in mid-speech: what was said so far is an utterance of its own."""
    recording = speech.load("short_slt")
    session = await engine.session(Request("demo", realtime=False))
    revisions = await transcribed(session, recording.pcm, finalize_at=0)
    assert 2 == len([revision for revision in revisions if revision.words])


async def test_audio_after_the_end_is_refused(engine: Engine) -> None:
    """After `end` the session takes nothing more, and its last event is the summary."""
    session = await engine.session(Request("demo", realtime=False))
    await transcribed(session, speech.load("short_slt").pcm)
    with pytest.raises(SessionClosed):
        session.write((b"xx",))
    _, last = session.outbox.since(0)[-1]
    assert isinstance(last, SessionEnded)
    assert not any(isinstance(event, Problem) for _, event in session.outbox.since(0))
