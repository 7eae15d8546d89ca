"""Batches through the bundled Whisper, in this process."""

from __future__ import annotations

import itertools
import platform
import subprocess
import sys
from collections.abc import Sequence

import pytest
from faster_whisper import WhisperModel
from tests import speech
from tests.conftest import PATIENCE

from twopass.types import SAMPLE_RATE
from twopass_providers.whisper import models
from twopass_providers.whisper.engine import BatchDecoder
from twopass_providers.whisper.messages import Request, Result

_MS_BYTES = SAMPLE_RATE // 1000 * 2


@pytest.fixture(scope="module")
def decoder() -> BatchDecoder:
    """The bundled model with a clock that ticks once whenever it is read: every piece of work takes 1."""
    directory = models.locate(models.DEMO).directory
    whisper = WhisperModel(directory, device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)
    ticks = itertools.count()
    return BatchDecoder(whisper, 5, lambda: float(next(ticks)))


def sentences(count: int, phrases: tuple[str, ...] = ()) -> list[Request]:
    """So many sentences of different lengths."""
    recording = speech.load("meeting_120s")
    spans = [(s.start_ms - 100, s.end_ms + 100) for s in recording.sentences[:count]]
    return [Request(recording.pcm[a * _MS_BYTES : b * _MS_BYTES], ("en",), phrases) for a, b in spans]


def stuck() -> Request:
    """Half a second of speech again and again: Whisper's answer repeats itself, and is decoded once more."""
    recording = speech.load("short_en_us")
    return Request(recording.pcm[500 * _MS_BYTES : 1000 * _MS_BYTES] * 20, ("en",))


def texts(results: Sequence[Result]) -> list[str]:
    """What was understood."""
    return ["".join(word.word for word in result.words) for result in results]


def test_an_utterance_in_a_batch_is_heard_as_it_is_alone(decoder: BatchDecoder) -> None:
    """The same words in the same order, with times within the utterance, whatever else is in the batch."""
    batch = [*sentences(3), Request(bytes(SAMPLE_RATE), ("en",)), *sentences(1, ("roadmap",))]
    together = decoder.decode(batch)
    assert texts([decoder.decode([request])[0] for request in batch]) == texts(together)
    assert all(texts(together)[:3])
    assert all(0 <= word.start <= word.end <= result.seconds for result in together for word in result.words)


def test_each_pays_for_itself_and_its_share_of_the_batch(decoder: BatchDecoder) -> None:
    """What one utterance needed alone, such as a second decoding, is not on the others' bill; and nothing is lost."""
    together = decoder.decode([*sentences(3), stuck()])
    assert [1.25, 1.25, 1.25, 2.25] == [result.busy_seconds for result in together]


FAULTS = """
import resource
from faster_whisper import WhisperModel
from twopass_providers.whisper import models
from twopass_providers.whisper.engine import BatchDecoder, keep_memory
from twopass_providers.whisper.messages import Request
keep_memory()
directory = models.locate(models.DEMO).directory
whisper = WhisperModel(directory, device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)
decoder = BatchDecoder(whisper, 5, float)
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    decoder.decode([Request(bytes(64_000), ("en",))])
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(min(faults() for _ in range(6)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_memory_is_kept_from_one_utterance_to_the_next() -> None:
    """Soon a decoding gets hardly any page from the system, where each got tens of thousands."""
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert 0 == done.returncode, done.stderr
    assert int(done.stdout) < 5_000
