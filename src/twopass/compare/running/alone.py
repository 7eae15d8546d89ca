"""
A provider's first pass alone, as an app would use it without twopass's second pass.

The same machinery as in a session carries the audio (tape, first pass with its retries and its streams' limits), but
what the reader sees is what the provider says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from twopass.compare.recording_listener import Recorder
from twopass.compare.records import Hearing
from twopass.compare.results import System
from twopass.compare.running.hearer import ACCOUNT, Payees, Piece
from twopass.compare.running.player import Player
from twopass.cost.prices.running import Pricer
from twopass.cost.usage.session_meter import SessionMeter, Sink
from twopass.errors import RecognizerError
from twopass.first_pass import FirstPassRunner
from twopass.first_pass_contract import FirstPassSettings
from twopass.guard import GuardSettings
from twopass.lineup import alone
from twopass.merging import AllHeard, Input, Merge, UtteranceClosed, UtteranceOpened, VoiceFrames
from twopass.recognizers import Capabilities, StreamingRecognizer
from twopass.segmenter import FRAME_SAMPLES, SegmenterSettings
from twopass.tape import Cursor, Tape
from twopass.types import Reason, Usage, milliseconds
from twopass.vad import VoiceDetector

_FRAMES_AT_ONCE = 32


class Alone:
    """
    Hears with one streaming recognizer. Whoever gives recognizer and voice detector opens and closes them.

    Attributes:
        paceless: What it says depends on how fast the audio comes: when it decodes, how much silence it hears.
    """

    paceless = False

    def __init__(self, system: System, recognizer: StreamingRecognizer, voice: VoiceDetector, sink: Sink) -> None:
        self.system = system
        self._recognizer = recognizer
        self._voice = voice
        self._sink = sink

    @property
    def capabilities(self) -> Capabilities:
        """The recognizer's."""
        return self._recognizer.capabilities

    @property
    def payees(self) -> Payees:
        """The recognizer, if it is a vendor."""
        return ((),) if self.capabilities.local or self.system.stand_in else ((self.capabilities,),)

    async def hear(self, piece: Piece) -> Hearing:
        """One recording."""
        player = Player(piece)
        meter = SessionMeter(piece.session, ACCOUNT, Pricer({}, {}), self._sink)
        recorder = _Metered(player.now, meter)
        failed = await _Run(self._recognizer, self._voice, player, recorder).whole()
        return replace(
            player.hearing(self.system.name),
            seen=tuple(recorder.seen),
            usage=tuple(recorder.usage),
            troubles=tuple(recorder.troubles),
            failed=failed,
        )


class _Metered(Recorder):
    """
    Also writes down what is used while it is used: a comparison that is interrupted was paid for, too.

    Attributes:
        failed: Why the recognizer was given up; empty if it was not.
    """

    def __init__(self, now: Callable[[], float], meter: SessionMeter) -> None:
        super().__init__(now)
        self.failed = ""
        self._meter = meter

    def trouble(self, error: RecognizerError, *, retrying: bool) -> None:
        super().trouble(error, retrying=retrying)
        self.failed = self.failed if retrying else str(error)

    def used(self, usage: Usage) -> None:
        super().used(usage)
        self._meter.count(replace(usage, reason=Reason.SHADOW), datetime.now(UTC))
        self._meter.handing_over()()


class _Run:
    """One recording on its way."""

    def __init__(
        self, recognizer: StreamingRecognizer, voice: VoiceDetector, player: Player, recorder: _Metered
    ) -> None:
        self._player = player
        self._voice = voice
        self._recorder = recorder
        self._tape = Tape()
        self._merge = Merge(0, SegmenterSettings(), GuardSettings())
        options = replace(player.piece.options, session=f"{player.piece.session}/0")
        self._first = FirstPassRunner(alone(recognizer), self._tape, options, recorder, FirstPassSettings())

    async def whole(self) -> str:
        """Returns why it failed, if it did."""
        failed = ""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._first.run())
                group.create_task(self._listen())
                await self._play()
        except* RecognizerError as errors:
            failed = str(errors.exceptions[0])
        return failed or self._recorder.failed

    async def _play(self) -> None:
        async for chunk in self._player.chunks():
            self._tape.write(chunk)
        self._tape.finish()

    async def _listen(self) -> None:
        """The voice detector says when somebody speaks: recognizers that do not listen themselves need it."""
        cursor, listening = Cursor(self._tape), await self._voice.listen()
        try:
            while await self._tape.wait_beyond(cursor.at + FRAME_SAMPLES - 1):
                whole = min(_FRAMES_AT_ONCE, cursor.lag // FRAME_SAMPLES) * FRAME_SAMPLES
                frames = await listening.frames(self._tape.read(cursor.at, cursor.at + whole))
                cursor.at += whole
                self._take(VoiceFrames(tuple((frame.probability, frame.loudness) for frame in frames)))
                self._first.listened(milliseconds(cursor.at))
                if self._player.piece.realtime:
                    self._first.relieve()
        finally:
            listening.close()
        self._take(AllHeard())
        self._first.listened(milliseconds(self._tape.end))
        self._first.finish()

    def _take(self, item: Input) -> None:
        for effect in self._merge.apply(item):
            match effect:
                case UtteranceOpened(utterance):
                    self._first.opened(utterance)
                case UtteranceClosed(utterance):
                    self._first.closed(utterance)
