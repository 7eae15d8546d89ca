"""What `transcribe` and the demo do: play a source into a session, show captions or progress, give the transcript."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from enum import StrEnum
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from twopass import playing
from twopass.audio import Encoding, probe_duration
from twopass.client import Client, ClientSession, Transcript
from twopass.compare.measures.timeline import Timeline
from twopass.console import Captions, costs, figures, introduction, trouble
from twopass.gateway.messages import BudgetMessage, ClientAudio, Cost, ErrorMessage, ProviderChange, Segment
from twopass.recognizers import StreamOptions
from twopass.transcript import Format, write

_console = Console(stderr=True)


class Mic(StrEnum):
    """What FILE may be besides a path."""

    MICROPHONE = "mic"
    STDIN = "-"


class Job:
    """One `transcribe` command."""

    def __init__(
        self, profile: str | None, options: StreamOptions, fast: bool, separate: bool, encoding: Encoding, rate: int
    ) -> None:
        self._profile = profile
        self._options = options
        self._fast = fast
        self._separate = separate
        self._encoding = encoding
        self._rate = rate

    async def run(self, url: str, source: str, style: Format) -> str:
        """Transcribe one source; returns the transcript."""
        audio, form = self._audio(source)
        realtime = source == Mic.MICROPHONE or not self._fast
        async with Client(url).session(
            audio=form,
            profile=self._profile,
            language=self._options.language,
            languages=self._options.languages,
            separate_channels=self._separate,
            phrases=self._options.phrases,
            punctuation=self._options.punctuation,
            profanity=self._options.profanity,
            diarization=self._options.diarization,
            realtime=realtime,
        ) as session:
            if realtime:
                pace = source not in tuple(Mic)
                timeline = await show_live(session, audio, channels=form.channels, pace=pace)
                return write(timeline.finals(), style)
            return await _show_progress(session, audio, source, style)

    def _audio(self, source: str) -> tuple[AsyncIterator[bytes], ClientAudio]:
        if source == Mic.MICROPHONE:
            return playing.from_microphone(), ClientAudio()
        if source == Mic.STDIN:
            return playing.from_stdin(), ClientAudio(encoding=self._encoding, sample_rate=self._rate)
        channels = 2 if self._separate else 1
        blocks = playing.from_file(Path(source), separate_channels=self._separate)
        return playing.chunked(blocks, channels), ClientAudio(channels=channels)


async def show_live(
    session: ClientSession, audio: AsyncIterator[bytes], *, channels: int = 1, pace: bool = True
) -> Timeline:
    """Play audio into a session and show what comes back; returns what was seen and when."""
    loop = asyncio.get_running_loop()
    start = loop.time()

    def began(at: float) -> None:
        nonlocal start
        start = at

    _console.print(introduction(session.started))
    timeline, cost = Timeline(), None
    session.feed(playing.paced(audio, channels, began) if pace else audio)
    transcript = Transcript()
    with Captions(_console) as captions, _until_interrupted(session):
        async for message in session:
            match message:
                case Segment():
                    revision = transcript.take(message)
                    timeline.add(revision, (loop.time() - start) * 1000)
                    captions.show(revision)
                case Cost():
                    cost = message
                case ErrorMessage() | ProviderChange() | BudgetMessage():
                    _console.print(trouble(message))
    _console.print(figures(timeline, cost))
    return timeline


async def _show_progress(session: ClientSession, audio: AsyncIterator[bytes], source: str, style: Format) -> str:
    """Send a recording at full speed with a progress bar; returns the transcript."""
    transcript, cost = Transcript(), None
    seconds = probe_duration(Path(source)) if source != Mic.STDIN else None
    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_console, transient=True) as progress:
        task = progress.add_task(Path(source).name, total=seconds)
        session.feed(audio)
        async for message in session:
            if isinstance(message, Segment):
                revision = transcript.take(message)
                progress.update(task, completed=revision.end / 1000)
            elif isinstance(message, Cost):
                cost = message
            elif isinstance(message, ErrorMessage | ProviderChange | BudgetMessage):
                _console.print(trouble(message))
    _console.print(costs(cost))
    return write(transcript.revisions, style)


@contextlib.contextmanager
def _until_interrupted(session: ClientSession) -> Iterator[None]:
    """Ctrl-C ends the audio, not the program: the last words still become final. The second one ends the program."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        loop.create_task(session.stop())  # noqa: RUF006 - it ends with the session

    try:
        loop.add_signal_handler(signal.SIGINT, stop)
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
