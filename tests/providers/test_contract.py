"""
One suite for every installed provider: what the core relies on.

A new provider passes it by being installed; where it cannot be used here (no key, no weights) it must say so properly.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import entry_points
from itertools import pairwise
from typing import Any

import pytest
import yaml
from tests import speech

from twopass import recognizers
from twopass.alignment import folded
from twopass.errors import ConfigError, RecognizerUnavailable
from twopass.recognizers import (
    Capabilities,
    Provider,
    StreamingRecognizer,
    StreamOptions,
    UtteranceAudio,
    UtteranceRecognizer,
)
from twopass.types import Hypothesis, Usage, Word
from twopass_providers.standins import ENTRY_POINT_GROUP, StandInSettings
from twopass_providers.standins.recognizing import RecognizerEar

SETTINGS = {"whisper": {"model": "demo"}}
"""What makes a provider usable on any machine. Vendors are reached at their stand-ins, which hear with pocketsphinx."""

providers = pytest.mark.parametrize("provider", recognizers.installed().values(), ids=recognizers.installed())
SENTENCE = speech.load("short_slt")


async def pieces(pcm: bytes, size: int = 3_200) -> AsyncIterator[bytes]:
    """Audio as a microphone gives it, only faster."""
    for at in range(0, len(pcm), size):
        yield pcm[at : at + size]
        await asyncio.sleep(0)


@asynccontextmanager
async def settings_of(provider: Provider) -> AsyncIterator[Mapping[str, Any]]:
    """What leads to a recognizer that works here: a vendor's is reached at its stand-in."""
    points = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if provider.name not in points:
        yield SETTINGS.get(provider.name, {})
        return
    module, ear = points[provider.name].load(), RecognizerEar()
    await ear.open()
    try:
        async with module.stand_in(StandInSettings(ear)) as running:
            yield yaml.safe_load(module.SETTINGS.format(address=running.address))
    finally:
        await ear.close()


@asynccontextmanager
async def streaming(provider: Provider) -> AsyncIterator[StreamingRecognizer]:
    """An open first pass, or a skip that says why there is none."""
    async with settings_of(provider) as settings:
        try:
            recognizer = provider.streaming({name: value for name, value in settings.items() if name != "provider"})
        except RecognizerUnavailable as error:
            pytest.skip(str(error))
        await recognizer.open()
        try:
            yield recognizer
        finally:
            await recognizer.close()


async def utterances(provider: Provider) -> UtteranceRecognizer:
    """An open second pass, or a skip."""
    try:
        recognizer = provider.utterance(SETTINGS.get(provider.name, {}))
    except RecognizerUnavailable as error:
        pytest.skip(str(error))
    await recognizer.open()
    return recognizer


def right(words: tuple[Word, ...]) -> float:
    """Share of the reference words that were heard."""
    heard = {folded(word.text) for word in words}
    wanted = [folded(word.text) for word in SENTENCE.words]
    return sum(word in heard for word in wanted) / len(wanted)


def finals(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """What is certain; they follow each other without gap or overlap."""
    certain = [hypothesis for hypothesis in hypotheses if hypothesis.final]
    assert all(left.end == right.start for left, right in pairwise(certain))
    return certain


@providers
async def test_a_stream_hears_the_sentence(provider: Provider) -> None:
    """Interims come before the final, times lie within the audio and grow, the last answer is final, usage is told."""
    async with streaming(provider) as recognizer:
        answers = [a async for a in recognizer.stream(pieces(SENTENCE.pcm), StreamOptions(language="en-US"))]
    hypotheses = [answer for answer in answers if isinstance(answer, Hypothesis)]
    assert hypotheses[-1].final
    assert any(not hypothesis.final for hypothesis in hypotheses)
    usage = [answer for answer in answers if isinstance(answer, Usage)]
    assert recognizer.capabilities.sku or usage  # else the first pass meters the audio that it sends
    assert {provider.name} >= {each.provider for each in usage}
    for hypothesis in hypotheses:
        times = [time for word in hypothesis.words for time in (word.start, word.end)]
        assert all(0 <= time <= SENTENCE.duration_ms + 100 for time in times)
        assert [word.start for word in hypothesis.words] == sorted(word.start for word in hypothesis.words)
        assert hypothesis.stable <= len(hypothesis.words)
    assert right(tuple(word for hypothesis in finals(hypotheses) for word in hypothesis.words)) >= 0.5


@providers
async def test_streams_are_independent_and_can_be_abandoned(provider: Provider) -> None:
    """Closing a stream in the middle harms nothing: the next one hears its sentence from 0."""
    async with streaming(provider) as recognizer:
        abandoned = recognizer.stream(pieces(SENTENCE.pcm), StreamOptions())
        await anext(abandoned)
        await abandoned.aclose()  # type: ignore[attr-defined]
        answers = [a async for a in recognizer.stream(pieces(SENTENCE.pcm), StreamOptions())]
    heard = finals([answer for answer in answers if isinstance(answer, Hypothesis)])
    assert right(tuple(word for hypothesis in heard for word in hypothesis.words)) >= 0.5


@providers
async def test_a_stream_without_audio_ends(provider: Provider) -> None:
    """No audio at all, or less than a word: an empty final, not an error."""
    async with streaming(provider) as recognizer:
        for pcm in (b"", bytes(640)):
            answers = [a async for a in recognizer.stream(pieces(pcm), StreamOptions())]
            assert [()] == [a.words for a in answers if isinstance(a, Hypothesis) and a.final]


@providers
async def test_a_batch_is_answered_in_order(provider: Provider) -> None:
    """Speech, silence, nothing, speech: four answers in this order, each with its usage."""
    recognizer = await utterances(provider)
    batch = [UtteranceAudio(pcm) for pcm in (SENTENCE.pcm, bytes(64_000), b"", SENTENCE.pcm)]
    try:
        answers = await recognizer.recognize(batch)
    finally:
        await recognizer.close()
    assert [True, False, False, True] == [right(answer.hypothesis.words) >= 0.5 for answer in answers]
    # A decoder may hear a breath in silence; utterances without a voice never get there.
    assert [True, True] == [len(answer.hypothesis.words) <= 1 for answer in answers[1:3]]
    assert all(answer.hypothesis.final and answer.usage for answer in answers)


@providers
async def test_capabilities_speak_for_themselves(provider: Provider) -> None:
    """The core and people can read who speaks, what it understands and what it takes."""
    async with streaming(provider) as recognizer:
        check_capabilities(provider, recognizer.capabilities)


@providers
async def test_capabilities_of_a_second_pass_speak_for_themselves(provider: Provider) -> None:
    """The same for those that also hear whole utterances."""
    recognizer = await utterances(provider)
    await recognizer.close()
    check_capabilities(provider, recognizer.capabilities)


def check_capabilities(provider: Provider, capabilities: Capabilities) -> None:
    """What every recognizer has to say of itself."""
    assert provider.name == capabilities.provider
    assert capabilities.model
    assert capabilities.understands.endswith(".")
    assert capabilities.max_utterance_seconds >= 5
    assert capabilities.local == (not capabilities.sku)


@providers
def test_a_wrong_setting_is_named(provider: Provider) -> None:
    """A setting that nobody knows is refused by name, with the known ones."""
    for make in (provider.streaming, provider.utterance):
        with pytest.raises(ConfigError, match="nonsense") as caught:
            make({"nonsense": 1})
        assert caught.value.fix


@providers
def test_a_diagnosis_names_a_fix_for_what_is_missing(provider: Provider) -> None:
    """`twopass doctor` never leaves a person alone with a problem."""
    findings = provider.diagnose()
    assert findings
    assert all(finding.fix for finding in findings if not finding.ok)
