"""The engine: profiles, fallbacks, languages, and model processes that die under a running session."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import TypeGuard

import psutil
import pytest
from tests import speech
from tests.conftest import PATIENCE

from twopass import config, recognizers
from twopass.alignment import folded
from twopass.engine import Engine, Request
from twopass.errors import ConfigError, RecognizerUnavailable
from twopass.outbox import Event, ProviderTrouble
from twopass.recognizers import StreamOptions
from twopass.session import Session
from twopass.types import Pass, Revision, Status

# The passes have time: which words come out does not depend on the machine.
CONFIG = """
default: demo
profiles:
  demo:
    language: en-US
    first_pass: {provider: pocketsphinx}
    second_pass: {provider: whisper, model: demo}
    first_pass_run: {silence_seconds: 60}
    second_pass_run: {deadline_ms: 120000}
  missing:
    first_pass: {provider: pocketsphinx}
    second_pass: {provider: whisper, model: ./nowhere, fallback: {provider: pocketsphinx}}
  hopeless:
    first_pass: {provider: pocketsphinx}
    second_pass: {provider: whisper, model: ./nowhere}
  windowed:
    first_pass: {provider: whisper, model: demo, step_ms: 700}
    second_pass: {provider: whisper, model: demo}
    second_pass_run: {deadline_ms: 120000}
"""


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """An engine over the profiles above."""
    engine = Engine(config.parse(CONFIG))
    await engine.open()
    yield engine
    await engine.close()
    assert [] == _models()


def _models(name: str = "") -> list[psutil.Process]:
    """Our model processes, or those of one provider."""
    children = psutil.Process().children()
    return [p for p in children if "twopass.modelhost" in " ".join(p.cmdline()) and name in p.cmdline()[-1]]


async def played(session: Session, pcm: bytes, *, speed: float = 4.0, kill: str = "") -> list[Revision]:
    """Play audio faster than spoken; kill a provider's processes when half of it has been played."""
    running = asyncio.create_task(session.run())
    step = 3_200
    for at in range(0, len(pcm), step):
        session.write((pcm[at : at + step],))
        await asyncio.sleep(0.1 / speed)
        if kill and at // step == len(pcm) // step // 2:
            for process in _models(kill):
                os.kill(process.pid, 9)
    session.end()
    await asyncio.wait_for(running, PATIENCE)
    return revisions(session)


def revisions(session: Session) -> list[Revision]:
    """The latest revision of each utterance."""
    return [event for _, event in session.outbox.since(0) if isinstance(event, Revision)]


async def partial(session: Session, before: str) -> str:
    """Wait until the first pass shows something else than before; what it shows."""
    seen = 0
    async with asyncio.timeout(PATIENCE):
        while True:
            await session.outbox.wait_beyond(seen)
            for number, event in session.outbox.since(seen):
                seen = number
                if _interim(event) and event.text != before:
                    return event.text


def _interim(event: Event) -> TypeGuard[Revision]:
    return isinstance(event, Revision) and (event.status, event.source) == (Status.INTERIM, Pass.FIRST)


def said(revisions: list[Revision]) -> list[str]:
    """The words, folded."""
    ordered = sorted(revisions, key=lambda revision: revision.start)
    return [folded(word.text) for revision in ordered for word in revision.words]


async def test_a_missing_model_is_replaced_with_a_notice(engine: Engine) -> None:
    """The fallback speaks, and the notice says for whom and what to do."""
    _, second = await engine.speakers("missing")
    assert "pocketsphinx" == second.capabilities.provider
    assert second.notice is not None
    assert "is not a converted Whisper" in second.notice
    assert "pocketsphinx stands in for it" in second.notice


async def test_a_missing_model_without_fallback_is_an_error(engine: Engine) -> None:
    """Nothing to fall back to: the session is refused with the reason."""
    with pytest.raises(RecognizerUnavailable, match="is not a converted Whisper"):
        await engine.session(Request("hopeless"))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request("nobody"), "no profile"),
        (Request("demo", StreamOptions(language="de-DE")), "does not understand"),
        (Request("demo", StreamOptions(languages=("de-DE",))), "does not understand"),
        (Request("demo", StreamOptions(diarization=True)), "tell speakers apart"),
    ],
)
async def test_what_cannot_be_had_is_refused_with_what_can(engine: Engine, request_: Request, message: str) -> None:
    """An unknown profile and a language that nobody understands name the alternatives."""
    with pytest.raises(ConfigError, match=message) as caught:
        await engine.session(request_)
    assert caught.value.fix


async def test_recognizers_are_shared_between_profiles(engine: Engine) -> None:
    """Two profiles with one second pass and a first pass each: three processes, not four."""
    await engine.speakers("demo")
    await engine.speakers("windowed")
    await engine.speakers("demo")
    assert (2, 1) == (len(_models("whisper")), len(_models("pocketsphinx")))


async def test_whisper_as_a_first_pass_shows_partials(engine: Engine) -> None:
    """Through windows the second pass's model streams: partials by the first pass, finals by the second."""
    recording = speech.load("short_slt")
    session = await engine.session(Request("windowed"))
    running = asyncio.create_task(session.run())
    middle, spoken = (word.end_ms * 32 for word in (recording.words[2], recording.words[-1]))
    session.write((recording.pcm[:middle],))
    before = await partial(session, "")
    session.write((recording.pcm[middle:spoken],))
    assert before != await partial(session, before)
    session.write((recording.pcm[spoken:],))
    session.end()
    await asyncio.wait_for(running, PATIENCE)
    assert [folded(word.text) for word in recording.words] == said(revisions(session))


@pytest.mark.parametrize("victim", ["whisper", "pocketsphinx", "silero-vad"])
async def test_a_model_that_is_killed_costs_no_word(engine: Engine, victim: str) -> None:
    """kill -9 of a model process in the middle of speech: the transcript is that of a run where nothing happened."""
    recording = speech.load("short_rms")
    pcm = recording.pcm * 3
    calm = await played(await engine.session(Request("demo")), pcm)
    session = await engine.session(Request("demo"))
    faulted = await played(session, pcm, kill=victim)
    assert said(calm) == said(faulted)
    assert all(revision.status is Status.FINAL for revision in faulted)


async def test_a_second_pass_that_stays_away_promotes_the_first(engine: Engine) -> None:
    """No answer by the deadline: the first pass's words become final with the reason, and the client is told."""
    hasty = config.parse(CONFIG.replace("deadline_ms: 120000", "deadline_ms: 1, speculate: false"))
    other = Engine(hasty)
    await other.open()
    try:
        session = await other.session(Request("demo"))
        heard = await played(session, speech.load("short_slt").pcm)
    finally:
        await other.close()
    assert {("timeout", Pass.FIRST)} == {(r.degraded, r.source) for r in heard}
    assert said(heard)
    troubles = [event for _, event in session.outbox.since(0) if isinstance(event, ProviderTrouble)]
    assert Pass.SECOND in {trouble.pass_ for trouble in troubles}


class Opening:
    """A recognizer that never gets ready."""

    def __init__(self) -> None:
        self.begun, self.closed = asyncio.Event(), False

    async def open(self) -> None:
        self.begun.set()
        await asyncio.sleep(PATIENCE)

    async def close(self) -> None:
        self.closed = True


async def test_what_was_being_opened_when_the_server_ends_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else knows of it: its process and files would stay behind."""
    recognizer = Opening()
    provider = SimpleNamespace(streaming=lambda settings: recognizer)
    monkeypatch.setattr(recognizers, "find", lambda name: provider)
    engine = Engine(config.parse(CONFIG))
    warming = asyncio.create_task(engine.warm())
    await recognizer.begun.wait()
    warming.cancel()
    await asyncio.wait({warming})
    assert recognizer.closed
    await engine.close()
