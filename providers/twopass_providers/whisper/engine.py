"""
faster-whisper in its own process. Runs in the child only.

One batch is one call of CTranslate2: utterances of one language are encoded and decoded together, with word times
from the cross attention. An answer that looks broken (improbable, or repeating itself) is decoded once more alone with
the library's temperature fallback.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import TranscriptionOptions, get_suppressed_tokens

from twopass.modelhost import Connection, Serve
from twopass.types import SAMPLE_RATE
from twopass_providers.whisper.messages import Request, Result, WordResult, loudest_doubt

Audio = npt.NDArray[np.float32]
_MOST_SECONDS = 30.0
_APART = 60.0
"""Items of a batch get offsets this far apart: the library carries the end of one item's speech over to the next."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MOST_ARENAS = -1, -3, -8
"""Names of glibc's malloc.h."""
_BAD_LOGPROB = -1.0
_BAD_COMPRESSION = 2.4
_PUNCTUATION = {"prepend_punctuations": "\"'“¿([{-", "append_punctuations": "\"'.。,，!！?？:：”)]}、"}


def load(*, directory: str, device: str, compute_type: str, threads: int, beam_size: int) -> Serve:
    """Load the model; every connection sends batches of `Request` and gets tuples of `Result`."""
    keep_memory()
    whisper = WhisperModel(
        directory, device=device, compute_type=compute_type, cpu_threads=threads, local_files_only=True
    )
    # Work on a CPU is paid by core-second, work on a GPU by the time that it is taken.
    decoder = BatchDecoder(whisper, beam_size, time.process_time if device == "cpu" else time.perf_counter)
    decoder.decode([Request(bytes(SAMPLE_RATE), ("en",))])  # first use allocates: not on the first utterance's time
    lock = threading.Lock()

    def serve(connection: Connection) -> None:
        while True:
            batch: Sequence[Request] = connection.receive()
            with lock:
                results = decoder.decode(batch)
            connection.send(results)

    return serve


def keep_memory() -> None:
    """
    Keep what a decoding used for the next one: returning some hundred megabytes to the system and getting them back,
    page by page, is more than a third of what a small model costs. For a process that does little else, with glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 1 << 30)
        mallopt(_MMAP_THRESHOLD, 1 << 30)
        mallopt(_MOST_ARENAS, 1)  # those of threads give their memory back whatever the threshold


class BatchDecoder:
    """Batches of utterances through one model."""

    def __init__(self, whisper: WhisperModel, beam_size: int, clock: Callable[[], float]) -> None:
        self._whisper = whisper
        self._clock = clock
        self._beam_size = beam_size

    def decode(self, batch: Sequence[Request]) -> tuple[Result, ...]:
        """
        Decode a batch. Busy is each for what it needed alone, and for an equal share of what was done together: those
        of a batch are of about one length.
        """
        busy = [0.0] * len(batch)
        audio, languages = [_samples(request.pcm) for request in batch], list[str | None]()
        for i, request in enumerate(batch):
            with self._charged(busy, [i]):
                languages.append(self._language(request, audio[i]))
        answers: dict[int, list[dict[str, Any]]] = {}
        for group in _groups(batch, languages):
            answers |= self._decode_group(group, audio, languages[group[0]], batch[group[0]].phrases, busy)
        return tuple(_result(answers[i], len(audio[i]) / SAMPLE_RATE, languages[i], busy[i]) for i in range(len(batch)))

    @contextmanager
    def _charged(self, busy: list[float], to: Sequence[int]) -> Iterator[None]:
        """Add the time that this takes to these utterances' busy time."""
        began = self._clock()
        yield
        spent = self._clock() - began
        for i in to:
            busy[i] += spent / len(to)

    def _decode_group(
        self,
        group: list[int],
        audio: list[Audio],
        language: str | None,
        phrases: tuple[str, ...],
        busy: list[float],
    ) -> dict[int, list[dict[str, Any]]]:
        with self._charged(busy, group):
            found = self._decode_together(group, audio, language, phrases)
        for i in group:
            if _broken(found[i]):
                with self._charged(busy, [i]):
                    found[i] = self._decode_again(audio[i], language, phrases)
        return found

    def _decode_together(
        self, group: list[int], audio: list[Audio], language: str | None, phrases: tuple[str, ...]
    ) -> dict[int, list[dict[str, Any]]]:
        pipeline = BatchedInferencePipeline(self._whisper)
        pipeline.last_speech_timestamp = 0.0
        features = np.stack([pad_or_trim(self._whisper.feature_extractor(audio[i])[..., :-1]) for i in group])
        chunks = [{"offset": k * _APART, "duration": len(audio[i]) / SAMPLE_RATE} for k, i in enumerate(group)]
        segments = pipeline.forward(features, self._tokenizer(language), chunks, self._options(phrases))
        return {i: [_moved(segment, -k * _APART) for segment in segments[k]] for k, i in enumerate(group)}

    def _decode_again(self, audio: Audio, language: str | None, phrases: tuple[str, ...]) -> list[dict[str, Any]]:
        segments, _ = self._whisper.transcribe(
            audio,
            language=language,
            beam_size=self._beam_size,
            word_timestamps=True,
            condition_on_previous_text=False,
            hotwords=" ".join(phrases) or None,
        )
        return [{**vars(s), "words": [vars(word) for word in s.words or ()]} for s in segments]

    def _language(self, request: Request, audio: Audio) -> str | None:
        if not self._whisper.model.is_multilingual:
            return "en"
        if len(request.languages) == 1:
            return request.languages[0]
        language, _, probabilities = self._whisper.detect_language(audio)
        if not request.languages:
            return str(language)
        known = dict(probabilities)
        return max(request.languages, key=lambda code: known.get(code, 0.0))

    def _tokenizer(self, language: str | None) -> Tokenizer:
        multilingual = self._whisper.model.is_multilingual
        return Tokenizer(self._whisper.hf_tokenizer, multilingual, task="transcribe", language=language)

    def _options(self, phrases: tuple[str, ...]) -> TranscriptionOptions:
        return TranscriptionOptions(
            beam_size=self._beam_size,
            best_of=5,
            patience=1,
            length_penalty=1,
            repetition_penalty=1,
            no_repeat_ngram_size=0,
            log_prob_threshold=_BAD_LOGPROB,
            no_speech_threshold=0.6,
            compression_ratio_threshold=_BAD_COMPRESSION,
            condition_on_previous_text=False,
            prompt_reset_on_temperature=0.5,
            temperatures=[0.0],
            initial_prompt=None,
            prefix=None,
            suppress_blank=True,
            suppress_tokens=get_suppressed_tokens(self._tokenizer("en"), [-1]),
            without_timestamps=False,  # without time stamps Whisper makes words up in silence
            max_initial_timestamp=1.0,
            word_timestamps=True,
            multilingual=False,
            max_new_tokens=None,
            clip_timestamps="0",
            hallucination_silence_threshold=None,
            hotwords=" ".join(phrases) or None,
            **_PUNCTUATION,
        )


def _samples(pcm: bytes) -> Audio:
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32768.0
    return samples[: int(_MOST_SECONDS * SAMPLE_RATE)]


def _groups(batch: Sequence[Request], languages: list[str | None]) -> list[list[int]]:
    """Indexes of requests that can be decoded together."""
    groups: dict[tuple[str | None, tuple[str, ...]], list[int]] = {}
    for i, request in enumerate(batch):
        groups.setdefault((languages[i], request.phrases), []).append(i)
    return list(groups.values())


def _moved(segment: dict[str, Any], by: float) -> dict[str, Any]:
    moved = ({**w, "start": w["start"] + by, "end": w["end"] + by} for w in segment.get("words", ()))
    return {**segment, "words": [{**w, "start": max(0.0, w["start"]), "end": max(0.0, w["end"])} for w in moved]}


def _broken(segments: list[dict[str, Any]]) -> bool:
    text = " ".join(str(segment["text"]) for segment in segments)
    if not text.strip():
        return False
    worst = min(float(segment["avg_logprob"]) for segment in segments)
    return worst < _BAD_LOGPROB or max(float(s["compression_ratio"]) for s in segments) > _BAD_COMPRESSION


def _result(segments: list[dict[str, Any]], seconds: float, language: str | None, busy: float) -> Result:
    words = tuple(
        WordResult(str(w["word"]), float(w["start"]), min(float(w["end"]), seconds), float(w["probability"]))
        for segment in segments
        for w in segment["words"]
    )
    spoken = [segment for segment in segments if str(segment["text"]).strip()] or segments
    return Result(
        words,
        seconds,
        language,
        average_logprob=loudest_doubt([s["avg_logprob"] for s in spoken], high=False),
        no_speech=loudest_doubt([s["no_speech_prob"] for s in spoken], high=True),
        compression_ratio=loudest_doubt([s["compression_ratio"] for s in spoken], high=True),
        busy_seconds=busy,
    )
